//! On which nodes the pods of a DaemonSet belong, and how a pod is bound to its node. Pure functions.
//!
//! The scheduler places the pods: each has a node affinity for one node by name.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_api::taint::{Taint, Toleration};
use windlass_api::well_known::label::CONTROLLER_REVISION_HASH;
use windlass_api::well_known::taint;
use windlass_api::{OwnerReference, Status};

use super::view::DaemonSet;
use crate::node::view::Node;
use crate::pod_control::pod_of;
use crate::pods::{Affinity, Pod};

const TEMPLATE_GENERATION_LABEL: &str = "pod-template-generation";

/// What a node is to a DaemonSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// A pod should run there.
    Run,
    /// A pod that is there may stay; none is started.
    Stay,
    /// No pod may be there.
    Leave,
}

/// What the template says about nodes, read once for all of them.
pub(super) struct Placement {
    node_name: String,
    node_selector: BTreeMap<String, String>,
    affinity: Affinity,
    tolerations: Vec<Toleration>,
}

impl Placement {
    pub(super) fn of(set: &DaemonSet) -> Self {
        let spec = &set.spec.template["spec"];
        Self {
            node_name: spec["nodeName"].as_str().unwrap_or_default().to_owned(),
            node_selector: BTreeMap::deserialize(&spec["nodeSelector"]).unwrap_or_default(),
            affinity: Affinity::deserialize(&spec["affinity"]).unwrap_or_default(),
            tolerations: serde_json::from_value(json!(tolerations(spec))).unwrap_or_default(),
        }
    }

    pub(super) fn fit(&self, node: &Node) -> Fit {
        let meta = &node.metadata;
        let is_selected = (self.node_name.is_empty() || self.node_name == meta.name)
            && self.node_selector.iter().all(|(key, value)| meta.labels.get(key) == Some(value))
            && self.affinity.required().is_none_or(|selector| selector.matches(&meta.name, &meta.labels));
        if !is_selected {
            return Fit::Leave;
        }
        let is_tolerated = |taint: &&Taint| taint.is_tolerated(&self.tolerations);
        let mut repelling = node.spec.taints.iter().filter(|taint| !is_tolerated(taint));
        match repelling.clone().any(|taint| taint.effect == "NoExecute") {
            true => Fit::Leave,
            false if repelling.any(|taint| taint.effect == "NoSchedule") => Fit::Stay,
            false => Fit::Run,
        }
    }
}

/// The template's tolerations and those that every daemon needs: a node in trouble keeps its daemons.
fn tolerations(spec: &Value) -> Vec<Value> {
    let mut all = spec["tolerations"].as_array().cloned().unwrap_or_default();
    let mut wanted = vec![
        (taint::NOT_READY, "NoExecute"),
        (taint::UNREACHABLE, "NoExecute"),
        (taint::DISK_PRESSURE, "NoSchedule"),
        (taint::MEMORY_PRESSURE, "NoSchedule"),
        (taint::PID_PRESSURE, "NoSchedule"),
        (taint::UNSCHEDULABLE, "NoSchedule"),
    ];
    if spec["hostNetwork"] == json!(true) {
        wanted.push((taint::NETWORK_UNAVAILABLE, "NoSchedule"));
    }
    for (key, effect) in wanted {
        let added = json!({"key": key, "operator": "Exists", "effect": effect});
        let is_same = |present: &&mut Value| {
            ["key", "operator", "effect"].iter().all(|field| present[field] == added[field])
                && present["value"].as_str().unwrap_or_default().is_empty()
        };
        match all.iter_mut().find(is_same) {
            // Without a limit in time.
            Some(present) => *present = added,
            None => all.push(added),
        }
    }
    all
}

/// The node that a pod is on, or is to be scheduled to.
pub(super) fn target_node(pod: &Pod) -> Option<&str> {
    if !pod.spec.node_name.is_empty() {
        return Some(&pod.spec.node_name);
    }
    pod.spec.affinity.as_ref()?.required()?.names()?.first().copied()
}

/// The pod of a template for any node; [`for_node`] makes it that of one.
pub(super) fn pod(set: &DaemonSet, owner: OwnerReference, hash: &str) -> Result<Value, Status> {
    let mut pod = pod_of(&set.spec.template, owner)?;
    pod["metadata"]["labels"][CONTROLLER_REVISION_HASH] = json!(hash);
    if let Some(generation) = set.template_generation() {
        pod["metadata"]["labels"][TEMPLATE_GENERATION_LABEL] = json!(generation.to_string());
    }
    pod["spec"]["tolerations"] = json!(tolerations(&pod["spec"]));
    Ok(pod)
}

pub(super) fn for_node(pod: &Value, node: &str) -> Value {
    let mut pod = pod.clone();
    let field = json!({"key": "metadata.name", "operator": "In", "values": [node]});
    pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] =
        json!([{"matchFields": [field]}]);
    pod
}

/// Whether a pod is of the newest template.
pub(super) fn is_updated(set: &DaemonSet, pod: &Pod, hash: &str) -> bool {
    let labels = &pod.metadata.labels;
    let of_generation = set.template_generation().is_some_and(|generation| {
        labels.get(TEMPLATE_GENERATION_LABEL).is_some_and(|label| *label == generation.to_string())
    });
    of_generation || labels.get(CONTROLLER_REVISION_HASH).is_some_and(|label| label == hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(spec: &Value) -> DaemonSet {
        serde_json::from_value(json!({"metadata": {"name": "d"}, "spec": {"template": {"spec": spec}}})).unwrap()
    }

    fn node(labels: Value, taints: Value) -> Node {
        serde_json::from_value(json!({"metadata": {"name": "n1", "labels": labels}, "spec": {"taints": taints}}))
            .unwrap()
    }

    #[test]
    fn fits() {
        let taint = |key: &str, effect: &str| json!([{"key": key, "effect": effect}]);
        for (spec, labels, taints, expected) in [
            (json!({}), json!({}), json!([]), Fit::Run),
            (json!({"nodeName": "n2"}), json!({}), json!([]), Fit::Leave),
            (json!({"nodeSelector": {"color": "blue"}}), json!({}), json!([]), Fit::Leave),
            (json!({"nodeSelector": {"color": "blue"}}), json!({"color": "blue"}), json!([]), Fit::Run),
            (json!({}), json!({}), taint("x", "NoSchedule"), Fit::Stay),
            (json!({}), json!({}), taint("x", "NoExecute"), Fit::Leave),
            (json!({}), json!({}), taint("x", "PreferNoSchedule"), Fit::Run),
            (json!({"tolerations": [{"operator": "Exists"}]}), json!({}), taint("x", "NoExecute"), Fit::Run),
            (json!({}), json!({}), taint(taint::NOT_READY, "NoExecute"), Fit::Run),
            (json!({}), json!({}), taint(taint::UNSCHEDULABLE, "NoSchedule"), Fit::Run),
            (json!({}), json!({}), taint(taint::NETWORK_UNAVAILABLE, "NoSchedule"), Fit::Stay),
            (json!({"hostNetwork": true}), json!({}), taint(taint::NETWORK_UNAVAILABLE, "NoSchedule"), Fit::Run),
        ] {
            assert_eq!(Placement::of(&set(&spec)).fit(&node(labels, taints.clone())), expected, "{spec} {taints}");
        }
    }

    #[test]
    fn bound_to_a_node_by_affinity() {
        let color = json!({"matchExpressions": [{"key": "color", "operator": "Exists"}]});
        let affinity =
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [color]}}});
        let short =
            json!([{"key": taint::NOT_READY, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]);
        let set = set(&json!({"affinity": affinity, "tolerations": short}));
        let made = for_node(&pod(&set, OwnerReference::default(), "abc").unwrap(), "n7");
        assert_eq!(made["metadata"]["labels"], json!({CONTROLLER_REVISION_HASH: "abc"}));
        assert_eq!(made["spec"]["tolerations"].as_array().unwrap().len(), 6);
        assert!(made["spec"]["tolerations"][0].get("tolerationSeconds").is_none());
        let made: Pod = serde_json::from_value(made).unwrap();
        assert_eq!(target_node(&made), Some("n7"));
        assert!(is_updated(&set, &made, "abc") && !is_updated(&set, &made, "def"));
    }
}
