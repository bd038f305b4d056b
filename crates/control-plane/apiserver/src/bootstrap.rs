//! Makes what every cluster has from its first moment, as the kinds say it ([`windlass_resources::first`]).
//!
//! All of it goes through the same path as anybody's objects, so it is defaulted, validated and recorded alike. What is there already
//! is left alone, but for what belongs to the cluster (the address of the API server), and for roles and bindings that have lost
//! something: they get it back, unless their annotation says no.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};
use windlass_api::well_known::group;
use windlass_api::{GroupVersionResource, ObjectKey, Status};
use windlass_auth::User;
use windlass_auth::rbac::{self, Reconciliation, bootstrap};
use windlass_client::{Client, DeleteOptions, OBJECT, STATUS};
use windlass_machinery::tree::{child, put, text};
use windlass_resources::first::{ApiServer, Beginnings, First};

use crate::direct::Direct;
use crate::registry::Served;
use crate::server::Server;

/// Creations under way at once: they share their writes to the disk.
const AT_ONCE: usize = 256;
/// A role or binding that somebody else changes at the same time is brought up to date so often.
const RECONCILIATIONS_MAX: usize = 10;
/// What could not be made is tried again after this long, as upstream.
const AGAIN: Duration = Duration::from_secs(10);

/// Makes what is missing, and looks after it as long as the server lives ([`FirstObjects::keep`]).
pub struct FirstObjects {
    client: Client,
    objects: Vec<(Arc<Served>, First)>,
}

impl FirstObjects {
    pub fn new(server: &Arc<Server>, facts: &ApiServer) -> Self {
        let user = User::new("system:apiserver", &[group::MASTERS]);
        let client = Client::new(Arc::new(Direct::new(server.clone(), user, "windlass-apiserver")));
        let beginnings = Beginnings {
            server: facts.clone(),
            service_cidr: server.storage.service_cidr,
            roles: bootstrap::objects(),
            now: server.storage.clock.now(),
        };
        let registry = server.storage.registry();
        let first = |served: &Arc<Served>| {
            let first = served.resource.strategy.first(&beginnings);
            first.into_iter().map(|first| (served.clone(), first)).collect::<Vec<_>>()
        };
        let mut objects: Vec<_> = registry.iter().flat_map(first).collect();
        // What lies in namespaces comes after them.
        objects.sort_by_key(|(served, _)| served.resource.is_namespaced());
        Self { client, objects }
    }

    /// Makes what is missing, and brings the rest up to date. The server can answer requests meanwhile. Without what is in no namespace
    /// (namespaces, roles) there is no cluster. What is in one may be hindered by who works there (a quota, an address that is taken):
    /// [`Self::keep`] tries again.
    pub async fn provide(&self) -> Result<(), Status> {
        let (namespaced, of_cluster): (Vec<_>, Vec<_>) =
            self.objects.iter().partition(|(served, _)| served.resource.is_namespaced());
        stream::iter(of_cluster)
            .map(|(served, first)| provide(&self.client, served, first))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        stream::iter(namespaced)
            .map(|(served, first)| async move {
                if let Err(status) = provide(&self.client, served, first).await {
                    tracing::warn!(object = %key(first), error = %status, "one of the cluster's first objects is missing");
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect::<()>()
            .await;
        Ok(())
    }

    /// Makes anew what somebody has deleted, and what could not be made yet, for ever.
    pub async fn keep(self) {
        let of_one_resource = self.objects.chunk_by(|(a, _), (b, _)| Arc::ptr_eq(a, b));
        join_all(of_one_resource.map(|objects| keep(&self.client, objects))).await;
    }
}

/// Looks after the objects of one resource: whenever one of its objects has changed, and again where something could not be made.
async fn keep(client: &Client, objects: &[(Arc<Served>, First)]) {
    let Some((served, _)) = objects.first() else { return };
    let table = &served.table;
    loop {
        // What happens from here on ends the wait below.
        let Ok(mut watch) = table.watch(table.last()) else { continue };
        let mut is_whole = true;
        for (served, first) in objects {
            is_whole &= provide_missing(client, served, first).await;
        }
        let again = async {
            if is_whole {
                pending::<()>().await;
            }
            tokio::time::sleep(AGAIN).await;
        };
        tokio::select! {
            _ = watch.next() => {}
            () = again => {}
        }
    }
}

/// Makes an object that is not there; returns whether it is now.
async fn provide_missing(client: &Client, served: &Served, first: &First) -> bool {
    let key = key(first);
    if served.table.get(&served.key(&key.namespace, &key.name)).is_some() {
        return true;
    }
    let provided = provide(client, served, first).await;
    if let Err(status) = &provided {
        tracing::warn!(object = %key, error = %status, "one of the cluster's first objects is missing");
    }
    provided.is_ok()
}

fn key(first: &First) -> ObjectKey {
    let metadata = &first.object["metadata"];
    ObjectKey::new(text(metadata, "namespace"), text(metadata, "name"))
}

/// Creates an object, or brings the one that is there up to date.
async fn provide(client: &Client, served: &Served, first: &First) -> Result<(), Status> {
    let resource = served.resource.group_version_resource();
    let key = key(first);
    let found = match served.table.get(&served.key(&key.namespace, &key.name)) {
        Some(_) => client.get(&resource, &key).await?,
        None => match client.create(&resource, &key.namespace, &first.object).await {
            // Another server was quicker.
            Err(status) if status.is_already_exists() => client.get(&resource, &key).await?,
            created => created?,
        },
    };
    let found: Value = found.decode()?;
    let mut patch: Map<String, Value> = Map::new();
    for field in first.follows.iter().filter(|field| found[**field] != first.object[**field]) {
        patch.insert((*field).to_owned(), first.object[*field].clone());
    }
    if !patch.is_empty() {
        client.patch(&resource, &key, OBJECT, &Value::Object(patch)).await?;
    }
    if let Some(status) = &first.status
        && found.pointer("/status/conditions/0").is_none()
    {
        client.patch(&resource, &key, STATUS, &json!({"status": status})).await?;
    }
    if served.resource.strategy.grants(&first.object).is_some() {
        reconcile(client, &resource, &key, found, &first.object).await?;
    }
    Ok(())
}

/// Gives a role or binding back what it has lost, as it was when it was read: who changes it meanwhile has it compared again.
async fn reconcile(
    client: &Client,
    resource: &GroupVersionResource,
    key: &ObjectKey,
    mut found: Value,
    wanted: &Value,
) -> Result<(), Status> {
    for _ in 0..RECONCILIATIONS_MAX {
        let done = match rbac::reconciliation(&found, wanted) {
            _ if found.is_null() => client.create(resource, &key.namespace, wanted).await.map(drop),
            Reconciliation::Nothing => return Ok(()),
            Reconciliation::Patch(mut patch) => {
                tracing::info!(object = %key.name, %patch, "a default role or binding gets back what it had lost");
                let version = found["metadata"]["resourceVersion"].clone();
                put(child(&mut patch, "metadata"), "resourceVersion", version);
                client.patch(resource, key, OBJECT, &patch).await.map(drop)
            }
            Reconciliation::Recreate => {
                tracing::warn!(object = %key.name, "a default binding led to another role, and is made anew");
                let options = DeleteOptions::of_uid(text(&found["metadata"], "uid"));
                client.delete(resource, key, &options).await.map(drop)
            }
        };
        match done {
            Err(status) if !status.is_conflict() && !status.is_already_exists() && !status.says_gone() => {
                return Err(status);
            }
            // It has changed meanwhile, or there is a next step.
            _ => {}
        }
        found = match client.get(resource, key).await {
            Err(status) if status.is_not_found() => Value::Null,
            found => found?.decode()?,
        };
    }
    Err(Status::internal(format_args!("{} changes all the time", key.name)))
}
