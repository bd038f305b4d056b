//! Lists of quantities (`cpu: 100m`): upstream keeps no fraction finer than a thousandth.

use serde_json::Value;
use windlass_api::Quantity;

/// Rounds every quantity of a list up to thousandths. Only what is written with a finer unit has to be read at all.
pub(crate) fn round_up(list: Option<&mut Value>) {
    for value in list.and_then(Value::as_object_mut).into_iter().flatten().map(|(_, value)| value) {
        let Some(text) = value.as_str() else { continue };
        let is_fine = text.ends_with(['n', 'u']) || text.contains("e-");
        if let Some(quantity) = is_fine.then(|| text.parse::<Quantity>().ok()).flatten() {
            *value = Value::from(Quantity::from_milli(quantity.milli()).to_string());
        }
    }
}

/// The same for both lists of `resources`.
pub(crate) fn round_up_resources(owner: &mut Value) {
    if let Some(resources) = owner.get_mut("resources") {
        for list in ["limits", "requests"] {
            round_up(resources.get_mut(list));
        }
    }
}

/// A quantity of a list; `None` when it is absent or no quantity.
pub(crate) fn quantity(list: Option<&Value>, name: &str) -> Option<Quantity> {
    list?.get(name)?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn thousandths() {
        let mut list = json!({"cpu": "100u", "memory": "1500n", "a": "3m", "b": "1Gi"});
        round_up(Some(&mut list));
        assert_eq!(list, json!({"cpu": "1m", "memory": "1m", "a": "3m", "b": "1Gi"}));
        assert_eq!(quantity(Some(&list), "a").map(|q| q.milli()), Some(3));
    }
}
