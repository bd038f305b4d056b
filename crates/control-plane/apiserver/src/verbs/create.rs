//! POST: a new object.

use std::sync::Arc;

use serde_json::Value;
use windlass_admission::Operation;
use windlass_api::Status;
use windlass_client::Request;
use windlass_machinery::json::Template;
use windlass_machinery::names;
use windlass_machinery::tree::{child, put, remove, text};
use windlass_resources::{Moment, Subresource, metadata};
use windlass_store::{CommitError, Expect, Txn};

use super::{ownership, review};
use crate::context::Context;
use crate::objects::{commit_failure, decode_body};
use crate::outcome::{Outcome, Payload};
use crate::registry::Served;
use crate::server::Server;

/// How often a generated name, address or port is chosen anew when somebody else was quicker.
const ATTEMPTS: usize = 16;

impl Server {
    pub(crate) async fn create(
        &self,
        context: &Context,
        served: &Arc<Served>,
        request: Request,
    ) -> Result<Outcome, Status> {
        let kind = &served.resource.kind;
        let schema = served.resource.schema;
        let object = decode_body(context, schema.schema, schema.id, kind, &request.body, &request.options)?;
        self.create_object(context, served, &request, object).await
    }

    /// Creates an object that has been read already; also what an update or an apply of an absent object does.
    pub(crate) async fn create_object(
        &self,
        context: &Context,
        served: &Arc<Served>,
        request: &Request,
        mut object: Value,
    ) -> Result<Outcome, Status> {
        let resource = &served.resource;
        check_new(&object, served, request)?;
        let moment = Moment { now: self.clock.now() };
        let asked_name = text(&object["metadata"], "name").to_owned();
        resource.strategy.set_defaults(&mut object);
        metadata::prepare_create(&mut object, resource, &request.namespace, moment, &self.chance);
        if resource.strategy.names_requester() {
            let user = serde_json::to_value(&*context.user).map_err(Status::internal)?;
            resource.strategy.set_requester(&mut object, &user);
        }
        if resource.has(Subresource::Status) && !resource.takes_status_on_create {
            remove(&mut object, "status");
            put(&mut object, "status", resource.empty_status());
        }
        resource.strategy.prepare_create(&mut object, moment);
        self.refuse_escalation(context, served, request, &object, None)?;
        let mut admitted = review(Operation::Create, context, served, request, Some(&mut object), None);
        self.admission.admit(&mut admitted, self).await?;
        let mut errors = metadata::validate(&object, resource);
        errors.extend(resource.strategy.validate(&object));
        if !errors.is_empty() {
            let name = text(&object["metadata"], "name");
            return Err(Status::invalid(&resource.kind.group, &resource.kind.kind, name, &errors));
        }
        let admitted = review(Operation::Create, context, served, request, Some(&mut object), None);
        self.admission.validate(&admitted, self).await?;
        for warning in resource.strategy.warnings(&object) {
            context.warn(warning);
        }
        ownership::record(context, served, request, moment.now, None, &mut object);
        self.store_new(served, request, object, asked_name.is_empty(), moment).await
    }

    async fn store_new(
        &self,
        served: &Arc<Served>,
        request: &Request,
        mut object: Value,
        name_is_generated: bool,
        moment: Moment,
    ) -> Result<Outcome, Status> {
        let resource = &served.resource;
        for attempt in 0.. {
            let name = text(&object["metadata"], "name").to_owned();
            let key = served.key(&request.namespace, &name);
            if request.options.dry_run {
                if served.table.get(&key).is_some() {
                    return Err(Status::already_exists(&resource.group_resource(), &name));
                }
                if let Some(allocator) = self.allocator(served) {
                    allocator.write(&self.store, None, &mut object)?;
                }
                let payload = Payload::Tree(resource.kind.clone(), object);
                return Ok(Outcome::Object { payload, created: true });
            }
            let mut stored = object.clone();
            let taken = match self.allocator(served) {
                Some(allocator) => allocator.write(&self.store, None, &mut stored)?,
                None => Vec::new(),
            };
            resource.strategy.to_stored(&mut stored);
            let mut txn = Txn::put(&resource.table, &key, Expect::Absent, Template::new(&stored));
            txn.ops[0].expires = expiry(served, moment);
            txn.ops.extend(taken);
            match self.store.commit(txn).await {
                Ok(mut committed) => {
                    let item = committed.items.swap_remove(0);
                    return Ok(Outcome::Object { payload: Payload::Item(served.clone(), item), created: true });
                }
                // Somebody else has just taken what was to be this object's.
                Err(CommitError::Conflict { op, .. }) if op > 0 && attempt < ATTEMPTS => {}
                Err(CommitError::Conflict { .. }) if name_is_generated && attempt < ATTEMPTS => {
                    let base = text(&object["metadata"], "generateName").to_owned();
                    put(child(&mut object, "metadata"), "name", names::generate(&base, &self.chance));
                }
                Err(CommitError::Conflict { .. }) if name_is_generated => {
                    return Err(Status::generate_name_conflict(&resource.group_resource(), &name));
                }
                Err(CommitError::Conflict { .. }) => {
                    return Err(Status::already_exists(&resource.group_resource(), &name));
                }
                Err(error) => return Err(commit_failure(error)),
            }
        }
        unreachable!("the loop ends by returning")
    }
}

/// When an object that is written now goes away by itself; 0 is never.
pub(super) fn expiry(served: &Served, moment: Moment) -> i64 {
    served.resource.strategy.time_to_live_seconds().map_or(0, |seconds| moment.now.as_second() + seconds)
}

fn check_new(object: &Value, served: &Served, request: &Request) -> Result<(), Status> {
    let metadata = &object["metadata"];
    if !text(metadata, "resourceVersion").is_empty() {
        return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let namespace = text(metadata, "namespace");
    if !namespace.is_empty() && served.resource.is_namespaced() && namespace != request.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}
