//! PUT: a new version of an object; and what all changes of an object have in common.

use std::sync::Arc;

use serde_json::Value;
use windlass_admission::Charge;
use windlass_api::Status;
use windlass_api::field::{self, Path};
use windlass_api::status::Reason;
use windlass_client::Verb;
use windlass_machinery::tree::{child, put, remove, text};
use windlass_resources::Moment;
use windlass_resources::life::{self, check_namespace};
use windlass_store::{CommitError, Expect, Item, Txn};

use super::create::{charges, create_object, expiry};
use crate::allocation;
use crate::call::Call;
use crate::outcome::Outcome;
use crate::storage::{commit_failure, tree};

/// An unconditional change is tried again this often when others change the object meanwhile.
const ATTEMPTS: usize = 100;

pub(crate) async fn update(call: &Call<'_>) -> Result<Outcome, Status> {
    let mut object = call.body()?;
    check_names(&mut object, call)?;
    let absent = call.served.table.get(&call.key()).is_none();
    if absent && call.served.resource.creates_on_update && call.subresource.is_none() {
        call.authorize_creation().await?;
        check_uid(&object, "", call)?;
        version_of(&object)?;
        return create_object(call, object).await;
    }
    change(call, |_| Ok(object.clone())).await
}

/// The end of one attempt to change an object.
enum Attempt {
    Done(Outcome),
    /// Somebody else was quicker: the object as it is now.
    Overtaken(Arc<Item>),
    /// Somebody else was quicker with what goes along with the object: what it takes, or a quota.
    Contended,
    Gone,
}

/// Replaces an object by what `make` makes of the current one, again and again until nobody interferes; a client that
/// names a resourceVersion gets a conflict instead.
pub(crate) async fn change(
    call: &Call<'_>,
    mut make: impl FnMut(&Value) -> Result<Value, Status>,
) -> Result<Outcome, Status> {
    let mut current = call.stored()?;
    for _ in 0..ATTEMPTS {
        let mut old = tree(call.served, &*call.present(current.clone()).await?)?;
        put(child(&mut old, "metadata"), "resourceVersion", current.revision.to_string());
        let new = make(&old)?;
        // A patched object carries the version that it was made from, which is no wish of the client's.
        let conditional = check_versions(&new, &old, call)? && call.request.verb == Verb::Update;
        let write = call.write();
        let new = life::update(write, new, &old, call).await?;
        match store_change(call, &current, &old, new, write.moment).await? {
            Attempt::Done(outcome) => return Ok(outcome),
            Attempt::Overtaken(newer) if !conditional => current = newer,
            Attempt::Overtaken(_) => return Err(call.stale()),
            Attempt::Contended => {}
            Attempt::Gone => return Err(call.not_found()),
        }
    }
    Err(call.stale())
}

async fn store_change(
    call: &Call<'_>,
    current: &Arc<Item>,
    old: &Value,
    mut new: Value,
    moment: Moment,
) -> Result<Attempt, Status> {
    let (served, resource) = (call.served, &call.served.resource);
    let is_last = life::is_released(resource, &new);
    let charge = if is_last { Charge::default() } else { call.charge(&mut new, Some(old)).await? };
    let taken = match is_last {
        true => allocation::delete(call.storage, served, old),
        false => allocation::write(call.storage, served, Some(old), &mut new)?,
    };
    if call.request.options.dry_run {
        put(child(&mut new, "metadata"), "resourceVersion", current.revision.to_string());
        return Ok(Attempt::Done(Outcome::draft(served, new)));
    }
    let template = call.storage.to_stored(served, new).await?;
    if !is_last && template.is_same_as(&current.value) {
        return Ok(Attempt::Done(Outcome::item(served, call.present(current.clone()).await?)));
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
    txn.ops.extend(charges(&charge));
    match call.storage.store.commit(txn).await {
        Err(CommitError::Conflict { op, .. }) if op > 0 => Ok(Attempt::Contended),
        Ok(mut committed) => {
            Ok(Attempt::Done(Outcome::item(served, call.present(committed.items.swap_remove(0)).await?)))
        }
        Err(CommitError::Conflict { current: Some(newer), .. }) => Ok(Attempt::Overtaken(newer)),
        Err(CommitError::Conflict { current: None, .. }) => Ok(Attempt::Gone),
        Err(error) => Err(commit_failure(error)),
    }
}

/// The refusal of an object without a name.
pub(super) fn no_name(call: &Call<'_>) -> Status {
    let name = &call.request.name;
    let text = format!("the name of the object ({name} based on URL) was undeterminable: name must be provided");
    Status::bad_request(text)
}

/// Name and namespace of the object must be those of the path; a namespace that is not given is.
pub(crate) fn check_names(object: &mut Value, call: &Call<'_>) -> Result<(), Status> {
    let Call { served, request, .. } = call;
    let name = text(child(object, "metadata"), "name");
    if name.is_empty() {
        return Err(no_name(call));
    }
    if name != request.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            request.name
        )));
    }
    if served.resource.is_namespaced() {
        check_namespace(object, &request.namespace)?;
        put(child(object, "metadata"), "namespace", request.namespace.as_str());
    } else {
        remove(child(object, "metadata"), "namespace");
    }
    Ok(())
}

/// Compares uid and resourceVersion with the stored object's; returns whether the client insists on a resourceVersion.
fn check_versions(new: &Value, old: &Value, call: &Call<'_>) -> Result<bool, Status> {
    let Call { served, request, .. } = call;
    let (metadata, old_metadata) = (&new["metadata"], &old["metadata"]);
    let (group_resource, name) = (served.resource.group_resource(), request.name.as_str());
    check_uid(new, text(old_metadata, "uid"), call)?;
    let version = text(metadata, "resourceVersion");
    let metadata_path = Path::new("metadata");
    let path = metadata_path.child("resourceVersion");
    if version.is_empty() || version == "0" {
        if served.resource.updates_need_version && request.verb == Verb::Update {
            let error = field::Error::invalid(&path, 0, "must be specified for an update");
            // Upstream puts the resource where the kind should be.
            return Err(Status::invalid(&group_resource.group, &group_resource.resource, name, &error.into()));
        }
        return Ok(false);
    }
    if version_of(new)? != text(old_metadata, "resourceVersion") {
        return Err(call.stale());
    }
    Ok(true)
}

/// An update of an object with a UID is of no other object, nor does it make one.
fn check_uid(new: &Value, old_uid: &str, call: &Call<'_>) -> Result<(), Status> {
    let uid = text(&new["metadata"], "uid");
    // Of a patch, validation says that it cannot be changed.
    if call.request.verb != Verb::Update || uid.is_empty() || uid == old_uid {
        return Ok(());
    }
    Err(Status::uid_precondition(&call.served.resource.group_resource(), &call.request.name, uid, old_uid))
}

/// The version that an object says it has; the error is what Go says of one that is no number.
fn version_of(object: &Value) -> Result<&str, Status> {
    let version = text(&object["metadata"], "resourceVersion");
    if !version.is_empty() && version.parse::<u64>().is_err() {
        let why = format!("strconv.ParseUint: parsing {version:?}: invalid syntax");
        return Err(Status::new(500, Reason::Unknown, why));
    }
    Ok(version)
}
