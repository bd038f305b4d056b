//! What every cluster has from its first moment: namespaces, default roles, priorities, the Service `kubernetes`.
//!
//! All of it goes through the same path as anybody's objects, so it is defaulted, validated and recorded alike. What is there already
//! is left alone, but for roles that have lost a right (they get it back, unless their annotation says no) and the address of
//! the API server.

use std::net::IpAddr;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use windlass_api::resource::{
    CONFIG_MAPS, ENDPOINT_SLICES, ENDPOINTS, NAMESPACES, PRIORITY_CLASSES, SERVICE_CIDRS, SERVICES,
};
use windlass_api::well_known::{annotation, group, label, namespace};
use windlass_api::{GroupVersionResource, ObjectKey, Status};
use windlass_auth::User;
use windlass_auth::rbac::{Rule, bootstrap, uncovered};
use windlass_client::{Client, PatchType, STATUS};
use windlass_machinery::tree::text;

use crate::direct::Direct;
use crate::server::Server;

/// Creations under way at once: they share their writes to the disk.
const AT_ONCE: usize = 256;

const RBAC: &str = "rbac.authorization.k8s.io";

/// What the cluster's first objects say about this server.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// Where the Service `kubernetes` leads.
    pub address: IpAddr,
    pub port: u16,
    /// The authorities of clients and of front proxies, for API servers that extend this one.
    pub client_ca_pem: String,
    pub front_proxy_ca_pem: String,
}

/// Makes what is missing. The server can answer requests meanwhile.
pub async fn bootstrap(server: &Arc<Server>, facts: &Bootstrap) -> Result<(), Status> {
    let user = User::new("system:apiserver", &[group::MASTERS]);
    let client = Client::new(Arc::new(Direct::new(server.clone(), user, "windlass-apiserver")));
    let namespaces = [namespace::DEFAULT, namespace::KUBE_SYSTEM, namespace::KUBE_PUBLIC, namespace::KUBE_NODE_LEASE];
    let namespaces = namespaces.map(|name| (NAMESPACES, json!({"metadata": {"name": name}})));
    create_all(server, &client, namespaces.to_vec()).await?;
    let mut objects = roles();
    objects.extend(priority_classes());
    let cidr =
        json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": [server.storage.service_cidr.to_string()]}});
    objects.push((SERVICE_CIDRS, cidr));
    objects.push((CONFIG_MAPS, authentication_config(facts)));
    create_all(server, &client, objects).await?;
    restore_roles(&client).await?;
    publish_service(server, &client, facts).await?;
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "",
        "message": "Kubernetes default Service CIDR is ready", "lastTransitionTime": server.storage.clock.now_rfc3339()}]}});
    let key = ObjectKey::new("", "kubernetes");
    let cidr: Value = client.get(&SERVICE_CIDRS, &key).await?.decode()?;
    if cidr.pointer("/status/conditions/0").is_none() {
        client.patch(&SERVICE_CIDRS, &key, STATUS, &ready).await?;
    }
    Ok(())
}

async fn create_all(
    server: &Server,
    client: &Client,
    objects: Vec<(GroupVersionResource, Value)>,
) -> Result<(), Status> {
    let missing = objects.into_iter().filter(|(resource, object)| {
        let Ok(served) = server.storage.find(resource) else { return false };
        let metadata = &object["metadata"];
        served.table.get(&served.key(text(metadata, "namespace"), text(metadata, "name"))).is_none()
    });
    stream::iter(missing)
        .map(|(resource, object)| async move {
            let namespace = text(&object["metadata"], "namespace").to_owned();
            match client.create(&resource, &namespace, &object).await {
                // Another server was quicker.
                Err(status) if status.is_already_exists() => Ok(()),
                result => result.map(drop),
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Gives default ClusterRoles back the rights that they have lost.
async fn restore_roles(client: &Client) -> Result<(), Status> {
    for (resource, wanted) in roles().into_iter().filter(|(resource, _)| resource.resource == "clusterroles") {
        let key = ObjectKey::new("", text(&wanted["metadata"], "name"));
        let found: Value = client.get(&resource, &key).await?.decode()?;
        let update = found["metadata"]["annotations"].get(annotation::RBAC_AUTOUPDATE);
        if update == Some(&json!("false")) || wanted["rules"].is_null() {
            continue;
        }
        let rules = |role: &Value| serde_json::from_value::<Vec<Rule>>(role["rules"].clone()).unwrap_or_default();
        let (mut held, wanted) = (rules(&found), rules(&wanted));
        let lost = uncovered(&held, &wanted);
        if !lost.is_empty() {
            tracing::info!(role = %key.name, rules = lost.len(), "a default role gets back what it had lost");
            held.extend(lost);
            client.patch(&resource, &key, "", &json!({"rules": held})).await?;
        }
    }
    Ok(())
}

/// The Service by which pods reach the API server, and what is behind it.
async fn publish_service(server: &Server, client: &Client, facts: &Bootstrap) -> Result<(), Status> {
    // The first address of the range is the API server's, by convention.
    let first = server.storage.service_cidr.hosts().next().unwrap_or_else(|| server.storage.service_cidr.addr());
    let ports = json!([{"name": "https", "port": 443, "protocol": "TCP", "targetPort": facts.port}]);
    let service = json!({
        "metadata": {"name": "kubernetes", "namespace": namespace::DEFAULT,
            "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"type": "ClusterIP", "clusterIP": first.to_string(), "ports": ports, "sessionAffinity": "None"},
    });
    let ports = json!([{"name": "https", "port": facts.port, "protocol": "TCP"}]);
    let endpoints = json!({
        "metadata": {"name": "kubernetes", "namespace": namespace::DEFAULT, "labels": {label::SKIP_MIRROR: "true"}},
        "subsets": [{"addresses": [{"ip": facts.address.to_string()}], "ports": ports}],
    });
    let slice = json!({
        "metadata": {"name": "kubernetes", "namespace": namespace::DEFAULT, "labels": {label::SERVICE_NAME: "kubernetes"}},
        "addressType": if facts.address.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{"addresses": [facts.address.to_string()], "conditions": {"ready": true}}],
        "ports": ports,
    });
    let objects = vec![(SERVICES, service), (ENDPOINTS, endpoints.clone()), (ENDPOINT_SLICES, slice.clone())];
    create_all(server, client, objects).await?;
    // After a restart with another address or port.
    let key = ObjectKey::new(namespace::DEFAULT, "kubernetes");
    for (resource, wanted, fields) in
        [(ENDPOINTS, endpoints, &["subsets"][..]), (ENDPOINT_SLICES, slice, &["endpoints", "ports"])]
    {
        let found: Value = client.get(&resource, &key).await?.decode()?;
        if fields.iter().any(|field| found[*field] != wanted[*field]) {
            let patch: serde_json::Map<String, Value> =
                fields.iter().map(|field| ((*field).to_owned(), wanted[*field].clone())).collect();
            client.patch_as(PatchType::Merge, &resource, &key, "", &Value::Object(patch)).await?;
        }
    }
    Ok(())
}

fn roles() -> Vec<(GroupVersionResource, Value)> {
    let resource = |kind: &str| match kind {
        "ClusterRole" => "clusterroles",
        "ClusterRoleBinding" => "clusterrolebindings",
        "Role" => "roles",
        _ => "rolebindings",
    };
    bootstrap::objects()
        .into_iter()
        .map(|object| (GroupVersionResource::of(RBAC, "v1", resource(text(&object, "kind"))), object))
        .collect()
}

fn priority_classes() -> Vec<(GroupVersionResource, Value)> {
    [
        ("system-node-critical", 2_000_001_000, "Used for system critical pods that must not be moved from their current node."),
        ("system-cluster-critical", 2_000_000_000, "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."),
    ]
    .map(|(name, value, description)| {
        (PRIORITY_CLASSES, json!({"metadata": {"name": name}, "value": value, "description": description}))
    })
    .to_vec()
}

/// How servers that extend this one recognize its users.
fn authentication_config(facts: &Bootstrap) -> Value {
    json!({
        "metadata": {"name": "extension-apiserver-authentication", "namespace": namespace::KUBE_SYSTEM},
        "data": {
            "client-ca-file": facts.client_ca_pem,
            "requestheader-allowed-names": "[\"front-proxy-client\"]",
            "requestheader-client-ca-file": facts.front_proxy_ca_pem,
            "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
            "requestheader-group-headers": "[\"X-Remote-Group\"]",
            "requestheader-uid-headers": "[\"X-Remote-Uid\"]",
            "requestheader-username-headers": "[\"X-Remote-User\"]",
        },
    })
}
