//! Embedded resources (`x-kubernetes-embedded-resource`): `apiVersion`, `kind` and `metadata`.
//!
//! Source: apiextensions-apiserver `pkg/apiserver/schema/objectmeta/validation.go`, apimachinery
//! `pkg/api/validation/objectmeta.go`, `pkg/apis/meta/v1/validation`.

use serde_json::{Map, Value};
use windlass_api::field::{Error, ErrorType, Errors, Path, complaints};
use windlass_api::names;
use windlass_api::text::is_printable;

use super::findings::error;
use super::go_print::json;
use super::list_types::{ROOT, at, child};
use super::schema::{Structural, sorted};
use crate::tree::{items, text};
use crate::{Schema, decode};

const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;
const MANAGER_BYTES_MAX: usize = 128;
const SUBRESOURCE_BYTES_MAX: usize = 256;

impl Structural {
    /// What is wrong with the embedded resources of an object; the object itself is none.
    pub fn validate_embedded(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        self.embedded_in(None, object, &mut errors);
        errors
    }

    pub(super) fn embedded_in(&self, path: Option<&Path<'_>>, value: &Value, errors: &mut Errors) {
        if !self.holds_embedded {
            return;
        }
        match value {
            Value::Object(map) => {
                if self.is_embedded {
                    resource(path, map, errors);
                }
                for (name, value) in sorted(map) {
                    if let Some(schema) = self.property(name) {
                        schema.embedded_in(Some(&child(path, name)), value, errors);
                    } else if let Some(schema) = &self.additional {
                        schema.embedded_in(Some(&path.unwrap_or(&ROOT).key(name)), value, errors);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    for (index, item) in items.iter().enumerate() {
                        schema.embedded_in(Some(&path.unwrap_or(&ROOT).index(index)), item, errors);
                    }
                }
            }
            _ => {}
        }
    }
}

fn resource(path: Option<&Path<'_>>, map: &Map<String, Value>, errors: &mut Errors) {
    for name in ["apiVersion", "kind"].into_iter().filter(|name| !map.contains_key(*name)) {
        errors.push_with(|| Error::required(&child(path, name), ""));
    }
    for (name, rule) in [("apiVersion", api_version as fn(&str) -> Option<String>), ("kind", kind)] {
        let detail = match map.get(name) {
            None => continue,
            Some(Value::String(value)) if value.is_empty() => Some("must not be empty".to_owned()),
            Some(Value::String(value)) => rule(value),
            Some(_) => Some("must be a string".to_owned()),
        };
        if let Some(detail) = detail {
            errors.push_with(|| at(ErrorType::Invalid, &child(path, name), &map[name], &detail));
        }
    }
    if let Some(value) = map.get("metadata") {
        metadata(&child(path, "metadata"), value, errors);
    }
}

fn api_version(value: &str) -> Option<String> {
    let has_more = value.matches('/').count() > 1;
    has_more.then(|| format!("unexpected GroupVersion string: {value}"))
}

fn kind(value: &str) -> Option<String> {
    let problems = names::dns1035_label(&value.to_lowercase());
    let words = "may have mixed case, but should otherwise match: ";
    (!problems.is_empty()).then(|| format!("{words}{}", problems.join(",")))
}

fn metadata(path: &Path<'_>, value: &Value, errors: &mut Errors) {
    // Null is empty metadata to Go; what has a wrong type is not looked at further.
    let schema = Schema::builtin();
    let id = schema.find("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    let given = if value.is_null() { Value::Object(Map::new()) } else { value.clone() };
    let meta = match id.map(|id| decode::from_value(schema, id, given)) {
        Some(Ok(decoded)) => decoded.value,
        Some(Err(problem)) => {
            errors.push_with(|| at(ErrorType::Invalid, path, value, &problem.0));
            return;
        }
        None => return,
    };
    let (generate, namespace) = (text(&meta, "generateName"), text(&meta, "namespace"));
    let prefix_problems = names::path_segment(&format!("{generate}-"));
    errors.extend(complaints(&path.child("generateName"), generate, prefix_problems));
    let name = text(&meta, "name");
    if !name.is_empty() {
        errors.extend(complaints(&path.child("name"), name, names::path_segment(name)));
    }
    if !namespace.is_empty() {
        errors.extend(complaints(&path.child("namespace"), namespace, names::dns1123_label(namespace)));
    }
    let generation = meta.get("generation").and_then(Value::as_i64).filter(|generation| *generation < 0);
    if let Some(generation) = generation {
        errors.push(Error::invalid(&path.child("generation"), generation, "must be greater than or equal to 0"));
    }
    labels(&path.child("labels"), &meta["labels"], errors);
    annotations(&path.child("annotations"), &meta["annotations"], errors);
    owners(&path.child("ownerReferences"), &meta, errors);
    finalizers(&path.child("finalizers"), &meta, errors);
    for (index, entry) in items(&meta, "managedFields").enumerate() {
        managed_fields(&path.child("managedFields").index(index), entry, errors);
    }
}

fn labels(path: &Path<'_>, labels: &Value, errors: &mut Errors) {
    for (key, value) in labels.as_object().into_iter().flat_map(sorted) {
        errors.extend(complaints(path, key, names::qualified_name(key)));
        let value = value.as_str().unwrap_or_default();
        errors.extend(complaints(path, value, names::label_value(value)));
    }
}

fn annotations(path: &Path<'_>, annotations: &Value, errors: &mut Errors) {
    let mut size = 0;
    for (key, value) in annotations.as_object().into_iter().flat_map(sorted) {
        errors.extend(complaints(path, key, names::qualified_name(&key.to_lowercase())));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_BYTES_MAX {
        errors.push(Error::too_long(path, ANNOTATIONS_BYTES_MAX));
    }
}

fn owners(path: &Path<'_>, meta: &Value, errors: &mut Errors) {
    let mut controller: Option<String> = None;
    for (index, owner) in items(meta, "ownerReferences").enumerate() {
        let (own, version, kind) = (path.index(index), text(owner, "apiVersion"), text(owner, "kind"));
        if version.matches('/').count() > 1 || version.ends_with('/') {
            let detail = "must be <group>/<version> or <version>";
            errors.push(Error::invalid(&own.child("apiVersion"), version, detail));
        }
        for name in ["apiVersion", "kind", "name", "uid"].into_iter().filter(|name| text(owner, name).is_empty()) {
            errors.push(Error::required(&own.child(name), "must not be empty"));
        }
        if (version, kind) == ("v1", "Event") {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push_with(|| bad_owner(&own, &owner_text(owner), detail));
        }
        if owner.get("controller") == Some(&Value::Bool(true)) {
            let this = format!("{kind}/{}", text(owner, "name"));
            if let Some(first) = &controller {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                );
                let all = || items(meta, "ownerReferences").map(owner_text).collect::<Vec<_>>().join(",");
                errors.push_with(|| bad_owner(path, &format!("[{}]", all()), &detail));
            } else {
                controller = Some(this);
            }
        }
    }
}

/// An error that shows owners: their text stands at the head of the detail.
fn bad_owner(path: &Path<'_>, shown: &str, detail: &str) -> Error {
    error(ErrorType::Invalid, path.to_string(), None, format!("{shown}: {detail}"))
}

/// An owner reference as Go writes it: fields in the order of their declaration.
fn owner_text(owner: &Value) -> String {
    let names = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    let fields = names.into_iter().enumerate().filter_map(|(place, name)| match owner.get(name) {
        Some(value) => Some(format!("\"{name}\":{}", json(value))),
        None if place < 4 => Some(format!("\"{name}\":\"\"")),
        None => None,
    });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

fn finalizers(path: &Path<'_>, meta: &Value, errors: &mut Errors) {
    let all: Vec<&str> = items(meta, "finalizers").filter_map(Value::as_str).collect();
    for finalizer in &all {
        errors.extend(complaints(path, finalizer, names::qualified_name(finalizer)));
    }
    if all.contains(&"orphan") && all.contains(&"foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(Error::invalid(path, meta["finalizers"].clone(), detail));
    }
}

fn managed_fields(path: &Path<'_>, entry: &Value, errors: &mut Errors) {
    match text(entry, "operation") {
        "" => errors.push(Error::required(&path.child("operation"), "must not be empty")),
        "Apply" | "Update" => {}
        other => errors.push(Error::not_supported(&path.child("operation"), other, &["Apply", "Update"])),
    }
    let fields_type = text(entry, "fieldsType");
    if !matches!(fields_type, "" | "FieldsV1") {
        errors.push(Error::invalid(&path.child("fieldsType"), fields_type, "must be `FieldsV1`"));
    }
    let (manager, manager_path) = (text(entry, "manager"), path.child("manager"));
    if manager.len() > MANAGER_BYTES_MAX {
        errors.push(Error::too_long(&manager_path, MANAGER_BYTES_MAX));
    }
    for (position, c) in manager.char_indices().filter(|(_, c)| !is_printable(*c)) {
        let detail = format!("invalid character U+{:04X} (at position {position})", u32::from(c));
        errors.push_with(|| error(ErrorType::Invalid, manager_path.to_string(), Some(&manager.into()), detail));
    }
    if text(entry, "subresource").len() > SUBRESOURCE_BYTES_MAX {
        errors.push(Error::too_long(&path.child("subresource"), SUBRESOURCE_BYTES_MAX));
    }
}
