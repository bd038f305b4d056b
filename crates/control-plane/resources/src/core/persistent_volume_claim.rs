//! PersistentVolumeClaim: a wish for storage, bound to a PersistentVolume.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_machinery::tree::{child, put, remove, set_text, text};

use super::persistent_volume::{access_modes, class, or_unset, phase};
use super::pod_spec::set_claim_spec_defaults;
use crate::columns::{self, word};
use crate::quantities::round_up;
use crate::{Moment, Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
        .short_names(&["pvc"])
        .subresources(&[Subresource::Status])
        .columns(columns::list(&[
            "Name",
            "Status",
            "Volume",
            "Capacity",
            "Access Modes",
            "StorageClass",
            "VolumeAttributesClass",
            "Age",
            "+VolumeMode",
        ]))
        .strategy(PersistentVolumeClaim)
}

struct PersistentVolumeClaim;

impl Strategy for PersistentVolumeClaim {
    fn set_defaults(&self, object: &mut Value) {
        set_claim_spec_defaults(child(object, "spec"));
        let status = child(object, "status");
        set_text(status, "phase", "Pending");
        for list in ["capacity", "allocatedResources"] {
            round_up(status.get_mut(list));
        }
    }

    fn prepare_create(&self, object: &mut Value, _moment: Moment) {
        put(child(object, "status"), "phase", "Pending");
        prepare_data_sources(child(object, "spec"), None);
    }

    fn prepare_update(&self, object: &mut Value, old: &Value, _moment: Moment) {
        prepare_data_sources(child(object, "spec"), Some(&old["spec"]));
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let spec = &object["spec"];
        let is_bound = !text(spec, "volumeName").is_empty();
        let (capacity, modes) = match is_bound {
            true => (
                object.pointer("/status/capacity/storage").and_then(Value::as_str).unwrap_or("0"),
                access_modes(&object["status"]),
            ),
            false => ("", String::new()),
        };
        vec![
            columns::name(object),
            Value::from(phase(object)),
            Value::from(word(object, "/spec/volumeName")),
            Value::from(capacity),
            Value::from(modes),
            Value::from(class(object)),
            or_unset(spec, "volumeAttributesClassName"),
            columns::age(object, now),
            or_unset(spec, "volumeMode"),
        ]
    }
}

/// A claim's content comes from `dataSource` or `dataSourceRef`; the server fills in whichever is missing. References into
/// other namespaces are off, and the older field takes only claims and snapshots: anything else is dropped as it always was.
fn prepare_data_sources(spec: &mut Value, old: Option<&Value>) {
    let has = |spec: &Value, field: &str| spec.get(field).is_some_and(Value::is_object);
    let namespaced = |spec: &Value| spec.get("dataSourceRef").is_some_and(|r| !text(r, "namespace").is_empty());
    let had_source = old.is_some_and(|old| has(old, "dataSource") || has(old, "dataSourceRef"));
    if namespaced(spec) && !old.is_some_and(|old| has(old, "dataSourceRef")) {
        remove(spec, "dataSourceRef");
    }
    if !had_source
        && !has(spec, "dataSourceRef")
        && has(spec, "dataSource")
        && !is_claim_or_snapshot(&spec["dataSource"])
    {
        remove(spec, "dataSource");
    }
    let (from, to) = match (has(spec, "dataSource"), has(spec, "dataSourceRef")) {
        (true, false) => ("dataSource", "dataSourceRef"),
        (false, true) if !namespaced(spec) => ("dataSourceRef", "dataSource"),
        _ => return,
    };
    let source = &spec[from];
    let mut copy = json!({"kind": text(source, "kind"), "name": text(source, "name")});
    // Only the older type always writes its group.
    match source.get("apiGroup") {
        Some(group) => put(&mut copy, "apiGroup", group.clone()),
        None => put(&mut copy, "apiGroup", Value::Null),
    }
    put(spec, to, copy);
}

fn is_claim_or_snapshot(source: &Value) -> bool {
    matches!(
        (text(source, "kind"), text(source, "apiGroup")),
        ("PersistentVolumeClaim", "") | ("VolumeSnapshot", "snapshot.storage.k8s.io")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_sources() {
        let cases = [
            (json!({"dataSource": {"kind": "Pod", "name": "p"}}), None, None),
            (json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "p"}}), Some("p"), Some("p")),
            (json!({"dataSourceRef": {"kind": "Any", "name": "p", "apiGroup": "x.y"}}), Some("p"), Some("p")),
            (json!({"dataSourceRef": {"kind": "Any", "name": "p", "namespace": "n"}}), None, None),
        ];
        for (mut spec, source, reference) in cases {
            prepare_data_sources(&mut spec, None);
            let name = |field: &str| spec.pointer(&format!("/{field}/name")).and_then(Value::as_str);
            assert_eq!((name("dataSource"), name("dataSourceRef")), (source, reference), "{spec}");
        }
    }
}
