//! Objects as upstream's complaints show them: the JSON of its Go structures, each field by its name in Go, also where nothing is in it.
//!
//! Structures of apimachinery (selectors, metadata) have JSON's names in Go's JSON too.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};
use windlass_machinery::schema::{Field, Presence, Scalar, Schema, Shape, TypeId};

/// `json Go`, or `type json Go`, where the name in Go is not JSON's with a capital letter (conformance/facts/gonames).
const NAMES: &str = include_str!("go_names.txt");
/// So many fields are shown; structures behind them are `null`. A message has at most a megabyte.
const FIELDS_MAX: usize = 50_000;
const IDENTITY: [&str; 2] = ["kind", "apiVersion"];
const API: &str = "io.k8s.api.";

/// A value of a type of the API, or a list of them; the type is named without what is before its group: `core.v1.PodSpec`.
pub(crate) fn go_form(type_name: &str, value: &Value) -> Value {
    let schema = Schema::builtin();
    let Some(id) = schema.find(&format!("{API}{type_name}")) else { return value.clone() };
    let mut form = Form { schema, fields: 0 };
    match value {
        Value::Array(list) => list.iter().map(|value| form.structure(id, value)).collect(),
        value => form.structure(id, value),
    }
}

struct Form {
    schema: &'static Schema,
    fields: usize,
}

impl Form {
    fn structure(&mut self, id: TypeId, value: &Value) -> Value {
        let known = self.schema.get(id);
        if !known.name.starts_with(API) {
            return value.clone();
        }
        self.fields += known.fields.len();
        if self.fields > FIELDS_MAX {
            return Value::Null;
        }
        let mut shown = Map::new();
        // `kind` and `apiVersion` have no number: upstream's own structures leave them empty, and out.
        for field in known.fields.iter().filter(|field| field.number != 0 || !IDENTITY.contains(&&*field.name)) {
            let content = value.get(&*field.name).filter(|content| !content.is_null());
            if field.name == "metadata" {
                shown.extend(content.and_then(Value::as_object).cloned().unwrap_or_default());
            } else {
                shown.insert(go_name(&known.name, &field.name), self.field(field, content));
            }
        }
        Value::Object(shown)
    }

    fn field(&mut self, field: &Field, content: Option<&Value>) -> Value {
        let is_pointer = matches!(field.presence, Presence::Pointer | Presence::AlwaysPointer);
        match (content, &field.shape) {
            (Some(content), shape) => self.content(shape, content),
            (None, Shape::Scalar(scalar)) if !is_pointer => zero(*scalar),
            (None, Shape::Struct(id)) if !is_pointer => self.structure(*id, &json!({})),
            (None, _) => Value::Null,
        }
    }

    fn content(&mut self, shape: &Shape, content: &Value) -> Value {
        match (shape, content) {
            (Shape::Struct(id), content) => self.structure(*id, content),
            (Shape::List(item) | Shape::WrappedList(item), Value::Array(list)) => {
                list.iter().map(|content| self.content(item, content)).collect()
            }
            (Shape::Map(item), Value::Object(map)) => {
                map.iter().map(|(key, content)| (key.clone(), self.content(item, content))).collect()
            }
            (_, content) => content.clone(),
        }
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
            (
                "core.v1.SELinuxOptions",
                json!({"level": "s0"}),
                json!({"User": "", "Role": "", "Type": "", "Level": "s0"}),
            ),
            (
                "core.v1.SeccompProfile",
                json!({"type": "RuntimeDefault"}),
                json!({"Type": "RuntimeDefault", "LocalhostProfile": null}),
            ),
            (
                "core.v1.PodDNSConfigOption",
                json!({"name": "ndots", "value": "5"}),
                json!({"Name": "ndots", "Value": "5"}),
            ),
            (
                "resource.v1.ResourceClaimTemplateSpec",
                json!({"metadata": {"labels": {"a": "b"}}}),
                json!({"labels": {"a": "b"}, "Spec": {"Devices": {"Requests": null, "Constraints": null, "Config": null}}}),
            ),
        ];
        for (name, value, expected) in cases {
            assert_eq!(go_form(name, &value), expected, "{name}");
        }
        let pod = go_form("core.v1.PodSpec", &json!({"containers": [{"name": "c"}], "serviceAccount": "a"}));
        assert_eq!(pod["Containers"][0]["TTY"], false);
        assert_eq!(
            (&pod["DeprecatedServiceAccount"], &pod["DNSPolicy"], &pod["OS"]),
            (&json!("a"), &json!(""), &Value::Null)
        );
    }

    #[test]
    fn a_large_object_is_cut() {
        let pod = go_form("core.v1.PodSpec", &json!({"containers": vec![json!({}); 1_000_000]}));
        let shown = pod["Containers"].as_array().unwrap();
        assert!(shown[0].is_object() && shown[999_999].is_null());
    }
}
