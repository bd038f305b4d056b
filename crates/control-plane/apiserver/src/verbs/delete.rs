//! DELETE: an object goes, now or when everybody who has a say in it has let go.
//!
//! What becomes of it is decided in [`life::delete`].

use std::sync::Arc;

use serde_json::{Value, json};
use windlass_admission::{Operation, OperationOptions, Review};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::{GroupResource, GroupVersionKind, Status};
use windlass_client::{DeleteOptions, Encoding, Propagation};
use windlass_machinery::json::Template;
use windlass_machinery::tree::{child, items, put, text};
use windlass_machinery::{Schema, decode, protobuf};
use windlass_resources::Moment;
use windlass_resources::life::{self, Dependents, Wishes};
use windlass_store::{CommitError, Expect, Item, Txn};

use crate::allocation;
use crate::auditing::record_request;
use crate::body::{SCHEME, body_tree};
use crate::call::Call;
use crate::outcome::Outcome;
use crate::registry::Served;
use crate::storage::{commit_failure, tree};

const ATTEMPTS: usize = 100;

pub(crate) async fn delete(call: &Call<'_>) -> Result<Outcome, Status> {
    let options = delete_options(call)?;
    warn_of_orphans(call, &options);
    if let Some(why) = call.served.resource.strategy.refuses_deletion(&call.request.name) {
        return Err(Status::forbidden(&call.served.resource.group_resource(), &call.request.name, why));
    }
    delete_object(call, &options).await
}

/// Says what becomes of dependents to a client that has not.
pub(super) fn warn_of_orphans(call: &Call<'_>, options: &DeleteOptions) {
    if options.propagation_policy.is_none() && options.orphan_dependents.is_none() {
        let warning = call.served.resource.strategy.deletion_warning();
        warning.into_iter().for_each(|warning| call.context.warn(warning));
    }
}

pub(crate) async fn delete_object(call: &Call<'_>, options: &DeleteOptions) -> Result<Outcome, Status> {
    let served = call.served;
    let mut current = call.stored()?;
    let dry_run = call.request.options.dry_run || !options.dry_run.is_empty();
    for _ in 0..ATTEMPTS {
        let old = tree(served, &*call.present(current.clone()).await?)?;
        check_preconditions(options, &old, &current, call)?;
        admit_deletion(call, &old, options, dry_run).await?;
        let moment = Moment { now: call.storage.clock.now() };
        let mut last = old.clone();
        let gone = life::delete(&served.resource, &mut last, wishes(options), moment);
        if dry_run {
            return Ok(dry_answer(served, &current, last, gone));
        }
        let last = call.storage.to_stored(served, last).await?;
        match store_deletion(call, &current, &old, last, gone).await {
            Ok(item) => return Ok(answer(served, &call.present(item).await?, gone)),
            // What it holds has changed hands; look again.
            Err(CommitError::Conflict { op, .. }) if op > 0 => {}
            Err(CommitError::Conflict { current: Some(newer), .. }) => current = newer,
            Err(CommitError::Conflict { current: None, .. }) => return Err(call.not_found()),
            Err(error) => return Err(commit_failure(error)),
        }
    }
    Err(call.stale())
}

fn wishes(options: &DeleteOptions) -> Wishes {
    let dependents = match (options.propagation_policy, options.orphan_dependents) {
        (Some(Propagation::Orphan), _) | (None, Some(true)) => Some(Dependents::Orphaned),
        (Some(Propagation::Foreground), _) => Some(Dependents::First),
        (Some(Propagation::Background), _) | (None, Some(false)) => Some(Dependents::Afterwards),
        (None, None) => None,
    };
    Wishes { grace_seconds: options.grace_period_seconds, dependents }
}

async fn admit_deletion(call: &Call<'_>, old: &Value, options: &DeleteOptions, dry_run: bool) -> Result<(), Status> {
    if call.is_admitted {
        return Ok(());
    }
    let options = &Shown(options);
    let mut review = Review { options, dry_run, ..call.admission_review(Operation::Delete, None, Some(old)) };
    call.gate.admission.admit(&mut review, call.gate).await?;
    call.gate.admission.validate(&review, call.gate).await
}

/// What admission and the audit log see the options of a deletion as.
const SHOWN: GroupVersionKind = GroupVersionKind::of("meta.k8s.io", "v1", "DeleteOptions");

/// The options of a deletion as admission sees them.
struct Shown<'a>(&'a DeleteOptions);

impl OperationOptions for Shown<'_> {
    fn options(&self, _operation: Operation) -> Value {
        let mut options = serde_json::to_value(self.0).unwrap_or_default();
        put(&mut options, "kind", &*SHOWN.kind);
        put(&mut options, "apiVersion", SHOWN.api_version());
        options
    }
}

async fn store_deletion(
    call: &Call<'_>,
    current: &Arc<Item>,
    old: &Value,
    template: Template,
    gone: bool,
) -> Result<Arc<Item>, CommitError> {
    let resource = &call.served.resource;
    if !gone && template.is_same_as(&current.value) {
        return Ok(current.clone());
    }
    let mut txn = if gone {
        Txn::delete(&resource.table, &current.key, current.revision, Some(template))
    } else {
        Txn::put(&resource.table, &current.key, Expect::Revision(current.revision), template)
    };
    if gone {
        txn.ops.extend(allocation::delete(call.storage, call.served, old));
    }
    Ok(call.storage.store.commit(txn).await?.items.swap_remove(0))
}

/// The options from the body, if there is one, else from the query.
pub(super) fn delete_options(call: &Call<'_>) -> Result<DeleteOptions, Status> {
    let body = &call.request.body;
    if body.bytes.is_empty() {
        return Ok(DeleteOptions::default());
    }
    let refuse = |error: &dyn std::fmt::Display| Status::bad_request(error.to_string());
    let (schema, id) = (Schema::builtin(), Schema::object_type("", "v1", "DeleteOptions"));
    let id = id.ok_or_else(|| Status::internal("the schema has no DeleteOptions"))?;
    let tree = match body.encoding {
        Encoding::Protobuf => {
            let envelope = protobuf::open_envelope(&body.bytes).map_err(|error| refuse(&error))?;
            protobuf::decode(schema, id, envelope.raw).map_err(|error| refuse(&error))?
        }
        _ => body_tree(body)?,
    };
    let (version, kind) = (text(&tree, "apiVersion"), text(&tree, "kind"));
    if !matches!(kind, "" | "DeleteOptions") {
        return Err(refuse(&format_args!("no kind {kind:?} is registered for version {version:?} {SCHEME}")));
    }
    let tree = decode::from_value(schema, id, tree).map_err(|error| refuse(&error))?.value;
    if let Some(trail) = call.context.trail.as_ref().filter(|_| tree.as_object().is_some_and(|said| !said.is_empty())) {
        record_request(trail, &SHOWN, &tree, |_| {});
    }
    let errors = option_errors(&tree);
    if !errors.is_empty() {
        return Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &errors));
    }
    serde_json::from_value(tree).map_err(|error| refuse(&error))
}

fn option_errors(options: &Value) -> Errors {
    let mut errors = Errors::new();
    let policy = options.get("propagationPolicy").and_then(Value::as_str);
    let path = Path::new("propagationPolicy");
    if let Some(policy) = policy.filter(|_| options.get("orphanDependents").is_some_and(Value::is_boolean)) {
        let detail = "orphanDependents and deletionPropagation cannot be both set";
        errors.push(Error::invalid(&path, policy, detail));
    }
    if let Some(policy) = policy.filter(|policy| !matches!(*policy, "Foreground" | "Background" | "Orphan")) {
        errors.push(Error::not_supported(&path, policy, &["Foreground", "Background", "Orphan", "nil"]));
    }
    if items(options, "dryRun").any(|value| value != "All") {
        errors.push(Error::not_supported(&Path::new("dryRun"), options["dryRun"].clone(), &["All"]));
    }
    errors
}

fn check_preconditions(options: &DeleteOptions, old: &Value, current: &Item, call: &Call<'_>) -> Result<(), Status> {
    let Some(preconditions) = &options.preconditions else { return Ok(()) };
    let GroupVersionKind { group, kind, .. } = &call.served.resource.kind;
    let group = call.served.resource.strategy.refusing_group(group).to_owned();
    // Upstream puts the kind where the resource should be.
    let (resource, name) = (GroupResource { group: group.into(), resource: kind.clone() }, &call.request.name);
    let uid = text(&old["metadata"], "uid");
    let version = current.revision.to_string();
    if let Some(words) = call.served.resource.strategy.precondition_words() {
        let resource = call.served.resource.group_resource();
        let asked = [("UID", &preconditions.uid, uid), ("ResourceVersion", &preconditions.resource_version, &version)];
        for (what, wanted, found) in asked {
            if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != found) {
                let why = format!("{words}: {what} in precondition: {wanted}, {what} in object meta: {found}");
                return Err(Status::conflict(&resource, name, why));
            }
        }
        return Ok(());
    }
    if let Some(wanted) = preconditions.uid.as_deref().filter(|wanted| *wanted != uid) {
        return Err(Status::deletion_uid_precondition(&resource, name, wanted, uid));
    }
    if let Some(wanted) = preconditions.resource_version.as_deref().filter(|wanted| *wanted != version) {
        let why = format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). \
             The object might have been modified"
        );
        return Err(Status::conflict(&resource, name, why));
    }
    Ok(())
}

/// What a deletion would have answered.
fn dry_answer(served: &Arc<Served>, item: &Arc<Item>, mut last: Value, gone: bool) -> Outcome {
    if gone && !served.resource.strategy.returns_deleted() {
        return answer(served, item, gone);
    }
    put(child(&mut last, "metadata"), "resourceVersion", item.revision.to_string());
    Outcome::draft(served, last)
}

/// The object while it stays; a Status when it has gone.
fn answer(served: &Arc<Served>, item: &Arc<Item>, gone: bool) -> Outcome {
    if !gone || served.resource.strategy.returns_deleted() {
        return Outcome::item(served, item.clone());
    }
    let uid = serde_json::from_slice::<windlass_api::meta::PartialObject>(&item.value).map(|o| o.metadata.uid);
    let resource = served.resource.group_resource();
    let mut details = json!({"name": item.name(), "kind": resource.resource, "uid": uid.unwrap_or_default()});
    if !resource.group.is_empty() {
        put(&mut details, "group", &*resource.group);
    }
    Outcome::success(details)
}
