//! Objects as upstream's complaints show them: the JSON of its Go structures, each field by its name in Go and in the order of its
//! declaration, also where nothing is in it.
//!
//! Structures of apimachinery (selectors, metadata) have JSON's names in Go's JSON too.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::{Value, json};
use windlass_api::field::{Error, Path};
use windlass_machinery::go;
use windlass_machinery::schema::{Field, Presence, Scalar, Schema, Shape, TypeId};

/// `json Go`, or `type json Go`, where the name in Go is not JSON's with a capital letter (conformance/facts/gonames).
const NAMES: &str = include_str!("go_names.txt");
/// So many fields are shown; structures behind them are `null`.
const FIELDS_MAX: usize = 20_000;
const API: &str = "io.k8s.api.";
/// Without a number in protobuf. Upstream's own structures leave them empty, and out.
const IDENTITY: [&str; 2] = ["kind", "apiVersion"];

/// A complaint that a structure, or a list of structures of a type (`core.v1.PodSpec`), is not valid.
pub(crate) fn invalid_structure(path: &Path<'_>, type_name: &str, value: &Value, detail: &str) -> Error {
    let detail = format!("{}: {detail}", go_form(type_name, value));
    Error { value: None, detail, ..Error::invalid(path, Value::Null, "") }
}

/// A complaint that a structure is there already.
pub(crate) fn duplicate_structure(path: &Path<'_>, type_name: &str, value: &Value) -> Error {
    Error { value: None, detail: go_form(type_name, value), ..Error::duplicate(path, Value::Null) }
}

fn go_form(type_name: &str, value: &Value) -> String {
    let schema = Schema::builtin();
    let mut form = Form { schema, fields: 0, text: String::new() };
    match schema.find(&format!("{API}{type_name}")).filter(|_| !value.is_null()) {
        Some(id) if value.is_array() => form.shaped(&Shape::List(Box::new(Shape::Struct(id))), value),
        Some(id) => form.structure(id, value),
        None => form.plain(value),
    }
    form.text
}

struct Form {
    schema: &'static Schema,
    fields: usize,
    text: String,
}

impl Form {
    fn structure(&mut self, id: TypeId, value: &Value) {
        let known = self.schema.get(id);
        if !known.name.starts_with(API) {
            self.plain(value);
            return;
        }
        self.fields += known.fields.len();
        if self.fields > FIELDS_MAX {
            self.plain(&Value::Null);
            return;
        }
        self.text.push('{');
        for field in known.fields.iter().filter(|field| field.number != 0 || !IDENTITY.contains(&&*field.name)) {
            let content = value.get(&*field.name).filter(|content| !content.is_null());
            if field.name == "metadata" {
                for (key, content) in content.and_then(Value::as_object).into_iter().flatten() {
                    self.key(key);
                    self.plain(content);
                }
            } else {
                self.key(&go_name(&known.name, &field.name));
                self.field(field, content);
            }
        }
        self.text.push('}');
    }

    fn field(&mut self, field: &Field, content: Option<&Value>) {
        let is_pointer = matches!(field.presence, Presence::Pointer | Presence::AlwaysPointer);
        match (content, &field.shape) {
            (Some(content), shape) => self.shaped(shape, content),
            (None, Shape::Scalar(scalar)) if !is_pointer => self.plain(&zero(*scalar)),
            (None, Shape::Struct(id)) if !is_pointer => self.structure(*id, &json!({})),
            (None, _) => self.plain(&Value::Null),
        }
    }

    fn shaped(&mut self, shape: &Shape, content: &Value) {
        match (shape, content) {
            (Shape::Struct(id), content) => self.structure(*id, content),
            (Shape::List(item) | Shape::WrappedList(item), Value::Array(list)) => {
                self.text.push('[');
                for content in list {
                    self.separate();
                    self.shaped(item, content);
                }
                self.text.push(']');
            }
            (Shape::Map(item), Value::Object(map)) => {
                self.text.push('{');
                for (key, content) in map {
                    self.key(key);
                    self.shaped(item, content);
                }
                self.text.push('}');
            }
            (_, content) => self.plain(content),
        }
    }

    fn key(&mut self, name: &str) {
        self.separate();
        self.plain(&json!(name));
        self.text.push(':');
    }

    fn separate(&mut self) {
        if !self.text.ends_with(['{', '[']) {
            self.text.push(',');
        }
    }

    fn plain(&mut self, value: &Value) {
        self.text.push_str(&go::json(value));
    }
}

fn zero(scalar: Scalar) -> Value {
    match scalar {
        Scalar::String => json!(""),
        Scalar::Int32 | Scalar::Int64 | Scalar::Double | Scalar::IntOrString => json!(0),
        Scalar::Bool => json!(false),
        Scalar::Quantity => json!("0"),
        _ => Value::Null,
    }
}

fn go_name(owner: &str, field: &str) -> String {
    static NAMED: OnceLock<HashMap<&str, &str>> = OnceLock::new();
    let named = NAMED.get_or_init(|| NAMES.lines().filter_map(|line| line.rsplit_once(' ')).collect());
    let name = named.get(format!("{owner} {field}").as_str()).or_else(|| named.get(field));
    name.map_or_else(|| capitalized(field), |name| (*name).to_owned())
}

fn capitalized(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_shown() {
        let cases = [
            ("core.v1.SELinuxOptions", json!({"level": "s0"}), r#"{"User":"","Role":"","Type":"","Level":"s0"}"#),
            ("core.v1.SeccompProfile", json!({"type": "a<b"}), r#"{"Type":"a\u003cb","LocalhostProfile":null}"#),
            (
                "core.v1.PodDNSConfigOption",
                json!([{"name": "n"}, {}]),
                r#"[{"Name":"n","Value":null},{"Name":"","Value":null}]"#,
            ),
            ("core.v1.PodDNSConfigOption", json!([]), "[]"),
            (
                "resource.v1.ResourceClaimTemplateSpec",
                json!({"metadata": {"labels": {"a": "b"}}}),
                r#"{"labels":{"a":"b"},"Spec":{"Devices":{"Requests":null,"Constraints":null,"Config":null}}}"#,
            ),
            (
                "core.v1.Secret",
                json!({"kind": "Secret", "type": "t"}),
                r#"{"Immutable":null,"Data":null,"StringData":null,"Type":"t"}"#,
            ),
            ("core.v1.PodSpec", Value::Null, "null"),
        ];
        for (name, value, expected) in cases {
            assert_eq!(go_form(name, &value), expected, "{name}");
        }
        let pod: Value = serde_json::from_str(&go_form(
            "core.v1.PodSpec",
            &json!({"containers": [{"name": "c"}], "serviceAccount": "a"}),
        ))
        .unwrap();
        assert_eq!(pod["Containers"][0]["TTY"], false);
        assert_eq!(
            (&pod["DeprecatedServiceAccount"], &pod["DNSPolicy"], &pod["OS"]),
            (&json!("a"), &json!(""), &Value::Null)
        );
    }

    #[test]
    fn a_large_object_is_cut() {
        let text = go_form("core.v1.PodSpec", &json!({"containers": vec![json!({}); 100_000]}));
        let pod: Value = serde_json::from_str(&text).unwrap();
        assert!(pod["Containers"][0].is_object() && pod["Containers"][99_999].is_null());
    }

    #[test]
    fn complaints() {
        let (path, option) = (Path::new("p"), json!({"name": "n"}));
        let error = invalid_structure(&path, "core.v1.PodDNSConfigOption", &option, "is wrong");
        assert_eq!(error.to_string(), r#"p: Invalid value: {"Name":"n","Value":null}: is wrong"#);
        let error = duplicate_structure(&path, "core.v1.PodDNSConfigOption", &option);
        assert_eq!(error.to_string(), r#"p: Duplicate value: {"Name":"n","Value":null}"#);
    }
}
