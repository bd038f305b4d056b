//! Reading a schema's JSON. A tree that the definition's validation accepted is read whole; of any other, what makes sense.

use std::sync::Arc;

use serde_json::Value;
use windlass_regexp::Patterns;

use super::formats::Format;
use super::kind::Kind;
use super::pattern::Pattern;
use super::schema::{ListType, Logic, NumberRules, Rules, SizeRules, Structural, TextRules};

impl Structural {
    /// Reads the `openAPIV3Schema` of a version of a CustomResourceDefinition (v1).
    pub fn read(schema: &Value) -> Self {
        Self::read_within(schema, &Patterns::of_schemas())
    }

    /// Reads a schema, or a node of one, whose regular expressions are among others.
    pub fn read_within(schema: &Value, patterns: &Arc<Patterns>) -> Self {
        let is_true = |field: &str| schema.get(field) == Some(&Value::Bool(true));
        let node = |field: &str| {
            schema.get(field).filter(|node| node.is_object()).map(|node| Box::new(Self::read_within(node, patterns)))
        };
        let kind = if is_true("x-kubernetes-int-or-string") { Kind::IntOrString } else { kind(schema) };
        let (properties, additional, items) =
            (properties(schema, patterns), node("additionalProperties"), node("items"));
        let list = list_type(schema).map(Box::new);
        let is_embedded = is_true("x-kubernetes-embedded-resource");
        let below = || properties.iter().map(|(_, node)| node).chain(additional.as_deref()).chain(items.as_deref());
        Self {
            kind,
            holds_lists: list.is_some() || below().any(|node| node.holds_lists),
            holds_embedded: is_embedded || below().any(|node| node.holds_embedded),
            is_nullable: is_true("nullable"),
            is_embedded,
            is_closed: schema.get("additionalProperties") == Some(&Value::Bool(false)),
            properties,
            additional,
            items,
            default: schema.get("default").filter(|default| !default.is_null()).cloned().map(Box::new),
            list,
            rules: rules(schema, kind, patterns).map(Box::new),
        }
    }
}

fn kind(schema: &Value) -> Kind {
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => Kind::Object,
        Some("array") => Kind::Array,
        Some("string") => Kind::String,
        Some("integer") => Kind::Integer,
        Some("number") => Kind::Number,
        Some("boolean") => Kind::Boolean,
        _ => Kind::Any,
    }
}

fn properties(schema: &Value, patterns: &Arc<Patterns>) -> Box<[(Box<str>, Structural)]> {
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let mut read: Vec<_> =
        properties.map(|(name, node)| (name.as_str().into(), Structural::read_within(node, patterns))).collect();
    read.sort_unstable_by(|(a, _): &(Box<str>, _), (b, _)| a.cmp(b));
    read.into()
}

fn list_type(schema: &Value) -> Option<ListType> {
    match schema.get("x-kubernetes-list-type")?.as_str()? {
        "set" => Some(ListType::Set),
        "map" => Some(ListType::Map(words(schema, "x-kubernetes-list-map-keys"))),
        _ => None,
    }
}

fn rules(schema: &Value, kind: Kind, patterns: &Arc<Patterns>) -> Option<Rules> {
    let rules = Rules {
        format: Format::read(schema, kind).map(Box::new),
        text: text_rules(schema, patterns).map(Box::new),
        number: number_rules(schema).map(Box::new),
        size: size_rules(schema).map(Box::new),
        logic: logic(schema, patterns).map(Box::new),
        allowed: schema.get("enum").and_then(Value::as_array).cloned().unwrap_or_default().into(),
        required: words(schema, "required"),
    };
    let says_something = rules.format.is_some()
        || rules.text.is_some()
        || rules.number.is_some()
        || rules.size.is_some()
        || rules.logic.is_some()
        || !rules.allowed.is_empty()
        || !rules.required.is_empty();
    says_something.then_some(rules)
}

fn text_rules(schema: &Value, patterns: &Arc<Patterns>) -> Option<TextRules> {
    let pattern = schema.get("pattern").and_then(Value::as_str);
    let rules = TextRules {
        max_length: count(schema, "maxLength"),
        min_length: count(schema, "minLength"),
        pattern: pattern.filter(|source| !source.is_empty()).map(|source| Pattern::new(source, patterns)),
    };
    (rules.max_length.is_some() || rules.min_length.is_some() || rules.pattern.is_some()).then_some(rules)
}

fn number_rules(schema: &Value) -> Option<NumberRules> {
    let number = |field: &str| schema.get(field).and_then(Value::as_f64);
    let is_true = |field: &str| schema.get(field) == Some(&Value::Bool(true));
    let rules = NumberRules {
        multiple_of: number("multipleOf"),
        minimum: number("minimum"),
        maximum: number("maximum"),
        excludes_minimum: is_true("exclusiveMinimum"),
        excludes_maximum: is_true("exclusiveMaximum"),
    };
    (rules.multiple_of.is_some() || rules.minimum.is_some() || rules.maximum.is_some()).then_some(rules)
}

fn size_rules(schema: &Value) -> Option<SizeRules> {
    let rules = SizeRules {
        min_items: count(schema, "minItems"),
        max_items: count(schema, "maxItems"),
        min_properties: count(schema, "minProperties"),
        max_properties: count(schema, "maxProperties"),
        unique_items: schema.get("uniqueItems") == Some(&Value::Bool(true)),
    };
    let counts = [rules.min_items, rules.max_items, rules.min_properties, rules.max_properties];
    (rules.unique_items || counts.iter().any(Option::is_some)).then_some(rules)
}

fn logic(schema: &Value, patterns: &Arc<Patterns>) -> Option<Logic> {
    let branches = |field: &str| -> Box<[Structural]> {
        schema
            .get(field)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|node| Structural::read_within(node, patterns))
            .collect()
    };
    let logic = Logic {
        all_of: branches("allOf"),
        any_of: branches("anyOf"),
        one_of: branches("oneOf"),
        not: schema.get("not").filter(|node| node.is_object()).map(|node| Structural::read_within(node, patterns)),
    };
    let is_some =
        logic.not.is_some() || !logic.all_of.is_empty() || !logic.any_of.is_empty() || !logic.one_of.is_empty();
    is_some.then_some(logic)
}

fn count(schema: &Value, field: &str) -> Option<i64> {
    schema.get(field).and_then(Value::as_i64)
}

fn words(schema: &Value, field: &str) -> Box<[Box<str>]> {
    let items = schema.get(field).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(Box::from).collect()
}
