//! The difference between two statuses of a pod as a strategic merge patch. Conditions are merged by type and only our own are
//! named, so that a controller that sets another condition at the same time loses nothing.

use serde_json::{Map, Value, json};
use windlass_api::k8s::api::core::v1::PodStatus;
use windlass_api::pod::DISRUPTION_TARGET;

use super::conditions::is_own;

/// Lists that are merged by a key, and must be replaced as a whole.
const REPLACED: [&str; 2] = ["podIPs", "hostIPs"];
/// Written by others.
const FOREIGN: [&str; 4] = [
    "resourceClaimStatuses",
    "extendedResourceClaimStatus",
    "nominatedNodeName",
    "nodeAllocatableResourceClaimStatuses",
];

fn object(status: &PodStatus) -> Map<String, Value> {
    match serde_json::to_value(status) {
        Ok(Value::Object(map)) => map,
        // A status is a struct of plain fields.
        _ => Map::new(),
    }
}

/// `None` when there is nothing to write.
pub(super) fn diff(uid: &str, old: &PodStatus, new: &PodStatus) -> Option<Value> {
    let (old, new) = (object(old), object(new));
    let mut changed = Map::new();
    for (name, value) in &new {
        let before = old.get(name);
        if FOREIGN.contains(&name.as_str()) || before == Some(value) {
            continue;
        }
        let value = match name.as_str() {
            "conditions" => match conditions(before, value) {
                Some(value) => value,
                None => continue,
            },
            name if REPLACED.contains(&name) => {
                let mut list = vec![json!({"$patch": "replace"})];
                list.extend(value.as_array().into_iter().flatten().cloned());
                Value::Array(list)
            }
            _ => value.clone(),
        };
        changed.insert(name.clone(), value);
    }
    for name in old.keys().filter(|name| !new.contains_key(*name) && !FOREIGN.contains(&name.as_str())) {
        changed.insert(name.clone(), Value::Null);
    }
    (!changed.is_empty()).then(|| json!({"metadata": {"uid": uid}, "status": changed}))
}

/// Own conditions that differ, and the removal of those that are no more.
fn conditions(old: Option<&Value>, new: &Value) -> Option<Value> {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let kind = |condition: &Value| condition["type"].as_str().unwrap_or_default().to_owned();
    let ours = |condition: &Value| is_own(&kind(condition)) || kind(condition) == DISRUPTION_TARGET;
    let (old, new) = (list(old), list(Some(new)));
    let mut patch = Vec::new();
    for condition in new.iter().filter(|condition| ours(condition)) {
        let Some(before) = old.iter().find(|before| kind(before) == kind(condition)) else {
            patch.push(condition.clone());
            continue;
        };
        if before == condition {
            continue;
        }
        let mut condition = condition.clone();
        for name in before.as_object().into_iter().flat_map(Map::keys) {
            if condition.get(name).is_none() {
                condition[name] = Value::Null;
            }
        }
        patch.push(condition);
    }
    for gone in old.iter().filter(|it| is_own(&kind(it)) && !new.iter().any(|other| kind(other) == kind(it))) {
        patch.push(json!({"$patch": "delete", "type": kind(gone)}));
    }
    (!patch.is_empty()).then_some(Value::Array(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: Value) -> PodStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_what_differs_and_only_what_is_ours() {
        let old = status(json!({"phase": "Pending", "podIPs": [{"ip": "10.0.0.1"}], "message": "m", "conditions": [
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
            {"type": "PodScheduled", "status": "True"},
            {"type": "PodResizePending", "status": "True"},
            {"type": "example.com/gate", "status": "False"},
        ]}));
        let new = status(json!({"phase": "Running", "podIPs": [{"ip": "10.0.0.2"}], "conditions": [
            {"type": "Ready", "status": "True"},
            {"type": "PodScheduled", "status": "True"},
            {"type": "example.com/gate", "status": "True"},
        ]}));
        let expected = json!({"metadata": {"uid": "u"}, "status": {
            "phase": "Running",
            "message": null,
            "podIPs": [{"$patch": "replace"}, {"ip": "10.0.0.2"}],
            "conditions": [
                {"type": "Ready", "status": "True", "reason": null},
                {"$patch": "delete", "type": "PodResizePending"},
            ],
        }});
        assert_eq!(diff("u", &old, &new), Some(expected));
        assert_eq!(diff("u", &new, &new), None);
    }
}
