//! LimitRange: defaults and bounds for what the pods of a namespace may ask for.

use serde_json::{Map, Value};
use windlass_api::field::{Errors, Path};
use windlass_machinery::tree::{child, items_mut, put, set, text};

use super::quota_validation::validate_limits;
use crate::quantities::round_up;
use crate::{Moment, Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "LimitRange", "limitranges")
        .short_names(&["limits"])
        .creates_on_update()
        .strategy(LimitRange)
}

struct LimitRange;

impl Strategy for LimitRange {
    fn set_defaults(&self, object: &mut Value) {
        for item in items_mut(child(object, "spec"), "limits") {
            for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
                round_up(item.get_mut(list));
            }
            if text(item, "type") == "Container" {
                derive(item, "default", "max");
                derive(item, "defaultRequest", "default");
                derive(item, "defaultRequest", "min");
            }
        }
    }

    fn prepare_create(&self, object: &mut Value, _moment: Moment) {
        let metadata = child(object, "metadata");
        if text(metadata, "name").is_empty() {
            let uid = text(metadata, "uid").to_owned();
            put(metadata, "name", uid);
        }
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_limits(&mut errors, object.get("spec").unwrap_or(&Value::Null), &Path::new("spec"));
        errors
    }
}

/// What `to` does not say of a resource, it takes from `from`.
fn derive(item: &mut Value, to: &str, from: &str) {
    let Some(Value::Object(source)) = item.get(from).cloned() else { return };
    if item.get(to).is_none_or(Value::is_null) && !source.is_empty() {
        put(item, to, Map::new());
    }
    for (name, quantity) in source {
        set(child(item, to), &name, quantity);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn without_a_name_it_is_called_by_its_uid() {
        let moment = Moment { now: jiff::Timestamp::UNIX_EPOCH };
        let mut range = json!({"metadata": {"uid": "u"}});
        LimitRange.prepare_create(&mut range, moment);
        assert_eq!(range["metadata"]["name"], "u");
        let mut named = json!({"metadata": {"uid": "u", "name": "n"}});
        LimitRange.prepare_create(&mut named, moment);
        assert_eq!(named["metadata"]["name"], "n");
    }

    #[test]
    fn defaults_follow_from_bounds() {
        let mut range = json!({"spec": {"limits": [
            {"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1", "memory": "1Mi"}},
            {"type": "Pod", "max": {"cpu": "2"}},
        ]}});
        LimitRange.set_defaults(&mut range);
        let limits = &range["spec"]["limits"];
        assert_eq!(limits[0]["default"], json!({"cpu": "2"}));
        assert_eq!(limits[0]["defaultRequest"], json!({"cpu": "2", "memory": "1Mi"}));
        assert!(limits[1].get("default").is_none());
    }
}
