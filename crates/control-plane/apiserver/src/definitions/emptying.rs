//! Deletes the objects of a definition that is being deleted, and lets the definition go when the last one has gone.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use windlass_api::Status;
use windlass_api::condition::{Condition, FALSE, TRUE};
use windlass_api::well_known::finalizer;
use windlass_client::{Request, Verb};
use windlass_resources::custom;
use windlass_resources::definition::{Definition, condition};
use windlass_store::{Item, Table};

use super::{RETRY, Writer};
use crate::call::Call;
use crate::context::Context;
use crate::registry::Served;
use crate::verbs::delete_collection::delete_collection;

/// After this time without the last object going, deletion is asked for again, as upstream does.
const PATIENCE: Duration = Duration::from_secs(60);

/// Empties a definition and releases it, though others may hold it still. Returns early when another one has its name.
pub(super) async fn empty(writer: &Writer, name: &str, uid: &str) {
    let begun = ("InstanceDeletionInProgress", "CustomResource deletion is in progress".to_owned());
    let mut problem = Some(begun);
    while let Some((definition, item)) = current(writer, name, uid) {
        if let Some((reason, message)) = problem.take() {
            let going = Condition::new(condition::TERMINATING, TRUE, reason, message);
            match writer.write(&definition, |all| json!({"status": {"conditions": all.with(going).all}})).await {
                Ok(_) => {}
                Err(error) => tracing::warn!(definition = name, %error, "a definition's status cannot be written"),
            }
        }
        let done = match delete_objects(writer, &definition, &item).await {
            Ok(end) => release(writer, name, uid, end).await,
            Err(problem) => Err(problem),
        };
        let Err(met) = done else { return };
        problem = Some(met);
        tokio::time::sleep(RETRY).await;
    }
}

/// A reason and a message for the condition.
type Problem = (&'static str, String);

fn current(writer: &Writer, name: &str, uid: &str) -> Option<(Definition, Arc<Item>)> {
    let item = writer.table().get(name)?;
    let definition: Definition = serde_json::from_slice(&item.value).ok()?;
    (definition.metadata.uid == uid).then_some((definition, item))
}

/// Deletes all objects and waits until they have gone; returns the last word about them.
async fn delete_objects(writer: &Writer, definition: &Definition, item: &Item) -> Result<Problem, Problem> {
    if !definition.is(condition::ESTABLISHED) {
        return Ok(("NeverEstablished", "resource was never established".to_owned()));
    }
    let server = &writer.server;
    let Some(resource) = custom::stored_resource(definition, &item.value) else {
        return Ok(("NeverEstablished", "resource was never stored".to_owned()));
    };
    // What is built in keeps its objects, whoever defines a resource of its name.
    if server.registry().is_builtin(&resource.group_resource()) {
        let message = "instances overlap with built-in resources in storage";
        return Ok(("OverlappingBuiltInResource", message.to_owned()));
    }
    let served = Arc::new(Served::new(resource, server.store()));
    let request = Request::new(Verb::DeleteCollection, &served.resource.group_version_resource());
    let context = Context::new(writer.user.clone(), super::MANAGER);
    let (storage, gate) = (&server.storage, &server.gate);
    let (context, served, request) = (&context, &served, &request);
    let call = Call { storage, gate, context, served, subresource: None, asks: None, request, is_admitted: false };
    let deleted = delete_collection(&call).await;
    deleted.map_err(|status| ("InstanceDeletionFailed", format!("could not issue all deletes: {}", status.message)))?;
    if tokio::time::timeout(PATIENCE, until_empty(&served.table)).await.is_err() {
        let why = "could not confirm zero CustomResources remaining: timed out waiting for the condition";
        return Err(("InstanceDeletionCheck", why.to_owned()));
    }
    Ok(("InstanceDeletionCompleted", "removed all instances".to_owned()))
}

async fn until_empty(table: &Arc<Table>) {
    loop {
        let state = table.state();
        let Ok(mut watch) = table.watch(state.last()) else { continue };
        if state.is_empty() {
            return;
        }
        watch.changed().await;
    }
}

/// Says how it ended, and takes the finalizer off.
async fn release(writer: &Writer, name: &str, uid: &str, (reason, message): Problem) -> Result<(), Problem> {
    let failed = |status: Status| ("InstanceDeletionFailed", status.message);
    while let Some((definition, _)) = current(writer, name, uid) {
        let others = definition.metadata.finalizers.iter().filter(|name| *name != finalizer::CUSTOM_RESOURCE_CLEANUP);
        let left: Vec<&String> = others.collect();
        let ended = Condition::new(condition::TERMINATING, FALSE, reason, message.as_str());
        let patch = |all: super::Conditions| json!({"metadata": {"finalizers": left}, "status": {"conditions": all.with(ended).all}});
        if writer.write(&definition, patch).await.map_err(failed)? {
            return Ok(());
        }
    }
    Ok(())
}
