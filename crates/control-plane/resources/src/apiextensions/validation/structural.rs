//! The rules of structural schemas: the form of values is said once, outside of `allOf`, `anyOf`, `oneOf` and `not`, and what
//! stands inside of those only narrows it.
//!
//! Source: upstream `apiserver/schema/validation.go`, `complete.go`.

use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_regexp::{PatternError, Patterns};

use super::super::schema::{
    Additional, EMBEDDED, INT_OR_STRING, LIST_MAP_KEYS, LIST_TYPE, MAP_TYPE, PRESERVES, Schema, VALIDATIONS,
};
use super::pattern;

/// What a node is to its parent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Adds what keeps a schema from being structural, sorted by its text.
pub(super) fn validate(errors: &mut Errors, schema: Schema<'_>, patterns: &Patterns, path: &Path<'_>) {
    let mut found = Errors::new();
    validate_node(&mut found, patterns, schema, Level::Root, path);
    // Only what the root itself nests is held against the structure.
    validate_junctors(&mut found, schema, Some(schema), path, path);
    let mut found: Vec<Error> = found.into_iter().collect();
    found.sort_by_cached_key(ToString::to_string);
    errors.extend(found);
}

/// Whether a schema is structural at all.
pub(super) fn is_structural(schema: Schema<'_>) -> bool {
    let mut errors = Errors::new();
    if schema.conversion_error().is_none() {
        validate(&mut errors, schema, &Patterns::accepted(), &Path::new(""));
    }
    schema.conversion_error().is_none() && errors.is_empty()
}

fn validate_node(errors: &mut Errors, patterns: &Patterns, schema: Schema<'_>, level: Level, path: &Path<'_>) {
    match schema.items() {
        Some(items) => validate_node(errors, patterns, items, Level::Item, &path.child("items")),
        None if schema.kind() == "array" => {
            errors.push_with(|| Error::required(&path.child("items"), "must be specified"));
        }
        None => {}
    }
    let properties = path.child("properties");
    for (name, property) in schema.properties() {
        validate_node(errors, patterns, property, Level::Field, &properties.key(name));
    }
    if let Some(additional) = schema.additional_properties() {
        let path = path.child("additionalProperties");
        if level == Level::Root {
            errors.push_with(|| Error::forbidden(&path, "must not be used at the root"));
        }
        if schema.is(EMBEDDED) {
            errors.push_with(|| Error::forbidden(&path, "must not be used if x-kubernetes-embedded-resource is set"));
        }
        if let Additional::Schema(additional) = additional {
            validate_node(errors, patterns, additional, Level::Field, &path);
        }
    }
    validate_extensions(errors, schema, path);
    validate_values(errors, patterns, schema, skipped(schema), path);
    validate_type(errors, schema, level, path);
    validate_metadata(errors, schema, level, path);
}

fn validate_extensions(errors: &mut Errors, schema: Schema<'_>, path: &Path<'_>) {
    if schema.is(INT_OR_STRING) {
        for field in [PRESERVES, EMBEDDED].into_iter().filter(|field| schema.is(field)) {
            let detail = "must be false if x-kubernetes-int-or-string is true";
            errors.push_with(|| Error::invalid(&path.child(field), true, detail));
        }
    }
    if schema.is(EMBEDDED) && !schema.is(PRESERVES) && !schema.has_entries("properties") {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without \
                      x-kubernetes-preserve-unknown-fields";
        errors.push_with(|| Error::required(&path.child("properties"), detail));
    }
}

fn validate_type(errors: &mut Errors, schema: Schema<'_>, level: Level, path: &Path<'_>) {
    let (kind, path) = (schema.kind(), path.child("type"));
    if schema.is(EMBEDDED) && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push_with(|| match kind {
            "" => Error::required(&path, detail),
            kind => Error::invalid(&path, kind, detail),
        });
    } else if kind.is_empty() && !schema.is(INT_OR_STRING) && !schema.is(PRESERVES) {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push_with(|| Error::required(&path, detail));
    }
    if level == Level::Root && !matches!(kind, "" | "object") {
        errors.push_with(|| Error::invalid(&path, kind, "must be object at the root"));
    }
}

/// What a resource's own fields may be said to be; at the root the metadata is restricted to names.
fn validate_metadata(errors: &mut Errors, schema: Schema<'_>, level: Level, path: &Path<'_>) {
    let is_resource = level == Level::Root || schema.is(EMBEDDED);
    if !is_resource {
        return;
    }
    let properties = path.child("properties");
    for (field, wanted, detail) in [
        ("kind", "string", "must be string"),
        ("apiVersion", "string", "must be string"),
        ("metadata", "object", "must be object"),
    ] {
        if let Some(property) = schema.property(field).filter(|property| property.kind() != wanted) {
            errors.push_with(|| Error::invalid(&properties.key(field).child("type"), property.kind(), detail));
        }
    }
    let metadata = schema.property("metadata").filter(|_| level == Level::Root);
    if metadata.is_some_and(|metadata| !says_only_names(metadata)) {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push_with(|| Error::forbidden(&properties.key("metadata"), detail));
    }
}

fn says_only_names(metadata: Schema<'_>) -> bool {
    let fields = metadata.0.as_object().into_iter().flatten();
    fields.filter(|(_, value)| !value.is_null()).all(|(field, _)| match field.as_str() {
        "type" | "default" => true,
        "properties" => metadata.properties().all(|(name, _)| matches!(name, "name" | "generateName")),
        _ => false,
    })
}

/// The one place where a nested type is allowed: where `x-kubernetes-int-or-string` is spelled out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Skipped {
    Nothing,
    /// The schema's own `anyOf`.
    AnyOf,
    /// That of the first in its `allOf`.
    FirstAnyOf,
    Both,
}

fn skipped(schema: Schema<'_>) -> Skipped {
    let spells_out = |schema: Schema<'_>| schema.at("anyOf") == Some(&json!([{"type": "integer"}, {"type": "string"}]));
    match (spells_out(schema), schema.list("allOf").next().is_some_and(spells_out)) {
        (false, false) => Skipped::Nothing,
        (true, false) => Skipped::AnyOf,
        (false, true) => Skipped::FirstAnyOf,
        (true, true) => Skipped::Both,
    }
}

/// What narrows the values of a node.
fn validate_values(errors: &mut Errors, patterns: &Patterns, schema: Schema<'_>, skipped: Skipped, path: &Path<'_>) {
    for field in ["anyOf", "allOf", "oneOf"] {
        if field == "anyOf" && matches!(skipped, Skipped::AnyOf | Skipped::Both) {
            continue;
        }
        let path = path.child(field);
        for (index, nested) in schema.list(field).enumerate() {
            let is_first = field == "allOf" && index == 0 && matches!(skipped, Skipped::FirstAnyOf | Skipped::Both);
            let skipped = if is_first { Skipped::AnyOf } else { Skipped::Nothing };
            validate_nested(errors, patterns, nested, skipped, &path.index(index));
        }
    }
    if let Some(not) = schema.child("not") {
        validate_nested(errors, patterns, not, Skipped::Nothing, &path.child("not"));
    }
    let written = schema.text("pattern");
    if let Some(detail) = pattern_problem(written, patterns) {
        errors.push_with(|| Error::invalid(&path.child("pattern"), written, detail));
    }
}

/// What is wrong with a pattern: by Go's rules, or because it takes more memory than we have for the patterns of a definition. Some that Go
/// takes are too large for that.
fn pattern_problem(pattern: &str, patterns: &Patterns) -> Option<String> {
    if let Some(problem) = pattern::problem(pattern) {
        return Some(format!("must be a valid regular expression, but isn't: {problem}"));
    }
    let error = patterns.get(pattern).err().filter(PatternError::is_of_size)?;
    Some(error.to_string())
}

/// A schema inside of `allOf`, `anyOf`, `oneOf` or `not`.
fn validate_nested(errors: &mut Errors, patterns: &Patterns, schema: Schema<'_>, skipped: Skipped, path: &Path<'_>) {
    validate_values(errors, patterns, schema, skipped, path);
    if let Some(items) = schema.items() {
        validate_nested(errors, patterns, items, Skipped::Nothing, &path.child("items"));
    }
    let properties = path.child("properties");
    for (name, property) in schema.properties() {
        validate_nested(errors, patterns, property, Skipped::Nothing, &properties.key(name));
    }
    let is_narrowing = !matches!(schema.additional_properties(), None | Some(Additional::Bool(false)));
    let forbidden = [
        ("type", "empty", !schema.kind().is_empty()),
        ("additionalProperties", "undefined", is_narrowing),
        ("default", "undefined", schema.at("default").is_some()),
        ("title", "empty", !schema.text("title").is_empty()),
        ("description", "empty", !schema.text("description").is_empty()),
        ("nullable", "false", schema.is("nullable")),
        (PRESERVES, "false", schema.is(PRESERVES)),
        (EMBEDDED, "false", schema.is(EMBEDDED)),
        (INT_OR_STRING, "false", schema.is(INT_OR_STRING)),
        (LIST_MAP_KEYS, "empty", has_items(schema, LIST_MAP_KEYS)),
        (LIST_TYPE, "undefined", schema.at(LIST_TYPE).is_some()),
        (MAP_TYPE, "undefined", schema.at(MAP_TYPE).is_some()),
        (VALIDATIONS, "empty", has_items(schema, VALIDATIONS)),
    ];
    for (field, wanted, _) in forbidden.into_iter().filter(|(_, _, is_said)| *is_said) {
        errors.push_with(|| Error::forbidden(&path.child(field), format!("must be {wanted} to be structural")));
    }
    if schema.property("metadata").is_some() {
        let detail = "must not be specified in a nested context";
        errors.push_with(|| Error::forbidden(&properties.key("metadata"), detail));
    }
}

fn has_items(schema: Schema<'_>, field: &str) -> bool {
    schema.at(field).and_then(Value::as_array).is_some_and(|list| !list.is_empty())
}

/// What is nested in `values` must have been said in `structure` before. `path` is that of the structure, `at` that of the values.
fn validate_junctors(
    errors: &mut Errors,
    values: Schema<'_>,
    structure: Option<Schema<'_>>,
    path: &Path<'_>,
    at: &Path<'_>,
) {
    if let Some(not) = values.child("not") {
        validate_completeness(errors, not, structure, path, &at.child("not"));
    }
    for field in ["allOf", "anyOf", "oneOf"] {
        let at = at.child(field);
        for (index, nested) in values.list(field).enumerate() {
            validate_completeness(errors, nested, structure, path, &at.index(index));
        }
    }
}

fn validate_completeness(
    errors: &mut Errors,
    values: Schema<'_>,
    structure: Option<Schema<'_>>,
    path: &Path<'_>,
    at: &Path<'_>,
) {
    let Some(structure) = structure else {
        errors.push_with(|| Error::required(path, format!("because it is defined in {at}")));
        return;
    };
    validate_junctors(errors, values, Some(structure), path, at);
    if let Some(items) = values.items() {
        validate_completeness(errors, items, structure.items(), &path.child("items"), &at.child("items"));
    }
    let (properties, nested) = (path.child("properties"), at.child("properties"));
    for (name, property) in values.properties() {
        validate_completeness(errors, property, structure.property(name), &properties.key(name), &nested.key(name));
    }
}
