//! The rules for every node of a schema, structural or not.
//!
//! Source: upstream `apiextensions/validation/validation.go`, ValidateCustomResourceDefinitionOpenAPISchema.

use windlass_api::field::{Error, Errors, Path};

use std::sync::Arc;

use super::super::schema::{Additional, EMBEDDED, META_FIELDS, PRESERVES, Schema, VALIDATIONS};
use super::demands::{Budgets, Demands};
use super::expressions::Expressions;
use super::rule_context::Context;
use super::rule_costs::Costs;
use super::{expressions, topology};
use crate::definition::rules::Shape;

/// Judges a whole schema. `judges_expressions` says whether it is sound enough for its rules to be compiled, `is_unchanged` whether it
/// was accepted before.
pub(super) fn validate(
    errors: &mut Errors,
    schema: Schema<'_>,
    (judges_expressions, is_unchanged): (bool, bool),
    demands: &Demands<'_>,
    budgets: &Budgets,
    path: &Path<'_>,
) {
    let has_rules = judges_expressions && schema.any(&|node| node.at(VALIDATIONS).is_some());
    let shape = has_rules.then(|| Arc::new(Shape::read(schema.0, true)));
    let context = shape.as_ref().map(|shape| Context::root(shape, schema));
    let expressions = Expressions {
        demands,
        patterns: budgets.rules.clone(),
        errors: Errors::new(),
        costs: Costs::new(is_unchanged),
    };
    let mut walk = Walk { demands, errors: Errors::new(), expressions };
    walk.node(schema, path, Place { context, is_root: true, ..Place::default() });
    errors.extend(walk.errors);
    errors.extend(walk.expressions.errors);
    walk.expressions.costs.validate_total(errors, path);
}

/// What a node has to know of the nodes above it.
#[derive(Clone, Copy, Default)]
struct Place<'p> {
    is_root: bool,
    /// Within `metadata`, `kind` or `apiVersion` of a resource.
    in_metadata: bool,
    defaults: Defaults<'p>,
    /// The first node above whose values cannot be found again in another revision of an object.
    uncorrelatable: Option<&'p Path<'p>>,
    /// What its rules are about; absent where they are not judged.
    context: Option<Context<'p>>,
}

/// Whether and why not a node may have a default.
#[derive(Clone, Copy, Default)]
enum Defaults<'p> {
    #[default]
    Allowed,
    /// The field of the root is filled in by the server.
    TopLevel(&'p str),
    /// It cannot be told what to prune of a default without the value around it.
    MetadataMap,
}

struct Walk<'d> {
    demands: &'d Demands<'d>,
    errors: Errors,
    expressions: Expressions<'d>,
}

impl Walk<'_> {
    fn count(&self) -> usize {
        self.errors.len() + self.errors.omitted()
    }

    /// Judges a node after everything below it. Returns whether it can be read as a structural schema.
    fn node(&mut self, schema: Schema<'_>, path: &Path<'_>, place: Place<'_>) -> bool {
        let before = self.count();
        self.standard(schema, path, place);
        let below = self.below(schema, path, place);
        let converts = below && schema.own_conversion_error().is_none();
        if schema.at(PRESERVES).is_some_and(|value| value == false) {
            self.refuse(|| Error::invalid(&path.child(PRESERVES), false, "must be true or undefined"));
        }
        topology::validate(&mut self.errors, schema, self.demands, path);
        expressions::validate_shape(&mut self.errors, schema, converts, path);
        if let Some(context) = place.context.filter(|_| self.count() == before) {
            self.expressions.validate(schema, context, place.uncorrelatable, path);
        }
        converts
    }

    fn refuse(&mut self, make: impl FnOnce() -> Error) {
        self.errors.push_with(make);
    }

    fn forbid(&mut self, is_said: bool, path: &Path<'_>, field: &str, detail: &str) {
        if is_said {
            self.refuse(|| Error::forbidden(&path.child(field), detail));
        }
    }

    /// What OpenAPI knows and definitions may not say.
    fn standard(&mut self, schema: Schema<'_>, path: &Path<'_>, place: Place<'_>) {
        if self.demands.valid_types && !schema.has_known_type() {
            self.refuse(|| Error::not_supported(&path.child("type"), schema.kind(), Schema::known_types()));
        }
        if schema.at("default").is_some() {
            match place.defaults {
                Defaults::Allowed => {}
                Defaults::TopLevel(field) => {
                    self.forbid(true, path, "default", &format!("must not be set in top-level {field}"));
                }
                Defaults::MetadataMap => {
                    let detail = "must not be set inside additionalProperties applying to object metadata";
                    self.forbid(true, path, "default", detail);
                }
            }
        }
        let is_said = |field: &str| schema.at(field).is_some();
        self.forbid(!schema.text("id").is_empty(), path, "id", "id is not supported");
        self.forbid(is_said("additionalItems"), path, "additionalItems", "additionalItems is not supported");
        let has_patterns = schema.has_entries("patternProperties");
        self.forbid(has_patterns, path, "patternProperties", "patternProperties is not supported");
        self.forbid(schema.has_entries("definitions"), path, "definitions", "definitions is not supported");
        self.forbid(is_said("dependencies"), path, "dependencies", "dependencies is not supported");
        self.forbid(is_said("$ref"), path, "$ref", "$ref is not supported");
        let no_null = "type cannot be set to null, use nullable as an alternative";
        self.forbid(schema.kind() == "null", path, "type", no_null);
        let no_list = "items must be a schema object and not an array";
        self.forbid(!schema.item_list().is_empty(), path, "items", no_list);
        let is_nested_resource = place.in_metadata && schema.is(EMBEDDED);
        self.forbid(is_nested_resource, path, EMBEDDED, "must not be used inside of resource meta");
        let too_slow = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        self.forbid(schema.is("uniqueItems"), path, "uniqueItems", too_slow);
    }

    /// Judges everything below a node; returns whether all of it can be read as structural schemas.
    fn below(&mut self, schema: Schema<'_>, path: &Path<'_>, place: Place<'_>) -> bool {
        let inner = Place { is_root: false, ..place };
        let mut converts = self.additional_properties(schema, path, inner);
        converts &= self.properties(schema, path, place);
        let unjudged = Place { context: None, ..inner };
        if let Some(not) = schema.child("not") {
            converts &= self.node(not, &path.child("not"), unjudged);
        }
        for field in ["allOf", "oneOf", "anyOf"] {
            let path = path.child(field);
            for (index, nested) in schema.list(field).enumerate() {
                converts &= self.node(nested, &path.index(index), unjudged);
            }
        }
        let definitions = path.child("definitions");
        for (name, definition) in schema.map("definitions") {
            self.node(definition, &definitions.key(name), unjudged);
        }
        converts &= self.items(schema, path, inner);
        let dependencies = path.child("dependencies");
        for (name, dependency) in schema.map("dependencies").filter(|(_, dependency)| dependency.0.is_object()) {
            self.node(dependency, &dependencies.key(name), unjudged);
        }
        converts
    }

    fn additional_properties(&mut self, schema: Schema<'_>, path: &Path<'_>, place: Place<'_>) -> bool {
        let Some(additional) = schema.additional_properties() else { return true };
        let says_more = !matches!(additional, Additional::Bool(true));
        let is_both = says_more && schema.has_entries("properties");
        let detail = "additionalProperties and properties are mutual exclusive";
        self.forbid(is_both, path, "additionalProperties", detail);
        let Additional::Schema(additional) = additional else { return true };
        let defaults = if place.in_metadata { Defaults::MetadataMap } else { place.defaults };
        let context = place.context.and_then(|context| context.additional(schema, additional));
        self.node(additional, &path.child("additionalProperties"), Place { defaults, context, ..place })
    }

    fn properties(&mut self, schema: Schema<'_>, path: &Path<'_>, place: Place<'_>) -> bool {
        let mut converts = true;
        // A map type that nobody knows says nothing about how values are found again.
        let is_correlatable = schema.map_type().is_none_or(|kind| matches!(kind, "granular" | "atomic"));
        let uncorrelatable = if is_correlatable { place.uncorrelatable } else { place.uncorrelatable.or(Some(path)) };
        let properties = path.child("properties");
        let is_resource = place.is_root || schema.is(EMBEDDED);
        for (name, property) in schema.properties() {
            let context = place.context.and_then(|context| context.property(schema, name, property));
            let mut inner = Place { is_root: false, uncorrelatable, context, ..place };
            if is_resource && META_FIELDS.contains(&name) {
                inner.in_metadata = true;
                if place.is_root {
                    inner.defaults = Defaults::TopLevel(name);
                }
            }
            converts &= self.node(property, &properties.key(name), inner);
        }
        converts
    }

    fn items(&mut self, schema: Schema<'_>, path: &Path<'_>, place: Place<'_>) -> bool {
        let is_keyed = schema.list_type() == Some("map");
        let uncorrelatable = if is_keyed { place.uncorrelatable } else { place.uncorrelatable.or(Some(path)) };
        let place = Place { uncorrelatable, ..place };
        let path = path.child("items");
        let converts = schema.items().is_none_or(|items| {
            let context = place.context.and_then(|context| context.item(schema, items));
            self.node(items, &path, Place { context, ..place })
        });
        let place = Place { context: None, ..place };
        for (index, item) in schema.item_list().iter().enumerate() {
            self.node(Schema(item), &path.index(index), place);
        }
        converts
    }
}
