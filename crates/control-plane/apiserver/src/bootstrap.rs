//! Makes what every cluster has from its first moment, as the kinds say it ([`windlass_resources::first`]).
//!
//! All of it goes through the same path as anybody's objects, so it is defaulted, validated and recorded alike. What is there already
//! is left alone, but for what belongs to the cluster (the address of the API server), and for roles and bindings that have lost
//! something: they get it back, unless their annotation says no.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};
use windlass_api::well_known::{annotation, group};
use windlass_api::{ObjectKey, Status};
use windlass_auth::User;
use windlass_auth::rbac::{Rule, bootstrap, uncovered};
use windlass_client::{Client, PatchType, STATUS};
use windlass_machinery::tree::{items, text};
use windlass_resources::Grants;
use windlass_resources::first::{ApiServer, Beginnings, First};

use crate::direct::Direct;
use crate::registry::Served;
use crate::server::Server;

/// Creations under way at once: they share their writes to the disk.
const AT_ONCE: usize = 256;

/// Makes what is missing. The server can answer requests meanwhile.
pub async fn bootstrap(server: &Arc<Server>, facts: &ApiServer) -> Result<(), Status> {
    let user = User::new("system:apiserver", &[group::MASTERS]);
    let client = Client::new(Arc::new(Direct::new(server.clone(), user, "windlass-apiserver")));
    let beginnings = Beginnings {
        server: facts.clone(),
        service_cidr: server.storage.service_cidr,
        roles: bootstrap::objects(),
        now: server.storage.clock.now(),
    };
    let registry = server.storage.registry();
    let all = registry.iter().flat_map(|served| {
        served.resource.strategy.first(&beginnings).into_iter().map(|first| (served.clone(), first))
    });
    // What lies in namespaces comes after them.
    let (namespaced, of_cluster): (Vec<_>, Vec<_>) = all.partition(|(served, _)| served.resource.is_namespaced());
    for objects in [of_cluster, namespaced] {
        let client = &client;
        stream::iter(objects)
            .map(|(served, first)| async move { provide(client, &served, &first).await })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
    }
    Ok(())
}

/// Creates an object, or brings the one that is there up to date.
async fn provide(client: &Client, served: &Served, first: &First) -> Result<(), Status> {
    let resource = served.resource.group_version_resource();
    let metadata = &first.object["metadata"];
    let key = ObjectKey::new(text(metadata, "namespace"), text(metadata, "name"));
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
    let keeps = found["metadata"]["annotations"].get(annotation::RBAC_AUTOUPDATE) != Some(&json!("false"));
    if keeps && let Some((field, whole)) = restored(served, &found, &first.object) {
        tracing::info!(object = %key.name, field, "a default role or binding gets back what it had lost");
        patch.insert(field.to_owned(), whole);
    }
    if !patch.is_empty() {
        client.patch_as(PatchType::Merge, &resource, &key, "", &Value::Object(patch)).await?;
    }
    if let Some(status) = &first.status
        && found.pointer("/status/conditions/0").is_none()
    {
        client.patch(&resource, &key, STATUS, &json!({"status": status})).await?;
    }
    Ok(())
}

/// The field of a role or binding that lacks something it was made with, whole again.
fn restored(served: &Served, found: &Value, wanted: &Value) -> Option<(&'static str, Value)> {
    match served.resource.strategy.grants(wanted)? {
        Grants::Rules { rules: wanted, aggregates: false } => {
            let rules = |rules: &Value| serde_json::from_value::<Vec<Rule>>(rules.clone()).unwrap_or_default();
            let mut held = rules(&found["rules"]);
            let lost = uncovered(&held, &rules(wanted));
            held.extend(lost.iter().cloned());
            (!lost.is_empty()).then(|| ("rules", json!(held)))
        }
        // Its rules are the sum of other roles'.
        Grants::Rules { aggregates: true, .. } => None,
        Grants::Role(_) => {
            let same = |a: &Value, b: &Value| {
                ["kind", "name", "namespace"].iter().all(|field| text(a, field) == text(b, field))
            };
            let mut subjects: Vec<Value> = items(found, "subjects").cloned().collect();
            let held = subjects.len();
            let lost = items(wanted, "subjects").filter(|wanted| !items(found, "subjects").any(|it| same(it, wanted)));
            subjects.extend(lost.cloned());
            (subjects.len() > held).then_some(("subjects", Value::Array(subjects)))
        }
    }
}
