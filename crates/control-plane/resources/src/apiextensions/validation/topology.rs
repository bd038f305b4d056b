//! What a schema says of how lists and objects are merged: `x-kubernetes-list-type`, `x-kubernetes-list-map-keys` and
//! `x-kubernetes-map-type`, and the keys that items need.

use std::collections::HashSet;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};

use crate::rules::texts;

use super::super::go_form;
use super::super::schema::{LIST_MAP_KEYS, LIST_TYPE, MAP_TYPE, Schema};
use super::demands::Demands;

const NOT_ATOMIC: &str = "must be atomic as item of a list with x-kubernetes-list-type=set";

/// Judges what a node says of itself and of its items.
pub(super) fn validate(errors: &mut Errors, schema: Schema<'_>, demands: &Demands<'_>, path: &Path<'_>) {
    validate_map_type(errors, schema, path);
    let list_type = schema.list_type();
    if list_type.is_some() && schema.kind() != "array" {
        errors.push_with(|| wrong_type(schema, path, "must be array if x-kubernetes-list-type is specified"));
    } else if demands.atomic_sets && list_type == Some("set") {
        validate_set_items(errors, schema, path);
    }
    if let Some(other) = list_type.filter(|kind| !matches!(*kind, "atomic" | "set" | "map")) {
        errors.push_with(|| Error::not_supported(&path.child(LIST_TYPE), other, &["atomic", "set", "map"]));
    }
    if texts(schema.0, LIST_MAP_KEYS).next().is_some() && list_type != Some("map") {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.push_with(|| match list_type {
            None => Error::required(&path.child(LIST_TYPE), detail),
            Some(other) => Error::invalid(&path.child(LIST_TYPE), other, detail),
        });
    }
    if list_type == Some("map") {
        validate_map(errors, schema, path);
    }
    if demands.keyed_items {
        validate_items(errors, schema, path);
    }
}

fn validate_map_type(errors: &mut Errors, schema: Schema<'_>, path: &Path<'_>) {
    let Some(map_type) = schema.map_type() else { return };
    if schema.kind() != "object" {
        errors.push_with(|| wrong_type(schema, path, "must be object if x-kubernetes-map-type is specified"));
    }
    if !matches!(map_type, "atomic" | "granular") {
        errors.push_with(|| Error::not_supported(&path.child(MAP_TYPE), map_type, &["atomic", "granular"]));
    }
}

/// The type of a node is another than an extension wants.
fn wrong_type(schema: Schema<'_>, path: &Path<'_>, detail: &str) -> Error {
    match schema.kind() {
        "" => Error::required(&path.child("type"), detail),
        kind => Error::invalid(&path.child("type"), kind, detail),
    }
}

fn validate_set_items(errors: &mut Errors, schema: Schema<'_>, path: &Path<'_>) {
    let Some(items) = schema.items().filter(|items| !items.is_atomic_item()) else { return };
    let field = if items.kind() == "array" { LIST_TYPE } else { MAP_TYPE };
    // Upstream shows the list type in both cases.
    let shown = items.at(LIST_TYPE).cloned().unwrap_or_default();
    errors.push_with(|| Error::invalid(&path.child("items").child(field), shown, NOT_ATOMIC));
}

/// A list whose items are found by keys.
fn validate_map(errors: &mut Errors, schema: Schema<'_>, path: &Path<'_>) {
    let (keys_path, items_path) = (path.child(LIST_MAP_KEYS), path.child("items"));
    if texts(schema.0, LIST_MAP_KEYS).next().is_none() {
        errors.push_with(|| Error::required(&keys_path, "must not be empty if x-kubernetes-list-type is map"));
    }
    let items = match (schema.items(), schema.at("items")) {
        (Some(items), _) => items,
        (None, None) => {
            errors.push_with(|| Error::required(&items_path, "must have a schema if x-kubernetes-list-type is map"));
            return;
        }
        (None, Some(value)) => {
            let detail = "must only have a single schema if x-kubernetes-list-type is map";
            errors.push_with(|| go_form::invalid(&items_path, &go_form::items_of(value), detail));
            return;
        }
    };
    if items.kind() != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push_with(|| Error::invalid(&items_path.child("type"), items.kind(), detail));
    } else {
        validate_keys(errors, schema, items, path);
    }
}

/// The keys of a map are scalars of its items, each once.
fn validate_keys(errors: &mut Errors, schema: Schema<'_>, items: Schema<'_>, path: &Path<'_>) {
    let (keys_path, items_path) = (path.child(LIST_MAP_KEYS), path.child("items"));
    let shown = || schema.at(LIST_MAP_KEYS).cloned().unwrap_or_default();
    let mut seen = HashSet::new();
    for key in texts(schema.0, LIST_MAP_KEYS) {
        match items.property(key) {
            None => {
                let detail = "entries must all be names of item properties";
                errors.push_with(|| Error::invalid(&keys_path, shown(), detail));
            }
            Some(property) if matches!(property.kind(), "array" | "object") => {
                let properties = items_path.child("properties");
                let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                // Upstream shows the type of the items.
                errors.push_with(|| Error::invalid(&properties.key(key).child("type"), items.kind(), detail));
            }
            Some(_) => {}
        }
        if !seen.insert(key) {
            errors.push_with(|| Error::invalid(&keys_path, shown(), "must not contain duplicate entries"));
        }
    }
}

/// Items of sets and maps are never null, and every item of a map has its keys.
fn validate_items(errors: &mut Errors, schema: Schema<'_>, path: &Path<'_>) {
    let Some(list_type @ ("set" | "map")) = schema.list_type() else { return };
    let Some(items) = schema.items() else { return };
    let path = path.child("items");
    if items.is("nullable") {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.push_with(|| Error::forbidden(&path.child("nullable"), detail));
    }
    if list_type != "map" {
        return;
    }
    let required: HashSet<&str> = texts(items.0, "required").collect();
    let properties = path.child("properties");
    for key in texts(schema.0, LIST_MAP_KEYS) {
        let Some(property) = items.property(key) else { continue };
        let path = properties.key(key);
        if !required.contains(key) && property.at("default").is_none_or(Value::is_null) {
            let detail =
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push_with(|| Error::required(&path.child("default"), detail));
        }
        if property.is("nullable") {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push_with(|| Error::forbidden(&path.child("nullable"), detail));
        }
    }
}

/// Whether a schema has a set whose items are compared by their fields.
pub(super) fn has_non_atomic_set(schema: Schema<'_>) -> bool {
    schema.list_type() == Some("set") && schema.items().is_some_and(|items| !items.is_atomic_item())
}

/// Whether items of a set or map may be null or lack a key.
pub(super) fn has_keyless_items(schema: Schema<'_>) -> bool {
    let mut errors = Errors::new();
    validate_items(&mut errors, schema, &Path::new(""));
    !errors.is_empty()
}
