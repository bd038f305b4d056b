//! Statuses that controllers write, as merge patches.

use serde_json::{Value, json};
use windlass_api::Timestamp;
use windlass_api::condition::{self, TRUE};

/// Whether a patch with `wanted` would change nothing. Zero and null are what a status has when a field is absent.
pub(crate) fn is_up_to_date(current: &Value, wanted: &Value) -> bool {
    let is_nothing = |value: &Value| {
        value.is_null() || value == &json!(0) || value == &json!("") || value.as_array().is_some_and(Vec::is_empty)
    };
    let Some(fields) = wanted.as_object() else { return current == wanted };
    fields.iter().all(|(name, value)| {
        let now = &current[name];
        now == value || (is_nothing(now) && is_nothing(value))
    })
}

/// The conditions with one that is there (with reason and message, status True) only while it holds, and says for as long what it
/// said first; `null` when there are none.
pub(crate) fn with_condition(old: &[Value], kind: &str, holds: Option<(&str, &str)>, now: Timestamp) -> Value {
    let mut all = old.to_vec();
    match holds {
        Some(_) if condition::find(old, kind).is_some() => {}
        Some((reason, message)) => {
            let wanted = json!({"type": kind, "status": TRUE, "reason": reason, "message": message});
            condition::set(&mut all, wanted, now);
        }
        None => all.retain(|condition| condition["type"] != kind),
    }
    if all.is_empty() { Value::Null } else { json!(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_is_zero() {
        assert!(is_up_to_date(
            &json!({"replicas": 1}),
            &json!({"replicas": 1, "readyReplicas": 0, "conditions": null})
        ));
        assert!(!is_up_to_date(&json!({"replicas": 1}), &json!({"replicas": 0})));
        assert!(!is_up_to_date(&json!({}), &json!({"observedGeneration": 1})));
    }
}
