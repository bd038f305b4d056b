//! PATCH: a change described by its difference, or by the fields that the client wants (server-side apply).

use serde_json::Value;
use windlass_api::status::{Cause, Reason};
use windlass_api::{Status, time};
use windlass_client::PatchType;
use windlass_machinery::managed::{self, ApplyError, Conflict};
use windlass_machinery::rfc6902::{self, JsonPatchError};
use windlass_machinery::rfc7386;
use windlass_machinery::strategic;
use windlass_machinery::tree::{child, put, remove};
use windlass_resources::SchemaRef;

use super::create::create_object;
use super::update::change;
use crate::body::body_tree;
use crate::call::Call;
use crate::outcome::Outcome;

pub(crate) async fn patch(call: &Call<'_>, patch_type: PatchType) -> Result<Outcome, Status> {
    let patch = body_tree(&call.request.body)?;
    if patch_type == PatchType::Apply {
        return apply(call, patch).await;
    }
    change(call, |old| call.decode_tree(patched(patch_type, &patch, old, call.served.resource.schema)?)).await
}

/// Server-side apply: the body holds the fields that the manager wants to own, and nothing else.
async fn apply(call: &Call<'_>, configuration: Value) -> Result<Outcome, Status> {
    let request = call.request;
    let configuration = check_configuration(call, configuration)?;
    let now = time::rfc3339(call.storage.clock.now());
    let force = request.options.force.unwrap_or(false);
    let merged = |old: Option<&Value>| {
        managed::apply(&call.ownership_change(&now), old, &configuration, force).map_err(apply_failure)
    };
    let absent = call.served.table.get(&call.key()).is_none();
    if absent && call.subresource.is_none() {
        call.authorize_creation()?;
        let mut object = call.decode_tree(merged(None)?)?;
        put(child(&mut object, "metadata"), "name", request.name.as_str());
        return create_object(call, object).await;
    }
    change(call, |old| call.decode_tree(merged(Some(old))?)).await
}

/// The object `old`, patched. An apply is a strategic merge for what field management does not know.
pub(crate) fn patched(patch_type: PatchType, patch: &Value, old: &Value, schema: SchemaRef) -> Result<Value, Status> {
    let mut new = old.clone();
    match patch_type {
        PatchType::Merge => rfc7386::merge(&mut new, patch),
        PatchType::Json => {
            rfc6902::apply(&mut new, patch).map_err(json_patch_failure)?;
        }
        PatchType::Strategic | PatchType::Apply => {
            strategic::apply(schema.schema, schema.id, &mut new, patch)
                .map_err(|error| Status::bad_request(error.to_string()))?;
        }
    }
    Ok(new)
}

fn json_patch_failure(error: JsonPatchError) -> Status {
    match error {
        JsonPatchError::Malformed(_) => Status::bad_request(error.to_string()),
        JsonPatchError::TooMany(_) => Status::too_large(error),
        // Upstream keeps to itself what does not fit.
        _ => {
            tracing::debug!(%error, "a JSON patch does not fit its object");
            Status::new(422, Reason::Invalid, "the server rejected our request due to an error in our request")
        }
    }
}

/// The configuration must say what it is, and must be a partial object of the kind: checked against the schema for unknown
/// fields and types, but not completed, since every field in it is a claim.
fn check_configuration(call: &Call<'_>, mut configuration: Value) -> Result<Value, Status> {
    let Call { served, request, .. } = call;
    let kind = &served.resource.kind;
    for (field, expected) in [("apiVersion", kind.api_version()), ("kind", kind.kind.clone().into_owned())] {
        match configuration.get(field).and_then(Value::as_str) {
            None => {
                let text = format!("invalid object type: {field} must be set in an apply patch");
                return Err(Status::bad_request(text));
            }
            Some(found) if found != expected => {
                return Err(Status::bad_request(format!(
                    "{field} {found:?} of the apply patch does not match the expected {expected:?}"
                )));
            }
            Some(_) => {}
        }
    }
    let name = configuration.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    if !name.is_empty() && name != request.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            request.name
        )));
    }
    call.decode_tree(configuration.clone())?;
    remove(&mut configuration, "apiVersion");
    remove(&mut configuration, "kind");
    without_nulls(&mut configuration);
    Ok(configuration)
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

fn apply_failure(error: ApplyError) -> Status {
    match error {
        ApplyError::ManagedFields => Status::bad_request("metadata.managedFields must be nil"),
        ApplyError::Conflicts(conflicts) => conflict(&conflicts),
    }
}

/// Upstream's words for fields that others own.
fn conflict(conflicts: &[Conflict]) -> Status {
    let name = |conflict: &Conflict| {
        let mut name = format!("{:?}", conflict.manager);
        if !conflict.subresource.is_empty() {
            name.push_str(&format!(" with subresource {:?}", conflict.subresource));
        }
        name.push_str(&format!(" using {}", conflict.api_version));
        if conflict.operation == managed::Operation::Update && !conflict.time.is_empty() {
            name.push_str(&format!(" at {}", conflict.time));
        }
        name
    };
    let count: usize = conflicts.iter().map(|conflict| conflict.paths.len()).sum();
    let text = match conflicts {
        [only] if count == 1 => {
            format!("Apply failed with 1 conflict: conflict with {}: {}", name(only), only.paths[0])
        }
        _ => {
            let each: Vec<String> = conflicts
                .iter()
                .map(|conflict| format!("conflicts with {}:\n- {}", name(conflict), conflict.paths.join("\n- ")))
                .collect();
            format!("Apply failed with {count} conflicts: {}", each.join("\n"))
        }
    };
    let causes = conflicts.iter().flat_map(|conflict| {
        conflict.paths.iter().map(move |path| Cause {
            reason: "FieldManagerConflict".to_owned(),
            message: format!("conflict with {}", name(conflict)),
            field: path.clone(),
        })
    });
    Status::apply_conflict(text, causes.collect())
}
