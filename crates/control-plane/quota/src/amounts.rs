//! Lists of quantities by the name of what they are of.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use windlass_api::Quantity;

/// Quantities by resource name (`requests.cpu`, `count/secrets`).
pub type Amounts = BTreeMap<String, Quantity>;

/// Reads a list; what is no quantity is left out (validation lets none in).
pub fn amounts(list: Option<&Value>) -> Amounts {
    let list = list.and_then(Value::as_object);
    list.into_iter().flatten().filter_map(|(name, q)| Some((name.clone(), q.as_str()?.parse().ok()?))).collect()
}

/// The list as it stands in objects.
pub fn to_value(amounts: &Amounts) -> Value {
    let list = amounts.iter().map(|(name, quantity)| (name.clone(), json!(quantity.to_string())));
    Value::Object(list.collect())
}

/// The list in a message: `cpu=1,memory=1Gi`.
pub fn pretty(amounts: &Amounts) -> String {
    let all: Vec<String> = amounts.iter().map(|(name, quantity)| format!("{name}={quantity}")).collect();
    all.join(",")
}
