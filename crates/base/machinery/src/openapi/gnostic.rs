//! OpenAPI 2 as protobuf: the form in which client-go asks for it.
//!
//! Field numbers are those of gnostic's `OpenAPIv2.proto`. The tree is walked by hand, because the messages are few and wrap most
//! things in unions and lists of named values.

use serde_json::{Map, Value};

use crate::protobuf::writer::{message, push_bytes, push_flag};

/// Encodes a document of OpenAPI 2.
pub fn document(tree: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    text(&mut out, 1, tree, "swagger");
    message(&mut out, 2, |out| {
        text(out, 1, &tree["info"], "title");
        text(out, 2, &tree["info"], "version");
    });
    message(&mut out, 8, |out| {
        named(out, 2, &tree["paths"], path);
    });
    message(&mut out, 9, |out| named(out, 1, &tree["definitions"], schema));
    message(&mut out, 10, |out| named(out, 1, &tree["parameters"], parameter));
    for requirement in list(tree, "security") {
        message(&mut out, 12, |out| named(out, 1, requirement, |_, _| {}));
    }
    message(&mut out, 13, |out| {
        named(out, 1, &tree["securityDefinitions"], |out, definition| {
            message(out, 2, |out| {
                text(out, 1, definition, "type");
                text(out, 2, definition, "name");
                text(out, 3, definition, "in");
                text(out, 4, definition, "description");
            });
        });
    });
    out
}

fn list<'a>(tree: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    tree.get(field).and_then(Value::as_array).into_iter().flatten()
}

fn text(out: &mut Vec<u8>, number: u32, tree: &Value, field: &str) {
    if let Some(text) = tree.get(field).and_then(Value::as_str).filter(|text| !text.is_empty()) {
        push_bytes(out, number, text.as_bytes());
    }
}

fn texts(out: &mut Vec<u8>, number: u32, tree: &Value, field: &str) {
    for text in list(tree, field).filter_map(Value::as_str) {
        push_bytes(out, number, text.as_bytes());
    }
}

fn flag(out: &mut Vec<u8>, number: u32, tree: &Value, field: &str) {
    if tree.get(field) == Some(&Value::Bool(true)) {
        push_flag(out, number);
    }
}

/// A map as a list of messages with a name and a value.
fn named(out: &mut Vec<u8>, number: u32, map: &Value, value: impl Fn(&mut Vec<u8>, &Value)) {
    for (name, entry) in map.as_object().into_iter().flatten() {
        message(out, number, |out| {
            push_bytes(out, 1, name.as_bytes());
            message(out, 2, |out| value(out, entry));
        });
    }
}

/// Any JSON value, as YAML, of which JSON is a part.
fn any(out: &mut Vec<u8>, value: &Value) {
    push_bytes(out, 2, value.to_string().as_bytes());
}

fn extensions(out: &mut Vec<u8>, number: u32, tree: &Value) {
    let own: Map<String, Value> = tree
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with("x-"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    named(out, number, &Value::Object(own), any);
}

fn path(out: &mut Vec<u8>, tree: &Value) {
    for (number, method) in
        [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (6, "options"), (7, "head"), (8, "patch")]
    {
        if let Some(operation_tree) = tree.get(method) {
            message(out, number, |out| operation(out, operation_tree));
        }
    }
    for item in list(tree, "parameters") {
        message(out, 9, |out| parameters_item(out, item));
    }
}

fn operation(out: &mut Vec<u8>, tree: &Value) {
    texts(out, 1, tree, "tags");
    text(out, 3, tree, "description");
    text(out, 5, tree, "operationId");
    texts(out, 6, tree, "produces");
    texts(out, 7, tree, "consumes");
    for item in list(tree, "parameters") {
        message(out, 8, |out| parameters_item(out, item));
    }
    message(out, 9, |out| {
        named(out, 1, &tree["responses"], |out, response| {
            message(out, 1, |out| {
                text(out, 1, response, "description");
                if let Some(of) = response.get("schema") {
                    message(out, 2, |out| message(out, 1, |out| schema(out, of)));
                }
            });
        });
    });
    texts(out, 10, tree, "schemes");
    extensions(out, 13, tree);
}

fn parameters_item(out: &mut Vec<u8>, tree: &Value) {
    if tree.get("$ref").is_some() {
        message(out, 2, |out| text(out, 1, tree, "$ref"));
    } else {
        message(out, 1, |out| parameter(out, tree));
    }
}

fn parameter(out: &mut Vec<u8>, tree: &Value) {
    let place = tree.get("in").and_then(Value::as_str).unwrap_or_default();
    if place == "body" {
        return message(out, 1, |out| {
            text(out, 1, tree, "description");
            text(out, 2, tree, "name");
            text(out, 3, tree, "in");
            flag(out, 4, tree, "required");
            message(out, 5, |out| schema(out, &tree["schema"]));
        });
    }
    message(out, 2, |out| {
        // Query parameters have one field more than the others before their type.
        let (union, kind, unique) = if place == "query" { (3, 6, 20) } else { (4, 5, 19) };
        message(out, union, |out| {
            flag(out, 1, tree, "required");
            text(out, 2, tree, "in");
            text(out, 3, tree, "description");
            text(out, 4, tree, "name");
            text(out, kind, tree, "type");
            flag(out, unique, tree, "uniqueItems");
        });
    });
}

fn schema(out: &mut Vec<u8>, tree: &Value) {
    text(out, 1, tree, "$ref");
    text(out, 2, tree, "format");
    text(out, 3, tree, "title");
    text(out, 4, tree, "description");
    if let Some(default) = tree.get("default") {
        message(out, 5, |out| any(out, default));
    }
    texts(out, 19, tree, "required");
    for value in list(tree, "enum") {
        message(out, 20, |out| any(out, value));
    }
    match tree.get("additionalProperties") {
        Some(Value::Bool(allowed)) => message(out, 21, |out| {
            if *allowed {
                push_flag(out, 2);
            }
        }),
        Some(of) => message(out, 21, |out| message(out, 1, |out| schema(out, of))),
        None => {}
    }
    if let Some(kind) = tree.get("type").and_then(Value::as_str) {
        message(out, 22, |out| push_bytes(out, 1, kind.as_bytes()));
    }
    if let Some(items) = tree.get("items") {
        message(out, 23, |out| message(out, 1, |out| schema(out, items)));
    }
    for of in list(tree, "allOf") {
        message(out, 24, |out| schema(out, of));
    }
    if let Some(properties) = tree.get("properties") {
        message(out, 25, |out| named(out, 1, properties, schema));
    }
    extensions(out, 31, tree);
}
