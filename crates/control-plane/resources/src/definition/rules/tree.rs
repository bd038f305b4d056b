//! The compiled rules of a schema: a tree of those nodes that have rules, or have some below.

use std::sync::Arc;

use serde_json::Value;
use windlass_api::field::ErrorType;
use windlass_cel::{Patterns, Program};
use windlass_machinery::tree::{items, text};

use super::compile::{Modes, Types, compile, is_old_optional};
use super::field_path;
use super::message::MessageExpression;
use super::shape::Shape;

/// The rules of a node, and those below it.
pub(crate) struct Rules {
    pub(super) shape: Arc<Shape>,
    pub(super) rules: Box<[Rule]>,
    /// There are rules, and expressions cannot have values of such a schema. No definition that was accepted has any.
    pub(super) is_untyped: bool,
    /// Whether a rule of this node reads the old value. If none does, message expressions do not get it either.
    pub(super) sees_old: bool,
    pub(super) properties: Box<[(Box<str>, Rules)]>,
    pub(super) additional: Option<Box<Rules>>,
    pub(super) items: Option<Box<Rules>>,
}

/// A rule, ready to run.
pub(super) struct Rule {
    /// Or why it cannot run.
    pub(super) program: Result<Program, String>,
    pub(super) uses_self: bool,
    pub(super) uses_old_self: bool,
    pub(super) is_old_optional: bool,
    pub(super) message: Option<MessageExpression>,
    /// What is said when the rule is broken and there is no message expression.
    pub(super) detail: Box<str>,
    /// The rule in other errors.
    pub(super) shown: Box<str>,
    pub(super) reason: ErrorType,
    /// The field in which it shows, from the node.
    pub(super) field: Option<Box<str>>,
}

impl Rules {
    /// Reads an `openAPIV3Schema`, or a node of one; `None` if it has no rules.
    pub(crate) fn read(schema: &Value, is_resource: bool, patterns: &Arc<Patterns>) -> Option<Self> {
        if !has_rules(schema) {
            return None;
        }
        build(schema, &Arc::new(Shape::read(schema, is_resource)), patterns)
    }

    pub(crate) fn property(&self, name: &str) -> Option<&Self> {
        let place = self.properties.binary_search_by(|(own, _)| (**own).cmp(name)).ok()?;
        Some(&self.properties[place].1)
    }

    pub(crate) fn items(&self) -> Option<&Self> {
        self.items.as_deref()
    }
}

/// Whether a schema has rules outside of what only narrows values.
fn has_rules(schema: &Value) -> bool {
    let properties = schema.get("properties").and_then(Value::as_object);
    items(schema, "x-kubernetes-validations").next().is_some()
        || ["items", "additionalProperties"].iter().any(|field| schema.get(field).is_some_and(has_rules))
        || properties.is_some_and(|properties| properties.values().any(has_rules))
}

fn build(schema: &Value, shape: &Arc<Shape>, patterns: &Arc<Patterns>) -> Option<Rules> {
    let below = |field: &str, shape: Option<&Arc<Shape>>| build(schema.get(field)?, shape?, patterns).map(Box::new);
    let property = |(name, property): (&String, &Value)| {
        let shape = shape.field(name)?;
        let rules = build(property, shape, patterns)?;
        // What expressions cannot have is left out, with all below it.
        Types::of(shape).map(|_| (Box::from(name.as_str()), rules))
    };
    let named = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let mut properties: Box<[(Box<str>, Rules)]> = named.filter_map(property).collect();
    properties.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let has_own = items(schema, "x-kubernetes-validations").next().is_some();
    let types = if has_own { Types::of(shape) } else { None };
    let rules: Box<[Rule]> = types.iter().flat_map(|types| own(schema, types, patterns)).collect();
    let all = Rules {
        shape: shape.clone(),
        sees_old: rules.iter().any(|rule| rule.uses_old_self),
        rules,
        is_untyped: has_own && types.is_none(),
        properties,
        additional: below("additionalProperties", shape.additional()),
        items: below("items", shape.item()),
    };
    let has_any = has_own || !all.properties.is_empty() || all.additional.is_some() || all.items.is_some();
    has_any.then_some(all)
}

/// The rules of a node itself. They were accepted before, whatever is new since.
fn own<'a>(schema: &'a Value, types: &'a Types, patterns: &'a Arc<Patterns>) -> impl Iterator<Item = Rule> {
    items(schema, "x-kubernetes-validations").filter_map(move |rule| {
        let compiled = compile(rule, types, Modes::STORED, patterns)?;
        let (source, message) = (text(rule, "rule").trim(), text(rule, "message"));
        let field = Some(text(rule, "fieldPath")).filter(|path| !path.is_empty());
        let mut made = Rule {
            program: Err(String::new()),
            uses_self: false,
            uses_old_self: false,
            is_old_optional: is_old_optional(rule),
            message: None,
            detail: if message.is_empty() { format!("failed rule: {source}").into() } else { message.trim().into() },
            shown: if message.is_empty() { source.into() } else { message.trim().into() },
            reason: reason(rule),
            field: field
                .and_then(|path| field_path::find(path, Some(schema), true).ok())
                .map(|found| found.path.into()),
        };
        match compiled {
            Err(detail) => made.program = Err(detail),
            Ok(compiled) => {
                (made.uses_self, made.uses_old_self) = (compiled.uses_self, compiled.uses_old_self);
                if matches!(compiled.message, Some(Err(_))) {
                    // As upstream has it: it looks no further.
                    made.field = None;
                }
                let message = compiled.message.and_then(Result::ok);
                let source = text(rule, "messageExpression").into();
                made.message = message.map(|message| MessageExpression { program: message.program, source });
                made.program = Ok(compiled.program);
            }
        }
        Some(made)
    })
}

fn reason(rule: &Value) -> ErrorType {
    match text(rule, "reason") {
        "FieldValueForbidden" => ErrorType::Forbidden,
        "FieldValueRequired" => ErrorType::Required,
        "FieldValueDuplicate" => ErrorType::Duplicate,
        _ => ErrorType::Invalid,
    }
}
