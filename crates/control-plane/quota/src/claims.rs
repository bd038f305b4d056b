//! What a PersistentVolumeClaim counts as: itself and its storage, in all and within its storage class.

use serde_json::Value;
use windlass_api::{Quantity, storage_class};

use crate::{Amounts, amounts};

pub(crate) const NAMES: [&str; 2] = ["persistentvolumeclaims", "requests.storage"];
/// Between the name of a class and what is counted within it.
pub(crate) const CLASS_SUFFIX: &str = ".storageclass.storage.k8s.io/";
pub(crate) fn is_counted(name: &str) -> bool {
    let name = name.split_once(CLASS_SUFFIX).map_or(name, |(_, counted)| counted);
    NAMES.contains(&name)
}

pub(crate) fn usage(claim: &Value) -> Amounts {
    let mut counted = vec![(NAMES[0], Quantity::from_units(1))];
    let asked = storage(claim["spec"]["resources"].get("requests"));
    let given = storage(claim["status"].get("allocatedResources"));
    // A volume that has grown already counts with its size, even if the claim asks for less by now.
    if let Some(asked) = asked {
        counted.push((NAMES[1], asked.max(given.unwrap_or(asked))));
    }
    let class = storage_class::of_tree(claim).unwrap_or_default();
    let mut used = Amounts::new();
    for (name, quantity) in counted {
        used.insert(name.to_owned(), quantity);
        if !class.is_empty() {
            used.insert(format!("{class}{CLASS_SUFFIX}{name}"), quantity);
        }
    }
    used
}

/// Whole bytes, for quotas of storage are.
fn storage(list: Option<&Value>) -> Option<Quantity> {
    let quantity = amounts(list).remove("storage")?;
    Some(if quantity.is_integer() { quantity } else { Quantity::from_bytes(quantity.units()) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn with_and_without_class() {
        let claim = json!({"spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}},
            "status": {"allocatedResources": {"storage": "2Gi"}}});
        let expected = "gold.storageclass.storage.k8s.io/persistentvolumeclaims=1,\
            gold.storageclass.storage.k8s.io/requests.storage=2Gi,persistentvolumeclaims=1,requests.storage=2Gi";
        assert_eq!(crate::pretty(&usage(&claim)), expected);
        assert_eq!(crate::pretty(&usage(&json!({"spec": {}}))), "persistentvolumeclaims=1");
        assert!(is_counted("gold.storageclass.storage.k8s.io/requests.storage") && !is_counted("requests.cpu"));
    }
}
