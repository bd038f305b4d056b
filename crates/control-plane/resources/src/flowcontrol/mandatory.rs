//! The objects that every cluster has as they are: requests that are never held up, and those that nothing else is for.
//!
//! Source: apiserver `pkg/apis/flowcontrol/bootstrap/default.go`.

use serde_json::{Value, json};
use windlass_api::field::{Errors, Path};
use windlass_machinery::tree::keep;

use crate::go_form::invalid_structure;

const EXEMPT: &str = "exempt";
const CATCH_ALL: &str = "catch-all";

fn flow_schema(name: &str) -> Option<Value> {
    let (precedence, method, groups) = match name {
        EXEMPT => (1, None, &["system:masters"][..]),
        CATCH_ALL => (10_000, Some(json!({"type": "ByUser"})), &["system:unauthenticated", "system:authenticated"][..]),
        _ => return None,
    };
    let group = |name: &&str| json!({"kind": "Group", "group": {"name": name}});
    let resources =
        json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": true});
    let mut spec = json!({
        "priorityLevelConfiguration": {"name": name},
        "matchingPrecedence": precedence,
        "rules": [{
            "subjects": groups.iter().map(group).collect::<Value>(),
            "resourceRules": [resources],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }],
    });
    if let Some(method) = method {
        spec["distinguisherMethod"] = method;
    }
    Some(spec)
}

fn priority_level(name: &str) -> Option<Value> {
    match name {
        EXEMPT => Some(json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}})),
        CATCH_ALL => Some(json!({"type": "Limited", "limited":
            {"nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"}}})),
        _ => None,
    }
}

/// A FlowSchema of such a name is what it always is.
pub(super) fn validate_flow_schema(errors: &mut Errors, name: &str, spec: &Value, path: &Path<'_>) {
    if flow_schema(name).is_some_and(|fixed| fixed != *spec) {
        let detail = format!("spec of '{name}' must equal the fixed value");
        errors.push(invalid_structure(path, "flowcontrol.v1.FlowSchemaSpec", spec, &detail));
    }
}

/// So is a PriorityLevelConfiguration, but for how much of the server others may borrow of the exempt one.
pub(super) fn validate_priority_level(errors: &mut Errors, name: &str, spec: &Value, path: &Path<'_>) {
    let Some(mut fixed) = priority_level(name) else { return };
    let mut but = "";
    if name == EXEMPT {
        but = " except the 'spec.exempt' field";
        keep(&mut fixed, spec, "exempt");
    }
    if fixed != *spec {
        let detail = format!("spec of '{name}'{but} must equal the fixed value");
        errors.push(invalid_structure(path, "flowcontrol.v1.PriorityLevelConfigurationSpec", spec, &detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fixed_stays() {
        let complaints = |name: &str, spec: Value, schema: bool| {
            let (mut errors, path) = (Errors::new(), Path::new("spec"));
            match schema {
                true => validate_flow_schema(&mut errors, name, &spec, &path),
                false => validate_priority_level(&mut errors, name, &spec, &path),
            }
            errors.len()
        };
        for name in [EXEMPT, CATCH_ALL] {
            assert_eq!(complaints(name, flow_schema(name).unwrap(), true), 0);
            assert_eq!(complaints(name, priority_level(name).unwrap(), false), 0);
            assert_eq!(complaints(name, json!({}), true) + complaints(name, json!({}), false), 2);
        }
        assert_eq!(complaints("other", json!({}), true) + complaints("other", json!({}), false), 0);
        let lends = json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 7, "lendablePercent": 50}});
        assert_eq!(complaints(EXEMPT, lends, false), 0);
    }
}
