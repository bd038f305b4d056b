//! PersistentVolumeClaim: a wish for storage, bound to a PersistentVolume.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::pod::extended::is_native;
use windlass_api::well_known::annotation;
use windlass_api::{Quantity, names, storage_class};
use windlass_machinery::tree::{child, keep, put, remove, set_text, text};

use super::persistent_volume::{access_modes, or_unset, phase};
use crate::columns::{self, word};
use crate::pod_spec::set_claim_spec_defaults;
use crate::pod_spec::validation::resources::validate_quantity;
use crate::pod_spec::validation::validate_claim_spec;
use crate::pod_spec::warnings;
use crate::quantities::{quantity, round_up};
use crate::rules::{at, complain, invalid_whole, map_at, supported};
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

    fn warnings(&self, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let key = annotation::STORAGE_CLASS;
        let of_annotation = object["metadata"]["annotations"].get(key).map(|_| {
            format!("metadata.annotations[{key}]: deprecated since v1.8; use \"storageClassName\" attribute instead")
        });
        of_annotation.into_iter().chain(warnings::of_claim(&object["spec"], "spec")).collect()
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_claim_spec(&mut errors, &object["spec"], &Path::new("spec"));
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate(object);
        // A claim that named a group already was made when groups were not looked at.
        let sources = ["dataSource", "dataSourceRef"];
        if sources.iter().any(|field| old["spec"][*field].get("apiGroup").is_some()) {
            errors.retain(|error| !sources.iter().any(|field| error.field == format!("spec.{field}.apiGroup")));
        }
        validate_change(&mut errors, object, old);
        errors
    }

    fn validate_status(&self, object: &Value, _old: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_status(&mut errors, &object["status"]);
        errors
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
            Value::from(storage_class::of_tree(object).unwrap_or_default()),
            or_unset(spec, "volumeAttributesClassName"),
            columns::age(object, now),
            or_unset(spec, "volumeMode"),
        ]
    }
}

/// Of a claim that is bound the size and the attributes may change, of any other nothing but the volume that it gets.
fn validate_change(errors: &mut Errors, object: &Value, old: &Value) {
    let path = Path::new("spec");
    let (mut spec, old_spec) = (object["spec"].clone(), &old["spec"]);
    let annotation = |object: &Value| {
        object
            .pointer("/metadata/annotations")
            .and_then(|a| a.get(annotation::STORAGE_CLASS))
            .cloned()
            .unwrap_or_default()
    };
    let (new_class, old_class) = (annotation(object), annotation(old));
    // The class may move from the annotation into the field.
    let moves = old_class.is_string()
        && at(old_spec, "storageClassName").is_none()
        && spec.get("storageClassName") == Some(&old_class);
    if moves {
        remove(&mut spec, "storageClassName");
    } else if new_class != old_class {
        let metadata = Path::new("metadata");
        let annotations = metadata.child("annotations");
        errors.push(Error::invalid(&annotations.key(annotation::STORAGE_CLASS), new_class, "field is immutable"));
    }
    let was_classless = at(old_spec, "storageClassName").is_none() && old_class.is_null();
    if !moves && was_classless && at(&spec, "storageClassName").is_some() {
        remove(&mut spec, "storageClassName");
    }
    if text(old_spec, "volumeName").is_empty() {
        remove(&mut spec, "volumeName");
    }
    if text(&object["status"], "phase") == "Bound" {
        if let Some(requests) = spec.pointer_mut("/resources/requests") {
            keep(requests, old_spec.pointer("/resources/requests").unwrap_or(&Value::Null), "storage");
        }
        keep(&mut spec, old_spec, "volumeAttributesClassName");
    }
    if spec != *old_spec {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for \
                      bound claims";
        errors.push(Error::forbidden(&path, detail));
    }
    let size = |object: &Value, pointer: &str| quantity(object.pointer(pointer), "storage").unwrap_or(Quantity::ZERO);
    let new_size = size(object, "/spec/resources/requests");
    if new_size < size(old, "/spec/resources/requests") && new_size <= size(old, "/status/capacity") {
        let resources = path.child("resources");
        let requests = resources.child("requests");
        errors.push(Error::forbidden(&requests.child("storage"), "field can not be less than status.capacity"));
    }
    crate::rules::immutable(
        errors,
        &Path::new("volumeMode"),
        object["spec"].get("volumeMode"),
        old_spec.get("volumeMode"),
    );
    let class = at(&object["spec"], "volumeAttributesClassName").and_then(Value::as_str);
    if object.pointer("/status/currentVolumeAttributesClassName").is_some_and(Value::is_string)
        && class != at(old_spec, "volumeAttributesClassName").and_then(Value::as_str)
        && class.is_none_or(str::is_empty)
    {
        let to = if class.is_none() { "nil" } else { "empty string" };
        let detail = format!("update to {to} is forbidden when status.currentVolumeAttributesClassName is not nil");
        errors.push(Error::forbidden(&path.child("volumeAttributesClassName"), detail));
    }
}

fn validate_status(errors: &mut Errors, status: &Value) {
    const RESIZE: [&str; 5] = [
        "ControllerResizeInProgress",
        "ControllerResizeInfeasible",
        "NodeResizeInProgress",
        "NodeResizeInfeasible",
        "NodeResizePending",
    ];
    let path = Path::new("status");
    let capacity = path.child("capacity");
    for (name, amount) in map_at(status, "capacity").into_iter().flatten() {
        not_negative(errors, &capacity.key(name), amount);
    }
    let states = path.child("allocatedResourceStatuses");
    for (name, state) in map_at(status, "allocatedResourceStatuses").into_iter().flatten() {
        validate_key(errors, &states, name);
        if !RESIZE.contains(&state.as_str().unwrap_or_default()) {
            supported(errors, &states, name, &RESIZE);
        }
    }
    let allocated = path.child("allocatedResources");
    for (name, amount) in map_at(status, "allocatedResources").into_iter().flatten() {
        if validate_key(errors, &allocated, name) && !not_negative(errors, &allocated.key(name), amount) {
            validate_quantity(errors, &allocated.key(name), "storage", amount.as_str().unwrap_or_default());
        }
    }
}

fn validate_key(errors: &mut Errors, path: &Path<'_>, name: &str) -> bool {
    let before = errors.len();
    complain(errors, path, name, names::qualified_name(name));
    if errors.len() == before && name != "storage" && is_native(name) {
        errors.push(Error::not_supported(path, name, &["storage"]));
    }
    errors.len() == before
}

fn not_negative(errors: &mut Errors, path: &Path<'_>, amount: &Value) -> bool {
    let is_negative = amount.as_str().is_some_and(|text| text.starts_with('-'));
    if is_negative {
        // Upstream prints quantities without quotes.
        let text = amount.as_str().unwrap_or_default();
        errors.push(invalid_whole(path, format!("{text}: must be a valid resource quantity")));
    }
    is_negative
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
