//! Versions and schemas as upstream prints them in messages: the JSON of its internal Go structures, every field in its order.
//!
//! Source: upstream `apiextensions/types.go`, `types_jsonschema.go`.

use serde_json::Value;
use windlass_api::field::{Error, ErrorType, Path};
use windlass_machinery::go;
use windlass_machinery::tree::{items, number, text};

use crate::rules::{at, is_true, object_at};

use super::layout::{Layout, Part};

/// As many schemas are printed; every further one is `null`. Each becomes a kilobyte.
const SCHEMAS_MAX: usize = 1000;

/// The kinds of fields of a schema.
#[derive(Clone, Copy)]
enum Field {
    Text,
    Flag,
    /// As it is, or `null`.
    Plain,
    Docs,
    Schema,
    Schemas,
    SchemaMap,
    SchemaOrArray,
    SchemaOrBool,
    Dependencies,
    Rules,
}

const FIELDS: [(&str, &str, Field); 44] = [
    ("ID", "id", Field::Text),
    ("Schema", "$schema", Field::Text),
    ("Ref", "$ref", Field::Plain),
    ("Description", "description", Field::Text),
    ("Type", "type", Field::Text),
    ("Nullable", "nullable", Field::Flag),
    ("Format", "format", Field::Text),
    ("Title", "title", Field::Text),
    ("Default", "default", Field::Plain),
    ("Maximum", "maximum", Field::Plain),
    ("ExclusiveMaximum", "exclusiveMaximum", Field::Flag),
    ("Minimum", "minimum", Field::Plain),
    ("ExclusiveMinimum", "exclusiveMinimum", Field::Flag),
    ("MaxLength", "maxLength", Field::Plain),
    ("MinLength", "minLength", Field::Plain),
    ("Pattern", "pattern", Field::Text),
    ("MaxItems", "maxItems", Field::Plain),
    ("MinItems", "minItems", Field::Plain),
    ("UniqueItems", "uniqueItems", Field::Flag),
    ("MultipleOf", "multipleOf", Field::Plain),
    ("Enum", "enum", Field::Plain),
    ("MaxProperties", "maxProperties", Field::Plain),
    ("MinProperties", "minProperties", Field::Plain),
    ("Required", "required", Field::Plain),
    ("Items", "items", Field::SchemaOrArray),
    ("AllOf", "allOf", Field::Schemas),
    ("OneOf", "oneOf", Field::Schemas),
    ("AnyOf", "anyOf", Field::Schemas),
    ("Not", "not", Field::Schema),
    ("Properties", "properties", Field::SchemaMap),
    ("AdditionalProperties", "additionalProperties", Field::SchemaOrBool),
    ("PatternProperties", "patternProperties", Field::SchemaMap),
    ("Dependencies", "dependencies", Field::Dependencies),
    ("AdditionalItems", "additionalItems", Field::SchemaOrBool),
    ("Definitions", "definitions", Field::SchemaMap),
    ("ExternalDocs", "externalDocs", Field::Docs),
    ("Example", "example", Field::Plain),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields", Field::Plain),
    ("XEmbeddedResource", "x-kubernetes-embedded-resource", Field::Flag),
    ("XIntOrString", "x-kubernetes-int-or-string", Field::Flag),
    ("XListMapKeys", "x-kubernetes-list-map-keys", Field::Plain),
    ("XListType", "x-kubernetes-list-type", Field::Plain),
    ("XMapType", "x-kubernetes-map-type", Field::Plain),
    ("XValidations", "x-kubernetes-validations", Field::Rules),
];

/// A value that is invalid, printed by this module. The order of fields would be lost in a [`Value`].
pub(super) fn invalid(path: &Path<'_>, printed: &str, detail: &str) -> Error {
    Error { kind: ErrorType::Invalid, field: path.to_string(), value: None, detail: format!("{printed}: {detail}") }
}

/// A schema.
pub(super) fn schema(schema: &Value) -> String {
    Printer::print(|printer| printer.schema(schema))
}

/// A rule of `x-kubernetes-validations`.
pub(super) fn rule(rule: &Value) -> String {
    Printer::print(|printer| printer.rule(rule))
}

/// What `items` of a schema says.
pub(super) fn items_of(value: &Value) -> String {
    Printer::print(|printer| printer.schema_or_array(value))
}

/// `spec.versions`.
pub(super) fn versions(layout: &Layout<'_>) -> String {
    let is_list = layout.spec.get("versions").is_some_and(Value::is_array);
    Printer::print(|printer| {
        if is_list {
            printer.list(layout.versions, |printer, version| printer.version(layout, version));
        } else {
            printer.null();
        }
    })
}

struct Printer {
    text: String,
    schemas_left: usize,
}

impl Printer {
    fn print(print: impl FnOnce(&mut Self)) -> String {
        let mut printer = Self { text: String::new(), schemas_left: SCHEMAS_MAX };
        print(&mut printer);
        printer.text
    }

    fn null(&mut self) {
        self.text.push_str("null");
    }

    /// A value as it is; null when it is absent.
    fn plain(&mut self, value: Option<&Value>) {
        match value {
            Some(value) => self.text.push_str(&go::json(value)),
            None => self.null(),
        }
    }

    fn name(&mut self, name: &str) {
        if !self.text.ends_with('{') {
            self.text.push(',');
        }
        self.text.push_str(&go::json(&Value::from(name)));
        self.text.push(':');
    }

    /// A field of a structure that is text.
    fn text_field(&mut self, name: &str, owner: &Value, field: &str) {
        self.name(name);
        self.plain(Some(&Value::from(text(owner, field))));
    }

    fn plain_field(&mut self, name: &str, owner: &Value, field: &str) {
        self.name(name);
        self.plain(owner.get(field));
    }

    fn flag_field(&mut self, name: &str, owner: &Value, field: &str) {
        self.name(name);
        self.text.push_str(if is_true(owner, field) { "true" } else { "false" });
    }

    fn list<'a>(&mut self, list: impl IntoIterator<Item = &'a Value>, mut print: impl FnMut(&mut Self, &'a Value)) {
        self.text.push('[');
        for (index, item) in list.into_iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            print(self, item);
        }
        self.text.push(']');
    }

    fn structure(&mut self, print: impl FnOnce(&mut Self)) {
        self.text.push('{');
        print(self);
        self.text.push('}');
    }

    /// A structure that may be absent.
    fn optional<'a>(&mut self, value: Option<&'a Value>, print: impl FnOnce(&mut Self, &'a Value)) {
        match value {
            Some(value) => print(self, value),
            None => self.null(),
        }
    }

    fn version<'a>(&mut self, layout: &Layout<'a>, version: &'a Value) {
        self.structure(|printer| {
            printer.text_field("Name", version, "name");
            for (name, field) in [("Served", "served"), ("Storage", "storage"), ("Deprecated", "deprecated")] {
                printer.flag_field(name, version, field);
            }
            printer.plain_field("DeprecationWarning", version, "deprecationWarning");
            printer.name("Schema");
            printer.optional(layout.own(version, Part::Schema), |printer, validation| {
                printer.structure(|printer| {
                    printer.name("OpenAPIV3Schema");
                    printer.optional(at(validation, "openAPIV3Schema"), Self::schema);
                });
            });
            printer.name("Subresources");
            printer.optional(layout.own(version, Part::Subresources), Self::subresources);
            printer.name("AdditionalPrinterColumns");
            printer.optional(layout.own(version, Part::Columns), |printer, _| {
                printer.list(items(version, "additionalPrinterColumns"), Self::column);
            });
            printer.name("SelectableFields");
            printer.optional(layout.own(version, Part::SelectableFields), |printer, _| {
                printer.list(items(version, "selectableFields"), |printer, field| {
                    printer.structure(|printer| printer.text_field("JSONPath", field, "jsonPath"));
                });
            });
        });
    }

    fn column(&mut self, column: &Value) {
        self.structure(|printer| {
            for (name, field) in
                [("Name", "name"), ("Type", "type"), ("Format", "format"), ("Description", "description")]
            {
                printer.text_field(name, column, field);
            }
            printer.name("Priority");
            printer.plain(Some(&Value::from(number(column, "priority"))));
            printer.text_field("JSONPath", column, "jsonPath");
        });
    }

    fn subresources(&mut self, subresources: &Value) {
        self.structure(|printer| {
            printer.name("Status");
            printer.optional(object_at(subresources, "status"), |printer, _| printer.structure(|_| {}));
            printer.name("Scale");
            printer.optional(object_at(subresources, "scale"), |printer, scale| {
                printer.structure(|printer| {
                    printer.text_field("SpecReplicasPath", scale, "specReplicasPath");
                    printer.text_field("StatusReplicasPath", scale, "statusReplicasPath");
                    printer.plain_field("LabelSelectorPath", scale, "labelSelectorPath");
                });
            });
        });
    }

    fn schema(&mut self, schema: &Value) {
        let Some(left) = self.schemas_left.checked_sub(1) else { return self.null() };
        self.schemas_left = left;
        self.structure(|printer| {
            for (name, field, kind) in FIELDS {
                match kind {
                    Field::Text => printer.text_field(name, schema, field),
                    Field::Flag => printer.flag_field(name, schema, field),
                    Field::Plain => printer.plain_field(name, schema, field),
                    kind => {
                        printer.name(name);
                        printer.optional(at(schema, field), |printer, value| printer.field(kind, value));
                    }
                }
            }
        });
    }

    fn field(&mut self, kind: Field, value: &Value) {
        let list = || value.as_array().into_iter().flatten();
        match kind {
            Field::Text | Field::Flag | Field::Plain => self.plain(Some(value)),
            Field::Docs => self.structure(|printer| {
                printer.text_field("Description", value, "description");
                printer.text_field("URL", value, "url");
            }),
            Field::Schema => self.schema(value),
            Field::Schemas => self.list(list(), Self::schema),
            Field::SchemaMap => self.map(value, Self::schema),
            Field::SchemaOrArray => self.schema_or_array(value),
            Field::SchemaOrBool => self.structure(|printer| {
                printer.name("Allows");
                printer.plain(Some(&Value::from(value != &Value::Bool(false))));
                printer.name("Schema");
                printer.optional(Some(value).filter(|value| value.is_object()), Self::schema);
            }),
            Field::Dependencies => self.map(value, |printer, value| {
                printer.structure(|printer| {
                    printer.name("Schema");
                    printer.optional(Some(value).filter(|value| value.is_object()), Self::schema);
                    printer.name("Property");
                    printer.plain(Some(value).filter(|value| value.is_array()));
                });
            }),
            Field::Rules => self.list(list(), Self::rule),
        }
    }

    fn map(&mut self, value: &Value, print: impl Fn(&mut Self, &Value)) {
        self.structure(|printer| {
            for (key, value) in value.as_object().into_iter().flatten() {
                printer.name(key);
                print(printer, value);
            }
        });
    }

    fn schema_or_array(&mut self, value: &Value) {
        self.structure(|printer| {
            printer.name("Schema");
            printer.optional(Some(value).filter(|value| value.is_object()), Self::schema);
            printer.name("JSONSchemas");
            printer.optional(value.as_array().map(|_| value), |printer, value| printer.field(Field::Schemas, value));
        });
    }

    /// A rule of `x-kubernetes-validations`.
    fn rule(&mut self, rule: &Value) {
        self.structure(|printer| {
            printer.text_field("Rule", rule, "rule");
            printer.text_field("Message", rule, "message");
            printer.text_field("MessageExpression", rule, "messageExpression");
            printer.plain_field("Reason", rule, "reason");
            printer.text_field("FieldPath", rule, "fieldPath");
            printer.plain_field("OptionalOldSelf", rule, "optionalOldSelf");
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn structures_of_go() {
        let text = schema(&json!({"type": "array", "items": {"nullable": true}, "additionalProperties": false,
            "x-kubernetes-validations": [{"rule": "a < b"}]}));
        assert!(
            text.starts_with(r#"{"ID":"","Schema":"","Ref":null,"Description":"","Type":"array","Nullable":false,"#)
        );
        assert!(text.contains(r#""AdditionalProperties":{"Allows":false,"Schema":null},"PatternProperties":null,"#));
        assert!(text.ends_with(
            r#""XValidations":[{"Rule":"a \u003c b","Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}]}"#
        ));
        let printed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(printed.as_object().map(serde_json::Map::len), Some(FIELDS.len()));
        assert_eq!(printed["Items"]["Schema"]["Nullable"], json!(true));
    }

    #[test]
    fn printing_is_bounded() {
        let many = json!({"allOf": vec![json!({}); 2 * SCHEMAS_MAX]});
        let printed: Value = serde_json::from_str(&schema(&many)).unwrap();
        let whole = printed["AllOf"].as_array().unwrap().iter().filter(|schema| schema.is_object()).count();
        assert_eq!(whole, SCHEMAS_MAX - 1);
    }
}
