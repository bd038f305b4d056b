//! What a node of a schema is to its rules: the types of their values, and how often they may be evaluated for one object.
//!
//! Source: upstream `apiextensions/validation/cel_validation.go`.

use std::sync::Arc;

use serde_json::Value;
use windlass_machinery::tree::items;

use super::super::schema::{Schema, VALIDATIONS};
use crate::definition::rules::{Shape, Types};

/// The context of a node, from those above it.
#[derive(Clone, Copy)]
pub(super) struct Context<'p> {
    pub(super) shape: &'p Arc<Shape>,
    /// How many values of the node an object may have; `None` where no schema above bounds it.
    cardinality_max: Option<u64>,
    /// Whether the node or one above it has rules. Only then types matter.
    has_rules_above: bool,
    /// Expressions cannot have values of this node, or of one above it that has rules.
    pub(super) is_untyped: bool,
}

impl<'p> Context<'p> {
    pub(super) fn root(shape: &'p Arc<Shape>, schema: Schema<'_>) -> Self {
        let has_rules = has_rules(schema);
        Self {
            shape,
            cardinality_max: Some(1),
            has_rules_above: has_rules,
            is_untyped: has_rules && Types::of(shape).is_none(),
        }
    }

    /// The context of a named property.
    pub(super) fn property(self, owner: Schema<'_>, name: &str, schema: Schema<'_>) -> Option<Self> {
        // A rule above is about a resource as expressions see it, with the metadata that it has of itself.
        let shape = if self.has_rules_above { self.shape.field(name) } else { self.shape.own_field(name) };
        Some(self.child(owner, schema, shape?))
    }

    pub(super) fn additional(self, owner: Schema<'_>, schema: Schema<'_>) -> Option<Self> {
        Some(self.child(owner, schema, self.shape.additional()?))
    }

    pub(super) fn item(self, owner: Schema<'_>, schema: Schema<'_>) -> Option<Self> {
        Some(self.child(owner, schema, self.shape.item()?))
    }

    fn child(self, owner: Schema<'_>, schema: Schema<'_>, shape: &'p Arc<Shape>) -> Self {
        let has_rules_above = self.has_rules_above || has_rules(schema);
        let cardinality_max = self.cardinality_max.zip(elements_max(owner)).map(|(own, each)| own.saturating_mul(each));
        let is_untyped = self.is_untyped || (has_rules_above && Types::of(shape).is_none());
        Self { shape, cardinality_max, has_rules_above, is_untyped }
    }

    /// What a rule of the node may cost for one object, if it costs so much each time.
    pub(super) fn cost_max(self, each: u64, types: &Types) -> u64 {
        each.saturating_mul(self.cardinality_max.unwrap_or_else(|| types.cardinality_max()))
    }
}

fn has_rules(schema: Schema<'_>) -> bool {
    items(schema.0, VALIDATIONS).next().is_some()
}

/// How many values of the nodes below one of a node has; `None` for any number.
fn elements_max(schema: Schema<'_>) -> Option<u64> {
    let max = |field: &str| Some(schema.at(field).and_then(Value::as_i64)?.max(0).unsigned_abs());
    match schema.kind() {
        "object" if schema.additional_properties().is_some() => max("maxProperties"),
        "array" => max("maxItems"),
        _ => Some(1),
    }
}
