//! PATCH: a change described by its difference, or by the fields that the client wants (server-side apply).

use serde_json::{Map, Value};
use windlass_api::field::{Error, Path};
use windlass_api::status::{Cause, Reason};
use windlass_api::{GroupVersionKind, Status, time};
use windlass_client::PatchType;
use windlass_machinery::managed::{self, ApplyError, Change, Conflict};
use windlass_machinery::rfc6902::{self, JsonPatchError};
use windlass_machinery::schema::TypeRef;
use windlass_machinery::strategic::{self, PatchError};
use windlass_machinery::tree::{child, put, remove, text};
use windlass_machinery::{go, rfc7386, strict, yaml};

use super::create::create_object;
use super::update::{change, check_names, no_name};
use crate::auditing::record_patch;
use crate::body::{BodyKind, decode_patched, decode_tree, report, yaml_error};
use crate::call::Call;
use crate::outcome::Outcome;

pub(crate) async fn patch(call: &Call<'_>, patch_type: PatchType) -> Result<Outcome, Status> {
    if patch_type == PatchType::Apply {
        return apply(call).await;
    }
    let patch = Patch::read(call, patch_type)?;
    change(call, |old| patch.applied(call, BodyKind::of(call.served), old)).await
}

/// A patch as the client sent it, and what a strict one would not have sent.
pub(crate) struct Patch {
    patch_type: PatchType,
    patch: Value,
    problems: Vec<String>,
}

impl Patch {
    pub(crate) fn read(call: &Call<'_>, patch_type: PatchType) -> Result<Self, Status> {
        let broken = || Status::bad_request("invalid JSON patch");
        let (patch, duplicates) = strict::parse(&call.request.body.bytes).map_err(|_| broken())?;
        let unknown = match patch_type {
            PatchType::Json => rfc6902::unknown_fields(&patch),
            _ => Vec::new(),
        };
        let of = if patch_type == PatchType::Json { "json patch " } else { "" };
        let problems = duplicates.iter().chain(&unknown).map(|problem| format!("{of}{problem}")).collect();
        let type_error = |decoding: &str| {
            // Upstream reads it only when it has the object.
            call.stored()?;
            let found = go::json_type(&patch);
            let text =
                format!("{decoding}json: cannot unmarshal {found} into Go value of type map[string]interface {{}}");
            Err(Status::bad_request(text))
        };
        if let Some(trail) = &call.context.trail {
            record_patch(trail, &patch);
        }
        match (patch_type, &patch) {
            (PatchType::Merge, Value::Null) => Err(Status::bad_request("Invalid JSON Patch")),
            (PatchType::Merge, other) if !other.is_object() => type_error("error decoding patch: "),
            (PatchType::Strategic, Value::Null) => Ok(Self { patch_type, patch: Value::Object(Map::new()), problems }),
            (PatchType::Strategic, other) if !other.is_object() => type_error(""),
            _ => Ok(Self { patch_type, patch, problems }),
        }
    }

    /// The object `old`, patched. A result that is no object of the kind is a mistake of the patch.
    pub(crate) fn applied(&self, call: &Call<'_>, of: BodyKind<'_>, old: &Value) -> Result<Value, Status> {
        let mut old = old.clone();
        if self.patch_type != PatchType::Strategic {
            // These see the object as text, and so what it is.
            put(&mut old, "kind", &*of.kind.kind);
            put(&mut old, "apiVersion", of.kind.api_version());
        }
        let new = self.result(&old, of.object_type)?;
        let mut new = match decode_patched(call.context, of, new, &self.problems, &call.request.options) {
            Ok(new) => new,
            Err(why) => {
                let shown = match self.patch_type {
                    PatchType::Strategic => go::print(&self.patch),
                    _ => self.result(&old, of.object_type)?.to_string(),
                };
                let error = Error::invalid(&Path::new("patch"), shown, why);
                return Err(Status::invalid("", "", "", &error.into()));
            }
        };
        check_names(&mut new, call)?;
        Ok(new)
    }

    /// What the patch makes of an object, as it is.
    fn result(&self, old: &Value, TypeRef { schema, id }: TypeRef<'_>) -> Result<Value, Status> {
        let (mut new, patch) = (old.clone(), &self.patch);
        match self.patch_type {
            PatchType::Merge => rfc7386::merge(&mut new, patch),
            PatchType::Json => {
                rfc6902::apply(&mut new, patch).map_err(json_patch_failure)?;
            }
            // What is applied is no patch but a [`Configuration`]; nothing makes a `Patch` of it.
            PatchType::Strategic | PatchType::Apply => {
                strategic::apply(schema, id, &mut new, patch).map_err(strategic_failure)?;
                // What it is, nobody can change.
                remove(&mut new, "kind");
                remove(&mut new, "apiVersion");
            }
        }
        Ok(new)
    }
}

/// Server-side apply: the body holds the fields that the manager wants to own, and nothing else.
async fn apply(call: &Call<'_>) -> Result<Outcome, Status> {
    let of = BodyKind::of(call.served);
    let configuration = Configuration::read(call, of)?;
    let now = time::rfc3339(call.storage.clock.now());
    let ownership = call.ownership_change(&now);
    configuration.report_duplicates(call)?;
    let absent = call.served.table.get(&call.key()).is_none();
    if absent && call.subresource.is_none() {
        call.authorize_creation().await?;
        let mut object = configuration.applied(call, of, &ownership, None)?;
        let metadata = child(&mut object, "metadata");
        let uid = text(metadata, "uid");
        if !uid.is_empty() {
            let why =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(Status::conflict(&call.served.resource.group_resource(), &call.request.name, why));
        }
        // Of what is not there, no version is meant.
        remove(metadata, "resourceVersion");
        return create_object(call, object).await;
    }
    change(call, |old| configuration.applied(call, of, &ownership, Some(old))).await
}

fn strategic_failure(error: PatchError) -> Status {
    match error {
        PatchError::TooMuch => Status::too_large(error),
        PatchError::Directive { .. } | PatchError::NoList(_) => Status::new(500, Reason::Unknown, error.to_string()),
        _ => Status::bad_request(error.to_string()),
    }
}

fn json_patch_failure(error: JsonPatchError) -> Status {
    match error {
        JsonPatchError::Malformed(_) => Status::bad_request(error.to_string()),
        JsonPatchError::TooMany(_) => Status::too_large(error),
        // Upstream keeps to itself what does not fit.
        _ => {
            tracing::debug!(%error, "a JSON patch does not fit its object");
            Status::generic(422, Reason::Invalid, "the server rejected our request due to an error in our request")
        }
    }
}

/// A configuration to be applied.
pub(crate) struct Configuration {
    /// What the client has sent.
    document: Value,
    /// The fields that it lays claim to. They are not completed, since every one of them is a claim.
    fields: Value,
    /// What stands twice in it.
    duplicates: Vec<String>,
}

impl Configuration {
    /// It must say what it is.
    pub(crate) fn read(call: &Call<'_>, of: BodyKind<'_>) -> Result<Self, Status> {
        let document = yaml::parse(&call.request.body.bytes)
            .map_err(|error| Status::bad_request(format!("error encoding patch: {}", yaml_error(&error))))?;
        let configuration = match document.value {
            Value::Null => Value::Object(Map::new()),
            Value::Object(map) => Value::Object(map),
            other => {
                let found = go::json_type(&other);
                return Err(Status::bad_request(format!(
                    "error decoding patch: error unmarshaling JSON: while decoding JSON: \
                     json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
                )));
            }
        };
        let kind = of.kind;
        let (said_version, said_kind) = (text(&configuration, "apiVersion"), text(&configuration, "kind"));
        if said_version != kind.api_version() || said_kind != kind.kind {
            let version = if said_version.contains('/') { said_version.to_owned() } else { format!("/{said_version}") };
            return Err(Status::bad_request(format!("invalid object type: {version}, Kind={said_kind}")));
        }
        if let Some(trail) = &call.context.trail {
            record_patch(trail, &configuration);
        }
        // A name that is null is none.
        if configuration.pointer("/metadata/name").is_some_and(Value::is_null) {
            return Err(no_name(call));
        }
        let mut fields = configuration.clone();
        remove(&mut fields, "apiVersion");
        remove(&mut fields, "kind");
        without_nulls(&mut fields);
        Ok(Self { document: configuration, fields, duplicates: document.duplicates })
    }

    /// An object with the configuration in it, and the record of that.
    pub(crate) fn applied(
        &self,
        call: &Call<'_>,
        of: BodyKind<'_>,
        ownership: &Change<'_>,
        old: Option<&Value>,
    ) -> Result<Value, Status> {
        let options = &call.request.options;
        let merged = managed::apply(ownership, old, &self.fields, options.force.unwrap_or(false));
        let mut merged = merged.map_err(|error| apply_failure(of.kind, &self.fields, error))?;
        managed::update_last_applied(ownership.manager, &mut merged, &self.document);
        let mut object = decode_tree(call.context, of, merged, options)?;
        check_names(&mut object, call)?;
        Ok(object)
    }

    /// Says or refuses what a strict client would not have sent.
    pub(crate) fn report_duplicates(&self, call: &Call<'_>) -> Result<(), Status> {
        report(call.context, &call.request.options, self.duplicates.iter().cloned(), |all| {
            let of_yaml = "error strict decoding patch: error converting YAML to JSON: yaml: unmarshal errors:";
            Status::bad_request(format!("{of_yaml}\n  {}", all.join("\n  ")))
        })
    }
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

fn apply_failure(kind: &GroupVersionKind, configuration: &Value, error: ApplyError) -> Status {
    match error {
        ApplyError::ManagedFields => Status::bad_request("metadata.managedFields must be nil"),
        ApplyError::Conflicts(conflicts) => conflict(&conflicts),
        ApplyError::Typed(problem) => {
            let metadata = &configuration["metadata"];
            let (namespace, name) = (text(metadata, "namespace"), text(metadata, "name"));
            let (group, version, kind) = (&kind.group, &kind.version, &kind.kind);
            let what = format!("{namespace}/{name}; {group}/{version}, Kind={kind}");
            Status::new(500, Reason::Unknown, format!("failed to create typed patch object ({what}): {problem}"))
        }
    }
}

/// Upstream's words for fields that others own.
fn conflict(conflicts: &[Conflict]) -> Status {
    let name = |conflict: &Conflict| {
        let mut name = format!("{:?}", conflict.manager);
        if !conflict.subresource.is_empty() {
            name.push_str(&format!(" with subresource {:?}", conflict.subresource));
        }
        if conflict.operation == managed::Operation::Update {
            name.push_str(&format!(" using {}", conflict.api_version));
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
