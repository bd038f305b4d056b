//! What a ResourceClaim counts as: the devices of each class that it may come to hold.

use std::collections::BTreeMap;

use serde_json::Value;
use windlass_api::Quantity;
use windlass_machinery::tree::{items, number, text};

use crate::Amounts;

/// After the name of a class.
pub(crate) const CLASS_SUFFIX: &str = ".deviceclass.resource.k8s.io/devices";
/// A claim that asks for all devices holds at most so many.
const DEVICES_MAX: i64 = 32;

pub(crate) fn usage(claim: &Value) -> Amounts {
    let mut devices: BTreeMap<&str, i64> = BTreeMap::new();
    for request in items(&claim["spec"]["devices"], "requests") {
        if let Some(exactly) = request.get("exactly") {
            *devices.entry(text(exactly, "deviceClassName")).or_default() += count(exactly);
        }
        // Of alternatives one is taken, so each class counts with its largest.
        let mut largest: BTreeMap<&str, i64> = BTreeMap::new();
        for alternative in items(request, "firstAvailable") {
            let entry = largest.entry(text(alternative, "deviceClassName")).or_default();
            *entry = (*entry).max(count(alternative));
        }
        for (class, count) in largest {
            *devices.entry(class).or_default() += count;
        }
    }
    devices.into_iter().map(|(class, n)| (format!("{class}{CLASS_SUFFIX}"), Quantity::from_units(n))).collect()
}

fn count(request: &Value) -> i64 {
    match text(request, "allocationMode") {
        "All" => DEVICES_MAX,
        _ => number(request, "count").max(1),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn devices() {
        let claim = json!({"spec": {"devices": {"requests": [
            {"exactly": {"deviceClassName": "gpu", "count": 2}},
            {"firstAvailable": [{"deviceClassName": "gpu"}, {"deviceClassName": "gpu", "count": 3},
                {"deviceClassName": "nic", "allocationMode": "All"}]}]}}});
        let expected = "gpu.deviceclass.resource.k8s.io/devices=5,nic.deviceclass.resource.k8s.io/devices=32";
        assert_eq!(crate::pretty(&usage(&claim)), expected);
    }
}
