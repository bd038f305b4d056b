//! PATCH: a change described by its difference, or by the fields that the client wants (server-side apply).

use std::sync::Arc;

use serde_json::Value;
use windlass_api::field::{Error, Path};
use windlass_api::status::{Cause, Reason};
use windlass_api::{Status, time};
use windlass_client::{PatchType, Request, Verb};
use windlass_machinery::managed::{self, ApplyError, Conflict};
use windlass_machinery::strategic;
use windlass_machinery::tree::{child, put, remove};

use super::ownership;
use crate::context::Context;
use crate::objects::{body_tree, decode_body, decode_tree};
use crate::outcome::Outcome;
use crate::registry::Served;
use crate::server::Server;

impl Server {
    pub(crate) async fn patch(
        &self,
        context: &Context,
        served: &Arc<Served>,
        request: Request,
        patch_type: PatchType,
    ) -> Result<Outcome, Status> {
        let patch = body_tree(&request.body)?;
        if patch_type == PatchType::Apply {
            return self.apply(context, served, request, patch).await;
        }
        if request.options.force.is_some() {
            let error = Error::forbidden(&Path::new("force"), "may not be specified for non-apply patch");
            return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &vec![error]));
        }
        self.change(context, served, &request, |old| {
            let patched = patched(patch_type, &patch, old, served)?;
            decode_tree(context, served, patched, &request.options)
        })
        .await
    }

    /// What a PUT or PATCH of a subresource asks for: the object as the client wants it, made from the current one.
    pub(crate) fn requested_change<'a>(
        &'a self,
        context: &'a Context,
        served: &'a Arc<Served>,
        request: &'a Request,
    ) -> Result<impl Fn(&Value) -> Result<Value, Status> + 'a, Status> {
        let patch_type = match request.verb {
            Verb::Patch(patch_type) => Some(patch_type),
            _ => None,
        };
        let body = match patch_type {
            Some(_) => body_tree(&request.body)?,
            None => {
                let (kind, schema) = (&served.resource.kind, served.resource.schema);
                decode_body(context, schema.schema, schema.id, kind, &request.body, &request.options)?
            }
        };
        let now = time::rfc3339(self.clock.now());
        Ok(move |old: &Value| {
            let new = match patch_type {
                None => return Ok(body.clone()),
                Some(PatchType::Apply) => {
                    let change = ownership::change(context, served, request, &now);
                    let force = request.options.force.unwrap_or(false);
                    managed::apply(&change, Some(old), &body, force).map_err(apply_failure)?
                }
                Some(other) => patched(other, &body, old, served)?,
            };
            decode_tree(context, served, new, &request.options)
        })
    }

    /// Server-side apply: the body holds the fields that the manager wants to own, and nothing else.
    async fn apply(
        &self,
        context: &Context,
        served: &Arc<Served>,
        request: Request,
        configuration: Value,
    ) -> Result<Outcome, Status> {
        if request.options.field_manager.is_empty() {
            let error = Error::required(&Path::new("fieldManager"), "is required for apply patch");
            return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &vec![error]));
        }
        let configuration = check_configuration(context, served, &request, configuration)?;
        let now = time::rfc3339(self.clock.now());
        let force = request.options.force.unwrap_or(false);
        let merged = |old: Option<&Value>| {
            let change = ownership::change(context, served, &request, &now);
            managed::apply(&change, old, &configuration, force).map_err(apply_failure)
        };
        let absent = served.table.get(&served.key(&request.namespace, &request.name)).is_none();
        if absent && request.subresource.is_empty() {
            let mut object = decode_tree(context, served, merged(None)?, &request.options)?;
            put(child(&mut object, "metadata"), "name", request.name.as_str());
            return self.create_object(context, served, &request, object).await;
        }
        self.change(context, served, &request, |old| decode_tree(context, served, merged(Some(old))?, &request.options))
            .await
    }
}

fn patched(patch_type: PatchType, patch: &Value, old: &Value, served: &Served) -> Result<Value, Status> {
    let mut new = old.clone();
    match patch_type {
        PatchType::Merge => json_patch::merge(&mut new, patch),
        PatchType::Json => {
            let operations: json_patch::Patch = serde_json::from_value(patch.clone())
                .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
            json_patch::patch(&mut new, &operations).map_err(|error| unprocessable(&error))?;
        }
        PatchType::Strategic | PatchType::Apply => {
            let schema = served.resource.schema;
            strategic::apply(schema.schema, schema.id, &mut new, patch)
                .map_err(|error| Status::bad_request(error.to_string()))?;
        }
    }
    Ok(new)
}

/// A patch that is well formed and does not fit the object.
fn unprocessable(error: &dyn std::fmt::Display) -> Status {
    let text = format!("the server rejected our request due to an error in our request: {error}");
    Status::new(422, Reason::Invalid, text)
}

/// The configuration must say what it is, and must be a partial object of the kind: checked against the schema for unknown
/// fields and types, but not completed, since every field in it is a claim.
fn check_configuration(
    context: &Context,
    served: &Served,
    request: &Request,
    mut configuration: Value,
) -> Result<Value, Status> {
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
    decode_tree(context, served, configuration.clone(), &request.options)?;
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
