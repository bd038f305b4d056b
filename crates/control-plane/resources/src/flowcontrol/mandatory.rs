//! The objects that every cluster has as they are ([`super::defaults`]).

use serde_json::Value;
use windlass_api::field::{Errors, Path};
use windlass_machinery::tree::keep;

use super::defaults::fixed_spec;
use crate::go_form::invalid_structure;

const EXEMPT: &str = "exempt";

/// A FlowSchema of such a name is what it always is.
pub(super) fn validate_flow_schema(errors: &mut Errors, name: &str, spec: &Value, path: &Path<'_>) {
    if fixed_spec("FlowSchema", name).is_some_and(|fixed| fixed != spec) {
        let detail = format!("spec of '{name}' must equal the fixed value");
        errors.push(invalid_structure(path, "flowcontrol.v1.FlowSchemaSpec", spec, &detail));
    }
}

/// So is a PriorityLevelConfiguration, but for how much of the server others may borrow of the exempt one.
pub(super) fn validate_priority_level(errors: &mut Errors, name: &str, spec: &Value, path: &Path<'_>) {
    let Some(mut fixed) = fixed_spec("PriorityLevelConfiguration", name).cloned() else { return };
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
    use serde_json::json;

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
        for name in [EXEMPT, "catch-all"] {
            assert_eq!(complaints(name, fixed_spec("FlowSchema", name).unwrap().clone(), true), 0);
            assert_eq!(complaints(name, fixed_spec("PriorityLevelConfiguration", name).unwrap().clone(), false), 0);
            assert_eq!(complaints(name, json!({}), true) + complaints(name, json!({}), false), 2);
        }
        assert_eq!(complaints("other", json!({}), true) + complaints("other", json!({}), false), 0);
        let lends = json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 7, "lendablePercent": 50}});
        assert_eq!(complaints(EXEMPT, lends, false), 0);
    }
}
