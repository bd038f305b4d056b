//! Between stored bytes, trees, and the store's transactions.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use windlass_admission::Cluster;
use windlass_api::{GroupVersionKind, Status};
use windlass_auth::Attributes;
use windlass_client::{Body, Encoding, Options};
use windlass_machinery::decode::{Decoded, Problem};
use windlass_machinery::json::Template;
use windlass_machinery::schema::{Schema, TypeId};
use windlass_machinery::tree::text;
use windlass_machinery::{decode, protobuf, yaml};
use windlass_store::{CommitError, Expect, Item, Range, Txn};

use crate::context::Context;
use crate::registry::Served;
use crate::server::Server;

/// The stored object as a tree of the served version, without `kind` and `apiVersion`.
pub(crate) fn tree(served: &Served, item: &Item) -> Result<Value, Status> {
    let mut tree = parse(&item.value)?;
    served.resource.strategy.to_served(&mut tree);
    Ok(tree)
}

fn parse(bytes: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(bytes)
        .map_err(|error| Status::internal(format_args!("an object in the store cannot be read: {error}")))
}

/// A body as a tree, whatever its encoding, before it is held against a schema.
pub(crate) fn body_tree(body: &Body) -> Result<Value, Status> {
    match body.encoding {
        Encoding::Json => serde_json::from_slice(&body.bytes).map_err(|error| Status::bad_request(error.to_string())),
        Encoding::Yaml => yaml::parse(&body.bytes).map_err(|error| Status::bad_request(error.0)),
        Encoding::Protobuf => Err(Status::unsupported_media_type("application/json, application/yaml")),
    }
}

/// Reads a body that must be an object of a kind; unknown and duplicate fields become warnings or an error as the client wishes.
pub(crate) fn decode_body(
    context: &Context,
    schema: &'static Schema,
    id: TypeId,
    kind: &GroupVersionKind,
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
            let tree = yaml::parse(&body.bytes).map_err(|error| refuse(&error))?;
            let said = (text(&tree, "kind").to_owned(), text(&tree, "apiVersion").to_owned());
            (said.0, said.1, decode::from_value(schema, id, tree).map_err(|error| refuse(&error))?)
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

/// Checks a tree that a patch has made, as if it had come as a body.
pub(crate) fn decode_tree(context: &Context, served: &Served, tree: Value, options: &Options) -> Result<Value, Status> {
    let kind = &served.resource.kind;
    check_type_meta(kind, text(&tree, "kind"), text(&tree, "apiVersion"))?;
    let schema = served.resource.schema;
    let Decoded { value, problems } =
        decode::from_value(schema.schema, schema.id, tree).map_err(|error| cannot_be_handled(kind, &error))?;
    report_problems(context, kind, options, &problems)?;
    Ok(without_type_meta(value))
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
            return Err(cannot_be_handled(kind, &format_args!("strict decoding error: {}", all.join(", "))));
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

/// The failure of a transaction that was no conflict.
pub(crate) fn commit_failure(error: CommitError) -> Status {
    match error {
        CommitError::Closed => Status::service_unavailable("the server is shutting down"),
        other => Status::internal(other),
    }
}

#[async_trait]
impl Cluster for Server {
    fn object(&self, table: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let key = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
        let item = self.store.table(table).get(&key)?;
        parse(&item.value).ok().map(Arc::new)
    }

    fn objects(&self, table: &str, namespace: &str) -> Vec<Arc<Value>> {
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let state = self.store.table(table).state();
        let range = Range { prefix: &prefix, after: None };
        state.iter(&range).filter_map(|item| parse(&item.value).ok().map(Arc::new)).collect()
    }

    fn may(&self, attributes: &Attributes<'_>) -> bool {
        self.authorizer.decide(attributes).is_allowed()
    }

    async fn replace(&self, table: &str, old: &Value, new: Value) -> Result<bool, Status> {
        let metadata = &old["metadata"];
        let (namespace, name) = (text(metadata, "namespace"), text(metadata, "name"));
        let key = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
        let revision = text(metadata, "resourceVersion").parse().unwrap_or(0);
        let txn = Txn::put(&table.into(), &key, Expect::Revision(revision), Template::new(&new));
        match self.store.commit(txn).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(error) => Err(commit_failure(error)),
        }
    }
}
