//! Endpoints that somebody wrote by hand, for a Service without a selector, are copied into EndpointSlices.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_api::resource::{ENDPOINT_SLICES, ENDPOINTS, SERVICES};
use windlass_api::well_known::annotation::{ENDPOINTS_LAST_CHANGE, LAST_APPLIED};
use windlass_api::well_known::label::{ENDPOINTSLICE_MANAGED_BY, SERVICE_NAME, SKIP_MIRROR};
use windlass_api::{ObjectKey, Status};
use windlass_client::{Client, Informer, Outcome, WorkQueue};

use super::desired::{Conditions, Endpoint, Family, Port, Service};
use super::endpoints::{Address, Endpoints};
use super::slices::{Group, Wanted, Writer, index, of_service, plan};
use super::waking::service_of_slice;
use crate::context::Context;
use crate::owners::OwnerKind;

const NAME: &str = "endpointslicemirroring-controller";
const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const WORKERS: usize = 5;
/// Addresses of a subset beyond this many are not copied.
const MAX_PER_SUBSET: usize = 1000;
const KIND: OwnerKind = OwnerKind { api_version: "v1", kind: "Endpoints" };
/// Endpoints that were used to elect leaders have no addresses worth copying.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";

struct Controller {
    client: Client,
    services: Arc<Informer>,
    endpoints: Arc<Informer>,
    slices: Arc<Informer>,
}

pub(crate) async fn run(context: Context) {
    let controller = Controller {
        client: context.client(NAME),
        services: context.informer(&SERVICES),
        endpoints: context.informer(&ENDPOINTS),
        slices: context.informer(&ENDPOINT_SLICES),
    };
    index(&controller.slices);
    let queue = WorkQueue::new();
    for informer in [&controller.services, &controller.endpoints] {
        let changed = queue.clone();
        informer.subscribe(move |change| changed.add(change.object().key.clone()));
    }
    let changed = queue.clone();
    controller.slices.subscribe(move |change| {
        service_of_slice(change, MANAGER).into_iter().for_each(|key| changed.add(key));
    });
    for informer in [&controller.services, &controller.endpoints, &controller.slices] {
        informer.synced().await;
    }
    queue.run(NAME, WORKERS, async |key| controller.sync(key).await).await;
}

impl Controller {
    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let existing = of_service(&self.slices, MANAGER, &key);
        let source = self.endpoints.read::<Endpoints>(&key).filter(|endpoints| self.is_mirrored(&key, endpoints));
        let owner = source.as_ref().map(|source| KIND.controller_of(&source.metadata)).unwrap_or_default();
        let wanted = match &source {
            Some(source) => wanted(source),
            None => Wanted {
                endpoints: BTreeMap::new(),
                labels: BTreeMap::new(),
                annotations: BTreeMap::new(),
                families: Vec::new(),
            },
        };
        let writer = Writer { client: &self.client, slices: &self.slices, service: &key, owner };
        writer.apply(plan(&wanted, &existing), &existing, &wanted).await?;
        Ok(Outcome::Done)
    }

    fn is_mirrored(&self, key: &ObjectKey, endpoints: &Endpoints) -> bool {
        let meta = &endpoints.metadata;
        let opted_out = meta.labels.get(SKIP_MIRROR).is_some_and(|value| value == "true");
        let service = self.services.read::<Service>(key);
        let has_own = service.is_some_and(|service| service.spec.selector.unwrap_or_default().is_empty());
        has_own && !opted_out && !meta.is_deleting() && !meta.annotations.contains_key(LEADER)
    }
}

/// What the slices of these Endpoints hold.
fn wanted(source: &Endpoints) -> Wanted {
    let mut endpoints: BTreeMap<Group, Vec<Endpoint>> = BTreeMap::new();
    for subset in &source.subsets {
        let mut ports: Vec<Port> = subset
            .ports
            .iter()
            .map(|port| Port {
                name: Some(port.name.clone()),
                protocol: Some(port.protocol.clone()),
                port: Some(port.port),
                app_protocol: port.app_protocol.clone(),
            })
            .collect();
        ports.sort();
        let ready = subset.addresses.iter().map(|address| (address, true));
        let all = ready.chain(subset.not_ready_addresses.iter().map(|address| (address, false)));
        for (address, ready) in all.take(MAX_PER_SUBSET) {
            let group = (Family::of(&address.ip), ports.clone());
            endpoints.entry(group).or_default().push(endpoint(address, ready));
        }
    }
    let mut labels = source.metadata.labels.clone();
    labels.insert(SERVICE_NAME.to_owned(), source.metadata.name.clone());
    labels.insert(ENDPOINTSLICE_MANAGED_BY.to_owned(), MANAGER.to_owned());
    let mut annotations = source.metadata.annotations.clone();
    annotations.retain(|name, _| name != LAST_APPLIED && name != ENDPOINTS_LAST_CHANGE);
    Wanted { endpoints, labels, annotations, families: Vec::new() }
}

fn endpoint(address: &Address, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Conditions { ready: Some(ready), ..Conditions::default() },
        hostname: Some(address.hostname.clone()).filter(|name| !name.is_empty()),
        target_ref: address.target_ref.clone(),
        node_name: address.node_name.clone(),
        ..Endpoint::default()
    }
}
