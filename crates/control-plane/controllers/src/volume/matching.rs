//! Which volume suits a claim.
//!
//! Source: upstream `component-helpers/storage/volume/pv_helpers.go`.

use serde_json::Value;
use windlass_api::Quantity;
use windlass_api::labels::Selector;

use super::view::{Claim, Volume};

/// The volume that was made for this claim or, unless binding has to wait, the smallest free one that suits it.
pub(super) fn best<'a>(
    volumes: &'a [Volume],
    claim: &Claim,
    selector: &Selector,
    waits_for_pod: bool,
) -> Option<&'a Volume> {
    let reserved = volumes.iter().find(|volume| volume.is_for(&claim.metadata) && suits(volume, claim));
    let is_free = |volume: &&Volume| {
        volume.spec.claim_ref.is_none()
            && volume.status.phase == "Available"
            && !volume.metadata.is_deleting()
            && suits(volume, claim)
            && claim.spec.access_modes.iter().all(|mode| volume.spec.access_modes.contains(mode))
            && (claim.spec.selector.is_null() || selector.matches(&volume.metadata.labels))
    };
    reserved.or_else(|| {
        let free = volumes.iter().filter(is_free).filter(|_| !waits_for_pod);
        free.min_by_key(|volume| (storage(&volume.spec.capacity), volume.metadata.name.clone()))
    })
}

/// Whether the volume is of the kind, the class and the size that the claim asks for.
pub(super) fn suits(volume: &Volume, claim: &Claim) -> bool {
    fn mode(mode: &Option<String>) -> &str {
        mode.as_deref().unwrap_or("Filesystem")
    }
    fn attributes(name: &Option<String>) -> &str {
        name.as_deref().unwrap_or("")
    }
    mode(&volume.spec.volume_mode) == mode(&claim.spec.volume_mode)
        && attributes(&volume.spec.volume_attributes_class_name) == attributes(&claim.spec.volume_attributes_class_name)
        && volume.class() == claim.class()
        && storage(&volume.spec.capacity) >= storage(&claim.spec.resources["requests"])
}

fn storage(list: &Value) -> Quantity {
    list["storage"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn volume(name: &str, size: &str, class: &str, reference: Value) -> Volume {
        serde_json::from_value(json!({"metadata": {"name": name}, "status": {"phase": "Available"}, "spec": {
            "capacity": {"storage": size}, "storageClassName": class, "accessModes": ["ReadWriteOnce"], "claimRef": reference}}))
        .unwrap()
    }

    #[test]
    fn the_smallest_or_the_reserved() {
        let claim: Claim =
            serde_json::from_value(json!({"metadata": {"namespace": "n", "name": "c", "uid": "u"}, "spec": {
            "storageClassName": "", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}}))
            .unwrap();
        let mut volumes = vec![
            volume("small", "1Gi", "", Value::Null),
            volume("large", "9Gi", "", Value::Null),
            volume("right", "3Gi", "", Value::Null),
            volume("class", "2Gi", "gold", Value::Null),
            volume("taken", "2Gi", "", json!({"namespace": "n", "name": "other"})),
            volume("stale", "2Gi", "", json!({"namespace": "n", "name": "c", "uid": "before"})),
        ];
        let best_of = |volumes: &[Volume], waits| {
            best(volumes, &claim, &Selector::nothing(), waits).map(|volume| volume.metadata.name.clone())
        };
        assert_eq!(best_of(&volumes, false).as_deref(), Some("right"));
        assert_eq!(best_of(&volumes, true), None);
        volumes.push(volume("reserved", "5Gi", "", json!({"namespace": "n", "name": "c"})));
        assert_eq!(best_of(&volumes, true).as_deref(), Some("reserved"));
    }
}
