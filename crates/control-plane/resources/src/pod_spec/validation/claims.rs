//! The specification of a PersistentVolumeClaim: a claim's own, and that of a volume which has its claim made for it.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::{Quantity, names};
use windlass_machinery::tree::{items, text};

use super::resources::validate_quantity;
use crate::rules::{at, complain, label_selector, object_at, required, supported, texts};

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// The specification of a PersistentVolumeClaim, in a claim as in every template of one.
pub(crate) fn validate_claim_spec(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let modes = path.child("accessModes");
    if items(spec, "accessModes").next().is_none() {
        errors.push(Error::required(&modes, "at least 1 access mode is required"));
    }
    label_selector(errors, &path.child("selector"), spec.get("selector"));
    for mode in texts(spec, "accessModes") {
        supported(errors, &modes, mode, &ACCESS_MODES);
    }
    let is_single = |mode: &&str| *mode == "ReadWriteOncePod";
    let shared = |mode: &&str| ACCESS_MODES[..3].contains(mode);
    if texts(spec, "accessModes").any(|m| is_single(&m)) && texts(spec, "accessModes").any(|m| shared(&m)) {
        errors.push(Error::forbidden(&modes, "may not use ReadWriteOncePod with other access modes"));
    }
    let resources = path.child("resources");
    let storage = resources.key("storage");
    match spec.pointer("/resources/requests/storage").and_then(Value::as_str) {
        None => errors.push(Error::required(&storage, "")),
        Some(size) if size.parse::<Quantity>().is_ok_and(|size| size.is_zero() || size.is_negative()) => {
            errors.push(Error::invalid(&storage, size, "must be greater than zero"));
        }
        Some(size) => validate_quantity(errors, &storage, "storage", size),
    }
    class_name(errors, spec, path, "storageClassName");
    if let Some(mode) = at(spec, "volumeMode").and_then(Value::as_str) {
        supported(errors, &path.child("volumeMode"), mode, &["Block", "Filesystem"]);
    }
    let (source, reference) = (object_at(spec, "dataSource"), object_at(spec, "dataSourceRef"));
    for (field, source) in [("dataSource", source), ("dataSourceRef", reference)] {
        if let Some(source) = source {
            validate_data_source(errors, source, &path.child(field));
        }
    }
    if let (Some(source), Some(reference)) = (source, reference) {
        // Upstream shows a path, which has no fields that JSON sees.
        let shown = serde_json::json!({});
        let detail = if !text(reference, "namespace").is_empty() {
            "may not be specified when dataSourceRef.namespace is specified"
        } else if ["kind", "name", "apiGroup"].iter().any(|f| text(source, f) != text(reference, f)) {
            "must match dataSourceRef"
        } else {
            ""
        };
        if !detail.is_empty() {
            errors.push(Error::invalid(path, shown, detail));
        }
    }
    class_name(errors, spec, path, "volumeAttributesClassName");
}

fn class_name(errors: &mut Errors, spec: &Value, path: &Path<'_>, field: &str) {
    let name = text(spec, field);
    if !name.is_empty() {
        complain(errors, &path.child(field), name, names::dns1123_subdomain(name));
    }
}

fn validate_data_source(errors: &mut Errors, source: &Value, path: &Path<'_>) {
    required(errors, source, path, "name");
    required(errors, source, path, "kind");
    let (group, kind) = (text(source, "apiGroup"), text(source, "kind"));
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.push(Error::invalid(path, kind, detail));
    }
    if !group.is_empty() {
        complain(errors, &path.child("apiGroup"), group, names::dns1123_subdomain(group));
    }
    let namespace = text(source, "namespace");
    if !namespace.is_empty() {
        complain(errors, &path.child("namespace"), namespace, names::dns1123_label(namespace));
    }
}
