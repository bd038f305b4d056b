//! One value held against its schema.
//!
//! Each function adds what it finds, in upstream's order, and those that matter for it return the number of checks passed
//! (see [`super::logic`]).
//!
//! Source: kube-openapi `pkg/validation/validate` (`schema.go`, `type.go`, `validator.go`, `object_validator.go`,
//! `slice_validator.go`), apiextensions-apiserver `pkg/apiserver/validation/validation.go`.

use std::collections::HashSet;

use serde_json::{Map, Value};
use windlass_api::field::ErrorType;
use windlass_api::text::quoted;

use super::compare::{is_listed, strict_identity};
use super::correlation::Pair;
use super::findings::Findings;
use super::formats::Format;
use super::go_print::{Num, json};
use super::kind::Kind;
use super::numbers::is_integer;
use super::place::Place;
use super::schema::{Rules, SizeRules, Structural, TextRules, sorted};
use super::validate::Walk;

impl Walk<'_> {
    /// Returns the number of checks passed.
    pub(super) fn value(
        &self,
        schema: &Structural,
        value: &Value,
        place: &Place<'_>,
        pair: Option<Pair<'_>>,
        out: &mut Findings,
    ) -> u64 {
        let mark = out.mark();
        let passed =
            if value.is_null() { self.null(schema, place, out) } else { self.present(schema, value, place, pair, out) };
        if let (Some(pair), Some(correlation)) = (pair, self.correlation)
            && !out.is_clean_since(mark)
            && correlation.is_same(schema, value, pair)
        {
            out.forget_since(mark);
        }
        passed
    }

    fn null(&self, schema: &Structural, place: &Place<'_>, out: &mut Findings) -> u64 {
        let is_fine = schema.kind == Kind::Any || schema.is_nullable;
        if !is_fine {
            self.mistyped(place, schema.kind.name(), "null", out);
        }
        if let Some(rules) = &schema.rules {
            self.listed(rules, &Value::Null, place, out);
        }
        u64::from(is_fine)
    }

    fn present(
        &self,
        schema: &Structural,
        value: &Value,
        place: &Place<'_>,
        pair: Option<Pair<'_>>,
        out: &mut Findings,
    ) -> u64 {
        let rules = schema.rules.as_deref();
        let format = rules.and_then(|rules| rules.format.as_deref());
        let mut passed = 0;
        if schema.kind != Kind::Any || format.is_some() {
            passed += 1 + u64::from(self.has_type(schema.kind, format, value, place, out));
        }
        // The combination of schemas counts as passed also where there is none.
        passed += 2;
        if let Some(logic) = rules.and_then(|rules| rules.logic.as_deref()) {
            passed += self.logic(logic, value, place, out);
        }
        passed += match value {
            Value::String(text) => self.text(rules, text, place, out),
            Value::Number(number) => {
                self.number(schema, Num::of(number), place, out);
                2
            }
            Value::Array(items) => 2 + self.items(schema, items, place, pair, out),
            _ => 0,
        };
        if let Some(rules) = rules {
            self.listed(rules, value, place, out);
        }
        passed += 1;
        if let Value::Object(map) = value {
            passed += 1 + self.object(schema, map, place, pair, out);
        }
        passed + 1
    }

    fn has_type(
        &self,
        kind: Kind,
        format: Option<&Format>,
        value: &Value,
        place: &Place<'_>,
        out: &mut Findings,
    ) -> bool {
        let (name, own_format, is_of_kind) = match value {
            Value::Null => ("null", "", false),
            Value::Bool(_) => ("boolean", "", kind == Kind::Boolean),
            Value::String(_) => ("string", "", matches!(kind, Kind::String | Kind::IntOrString)),
            Value::Array(_) => ("array", "", kind == Kind::Array),
            Value::Object(_) => ("object", "", kind == Kind::Object),
            Value::Number(number) => match Num::of(number) {
                Num::Int(_) => ("integer", "int64", kind.is_numeric()),
                Num::Float(float) => {
                    ("number", "float64", kind == Kind::Number || kind.takes_integers() && is_integer(float))
                }
            },
        };
        let is_sequence = value.is_string() || value.is_array();
        match format {
            Some(format) if !is_sequence && !is_of_kind && format.name() != own_format => {
                self.mistyped(place, format.name(), own_format, out);
                false
            }
            // The format speaks for the type, also to a list.
            Some(_) if is_sequence && !kind.is_numeric() => true,
            _ if is_of_kind => true,
            _ => {
                self.mistyped(place, kind.name(), name, out);
                false
            }
        }
    }

    fn mistyped(&self, place: &Place<'_>, wanted: &str, found: &str, out: &mut Findings) {
        out.push(|| {
            let detail = format!("{place} in body must be of type {wanted}: {}", quoted(found));
            self.error(ErrorType::TypeInvalid, place, Some(&found.into()), detail)
        });
    }

    fn text(&self, rules: Option<&Rules>, text: &str, place: &Place<'_>, out: &mut Findings) -> u64 {
        if let Some(rules) = rules.and_then(|rules| rules.text.as_deref()) {
            self.text_rules(rules, text, place, out);
        }
        let format = rules.and_then(|rules| rules.format.as_deref()).filter(|format| format.is_of_text());
        let Some(format) = format else { return 1 };
        if !format.is_match(text) {
            self.mistyped(place, format.name(), text, out);
        }
        2
    }

    /// Of length and pattern, the first that is not fulfilled is reported.
    fn text_rules(&self, rules: &TextRules, text: &str, place: &Place<'_>, out: &mut Findings) {
        let length = text.chars().count() as i64;
        if let Some(max) = rules.max_length.filter(|max| length > *max) {
            out.push(|| self.error(ErrorType::TooLong, place, None, too_long(max)));
            return;
        }
        let detail = if let Some(min) = rules.min_length.filter(|min| length < *min) {
            format!("{place} in body should be at least {min} chars long")
        } else if let Some(pattern) = &rules.pattern {
            match pattern.is_match(text) {
                Ok(true) => return,
                Ok(false) => format!("{place} in body should match '{}'", pattern.source()),
                Err(problem) => {
                    let source = pattern.source();
                    format!("{place} in body should match '{source}, but pattern is invalid: {problem}'")
                }
            }
        } else {
            return;
        };
        out.push(|| self.error(ErrorType::Invalid, place, Some(&text.into()), detail));
    }

    fn listed(&self, rules: &Rules, value: &Value, place: &Place<'_>, out: &mut Findings) {
        if rules.allowed.is_empty() || is_listed(value, &rules.allowed) {
            return;
        }
        out.push(|| {
            let allowed = rules.allowed.iter().map(|allowed| match allowed {
                Value::String(text) => quoted(text),
                other => quoted(&json(other)),
            });
            let detail = format!("supported values: {}", allowed.collect::<Vec<_>>().join(", "));
            self.error(ErrorType::NotSupported, place, Some(value), detail)
        });
    }

    fn items(
        &self,
        schema: &Structural,
        items: &[Value],
        place: &Place<'_>,
        pair: Option<Pair<'_>>,
        out: &mut Findings,
    ) -> u64 {
        let mut passed = 0;
        if let Some(item_schema) = schema.items.as_deref() {
            for (index, item) in items.iter().enumerate() {
                let pair = pair.zip(self.correlation).and_then(|(pair, all)| all.item(schema, item, pair));
                passed += self.value(item_schema, item, &Place::Item(place, index), pair, out);
            }
        }
        if let Some(rules) = schema.rules.as_deref().and_then(|rules| rules.size.as_deref()) {
            self.list_size(rules, items, place, out);
        }
        passed
    }

    fn list_size(&self, rules: &SizeRules, items: &[Value], place: &Place<'_>, out: &mut Findings) {
        let size = items.len() as i64;
        if let Some(min) = rules.min_items.filter(|min| size < *min) {
            let detail = format!("{place} in body should have at least {min} items");
            out.push(|| self.error(ErrorType::Invalid, place, Some(&size.into()), detail));
        }
        if let Some(max) = rules.max_items.filter(|max| size > *max) {
            out.push(|| self.error(ErrorType::TooMany, place, Some(&size.into()), too_many(max)));
        }
        if rules.unique_items {
            let mut seen = HashSet::with_capacity(items.len());
            if !items.iter().all(|item| seen.insert(strict_identity(item))) {
                let detail = format!("{place} in body shouldn't contain duplicates");
                out.push(|| self.error(ErrorType::Invalid, place, Some(&"".into()), detail));
            }
        }
    }

    fn object(
        &self,
        schema: &Structural,
        map: &Map<String, Value>,
        place: &Place<'_>,
        pair: Option<Pair<'_>>,
        out: &mut Findings,
    ) -> u64 {
        let rules = schema.rules.as_deref();
        if let Some(rules) = rules.and_then(|rules| rules.size.as_deref()) {
            self.object_size(rules, map.len() as i64, place, out);
        }
        let mut passed = 0;
        let child = |name: &str| {
            // Both versions of an object are shown to the client as of one apiVersion and kind, so those never ratchet.
            let is_type = place.is_root() && matches!(name, "apiVersion" | "kind");
            pair.filter(|_| !is_type).and_then(|pair| pair.field(name))
        };
        if schema.is_closed || schema.additional.is_some() {
            for (name, value) in sorted(map).filter(|(name, _)| schema.property(name).is_none()) {
                if let Some(additional) = &schema.additional {
                    passed += self.value(additional, value, &Place::Additional(place, name), child(name), out);
                } else {
                    let detail = format!("{place}.{name} in body is a forbidden property");
                    out.push(|| self.error(ErrorType::Invalid, place, Some(&name.as_str().into()), detail));
                }
            }
        }
        for (name, property) in &schema.properties {
            if let Some(value) = map.get(&**name) {
                passed += self.value(property, value, &Place::Property(place, name), child(name), out);
            }
        }
        for name in rules.into_iter().flat_map(|rules| &rules.required).filter(|name| !map.contains_key(&***name)) {
            out.push(|| self.error(ErrorType::Required, &Place::Additional(place, name), None, String::new()));
        }
        passed
    }

    fn object_size(&self, rules: &SizeRules, size: i64, place: &Place<'_>, out: &mut Findings) {
        if let Some(min) = rules.min_properties.filter(|min| size < *min) {
            let detail = format!("{place} in body should have at least {min} properties");
            out.push(|| self.error(ErrorType::Invalid, place, Some(&size.into()), detail));
        }
        if let Some(max) = rules.max_properties.filter(|max| size > *max) {
            out.push(|| self.error(ErrorType::TooMany, place, Some(&size.into()), too_many(max)));
        }
    }
}

/// Upstream says bytes and counts characters.
fn too_long(max: i64) -> String {
    match max {
        ..=-1 => "value is too long".to_owned(),
        1 => "may not be more than 1 byte".to_owned(),
        _ => format!("may not be more than {max} bytes"),
    }
}

fn too_many(max: i64) -> String {
    match max {
        ..=-1 => "has too many items".to_owned(),
        1 => "must have at most 1 item".to_owned(),
        _ => format!("must have at most {max} items"),
    }
}
