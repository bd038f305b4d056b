//! The defaults in a structural schema.
//!
//! Source: upstream `apiserver/schema/defaulting/validation.go`, `apiserver/schema/pruning/algorithm.go`.

use std::sync::Arc;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::structural::Structural;
use windlass_regexp::Patterns;

use super::super::schema::{Additional, EMBEDDED, META_FIELDS, PRESERVES, Schema};
use super::demands::Budgets;
use crate::definition::rules::{BUDGET, Rules};

/// Where a default stands.
#[derive(Clone, Copy)]
struct Place {
    /// Within `metadata`, `kind` or `apiVersion` of the resource.
    in_metadata: bool,
    /// The default is for a whole resource.
    is_resource: bool,
}

/// Judges the defaults of a schema. There are none below `additionalProperties` that matter. An update may keep unknown fields of
/// defaults that it had (`must_be_pruned` is false).
pub(super) fn validate(
    errors: &mut Errors,
    schema: Schema<'_>,
    must_be_pruned: bool,
    budgets: &Budgets,
    path: &Path<'_>,
) {
    let has_any = schema.any(&|schema| schema.at("default").is_some());
    let rules = if has_any { Rules::read(schema.0, true, &budgets.rules) } else { None };
    let mut budget = BUDGET;
    visit(Visited { schema, place: Place::RESOURCE, rules: rules.as_ref() }, path, &mut |default, node, path| {
        let Visited { schema, place, rules } = node;
        let path = path.child("default");
        // Once it is spent, nothing more is looked at.
        if budget < 0 {
            return;
        }
        if must_be_pruned && !place.is_pruned(default, schema) {
            errors.push_with(|| Error::invalid(&path, default.clone(), "must not have unknown fields"));
        }
        if !validate_value(errors, default, schema, &budgets.schemas, &path) {
            return;
        }
        // Rules below what expressions cannot have are not part of the whole.
        let own = if rules.is_none() { Rules::read(schema.0, place.is_resource, &budgets.rules) } else { None };
        if let Some(rules) = rules.or(own.as_ref()) {
            validate_rules(errors, default, rules, &mut budget, &path);
        }
    });
}

/// Whether a schema has a default with fields that the schema does not know.
pub(super) fn has_unpruned(schema: Schema<'_>) -> bool {
    let mut found = false;
    let root = Visited { schema, place: Place::RESOURCE, rules: None };
    visit(root, &Path::new(""), &mut |default, node, _| {
        found = found || !node.place.is_pruned(default, node.schema);
    });
    found
}

/// A node on the way to the defaults.
#[derive(Clone, Copy)]
struct Visited<'a, 'r> {
    schema: Schema<'a>,
    place: Place,
    /// The compiled rules in and below it.
    rules: Option<&'r Rules>,
}

/// What is done with a default: the value, its node, and the path of that.
type See<'f, 'a, 'r> = &'f mut dyn FnMut(&'a Value, Visited<'a, 'r>, &Path<'_>);

fn visit<'a, 'r>(node: Visited<'a, 'r>, path: &Path<'_>, see: See<'_, 'a, 'r>) {
    let Visited { schema, place, rules } = node;
    if let Some(default) = schema.at("default") {
        see(default, node, path);
    }
    if let Some(items) = schema.items() {
        let rules = rules.and_then(Rules::items);
        visit(Visited { schema: items, place: place.below(items, false), rules }, &path.child("items"), see);
    }
    let properties = path.child("properties");
    for (name, property) in schema.properties() {
        let place = place.below(property, place.is_resource && META_FIELDS.contains(&name));
        let rules = rules.and_then(|rules| rules.property(name));
        visit(Visited { schema: property, place, rules }, &properties.key(name), see);
    }
}

impl Place {
    /// A whole resource: the custom one, or one that is embedded in it.
    const RESOURCE: Self = Self { in_metadata: false, is_resource: true };

    /// Metadata is not pruned by the schema.
    fn is_pruned(self, default: &Value, schema: Schema<'_>) -> bool {
        self.in_metadata || is_pruned(default, Some(schema), self.is_resource, false)
    }

    fn below(self, schema: Schema<'_>, enters_metadata: bool) -> Self {
        if schema.is(EMBEDDED) {
            return Self::RESOURCE;
        }
        Self { in_metadata: self.in_metadata || enters_metadata, is_resource: false }
    }
}

/// Judges whether a default is a value of its schema, and returns that. A default within the metadata of a resource is held against the
/// schema alone.
fn validate_value(
    errors: &mut Errors,
    default: &Value,
    schema: Schema<'_>,
    patterns: &Arc<Patterns>,
    path: &Path<'_>,
) -> bool {
    let structural = Structural::read_within(schema.0, patterns);
    let mut found = structural.validate_embedded(default);
    if found.is_empty() {
        found = structural.validate_values(default);
    }
    let is_valid = found.is_empty();
    for error in found {
        // What is wrong with the value as a whole has no field there.
        let field = match error.field.trim_start_matches("<nil>").trim_start_matches('.') {
            "" => path.to_string(),
            below => format!("{path}.{below}"),
        };
        errors.push(Error { field, ..error });
    }
    is_valid
}

/// Holds a default against the rules, as a value that stays what it is and as a new one. The dearer of the two is taken from the budget.
fn validate_rules(errors: &mut Errors, default: &Value, rules: &Rules, budget: &mut i64, path: &Path<'_>) {
    let (mut kept, mut new) = (*budget, *budget);
    let found = rules.validate(path, default, Some(default), &mut kept);
    if found.is_empty() {
        errors.extend(rules.validate(path, default, None, &mut new));
    }
    errors.extend(found);
    *budget = kept.min(new);
}

/// Whether pruning would leave a value as it is. `is_lenient`: an unknown field of the value itself stays.
fn is_pruned(value: &Value, schema: Option<Schema<'_>>, is_resource: bool, is_lenient: bool) -> bool {
    let preserves = is_lenient || schema.is_some_and(|schema| schema.is(PRESERVES));
    match value {
        Value::Object(map) => map.iter().all(|(name, value)| {
            let property = schema.and_then(|schema| schema.property(name));
            let additional = schema.and_then(Schema::additional_properties);
            match (property, additional) {
                _ if is_resource && META_FIELDS.contains(&name.as_str()) => true,
                (Some(property), _) => is_pruned(value, Some(property), property.is(EMBEDDED), false),
                (None, Some(Additional::Schema(schema))) => is_pruned(value, Some(schema), schema.is(EMBEDDED), false),
                (None, Some(Additional::Bool(_))) => is_pruned(value, None, false, false),
                (None, None) => preserves,
            }
        }),
        Value::Array(list) => {
            let items = schema.and_then(Schema::items);
            let is_embedded = items.is_some_and(|items| items.is(EMBEDDED));
            // Nobody says what items of a preserved list are.
            (preserves && items.is_none()) || list.iter().all(|item| is_pruned(item, items, is_embedded, preserves))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pruned() {
        let object = json!({"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {}}}}});
        let open =
            json!({"x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"properties": {"b": {}}}}});
        let map = json!({"additionalProperties": {"properties": {"b": {}}}});
        let any = json!({"additionalProperties": true});
        let list = json!({"items": {"properties": {"b": {}}}});
        let open_list = json!({"x-kubernetes-preserve-unknown-fields": true, "items": {"properties": {"b": {}}}});
        let embedded = json!({"x-kubernetes-embedded-resource": true, "properties": {"spec": {}}});
        let cases = [
            (&object, json!({"a": {"b": {"anything": 1}}}), false),
            (&object, json!({"a": {"b": 1}}), true),
            (&object, json!({"a": {"c": 1}}), false),
            (&object, json!({"c": 1}), false),
            (&object, json!("text"), true),
            (&open, json!({"c": {"d": 1}}), true),
            (&open, json!({"a": {"c": 1}}), false),
            (&map, json!({"x": {"b": 1}}), true),
            (&map, json!({"x": {"c": 1}}), false),
            (&any, json!({"x": 1}), true),
            (&any, json!({"x": {"b": 1}}), false),
            (&list, json!([{"b": 1}, {"c": 1}]), false),
            (&open_list, json!([{"b": 1}, {"c": 1}]), true),
            (&embedded, json!({"kind": "K", "apiVersion": "v1", "metadata": {"name": "n"}, "spec": 1}), true),
            (&embedded, json!({"status": 1}), false),
        ];
        for (schema, value, expected) in cases {
            let schema = Schema(schema);
            assert_eq!(is_pruned(&value, Some(schema), schema.is(EMBEDDED), false), expected, "{} {value}", schema.0);
        }
    }
}
