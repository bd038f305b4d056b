//! POST: a new object.

use std::sync::Arc;

use serde_json::Value;
use windlass_admission::{Charge, ChargedQuota};
use windlass_api::Status;
use windlass_api::meta::PartialObject;
use windlass_api::status::Reason;
use windlass_machinery::names;
use windlass_machinery::tree::{child, put, text};
use windlass_resources::{Moment, life};
use windlass_store::{CommitError, Expect, Item, Op, Txn};

use crate::allocation;
use crate::call::Call;
use crate::outcome::{Outcome, Payload};
use crate::registry::Served;
use crate::storage::{commit_failure, replacement};

/// How often a generated name, address or port is chosen anew when somebody else was quicker.
const ATTEMPTS: usize = 16;

pub(crate) async fn create(call: &Call<'_>) -> Result<Outcome, Status> {
    let object = call.body()?;
    create_object(call, object).await
}

/// Creates an object that has been read already; also what an update or an apply of an absent object does.
pub(crate) async fn create_object(call: &Call<'_>, object: Value) -> Result<Outcome, Status> {
    let resource = &call.served.resource;
    if let Some(why) = resource.strategy.refuses_creation() {
        return Err(Status::forbidden(&resource.group_resource(), text(&object["metadata"], "name"), why));
    }
    let is_named = !text(&object["metadata"], "name").is_empty();
    let write = call.write();
    let object = life::create(write, object, call).await?;
    store_new(call, object, !is_named, write.moment).await
}

async fn store_new(
    call: &Call<'_>,
    mut object: Value,
    name_is_generated: bool,
    moment: Moment,
) -> Result<Outcome, Status> {
    let (served, resource) = (call.served, &call.served.resource);
    for attempt in 0.. {
        let name = text(&object["metadata"], "name").to_owned();
        let key = served.key(&call.request.namespace, &name);
        let charge = call.charge(&mut object, None).await?;
        if call.request.options.dry_run {
            if let Some(found) = served.table.get(&key) {
                return Err(already_exists(served, &name, Some(&found)));
            }
            allocation::write(call.storage, served, None, &mut object)?;
            return Ok(Outcome::draft(served, object).created());
        }
        refuse_version(&object)?;
        let mut new = object.clone();
        let taken = allocation::write(call.storage, served, None, &mut new)?;
        let template = call.storage.to_stored(served, new).await?;
        let mut txn = Txn::put(&resource.table, &key, Expect::Absent, template);
        txn.ops[0].expires = expiry(served, moment);
        txn.ops.extend(taken);
        txn.ops.extend(charges(&charge));
        match call.storage.store.commit(txn).await {
            Ok(mut committed) => {
                let item = call.present(committed.items.swap_remove(0)).await?;
                return Ok(Outcome::Object { payload: Payload::Item(served.clone(), item), created: true });
            }
            // Somebody else has just taken what was to be this object's, or has written a quota.
            Err(CommitError::Conflict { op, .. }) if op > 0 && attempt < ATTEMPTS => {}
            Err(CommitError::Conflict { op, .. }) if op > 0 => return Err(call.contended(&name)),
            Err(CommitError::Conflict { .. }) if name_is_generated && attempt < ATTEMPTS => {
                let base = text(&object["metadata"], "generateName").to_owned();
                put(child(&mut object, "metadata"), "name", names::generate(&base, &call.storage.chance));
            }
            Err(CommitError::Conflict { .. }) if name_is_generated => {
                return Err(Status::generate_name_conflict(&resource.group_resource(), &name));
            }
            Err(CommitError::Conflict { current, .. }) => return Err(already_exists(served, &name, current.as_ref())),
            Err(error) => return Err(commit_failure(error)),
        }
    }
    unreachable!("the loop ends by returning")
}

/// Refuses an object that has been stored before. The store of upstream does it, after everybody else has spoken, and a dry run does not come there.
fn refuse_version(object: &Value) -> Result<(), Status> {
    if text(&object["metadata"], "resourceVersion").parse().is_ok_and(|version: u64| version > 0) {
        let text = "resourceVersion should not be set on objects to be created";
        return Err(Status::new(500, Reason::Unknown, text));
    }
    Ok(())
}

/// The writes of the quotas that are charged.
pub(super) fn charges(charge: &Charge) -> impl Iterator<Item = Op> {
    charge.quotas.iter().map(|quota| replacement(ChargedQuota::TABLE, &quota.old, &quota.new))
}

/// The refusal of an object whose name another one has, which may be about to give it up.
fn already_exists(served: &Served, name: &str, found: Option<&Arc<Item>>) -> Status {
    let mut status = Status::already_exists(&served.resource.group_resource(), name);
    let found = found.and_then(|item| serde_json::from_slice::<PartialObject>(&item.value).ok());
    if found.is_some_and(|found| found.metadata.is_deleting()) {
        status.message.insert_str(0, "object is being deleted: ");
    }
    status
}

/// When an object that is written now goes away by itself; 0 is never.
pub(super) fn expiry(served: &Served, moment: Moment) -> i64 {
    served.resource.strategy.time_to_live_seconds().map_or(0, |seconds| moment.now.as_second() + seconds)
}
