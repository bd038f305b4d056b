//! What becomes of a pod when it is created or its status is written, beyond defaults.
//!
//! Source: upstream `pkg/registry/core/pod/strategy.go`.

use std::collections::{HashMap, VecDeque};

use serde_json::{Map, Value, json};
use windlass_api::well_known::annotation::APP_ARMOR_PREFIX;
use windlass_machinery::tree::{child, items, items_mut, keep, number, put, set, text};

/// Turns `matchLabelKeys` and `mismatchLabelKeys` of affinities and spread constraints into requirements on the values that
/// this pod has.
pub(crate) fn merge_label_keys(pod: &mut Value) {
    let has_keys = pod.pointer("/spec/affinity").is_some() || pod.pointer("/spec/topologySpreadConstraints").is_some();
    if !has_keys {
        return;
    }
    let labels = pod.pointer("/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default();
    let spec = child(pod, "spec");
    for affinity in ["podAffinity", "podAntiAffinity"] {
        let Some(affinity) = spec.pointer_mut(&format!("/affinity/{affinity}")) else { continue };
        for weighted in items_mut(affinity, "preferredDuringSchedulingIgnoredDuringExecution") {
            if let Some(term) = weighted.get_mut("podAffinityTerm") {
                merge_term(term, &labels);
            }
        }
        for term in items_mut(affinity, "requiredDuringSchedulingIgnoredDuringExecution") {
            merge_term(term, &labels);
        }
    }
    for constraint in items_mut(spec, "topologySpreadConstraints") {
        merge_term(constraint, &labels);
    }
}

fn merge_term(term: &mut Value, labels: &Map<String, Value>) {
    // Without a selector nothing matches, and a requirement more would change that.
    if !term.get("labelSelector").is_some_and(Value::is_object) {
        return;
    }
    let mut requirements = Vec::new();
    for (keys, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in items(term, keys).filter_map(Value::as_str) {
            if let Some(value) = labels.get(key) {
                requirements.push(json!({"key": key, "operator": operator, "values": [value]}));
            }
        }
    }
    if requirements.is_empty() {
        return;
    }
    let expressions = &mut child(term, "labelSelector")["matchExpressions"];
    match expressions {
        Value::Array(list) => list.extend(requirements),
        none => *none = Value::Array(requirements),
    }
}

/// Takes the resources and resize policies of containers, and the pod's own resources, from a specification that was sent for a
/// resize. Everything else stays as it is; but other containers than there are, validation is to see.
pub(crate) fn take_resources(spec: &mut Value, sent: &Value) {
    let names = |spec: &Value, list: &str| -> Vec<String> {
        items(spec, list).map(|container| text(container, "name").to_owned()).collect()
    };
    let lists = ["containers", "initContainers"];
    let is_longer = lists.iter().any(|list| names(spec, list).len() != names(sent, list).len());
    for list in lists {
        if is_longer || names(spec, list) != names(sent, list) {
            keep(spec, sent, list);
            continue;
        }
        for (container, wanted) in items_mut(spec, list).zip(items(sent, list)) {
            keep(container, wanted, "resources");
            keep(container, wanted, "resizePolicy");
        }
    }
    if let Some(resources) = sent.get("resources").filter(|resources| resources.is_object()) {
        put(spec, "resources", resources.clone());
    }
}

/// Carries AppArmor profiles from their old annotations into the containers' fields.
pub(crate) fn apply_app_armor_annotations(pod: &mut Value) {
    let profiles: HashMap<String, Value> = pod
        .pointer("/metadata/annotations")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| {
            Some((key.strip_prefix(APP_ARMOR_PREFIX)?.to_owned(), app_armor_profile(value.as_str()?)?))
        })
        .collect();
    if profiles.is_empty() || pod.pointer("/spec/os/name") == Some(&json!("windows")) {
        return;
    }
    let of_pod = pod.pointer("/spec/securityContext/appArmorProfile").cloned();
    let spec = child(pod, "spec");
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in items_mut(spec, list) {
            let found = profiles.get(text(container, "name"));
            let Some(profile) = found.filter(|profile| of_pod.as_ref() != Some(*profile)) else { continue };
            set(child(container, "securityContext"), "appArmorProfile", profile.clone());
        }
    }
}

/// The profile that an annotation means.
pub(super) fn app_armor_profile(annotation: &str) -> Option<Value> {
    match annotation {
        "unconfined" => Some(json!({"type": "Unconfined"})),
        "runtime/default" => Some(json!({"type": "RuntimeDefault"})),
        _ => {
            let name = annotation.strip_prefix("localhost/").filter(|name| !name.is_empty() && name.len() <= 4095)?;
            (name.trim() == name).then(|| json!({"type": "Localhost", "localhostProfile": name}))
        }
    }
}

/// A status that names no observed generation keeps the one that it had; so does each of its conditions.
pub(crate) fn keep_observed_generations(status: &mut Value, old: &Value) {
    const FIELD: &str = "observedGeneration";
    let fill = |to: &mut Value, generation: i64| {
        if number(to, FIELD) == 0 && generation != 0 {
            put(to, FIELD, generation);
        }
    };
    fill(status, number(old, FIELD));
    // Several conditions may have one type; they are matched in their order.
    let mut before: HashMap<&str, VecDeque<i64>> = HashMap::new();
    for condition in items(old, "conditions") {
        before.entry(text(condition, "type")).or_default().push_back(number(condition, FIELD));
    }
    for condition in items_mut(status, "conditions") {
        if let Some(generation) = before.get_mut(text(condition, "type")).and_then(VecDeque::pop_front) {
            fill(condition, generation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_keys_become_requirements() {
        let mut pod = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"topologySpreadConstraints": [
            {"labelSelector": {}, "matchLabelKeys": ["a", "absent"]}, {"matchLabelKeys": ["a"]}]}});
        merge_label_keys(&mut pod);
        let constraints = &pod["spec"]["topologySpreadConstraints"];
        assert_eq!(
            constraints[0]["labelSelector"],
            json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]})
        );
        assert!(constraints[1].get("labelSelector").is_none());
    }

    #[test]
    fn app_armor() {
        let mut pod = json!({"metadata": {"annotations": {
            "container.apparmor.security.beta.kubernetes.io/a": "localhost/x", "container.apparmor.security.beta.kubernetes.io/b": "?"}},
            "spec": {"containers": [{"name": "a"}, {"name": "b"}]}});
        apply_app_armor_annotations(&mut pod);
        let containers = &pod["spec"]["containers"];
        assert_eq!(
            containers[0]["securityContext"]["appArmorProfile"],
            json!({"type": "Localhost", "localhostProfile": "x"})
        );
        assert!(containers[1].get("securityContext").is_none());
    }

    #[test]
    fn observed_generations_stay() {
        let old = json!({"observedGeneration": 2, "conditions": [{"type": "A", "observedGeneration": 2}]});
        let mut new = json!({"conditions": [{"type": "B"}, {"type": "A"}]});
        keep_observed_generations(&mut new, &old);
        assert_eq!(
            new,
            json!({"observedGeneration": 2, "conditions": [{"type": "B"}, {"type": "A", "observedGeneration": 2}]})
        );
    }
}
