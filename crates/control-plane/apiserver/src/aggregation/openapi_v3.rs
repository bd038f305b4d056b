//! An OpenAPI document of version 3 made of one of version 2, for servers that have only that. It says no more than the older one.
//!
//! Source: kube-openapi `pkg/openapiconv/convert.go`.

use serde_json::{Map, Value, json};

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

pub(super) fn of_v2(mut document: Value) -> Value {
    rewrite_references(&mut document);
    let take = |document: &mut Value, field: &str| document.get_mut(field).map_or(Value::Null, Value::take);
    let mut paths = take(&mut document, "paths");
    for path in paths.as_object_mut().into_iter().flat_map(Map::values_mut) {
        convert_path(path);
    }
    let mut components = json!({"schemas": take(&mut document, "definitions")});
    let schemes = take(&mut document, "securityDefinitions");
    if schemes.is_object() {
        components["securitySchemes"] = schemes;
    }
    let mut converted = json!({"openapi": "3.0.0", "paths": paths, "components": components});
    let info = take(&mut document, "info");
    if info.is_object() {
        converted["info"] = info;
    }
    converted
}

/// Has references lead to where schemas are now. One with something beside it is wrapped, for in version 3 it would hide that.
fn rewrite_references(document: &mut Value) {
    let mut rest = vec![document];
    while let Some(value) = rest.pop() {
        match value {
            Value::Array(items) => rest.extend(items),
            Value::Object(map) => {
                let name = map.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/definitions/"));
                if let Some(name) = name {
                    let reference = json!(format!("#/components/schemas/{name}"));
                    if map.len() == 1 {
                        map.insert("$ref".to_owned(), reference);
                    } else {
                        map.remove("$ref");
                        map.insert("allOf".to_owned(), json!([{"$ref": reference}]));
                    }
                }
                rest.extend(map.values_mut());
            }
            _ => {}
        }
    }
}

fn convert_path(path: &mut Value) {
    let Some(path) = path.as_object_mut() else { return };
    path.iter_mut()
        .filter(|(name, _)| METHODS.contains(&name.as_str()))
        .for_each(|(_, value)| convert_operation(value));
    if let Some(parameters) = path.get_mut("parameters").and_then(Value::as_array_mut) {
        parameters.iter_mut().for_each(convert_parameter);
    }
}

fn convert_operation(operation: &mut Value) {
    let Some(operation) = operation.as_object_mut() else { return };
    let consumes = operation.remove("consumes");
    let produces = operation.remove("produces");
    operation.remove("schemes");
    if let Some(Value::Array(parameters)) = operation.remove("parameters") {
        let is_body = |parameter: &Value| parameter["name"] == "body" && parameter.get("schema").is_some();
        let (bodies, mut others): (Vec<Value>, Vec<Value>) = parameters.into_iter().partition(is_body);
        if let Some(body) = bodies.last() {
            let content = content(consumes.as_ref(), &body["schema"]);
            operation.insert("requestBody".to_owned(), json!({"content": content}));
        }
        others.iter_mut().for_each(convert_parameter);
        if !others.is_empty() {
            operation.insert("parameters".to_owned(), Value::Array(others));
        }
    }
    for response in operation.get_mut("responses").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
    {
        let Some(response) = response.as_object_mut() else { continue };
        response.remove("headers");
        if let Some(schema) = response.remove("schema") {
            response.insert("content".to_owned(), content(produces.as_ref(), &schema));
        }
    }
}

/// A schema for each of the media types.
fn content(types: Option<&Value>, schema: &Value) -> Value {
    let types = types.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    Value::Object(types.map(|name| (name.to_owned(), json!({"schema": schema}))).collect())
}

/// What a parameter says of its value is a schema of its own now.
fn convert_parameter(parameter: &mut Value) {
    const OF_PARAMETER: [&str; 6] = ["name", "description", "in", "required", "allowEmptyValue", "$ref"];
    let Some(parameter) = parameter.as_object_mut() else { return };
    if let Some(reference) = parameter.get_mut("$ref") {
        let name = reference.as_str().and_then(|name| name.strip_prefix("#/parameters/"));
        if let Some(name) = name {
            *reference = json!(format!("#/components/parameters/{name}"));
        }
        return;
    }
    let is_kept = |name: &str| OF_PARAMETER.contains(&name) || name.starts_with("x-") || name == "schema";
    let (kept, of_value): (Map<String, Value>, Map<String, Value>) =
        std::mem::take(parameter).into_iter().partition(|(name, _)| is_kept(name));
    *parameter = kept;
    parameter.entry("schema").or_insert(Value::Object(of_value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_path_and_its_schemas() {
        let v2 = json!({"swagger": "2.0", "paths": {"/apis/a/v1/xs": {
            "parameters": [{"name": "pretty", "in": "query", "type": "string", "uniqueItems": true}],
            "post": {"operationId": "create", "consumes": ["*/*"], "produces": ["application/json"], "schemes": ["https"],
                "parameters": [{"name": "body", "in": "body", "required": true, "schema": {"$ref": "#/definitions/X"}}],
                "responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/X"}}, "401": {"description": "no"}}}}},
            "definitions": {"X": {"properties": {"metadata": {"description": "d", "$ref": "#/definitions/M"}}}, "M": {"type": "object"}}});
        let schema = json!({"$ref": "#/components/schemas/X"});
        assert_eq!(
            of_v2(v2),
            json!({"openapi": "3.0.0", "paths": {"/apis/a/v1/xs": {
                "parameters": [{"name": "pretty", "in": "query", "schema": {"type": "string", "uniqueItems": true}}],
                "post": {"operationId": "create", "requestBody": {"content": {"*/*": {"schema": schema}}},
                    "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": schema}}},
                        "401": {"description": "no"}}}}},
                "components": {"schemas": {"X": {"properties": {"metadata": {"description": "d",
                    "allOf": [{"$ref": "#/components/schemas/M"}]}}}, "M": {"type": "object"}}}})
        );
    }

    #[test]
    fn garbage_stays_garbage() {
        for garbage in [json!(null), json!({"paths": 1}), json!({"paths": {"/a": [{"get": {"parameters": {}}}]}})] {
            assert_eq!(of_v2(garbage)["openapi"], "3.0.0");
        }
    }
}
