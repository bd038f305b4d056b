//! Request bodies: from whatever encoding to a tree of the kind's schema.

use serde_json::Value;
use windlass_api::field::{Error, Path};
use windlass_api::{GroupVersionKind, Status};
use windlass_client::{Body, Encoding, Options};
use windlass_machinery::decode::{Decoded, Problem};
use windlass_machinery::schema::{Schema, TypeRef};
use windlass_machinery::tree::text;
use windlass_machinery::{decode, go, go_json, protobuf, yaml};
use windlass_resources::life::{RECEIVED_WEIGHT_MAX, TOO_MANY_VALUES, bound};

use crate::context::Context;
use crate::registry::Served;

/// The values of a body whose tree takes as much as an object may.
const VALUES_MAX: usize = RECEIVED_WEIGHT_MAX / 64;

/// A body as a tree, whatever its encoding, that is held against no schema.
pub(crate) fn body_tree(body: &Body) -> Result<Value, Status> {
    match body.encoding {
        Encoding::Json => decode::json_as_go(&body.bytes).map_err(|error| {
            let why = json_error(&body.bytes).unwrap_or_else(|| error.to_string());
            Status::bad_request(why)
        }),
        Encoding::Yaml => {
            yaml::parse(&body.bytes).map(|document| document.value).map_err(|error| Status::bad_request(error.0))
        }
        Encoding::Protobuf => Err(Status::unsupported_media_type("application/json, application/yaml")),
    }
}

/// Refuses a text of too many values before anything is made of it: as trees they would take hundreds of times their bytes. What is not text
/// is weighed when it has been read ([`bound`]).
pub(crate) fn bound_values(body: &Body) -> Result<(), Status> {
    let values = match body.encoding {
        Encoding::Json => json_values(&body.bytes),
        // Each value has a line of its own, or stands in brackets.
        Encoding::Yaml => body.bytes.iter().filter(|byte| b"\n,{[".contains(byte)).count(),
        Encoding::Protobuf => 0,
    };
    if values > VALUES_MAX { Err(Status::too_large(TOO_MANY_VALUES)) } else { Ok(()) }
}

/// About how many values a JSON text has: what separates or begins them, outside of strings.
fn json_values(text: &[u8]) -> usize {
    let (mut values, mut is_string, mut is_escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_string,
            b'"' => is_string = !is_string,
            b',' | b'{' | b'[' if !is_string => values += 1,
            _ => {}
        }
    }
    values
}

/// What a body is read as.
#[derive(Clone, Copy)]
pub(crate) struct BodyKind<'a> {
    pub kind: &'a GroupVersionKind,
    pub object_type: TypeRef<'a>,
    /// Custom resources have no protobuf.
    pub is_custom: bool,
}

impl<'a> BodyKind<'a> {
    pub(crate) fn of(served: &'a Served) -> Self {
        let resource = &served.resource;
        Self { kind: &resource.kind, object_type: resource.object_type(), is_custom: resource.is_custom() }
    }

    /// A kind that upstream defines, whether it is served or not.
    pub(crate) fn builtin(kind: &'a GroupVersionKind) -> Result<Self, Status> {
        let id = Schema::object_type(&kind.group, &kind.version, &kind.kind).ok_or_else(Status::no_such_path)?;
        let object_type = TypeRef { schema: Schema::builtin(), id };
        Ok(Self { kind, object_type, is_custom: false })
    }
}

/// Reads a body that must be an object of a kind; unknown and duplicate fields become warnings or an error as the client wishes.
pub(crate) fn decode_body(
    context: &Context,
    BodyKind { kind, object_type: TypeRef { schema, id }, is_custom }: BodyKind<'_>,
    body: &Body,
    options: &Options,
) -> Result<Value, Status> {
    let refuse = |error: &dyn std::fmt::Display| cannot_be_handled(kind, error);
    let unrecognized = |why: &str| unrecognized(kind, why, &body.bytes);
    let (said_kind, said_version, decoded) = match body.encoding {
        Encoding::Json => {
            let said: TypeMeta = decode::json_as_go(&body.bytes).unwrap_or_default();
            let decoded = decode::from_json(schema, id, &body.bytes)
                .map_err(|error| json_error(&body.bytes).map_or_else(|| refuse(&error), |why| unrecognized(&why)))?;
            (said.kind, said.api_version, decoded)
        }
        Encoding::Yaml => {
            let yaml::Document { value, duplicates } =
                yaml::parse(&body.bytes).map_err(|error| unrecognized(yaml_error(&error)))?;
            if let Some(why) = no_object(&value) {
                return Err(unrecognized(&why));
            }
            let said = (text(&value, "kind").to_owned(), text(&value, "apiVersion").to_owned());
            bound(&value, RECEIVED_WEIGHT_MAX)?;
            let mut decoded = decode::from_value(schema, id, value).map_err(|error| refuse(&error))?;
            let duplicates = duplicates.into_iter().map(Problem::DuplicateKey);
            decoded.problems.splice(0..0, duplicates);
            (said.0, said.1, decoded)
        }
        Encoding::Protobuf if is_custom => {
            return Err(Status::unsupported_media_type("application/json, application/yaml"));
        }
        Encoding::Protobuf => {
            let envelope = protobuf::open_envelope(&body.bytes).map_err(|error| refuse(&error))?;
            let tree = protobuf::decode(schema, id, envelope.raw).map_err(|error| refuse(&error))?;
            bound(&tree, RECEIVED_WEIGHT_MAX)?;
            let decoded = decode::from_value(schema, id, tree).map_err(|error| refuse(&error))?;
            (envelope.kind.to_owned(), envelope.api_version.to_owned(), decoded)
        }
    };
    // Where Go has no type, only the object says what it is.
    if is_custom && said_kind.is_empty() {
        let why = format!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(&body.bytes));
        return Err(if options.field_validation == "Ignore" { refuse(&why) } else { unrecognized(&why) });
    }
    if is_custom && said_kind != kind.kind {
        let error = Error::invalid(&Path::new("kind"), said_kind.as_str(), format!("must be {}", kind.kind));
        let name = text(&decoded.value["metadata"], "name");
        return Err(Status::invalid(&kind.group, &said_kind, name, &error.into()));
    }
    check_type_meta(kind, &said_kind, &said_version, is_custom)?;
    report_of(context, kind, options, &decoded.problems)?;
    Ok(without_type_meta(decoded.value))
}

/// What is wrong with a YAML text, where upstream does not say that it has become JSON.
pub(crate) fn yaml_error(error: &decode::DecodeError) -> &str {
    error.0.strip_prefix("error converting YAML to JSON: ").unwrap_or(&error.0)
}

/// Why a text does not say what it is, in the words of Go's reader of JSON; `None` when it is an object.
pub(crate) fn json_error(text: &[u8]) -> Option<String> {
    match go_json::syntax_error(text) {
        Some(why) => Some(format!("{NO_KIND}{why}")),
        None => decode::json_as_go(text).ok().and_then(|value| no_object(&value)),
    }
}

const NO_KIND: &str = "couldn't get version/kind; json parse error: ";

/// Why a value does not say what it is; null says as little as nothing.
fn no_object(value: &Value) -> Option<String> {
    const META: &str =
        r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    if !value.is_object() && !value.is_null() {
        let found = go::json_type(value);
        return Some(format!("{NO_KIND}json: cannot unmarshal {found} into Go value of type {META}"));
    }
    let wrong = |field: &&str| value.get(*field).is_some_and(|value| !value.is_string() && !value.is_null());
    let field = ["apiVersion", "kind"].into_iter().find(wrong)?;
    let found = go::json_type(&value[field]);
    Some(format!("{NO_KIND}json: cannot unmarshal {found} into Go struct field .{field} of type string"))
}

/// The refusal of a body that does not say what it is, with its beginning.
fn unrecognized(kind: &GroupVersionKind, why: &str, body: &[u8]) -> Status {
    const SHOWN_BYTES: usize = 30;
    let shown = &body[..body.len().min(SHOWN_BYTES)];
    let more = if body.len() > SHOWN_BYTES { " ..." } else { "" };
    let shown = match shown {
        [] => "<empty>".to_owned(),
        [b'{', ..] => String::from_utf8_lossy(shown).into_owned(),
        bytes => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let kind = &kind.kind;
    Status::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {why} ({shown}{more})"))
}

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TypeMeta {
    kind: String,
    api_version: String,
}

/// Where upstream's words say that it keeps its kinds.
pub(crate) const SCHEME: &str = "in scheme \"pkg/runtime/scheme.go:111\"";

fn check_type_meta(
    kind: &GroupVersionKind,
    said_kind: &str,
    said_version: &str,
    is_custom: bool,
) -> Result<(), Status> {
    let is_expected = (said_kind.is_empty() || said_kind == kind.kind)
        && (said_version.is_empty() || kind.is_of_version(said_version));
    if is_expected {
        return Ok(());
    }
    let expected = kind.api_version();
    let unsaid = |said: &str, meant: &str| if said.is_empty() { meant.to_owned() } else { said.to_owned() };
    let (meant_kind, meant_version) = (unsaid(said_kind, &kind.kind), unsaid(said_version, &expected));
    if !is_custom && !is_known(&meant_kind, &meant_version) {
        let version = meant_version.rsplit('/').next().unwrap_or_default();
        return Err(Status::bad_request(format!(
            "{meant_kind} in version {version:?} cannot be handled as a {}: \
             no kind {meant_kind:?} is registered for version {meant_version:?} {SCHEME}",
            kind.kind
        )));
    }
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

/// Whether upstream has a kind of this name in a version.
fn is_known(kind: &str, api_version: &str) -> bool {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    Schema::object_type(group, version, kind).is_some()
}

/// Checks a tree that an apply has made, as if it had come as a body.
pub(crate) fn decode_tree(
    context: &Context,
    BodyKind { kind, object_type: TypeRef { schema, id }, is_custom }: BodyKind<'_>,
    tree: Value,
    options: &Options,
) -> Result<Value, Status> {
    check_type_meta(kind, text(&tree, "kind"), text(&tree, "apiVersion"), is_custom)?;
    let Decoded { value, problems } =
        decode::from_value(schema, id, tree).map_err(|error| cannot_be_handled(kind, &error))?;
    report_of(context, kind, options, &problems)?;
    Ok(without_type_meta(value))
}

/// Reads a tree that somebody else than the client has made of an object: what the kind does not know is left out.
pub(crate) fn decode_leniently(
    BodyKind { kind, object_type: TypeRef { schema, id }, .. }: BodyKind<'_>,
    tree: Value,
) -> Result<Value, Status> {
    let decoded = decode::from_value(schema, id, tree);
    decoded.map(|decoded| without_type_meta(decoded.value)).map_err(|error| cannot_be_handled(kind, &error))
}

/// Checks a tree that a patch has made; `of_patch` is what a strict client would not have written in the patch. Says in words why it
/// cannot be taken.
pub(crate) fn decode_patched(
    context: &Context,
    BodyKind { kind, object_type: TypeRef { schema, id }, is_custom }: BodyKind<'_>,
    tree: Value,
    of_patch: &[String],
    options: &Options,
) -> Result<Value, String> {
    check_type_meta(kind, text(&tree, "kind"), text(&tree, "apiVersion"), is_custom)
        .map_err(|status| status.message)?;
    let Decoded { value, problems } = decode::from_value(schema, id, tree).map_err(|error| error.to_string())?;
    let problems = of_patch.iter().cloned().chain(problems.iter().map(ToString::to_string));
    report(context, options, problems, |all| strict_error(&all))?;
    Ok(without_type_meta(value))
}

/// Tells a client what a strict one would not have sent: not at all, in warnings, or by the refusal that `refuse` makes of all of it.
pub(crate) fn report<E>(
    context: &Context,
    options: &Options,
    problems: impl IntoIterator<Item = String>,
    refuse: impl FnOnce(Vec<String>) -> E,
) -> Result<(), E> {
    let mut problems = problems.into_iter().peekable();
    match options.field_validation.as_str() {
        "Ignore" => Ok(()),
        "Strict" if problems.peek().is_some() => Err(refuse(problems.collect())),
        _ => {
            problems.for_each(|problem| context.warn(problem));
            Ok(())
        }
    }
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

/// [`report`]s what is wrong with an object of a kind.
fn report_of(
    context: &Context,
    kind: &GroupVersionKind,
    options: &Options,
    problems: &[Problem],
) -> Result<(), Status> {
    let problems = problems.iter().map(ToString::to_string);
    report(context, options, problems, |all| cannot_be_handled(kind, &strict_error(&all)))
}

pub(crate) fn without_type_meta(mut tree: Value) -> Value {
    if let Some(map) = tree.as_object_mut() {
        map.remove("kind");
        map.remove("apiVersion");
    }
    tree
}
