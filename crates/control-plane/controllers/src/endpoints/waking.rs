//! Which Services a pod's change concerns.

use std::sync::Arc;

use windlass_api::ObjectKey;
use windlass_client::{Change, Informer, Object, WorkQueue};

use super::desired::Service;
use crate::pods::Pod;

/// Queues Services when they change, and when pods that they select do so in a way that endpoints show.
pub(super) fn wake_by_services_and_pods(services: &Arc<Informer>, pods: &Informer, queue: &WorkQueue<ObjectKey>) {
    let changed = queue.clone();
    services.subscribe(move |change| changed.add(change.object().key.clone()));
    let (queue, services) = (queue.clone(), services.clone());
    pods.subscribe(move |change| {
        let (old, new) = (decode(change.old.as_ref()), decode(change.new.as_ref()));
        if let (Some(old), Some(new)) = (&old, &new)
            && looks_alike(old, new)
        {
            return;
        }
        let namespace = &change.object().key.namespace;
        for object in services.list(namespace) {
            let Some(selector) = object.decode::<Service>().ok().and_then(|service| service.selector()) else {
                continue;
            };
            if [&old, &new].into_iter().flatten().any(|pod| selector.matches(&pod.metadata.labels)) {
                queue.add(object.key);
            }
        }
    });
}

fn decode(object: Option<&Object>) -> Option<Pod> {
    object.and_then(|object| object.decode().ok())
}

/// Nothing that endpoints show is different.
fn looks_alike(old: &Pod, new: &Pod) -> bool {
    old.metadata.uid == new.metadata.uid
        && old.metadata.labels == new.metadata.labels
        && old.metadata.is_deleting() == new.metadata.is_deleting()
        && old.has_ended() == new.has_ended()
        && old.is_ready() == new.is_ready()
        && old.status.pod_ip == new.status.pod_ip
        && old.status.pod_ips == new.status.pod_ips
        && old.spec.node_name == new.spec.node_name
}

/// The pods of the Service's namespace that it selects.
pub(super) fn selected_pods(service: &Service, pods: &Informer) -> Vec<Pod> {
    let Some(selector) = service.selector() else { return Vec::new() };
    let all =
        pods.list(&service.metadata.namespace).into_iter().filter_map(|object: Object| object.decode::<Pod>().ok());
    all.filter(|pod| selector.matches(&pod.metadata.labels)).collect()
}

/// When the Service or one of its pods last changed, for measuring how long endpoints take.
pub(super) fn trigger_time(service: &Service, pods: &[Pod]) -> Option<String> {
    let changes = pods.iter().filter_map(|pod| pod.condition("Ready")?.last_transition_time.clone());
    changes.chain(service.metadata.creation_timestamp.clone()).max()
}

/// The Service whose slice has changed, when `manager` manages it.
pub(super) fn service_of_slice(change: &Change, manager: &str) -> Option<ObjectKey> {
    use windlass_api::well_known::label::{ENDPOINTSLICE_MANAGED_BY, SERVICE_NAME};
    let slice = change.object().decode::<windlass_api::meta::PartialObject>().ok()?.metadata;
    let is_ours = slice.labels.get(ENDPOINTSLICE_MANAGED_BY).is_some_and(|by| by == manager);
    let service = slice.labels.get(SERVICE_NAME).filter(|_| is_ours)?;
    Some(ObjectKey::new(slice.namespace.clone(), service.clone()))
}
