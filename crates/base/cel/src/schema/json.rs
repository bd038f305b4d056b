//! A schema in JSON, as an OpenAPI document has it.

use serde_json::Value as Json;

use super::{Kind, ListType, Schema};

fn text<'a>(schema: &'a Json, key: &str) -> &'a str {
    schema.get(key).and_then(Json::as_str).unwrap_or_default()
}

fn flag(schema: &Json, key: &str) -> bool {
    schema.get(key).and_then(Json::as_bool).unwrap_or(false)
}

fn schema_at<'a>(schema: &'a Json, key: &str) -> Option<&'a dyn Schema> {
    schema.get(key).filter(|value| value.is_object()).map(|value| value as &dyn Schema)
}

impl Schema for Json {
    fn kind(&self) -> Kind {
        match text(self, "type") {
            "object" => Kind::Object,
            "array" => Kind::Array,
            "string" => Kind::String,
            "number" => Kind::Number,
            "integer" => Kind::Integer,
            "boolean" => Kind::Boolean,
            _ => Kind::Unspecified,
        }
    }

    fn format(&self) -> &str {
        text(self, "format")
    }

    fn nullable(&self) -> bool {
        flag(self, "nullable")
    }

    fn items(&self) -> Option<&dyn Schema> {
        schema_at(self, "items")
    }

    fn has_properties(&self) -> bool {
        self.get("properties").is_some_and(Json::is_object)
    }

    fn property(&self, name: &str) -> Option<&dyn Schema> {
        schema_at(self.get("properties")?, name)
    }

    fn property_names(&self) -> Vec<&str> {
        let properties = self.get("properties").and_then(Json::as_object);
        properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    fn additional_properties(&self) -> Option<&dyn Schema> {
        schema_at(self, "additionalProperties")
    }

    fn is_required(&self, name: &str) -> bool {
        self.get("required").and_then(Json::as_array).is_some_and(|required| required.iter().any(|r| r == name))
    }

    fn has_default(&self) -> bool {
        self.get("default").is_some_and(|value| !value.is_null())
    }

    fn max_length(&self) -> Option<i64> {
        self.get("maxLength")?.as_i64()
    }

    fn max_items(&self) -> Option<i64> {
        self.get("maxItems")?.as_i64()
    }

    fn max_properties(&self) -> Option<i64> {
        self.get("maxProperties")?.as_i64()
    }

    fn longest_enum_value(&self) -> Option<usize> {
        let values = self.get("enum")?.as_array()?;
        let lengths = values.iter().map(|value| value.as_str().map_or(0, str::len));
        lengths.max()
    }

    fn int_or_string(&self) -> bool {
        flag(self, "x-kubernetes-int-or-string")
    }

    fn embedded_resource(&self) -> bool {
        flag(self, "x-kubernetes-embedded-resource")
    }

    fn preserve_unknown_fields(&self) -> bool {
        flag(self, "x-kubernetes-preserve-unknown-fields")
    }

    fn list_type(&self) -> Option<ListType> {
        match text(self, "x-kubernetes-list-type") {
            "atomic" => Some(ListType::Atomic),
            "set" => Some(ListType::Set),
            "map" => Some(ListType::Map),
            _ => None,
        }
    }

    fn list_map_keys(&self) -> Vec<&str> {
        let keys = self.get("x-kubernetes-list-map-keys").and_then(Json::as_array);
        keys.into_iter().flatten().filter_map(Json::as_str).collect()
    }
}
