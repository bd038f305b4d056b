//! Where a Service is answered: one of its ready endpoints, as the store has them at this moment. Connections that this server makes
//! itself (proxies, webhooks, aggregated servers) go there straight, so that they need no rules in the kernel.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use windlass_api::resource::{ENDPOINT_SLICES, SERVICES};
use windlass_api::well_known::label;
use windlass_api::{GroupResource, Meta, Status};
use windlass_store::{Item, Range};
use windlass_webhook::Services;

use crate::storage::{Storage, stored};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Service {
    pub spec: ServiceSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ServiceSpec {
    #[serde(rename = "type")]
    pub kind: String,
    pub external_name: String,
    pub ports: Vec<ServicePort>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServicePort {
    pub name: String,
    pub port: u16,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Slice {
    metadata: Meta,
    endpoints: Vec<Endpoint>,
    ports: Vec<SlicePort>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Endpoint {
    addresses: Vec<String>,
    conditions: Conditions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SlicePort {
    name: Option<String>,
    port: Option<u16>,
}

impl Slice {
    /// Whether somebody is ready here for a port of this name.
    pub(crate) fn has_ready(&self, port: &str) -> bool {
        self.endpoints.iter().any(Endpoint::is_ready)
            && self.ports.iter().any(|known| known.name.as_deref() == Some(port) && known.port.is_some())
    }
}

impl Endpoint {
    fn is_ready(&self) -> bool {
        self.conditions.ready != Some(false)
    }
}

/// Those slices that are a Service's.
pub(crate) fn named_slices<'a>(
    items: impl Iterator<Item = &'a Arc<Item>>,
    service: &str,
) -> impl Iterator<Item = Slice> {
    let slices = items.filter_map(|item| serde_json::from_slice::<Slice>(&item.value).ok());
    slices.filter(move |slice| slice.metadata.labels.get(label::SERVICE_NAME).map(String::as_str) == Some(service))
}

fn service(storage: &Storage, namespace: &str, name: &str) -> Result<Service, Status> {
    let item = stored(&*storage.find(&SERVICES)?, namespace, name)?;
    serde_json::from_slice(&item.value).map_err(Status::internal)
}

/// An endpoint of the Service for a port that somebody names or numbers; for the only port, where they say none.
pub(crate) fn of_named_port(
    storage: &Storage,
    namespace: &str,
    name: &str,
    port: &str,
) -> Result<Option<(String, u16)>, Status> {
    let ports = service(storage, namespace, name)?.spec.ports;
    let number = port.parse::<u16>().ok();
    let wanted = match (port, ports.as_slice()) {
        ("", [only]) => only.name.as_str(),
        _ => ports.iter().find(|p| Some(p.port) == number).map_or(port, |p| p.name.as_str()),
    };
    ready(storage, namespace, name, wanted)
}

/// The endpoint to which a webhook's or an aggregated server's Service leads. A Service that is a name elsewhere leads there.
pub(crate) fn of_port(storage: &Storage, namespace: &str, name: &str, port: u16) -> Result<(String, u16), Status> {
    // Upstream's lister says it in the singular.
    let absent = |status: Status| match status.is_not_found() {
        true => Status::not_found(&GroupResource::of("", "service"), name),
        false => status,
    };
    let spec = service(storage, namespace, name).map_err(absent)?.spec;
    if spec.kind == "ExternalName" {
        return Ok((spec.external_name, port));
    }
    let found = spec.ports.iter().find(|p| p.port == port);
    let missing = || Status::service_unavailable(format!("no service port {port} found for service {name:?}"));
    let endpoint = ready(storage, namespace, name, &found.ok_or_else(missing)?.name)?;
    endpoint.ok_or_else(|| Status::service_unavailable(format!("no endpoints available for service {name:?}")))
}

/// One of the ready endpoints, chosen by chance.
fn ready(storage: &Storage, namespace: &str, name: &str, port: &str) -> Result<Option<(String, u16)>, Status> {
    let served = storage.find(&ENDPOINT_SLICES)?;
    let prefix = served.key(namespace, "");
    let range = Range { prefix: &prefix, ..Range::default() };
    let mut candidates = Vec::new();
    let state = served.table.state();
    for slice in named_slices(state.iter(&range), name) {
        let port = slice.ports.iter().find(|known| known.name.as_deref().unwrap_or_default() == port);
        let Some(port) = port.and_then(|port| port.port) else { continue };
        let ready = slice.endpoints.into_iter().filter(Endpoint::is_ready);
        candidates.extend(ready.flat_map(|endpoint| endpoint.addresses).map(|address| (address, port)));
    }
    if candidates.is_empty() {
        return Ok(None);
    }
    let chosen = storage.chance.below(candidates.len());
    Ok(Some(candidates.swap_remove(chosen)))
}

/// How webhooks find their Services.
#[async_trait]
impl Services for Storage {
    async fn endpoint(&self, namespace: &str, name: &str, port: u16) -> Result<(String, u16), Status> {
        of_port(self, namespace, name, port)
    }
}
