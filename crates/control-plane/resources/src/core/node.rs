//! Node: a machine that runs pods. The kubelet registers it together with its status.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::condition::{self, TRUE};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{child, items, keep, put, remove, text};

use crate::columns::{self, word};
use crate::pod_spec::validation::resources::validate_quantity;
use crate::quantities::round_up;
use crate::rules::{cidr, complain, label_name, map_at, required_of, texts};
use crate::{Moment, Resource, Strategy, Subresource};

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE_LABEL: &str = "kubernetes.io/role";

pub(crate) fn resource() -> Resource {
    Resource::cluster("", "v1", "Node", "nodes")
        .short_names(&["no"])
        .subresources(&[Subresource::Proxy, Subresource::Status])
        .takes_status_on_create()
        .selectable_or("spec.unschedulable", "/spec/unschedulable", "false")
        .columns(columns::list(&[
            "Name",
            "Status",
            "Roles",
            "Age",
            "Version",
            "+Internal-IP",
            "+External-IP",
            "+OS-Image",
            "+Kernel-Version",
            "+Container-Runtime",
        ]))
        .strategy(Node)
}

struct Node;

impl Strategy for Node {
    fn set_defaults(&self, object: &mut Value) {
        let status = child(object, "status");
        for list in ["capacity", "allocatable"] {
            round_up(status.get_mut(list));
        }
        if status.get("allocatable").is_none()
            && let Some(capacity) = status.get("capacity").cloned()
        {
            put(status, "allocatable", capacity);
        }
        // The singular field is the first of the list.
        let spec = child(object, "spec");
        let first = spec.pointer("/podCIDRs/0").and_then(Value::as_str).unwrap_or_default().to_owned();
        match text(spec, "podCIDR").to_owned() {
            one if one.is_empty() && !first.is_empty() => put(spec, "podCIDR", first),
            one if !one.is_empty() && first != one => put(spec, "podCIDRs", vec![one]),
            _ => {}
        }
    }

    fn prepare_create(&self, object: &mut Value, _moment: Moment) {
        remove(child(object, "spec"), "configSource");
        remove(child(object, "status"), "config");
    }

    fn prepare_update(&self, object: &mut Value, old: &Value, _moment: Moment) {
        if old.pointer("/spec/configSource").is_none() {
            remove(child(object, "spec"), "configSource");
        }
    }

    fn prepare_status(&self, object: &mut Value, old: &Value, _moment: Moment) {
        if old.pointer("/status/config").is_none() {
            keep(child(object, "status"), &old["status"], "config");
        }
    }

    fn returns_deleted(&self) -> bool {
        false
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_taints(&mut errors, object);
        validate_resources(&mut errors, object);
        let spec = Path::new("spec");
        let (path, ranges) = (spec.child("podCIDRs"), texts(&object["spec"], "podCIDRs").collect::<Vec<_>>());
        for (index, range) in ranges.iter().enumerate() {
            cidr(&mut errors, &path.index(index), range);
        }
        let v6: Vec<bool> = ranges.iter().map(|range| range.contains(':')).collect();
        if ranges.len() > 1 && (ranges.len() > 2 || v6[0] == v6[1]) {
            errors.push(Error::invalid(&path, ranges, "may specify no more than one CIDR for each IP family"));
        }
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate(object);
        validate_change(&mut errors, object, old);
        errors
    }

    fn validate_status(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_change(&mut errors, object, old);
        errors
    }

    fn warnings(&self, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let spec = &object["spec"];
        let mut warnings = Vec::new();
        if spec.get("configSource").is_some_and(Value::is_object) {
            warnings.push("spec.configSource: the feature is removed".to_owned());
        }
        if !text(spec, "externalID").is_empty() {
            warnings.push("spec.externalID: this field is deprecated, and is unused by Kubernetes".to_owned());
        }
        warnings
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let or_unknown = |pointer: &str| match word(object, pointer) {
            "" => "<unknown>".to_owned(),
            text => text.to_owned(),
        };
        let mut kernel = or_unknown("/status/nodeInfo/kernelVersion");
        let architecture = word(object, "/status/nodeInfo/architecture");
        if !architecture.is_empty() {
            kernel.push_str(&format!(" ({architecture})"));
        }
        vec![
            columns::name(object),
            Value::from(state(object)),
            columns::or_none(Some(&roles(object))),
            columns::age(object, now),
            Value::from(word(object, "/status/nodeInfo/kubeletVersion")),
            address(object, "InternalIP"),
            address(object, "ExternalIP"),
            Value::from(or_unknown("/status/nodeInfo/osImage")),
            Value::from(kernel),
            Value::from(or_unknown("/status/nodeInfo/containerRuntimeVersion")),
        ]
    }
}

/// What an update of the specification or the status may not do.
fn validate_change(errors: &mut Errors, node: &Value, old: &Value) {
    validate_resources(errors, node);
    let (status, spec_path) = (Path::new("status"), Path::new("spec"));
    let addresses = status.child("addresses");
    let mut seen = Vec::new();
    for (index, address) in items(&node["status"], "addresses").enumerate() {
        if seen.contains(&address) {
            let shown = serde_json::json!({"Type": text(address, "type"), "Address": text(address, "address")});
            errors.push(Error::duplicate(&addresses.index(index), shown));
        }
        seen.push(address);
    }
    let (spec, old_spec) = (&node["spec"], &old["spec"]);
    let ranges: Vec<&str> = texts(spec, "podCIDRs").collect();
    let before: Vec<&str> = texts(old_spec, "podCIDRs").collect();
    if !before.is_empty() && ranges != before {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        errors.push(Error::forbidden(&spec_path.child("podCIDRs"), detail));
    }
    validate_taints(errors, node);
    if text(spec, "externalID") != text(old_spec, "externalID") {
        errors.push(Error::forbidden(&spec_path.child("externalID"), "may not be updated"));
    }
    let (provider, old_provider) = (text(spec, "providerID"), text(old_spec, "providerID"));
    if !old_provider.is_empty() && provider != old_provider {
        let detail =
            if provider.is_empty() { "field cannot be cleared once set" } else { "field cannot be modified once set" };
        errors.push(Error::invalid(&spec_path.child("providerID"), Value::Null, detail));
    }
}

fn validate_resources(errors: &mut Errors, node: &Value) {
    let path = Path::new("status");
    for list in ["capacity", "allocatable"] {
        let path = path.child(list);
        for (name, quantity) in map_at(&node["status"], list).into_iter().flatten() {
            validate_quantity(errors, &path.child(name), name, quantity.as_str().unwrap_or_default());
        }
    }
}

/// Taints; upstream calls their place `metadata.taints`.
fn validate_taints(errors: &mut Errors, node: &Value) {
    let metadata = Path::new("metadata");
    let path = metadata.child("taints");
    let mut seen = BTreeSet::new();
    for (index, taint) in items(&node["spec"], "taints").enumerate() {
        let path = path.index(index);
        let (key, value, effect) = (text(taint, "key"), text(taint, "value"), text(taint, "effect"));
        label_name(errors, &path.child("key"), key);
        let problems = names::label_value(value);
        if !problems.is_empty() {
            complain(errors, &path.child("value"), value, vec![problems.join(";")]);
        }
        required_of(errors, &path.child("effect"), effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        if !seen.insert((key, effect)) {
            let shown =
                serde_json::json!({"Key": key, "Value": value, "Effect": effect, "TimeAdded": taint.get("timeAdded")});
            let error = Error::duplicate(&path, shown);
            errors.push(Error { detail: "taints must be unique by key and effect pair".to_owned(), ..error });
        }
    }
}

fn state(node: &Value) -> String {
    // Of several the last one is shown.
    let ready = condition::status_of(condition::list(&node["status"]).iter().rev(), "Ready");
    let ready = ready.map_or("Unknown", |status| if status == TRUE { "Ready" } else { "NotReady" });
    match node.pointer("/spec/unschedulable") {
        Some(Value::Bool(true)) => format!("{ready},SchedulingDisabled"),
        _ => ready.to_owned(),
    }
}

fn roles(node: &Value) -> String {
    let labels = node.pointer("/metadata/labels").and_then(Value::as_object);
    let roles: BTreeSet<&str> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| match key.strip_prefix(ROLE_PREFIX) {
            Some(role) => Some(role),
            None => value.as_str().filter(|_| key == ROLE_LABEL),
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.into_iter().collect::<Vec<_>>().join(",")
}

fn address(node: &Value, kind: &str) -> Value {
    let found = items(&node["status"], "addresses").find(|address| text(address, "type") == kind);
    Value::from(found.map_or("<none>", |address| text(address, "address")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn states_and_roles() {
        let node = json!({
            "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/worker": "", "kubernetes.io/role": "db", "a": "b"}},
            "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "Unknown"}],
                "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                "nodeInfo": {"kernelVersion": "6.1", "architecture": "amd64"}},
        });
        assert_eq!(state(&node), "NotReady,SchedulingDisabled");
        assert_eq!(roles(&node), "db,worker");
        let cells = Node.cells(&node, Timestamp::UNIX_EPOCH);
        assert_eq!((&cells[5], &cells[6], &cells[7]), (&json!("10.0.0.1"), &json!("<none>"), &json!("<unknown>")));
        assert_eq!(cells[8], "6.1 (amd64)");
    }
}
