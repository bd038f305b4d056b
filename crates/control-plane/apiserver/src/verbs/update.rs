//! PUT: a new version of an object; and what all changes of an object have in common.

use std::sync::Arc;

use serde_json::Value;
use windlass_admission::Operation;
use windlass_api::Status;
use windlass_api::field::{self, Path};
use windlass_client::{Request, Verb};
use windlass_machinery::json::Template;
use windlass_machinery::tree::{child, items, keep, put, text};
use windlass_resources::{Moment, Subresource, metadata};
use windlass_store::{CommitError, Expect, Item, Txn};

use super::create::expiry;
use super::{ownership, review};
use crate::context::Context;
use crate::objects::{commit_failure, decode_body, tree};
use crate::outcome::{Outcome, Payload};
use crate::registry::Served;
use crate::server::Server;

/// An unconditional change is tried again this often when others change the object meanwhile.
const ATTEMPTS: usize = 100;

impl Server {
    pub(crate) async fn update(
        &self,
        context: &Context,
        served: &Arc<Served>,
        request: Request,
    ) -> Result<Outcome, Status> {
        let kind = &served.resource.kind;
        let schema = served.resource.schema;
        let mut object = decode_body(context, schema.schema, schema.id, kind, &request.body, &request.options)?;
        check_names(&mut object, served, &request)?;
        let absent = served.table.get(&served.key(&request.namespace, &request.name)).is_none();
        if absent && served.resource.creates_on_update && request.subresource.is_empty() {
            return self.create_object(context, served, &request, object).await;
        }
        self.change(context, served, &request, |_| Ok(object.clone())).await
    }

    /// Replaces an object by what `make` makes of the current one, again and again until nobody interferes; a client that
    /// names a resourceVersion gets a conflict instead.
    pub(crate) async fn change(
        &self,
        context: &Context,
        served: &Arc<Served>,
        request: &Request,
        mut make: impl FnMut(&Value) -> Result<Value, Status>,
    ) -> Result<Outcome, Status> {
        let resource = &served.resource;
        let mut current = self.stored(served, &request.namespace, &request.name)?;
        for _ in 0..ATTEMPTS {
            let mut old = tree(served, &current)?;
            put(child(&mut old, "metadata"), "resourceVersion", current.revision.to_string());
            let new = make(&old)?;
            // A patched object carries the version that it was made from, which is no wish of the client's.
            let conditional = check_versions(&new, &old, served, request)? && request.verb == Verb::Update;
            match self.replace(context, served, request, &current, &old, new).await? {
                Ok(outcome) => return Ok(outcome),
                Err(Some(newer)) if !conditional => current = newer,
                Err(Some(_)) => return Err(Status::stale(&resource.group_resource(), &request.name)),
                Err(None) => return Err(Status::not_found(&resource.group_resource(), &request.name)),
            }
        }
        Err(Status::stale(&resource.group_resource(), &request.name))
    }

    /// One attempt: prepares, admits, validates and stores. When somebody was quicker, the inner error has the object as it is
    /// now, if it is.
    async fn replace(
        &self,
        context: &Context,
        served: &Arc<Served>,
        request: &Request,
        current: &Arc<Item>,
        old: &Value,
        mut new: Value,
    ) -> Result<Result<Outcome, Option<Arc<Item>>>, Status> {
        let resource = &served.resource;
        let moment = Moment { now: self.clock.now() };
        prepare(&mut new, old, served, &request.subresource, moment);
        self.refuse_escalation(context, served, request, &new, Some(old))?;
        let mut admitted = review(Operation::Update, context, served, request, Some(&mut new), Some(old));
        self.admission.admit(&mut admitted, self).await?;
        let mut errors = metadata::validate_update(&new, old, resource);
        errors.extend(match &*request.subresource {
            "" => resource.strategy.validate_update(&new, old),
            "status" => resource.strategy.validate_status(&new, old),
            subresource => resource.strategy.validate_subresource(subresource, &new, old),
        });
        if !errors.is_empty() {
            return Err(Status::invalid(&resource.kind.group, &resource.kind.kind, &request.name, &errors));
        }
        let admitted = review(Operation::Update, context, served, request, Some(&mut new), Some(old));
        self.admission.validate(&admitted, self).await?;
        if request.subresource.is_empty() {
            for warning in resource.strategy.warnings(&new) {
                context.warn(warning);
            }
        }
        ownership::record(context, served, request, moment.now, Some(old), &mut new);
        self.store_change(served, request, current, old, new, moment).await
    }

    async fn store_change(
        &self,
        served: &Arc<Served>,
        request: &Request,
        current: &Arc<Item>,
        old: &Value,
        mut new: Value,
        moment: Moment,
    ) -> Result<Result<Outcome, Option<Arc<Item>>>, Status> {
        let resource = &served.resource;
        let is_last = is_released(&new, served);
        let taken = match self.allocator(served) {
            Some(allocator) if is_last => allocator.delete(&self.store, old),
            Some(allocator) => allocator.write(&self.store, Some(old), &mut new)?,
            None => Vec::new(),
        };
        if request.options.dry_run {
            return Ok(Ok(Outcome::tree(resource.kind.clone(), new)));
        }
        let mut stored = new;
        resource.strategy.to_stored(&mut stored);
        let template = Template::new(&stored);
        if !is_last && template.is_same_as(&current.value) {
            return Ok(Ok(Outcome::item(served, current.clone())));
        }
        let key = &current.key;
        let mut txn = if is_last {
            Txn::delete(&resource.table, key, current.revision, Some(template))
        } else {
            let mut txn = Txn::put(&resource.table, key, Expect::Revision(current.revision), template);
            txn.ops[0].expires = expiry(served, moment);
            txn
        };
        txn.ops.extend(taken);
        match self.store.commit(txn).await {
            Err(CommitError::Conflict { op, .. }) if op > 0 => Ok(Err(Some(current.clone()))),
            Ok(mut committed) => {
                let payload = Payload::Item(served.clone(), committed.items.swap_remove(0));
                Ok(Ok(Outcome::Object { payload, created: false }))
            }
            Err(CommitError::Conflict { current, .. }) => Ok(Err(current)),
            Err(error) => Err(commit_failure(error)),
        }
    }
}

/// Whether an object that was waiting to be deleted waits for nothing any more.
pub(super) fn is_released(object: &Value, served: &Served) -> bool {
    let metadata = &object["metadata"];
    metadata.get("deletionTimestamp").is_some()
        && items(metadata, "finalizers").next().is_none()
        && metadata.get("deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0) == 0
        && !served.resource.strategy.is_deletion_pending(object)
}

/// Puts back what this request may not change.
fn prepare(new: &mut Value, old: &Value, served: &Served, subresource: &str, moment: Moment) {
    let resource = &served.resource;
    // Each of these has taken from the client only the part that it is about.
    if !matches!(subresource, "" | "status") {
        resource.strategy.set_defaults(new);
        metadata::prepare_update(new, old, resource);
        return;
    }
    if subresource.is_empty() {
        resource.strategy.set_defaults(new);
        if resource.has(Subresource::Status) {
            keep(new, old, "status");
        }
        resource.strategy.prepare_update(new, old, moment);
        metadata::prepare_update(new, old, resource);
        return;
    }
    // A status update takes the status, and lets annotations, labels and finalizers through as upstream does.
    let status = new.get("status").cloned().unwrap_or_default();
    let mut metadata = new.get("metadata").cloned().unwrap_or_default();
    keep(&mut metadata, &old["metadata"], "ownerReferences");
    *new = old.clone();
    put(new, "status", status);
    put(new, "metadata", metadata);
    resource.strategy.set_defaults(new);
    resource.strategy.prepare_status(new, old, moment);
    metadata::prepare_update(new, old, resource);
}

/// Name and namespace of the object must be those of the path; a namespace that is not given is.
fn check_names(object: &mut Value, served: &Served, request: &Request) -> Result<(), Status> {
    let metadata = child(object, "metadata");
    let (name, namespace) = (text(metadata, "name"), text(metadata, "namespace"));
    if name != request.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            request.name
        )));
    }
    if served.resource.is_namespaced() && !namespace.is_empty() && namespace != request.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if served.resource.is_namespaced() {
        put(metadata, "namespace", request.namespace.as_str());
    }
    Ok(())
}

/// Compares uid and resourceVersion with the stored object's; returns whether the client insists on a resourceVersion.
fn check_versions(new: &Value, old: &Value, served: &Served, request: &Request) -> Result<bool, Status> {
    let (metadata, old_metadata) = (&new["metadata"], &old["metadata"]);
    let (group_resource, name) = (served.resource.group_resource(), request.name.as_str());
    let (uid, old_uid) = (text(metadata, "uid"), text(old_metadata, "uid"));
    if !uid.is_empty() && uid != old_uid {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {old_uid}");
        return Err(Status::conflict(&group_resource, name, why));
    }
    let version = text(metadata, "resourceVersion");
    let metadata_path = Path::new("metadata");
    let path = metadata_path.child("resourceVersion");
    if version.is_empty() || version == "0" {
        if served.resource.updates_need_version && request.verb == Verb::Update {
            let error = field::Error::invalid(&path, 0, "must be specified for an update");
            // Upstream puts the resource where the kind should be.
            return Err(Status::invalid(&group_resource.group, &group_resource.resource, name, &vec![error]));
        }
        return Ok(false);
    }
    if version.parse::<u64>().is_err() {
        let error = field::Error::invalid(&path, version, "must be a decimal integer");
        return Err(Status::invalid(&served.resource.kind.group, &served.resource.kind.kind, name, &vec![error]));
    }
    if version != text(old_metadata, "resourceVersion") {
        return Err(Status::stale(&group_resource, name));
    }
    Ok(true)
}
