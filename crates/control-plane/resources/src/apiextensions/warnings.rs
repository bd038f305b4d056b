//! What the writer of a definition should know although it is valid: formats that nobody checks, and sets that cannot be merged.
//!
//! Source: upstream `registry/customresourcedefinition/strategy.go`, `apiserver/validation/formats.go`.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use crate::resource::WARNINGS_MAX;

use super::layout::Layout;
use super::schema::Schema;

/// The formats of texts that are checked, without the dashes that do not count.
const TEXT_FORMATS: [&str; 26] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "k8sshortname",
    "k8slongname",
];

/// The warnings about a definition; of a changed one only those that the old one did not deserve.
pub(super) fn warnings(definition: &Value, old: Option<&Value>) -> Vec<String> {
    let (mut formats, sets) = findings(definition);
    let (old_formats, old_sets) = old.map(findings).unwrap_or_default();
    let known: HashSet<&str> = old_formats.into_iter().collect();
    formats.retain(|format| !known.contains(format));
    let sets = sets.difference(&old_sets).map(|kind| {
        format!(
            "x-kubernetes-list-type: set for items of type {kind:?} is not supported by server-side apply or CEL validation rules"
        )
    });
    formats.into_iter().map(|format| format!("unrecognized format {format:?}")).chain(sets).collect()
}

/// The unknown formats, in the order in which they stand, and the types of items of sets that are no scalars.
fn findings(definition: &Value) -> (Vec<&str>, BTreeSet<&str>) {
    let (mut formats, mut seen, mut sets) = (Vec::new(), HashSet::new(), BTreeSet::new());
    for schema in Layout::of(definition).schemas() {
        schema.visit(&mut |schema| {
            let format = schema.text("format");
            if formats.len() < WARNINGS_MAX && !is_known_format(format, schema.kind()) && seen.insert(format) {
                formats.push(format);
            }
            if let Some(kind @ ("object" | "array")) = set_items(schema) {
                sets.insert(kind);
            }
        });
    }
    (formats, sets)
}

fn is_known_format(format: &str, kind: &str) -> bool {
    match kind {
        _ if format.is_empty() => true,
        "" | "string" => TEXT_FORMATS.contains(&&*format.replace('-', "")),
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        _ => false,
    }
}

/// The type of the items of a set.
fn set_items(schema: Schema<'_>) -> Option<&str> {
    schema.items().filter(|_| schema.list_type() == Some("set")).map(Schema::kind)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(properties: Value) -> Value {
        let schema = json!({"openAPIV3Schema": {"type": "object", "properties": properties}});
        json!({"spec": {"versions": [{"name": "v1", "schema": schema}]}})
    }

    #[test]
    fn formats_and_sets() {
        let new = definition(json!({
            "a": {"type": "string", "format": "date-time"},
            "b": {"type": "string", "format": "dates"},
            "c": {"type": "integer", "format": "int8"},
            "d": {"type": "boolean", "format": "byte"},
            "e": {"type": "string", "format": "dates"},
            "f": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object"}},
            "g": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}
        }));
        let expected = [
            "unrecognized format \"dates\"",
            "unrecognized format \"int8\"",
            "unrecognized format \"byte\"",
            "x-kubernetes-list-type: set for items of type \"object\" is not supported by server-side apply or CEL validation \
             rules",
        ];
        assert_eq!(warnings(&new, None), expected);
        let old = definition(json!({"x": {"type": "string", "format": "int8"}}));
        assert_eq!(warnings(&new, Some(&old)), [expected[0], expected[2], expected[3]]);
        assert_eq!(warnings(&new, Some(&new)), [] as [&str; 0]);
    }
}
