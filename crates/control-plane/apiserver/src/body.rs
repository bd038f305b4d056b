//! Request bodies: from whatever encoding to a tree of the kind's schema.

use serde_json::Value;
use windlass_api::{GroupVersionKind, Status};
use windlass_client::{Body, Encoding, Options};
use windlass_machinery::decode::{Decoded, Problem};
use windlass_machinery::tree::text;
use windlass_machinery::{decode, protobuf, yaml};
use windlass_resources::SchemaRef;

use crate::context::Context;
use crate::registry::Served;

/// A body as a tree, whatever its encoding, that is held against no schema.
pub(crate) fn body_tree(body: &Body) -> Result<Value, Status> {
    match body.encoding {
        Encoding::Json => serde_json::from_slice(&body.bytes).map_err(|error| Status::bad_request(error.to_string())),
        Encoding::Yaml => {
            yaml::parse(&body.bytes).map(|document| document.value).map_err(|error| Status::bad_request(error.0))
        }
        Encoding::Protobuf => Err(Status::unsupported_media_type("application/json, application/yaml")),
    }
}

/// Reads a body that must be an object of a kind; unknown and duplicate fields become warnings or an error as the client wishes.
pub(crate) fn decode_body(
    context: &Context,
    kind: &GroupVersionKind,
    SchemaRef { schema, id }: SchemaRef,
    body: &Body,
    options: &Options,
) -> Result<Value, Status> {
    let refuse = |error: &dyn std::fmt::Display| cannot_be_handled(kind, error);
    let (said_kind, said_version, decoded) = match body.encoding {
        Encoding::Json => {
            let said: TypeMeta = serde_json::from_slice(&body.bytes).unwrap_or_default();
            let decoded = decode::from_json(schema, id, &body.bytes).map_err(|error| refuse(&error))?;
            (said.kind, said.api_version, decoded)
        }
        Encoding::Yaml => {
            let yaml::Document { value, duplicates } = yaml::parse(&body.bytes).map_err(|error| refuse(&error))?;
            let said = (text(&value, "kind").to_owned(), text(&value, "apiVersion").to_owned());
            let mut decoded = decode::from_value(schema, id, value).map_err(|error| refuse(&error))?;
            if !duplicates.is_empty() {
                decoded.problems.insert(0, Problem::DuplicateKeys(duplicates));
            }
            (said.0, said.1, decoded)
        }
        Encoding::Protobuf => {
            let envelope = protobuf::open_envelope(&body.bytes).map_err(|error| refuse(&error))?;
            let tree = protobuf::decode(schema, id, envelope.raw).map_err(|error| refuse(&error))?;
            let decoded = decode::from_value(schema, id, tree).map_err(|error| refuse(&error))?;
            (envelope.kind.to_owned(), envelope.api_version.to_owned(), decoded)
        }
    };
    check_type_meta(kind, &said_kind, &said_version)?;
    report_problems(context, kind, options, &decoded.problems)?;
    Ok(without_type_meta(decoded.value))
}

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TypeMeta {
    kind: String,
    api_version: String,
}

fn check_type_meta(kind: &GroupVersionKind, said_kind: &str, said_version: &str) -> Result<(), Status> {
    let expected = kind.api_version();
    if !said_version.is_empty() && said_version != expected {
        return Err(Status::bad_request(format!(
            "the API version in the data ({said_version}) does not match the expected API version ({expected})"
        )));
    }
    if !said_kind.is_empty() && said_kind != kind.kind {
        return Err(Status::bad_request(format!(
            "{said_kind} in version {:?} cannot be handled as a {}: no kind {said_kind:?} is registered for this path",
            kind.version, kind.kind
        )));
    }
    Ok(())
}

/// Checks a tree that an apply has made, as if it had come as a body.
pub(crate) fn decode_tree(context: &Context, served: &Served, tree: Value, options: &Options) -> Result<Value, Status> {
    let kind = &served.resource.kind;
    check_type_meta(kind, text(&tree, "kind"), text(&tree, "apiVersion"))?;
    let schema = served.resource.schema;
    let Decoded { value, problems } =
        decode::from_value(schema.schema, schema.id, tree).map_err(|error| cannot_be_handled(kind, &error))?;
    report_problems(context, kind, options, &problems)?;
    Ok(without_type_meta(value))
}

/// Checks a tree that a patch has made; `of_patch` is what a strict client would not have written in the patch. Says in words why it
/// cannot be taken.
pub(crate) fn decode_patched(
    context: &Context,
    served: &Served,
    tree: Value,
    of_patch: &[String],
    options: &Options,
) -> Result<Value, String> {
    check_type_meta(&served.resource.kind, text(&tree, "kind"), text(&tree, "apiVersion"))
        .map_err(|status| status.message)?;
    let schema = served.resource.schema;
    let Decoded { value, problems } =
        decode::from_value(schema.schema, schema.id, tree).map_err(|error| error.to_string())?;
    let problems = of_patch.iter().cloned().chain(problems.iter().map(ToString::to_string));
    match options.field_validation.as_str() {
        "Ignore" => {}
        "Strict" => {
            let all: Vec<String> = problems.collect();
            if !all.is_empty() {
                return Err(strict_error(&all));
            }
        }
        _ => problems.for_each(|problem| context.warn(problem)),
    }
    Ok(without_type_meta(value))
}

fn strict_error(problems: &[String]) -> String {
    format!("strict decoding error: {}", problems.join(", "))
}

fn cannot_be_handled(kind: &GroupVersionKind, error: &dyn std::fmt::Display) -> Status {
    Status::bad_request(format!(
        "{} in version {:?} cannot be handled as a {}: {error}",
        kind.kind, kind.version, kind.kind
    ))
}

fn report_problems(
    context: &Context,
    kind: &GroupVersionKind,
    options: &Options,
    problems: &[Problem],
) -> Result<(), Status> {
    if problems.is_empty() {
        return Ok(());
    }
    match options.field_validation.as_str() {
        "Ignore" => {}
        "Strict" => {
            let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
            return Err(cannot_be_handled(kind, &strict_error(&all)));
        }
        _ => problems.iter().for_each(|problem| context.warn(problem.to_string())),
    }
    Ok(())
}

fn without_type_meta(mut tree: Value) -> Value {
    if let Some(map) = tree.as_object_mut() {
        map.remove("kind");
        map.remove("apiVersion");
    }
    tree
}
