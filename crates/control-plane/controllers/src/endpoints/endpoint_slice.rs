//! Every Service with a selector has EndpointSlices that name the pods which it selects.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_api::meta::PartialObject;
use windlass_api::resource::{ENDPOINT_SLICES, NODES, PODS, SERVICES};
use windlass_api::well_known::annotation::ENDPOINTS_LAST_CHANGE;
use windlass_api::well_known::label::{ENDPOINTSLICE_MANAGED_BY, HEADLESS, SERVICE_NAME, ZONE};
use windlass_api::{ObjectKey, Status};
use windlass_client::{Client, Informer, Outcome, WorkQueue};

use super::desired::{Service, endpoint_of, ports_of};
use super::slices::{Group, Wanted, Writer, index, of_service, plan};
use super::waking::{selected_pods, service_of_slice, trigger_time, wake_by_services_and_pods};
use crate::context::Context;
use crate::owners::OwnerKind;
use crate::pods::Pod;

const NAME: &str = "endpointslice-controller";
const MANAGER: &str = "endpointslice-controller.k8s.io";
const WORKERS: usize = 5;
pub(super) const SERVICE: OwnerKind = OwnerKind { api_version: "v1", kind: "Service" };

struct Controller {
    client: Client,
    services: Arc<Informer>,
    pods: Arc<Informer>,
    nodes: Arc<Informer>,
    slices: Arc<Informer>,
}

pub(crate) async fn run(context: Context) {
    let controller = Controller {
        client: context.client(NAME),
        services: context.informer(&SERVICES),
        pods: context.informer(&PODS),
        nodes: context.informer(&NODES),
        slices: context.informer(&ENDPOINT_SLICES),
    };
    index(&controller.slices);
    let queue = WorkQueue::new();
    wake_by_services_and_pods(&controller.services, &controller.pods, &queue);
    let changed = queue.clone();
    controller.slices.subscribe(move |change| {
        service_of_slice(change, MANAGER).into_iter().for_each(|key| changed.add(key));
    });
    for informer in [&controller.services, &controller.pods, &controller.nodes, &controller.slices] {
        informer.synced().await;
    }
    queue.run(NAME, WORKERS, async |key| controller.sync(key).await).await;
}

impl Controller {
    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        // The slices of a Service that is gone go with it, by the garbage collector.
        let Some(service) = self.services.read::<Service>(&key) else { return Ok(Outcome::Done) };
        if service.selector().is_none() || service.metadata.is_deleting() {
            return Ok(Outcome::Done);
        }
        let pods = selected_pods(&service, &self.pods);
        let wanted = self.wanted(&service, &pods);
        let existing = of_service(&self.slices, MANAGER, &key);
        let writer = Writer {
            client: &self.client,
            slices: &self.slices,
            service: &key,
            owner: SERVICE.controller_of(&service.metadata),
        };
        writer.apply(plan(&wanted, &existing), &existing, &wanted).await?;
        Ok(Outcome::Done)
    }

    fn wanted(&self, service: &Service, pods: &[Pod]) -> Wanted {
        let families = service.families();
        let mut endpoints: BTreeMap<Group, Vec<_>> = BTreeMap::new();
        for pod in pods {
            let mut ports = ports_of(service, pod);
            ports.sort();
            let node = self.nodes.read::<PartialObject>(&ObjectKey::new("", pod.spec.node_name.clone()));
            let zone = node.as_ref().and_then(|node| node.metadata.labels.get(ZONE)).map(String::as_str);
            for &family in &families {
                if let Some(endpoint) = endpoint_of(service, pod, family, zone) {
                    endpoints.entry((family, ports.clone())).or_default().push(endpoint);
                }
            }
        }
        let mut annotations = BTreeMap::new();
        if let Some(time) = trigger_time(service, pods) {
            annotations.insert(ENDPOINTS_LAST_CHANGE.to_owned(), time);
        }
        Wanted { endpoints, labels: labels(service), annotations, families }
    }
}

/// The labels of a Service's slices: its own, and those that say whose they are.
fn labels(service: &Service) -> BTreeMap<String, String> {
    let own = [SERVICE_NAME, ENDPOINTSLICE_MANAGED_BY, HEADLESS];
    let mut labels: BTreeMap<String, String> = service.metadata.labels.clone();
    labels.retain(|name, _| !own.contains(&name.as_str()));
    labels.insert(SERVICE_NAME.to_owned(), service.metadata.name.clone());
    labels.insert(ENDPOINTSLICE_MANAGED_BY.to_owned(), MANAGER.to_owned());
    if service.is_headless() {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels
}
