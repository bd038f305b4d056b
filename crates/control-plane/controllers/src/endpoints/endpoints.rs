//! Every Service with a selector has an Endpoints object of its name, for those who do not read EndpointSlices yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use windlass_api::resource::{ENDPOINTS, PODS, SERVICES};
use windlass_api::well_known::annotation::{ENDPOINTS_LAST_CHANGE, ENDPOINTS_OVER_CAPACITY};
use windlass_api::well_known::label::HEADLESS;
use windlass_api::{Meta, ObjectKey, Status};
use windlass_client::{Client, DeleteOptions, Informer, OBJECT, Outcome, WorkQueue};

use super::desired::{Service, TargetRef, ports_of, target_ref};
use super::waking::{selected_pods, trigger_time, wake_by_services_and_pods};
use crate::context::Context;
use crate::pods::Pod;
use crate::write::{delete, modify};

const NAME: &str = "endpoint-controller";
const WORKERS: usize = 5;
/// Addresses in an Endpoints object; the rest is cut off, and an annotation says so.
const MAX: usize = 1000;
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Endpoints {
    pub metadata: Meta,
    pub subsets: Vec<Subset>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Subset {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Address>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_ready_addresses: Vec<Address>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<EndpointPort>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Address {
    pub ip: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<TargetRef>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EndpointPort {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub port: i32,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

struct Controller {
    client: Client,
    services: Arc<Informer>,
    pods: Arc<Informer>,
    endpoints: Arc<Informer>,
}

pub(crate) async fn run(context: Context) {
    let controller = Controller {
        client: context.client(NAME),
        services: context.informer(&SERVICES),
        pods: context.informer(&PODS),
        endpoints: context.informer(&ENDPOINTS),
    };
    let queue = WorkQueue::new();
    wake_by_services_and_pods(&controller.services, &controller.pods, &queue);
    let changed = queue.clone();
    controller.endpoints.subscribe(move |change| changed.add(change.object().key.clone()));
    for informer in [&controller.services, &controller.pods, &controller.endpoints] {
        informer.synced().await;
    }
    queue.run(NAME, WORKERS, async |key| controller.sync(key).await).await;
}

impl Controller {
    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let existing = self.endpoints.read::<Endpoints>(&key);
        let Some(service) = self.services.read::<Service>(&key) else {
            return self.remove(&key, existing).await;
        };
        if service.selector().is_none() || service.metadata.is_deleting() {
            return Ok(Outcome::Done);
        }
        let pods = selected_pods(&service, &self.pods);
        let (subsets, cut) = subsets(&service, &pods);
        let labels = labels(&service);
        let mut annotations = BTreeMap::new();
        if cut {
            annotations.insert(ENDPOINTS_OVER_CAPACITY.to_owned(), "truncated".to_owned());
        }
        match existing {
            None => self.create(&service, &subsets, &labels, annotations, &pods).await,
            Some(existing) => {
                let same_cut = existing.metadata.annotations.contains_key(ENDPOINTS_OVER_CAPACITY) == cut;
                if existing.subsets == subsets && existing.metadata.labels == labels && same_cut {
                    return Ok(Outcome::Done);
                }
                let annotations: Value = [
                    (ENDPOINTS_OVER_CAPACITY, cut.then(|| "truncated".to_owned())),
                    (ENDPOINTS_LAST_CHANGE, trigger_time(&service, &pods)),
                ]
                .into_iter()
                .map(|(name, value)| (name.to_owned(), json!(value)))
                .collect();
                self.update(&existing.metadata, &subsets, &labels, &annotations).await
            }
        }
    }

    /// The Endpoints of a Service that is gone go too.
    async fn remove(&self, key: &ObjectKey, existing: Option<Endpoints>) -> Result<Outcome, Status> {
        let Some(existing) = existing.filter(|existing| existing.metadata.labels.contains_key(MANAGED_BY)) else {
            return Ok(Outcome::Done);
        };
        let options = DeleteOptions::of_uid(existing.metadata.uid);
        delete(&self.client, &ENDPOINTS, key, &options).await.map(|()| Outcome::Done)
    }

    async fn create(
        &self,
        service: &Service,
        subsets: &[Subset],
        labels: &BTreeMap<String, String>,
        mut annotations: BTreeMap<String, String>,
        pods: &[Pod],
    ) -> Result<Outcome, Status> {
        if let Some(time) = trigger_time(service, pods) {
            annotations.insert(ENDPOINTS_LAST_CHANGE.to_owned(), time);
        }
        let namespace = &service.metadata.namespace;
        let endpoints = json!({
            "metadata": {"name": service.metadata.name, "namespace": namespace, "labels": labels,
                "annotations": annotations},
            "subsets": subsets,
        });
        match self.client.create(&ENDPOINTS, namespace, &endpoints).await {
            Ok(created) => self.endpoints.reached(created.revision).await,
            Err(status) if status.is_namespace_terminating() => {}
            Err(status) => return Err(status),
        }
        Ok(Outcome::Done)
    }

    async fn update(
        &self,
        existing: &Meta,
        subsets: &[Subset],
        labels: &BTreeMap<String, String>,
        annotations: &Value,
    ) -> Result<Outcome, Status> {
        let gone = existing.labels.keys().filter(|name| !labels.contains_key(*name));
        let mut all: Value = gone.map(|name| (name.clone(), Value::Null)).collect();
        for (name, value) in labels {
            all[name] = json!(value);
        }
        let patch = json!({
            "metadata": {"uid": existing.uid, "resourceVersion": existing.resource_version, "labels": all,
                "annotations": annotations},
            "subsets": if subsets.is_empty() { Value::Null } else { json!(subsets) },
        });
        modify(&self.client, &self.endpoints, &ENDPOINTS, &existing.key(), OBJECT, &patch).await?;
        Ok(Outcome::Done)
    }
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone();
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    if service.is_headless() {
        labels.insert(HEADLESS.to_owned(), String::new());
    } else {
        labels.remove(HEADLESS);
    }
    labels
}

/// The addresses of the Service's pods, those with the same ports together; and whether some were cut off.
fn subsets(service: &Service, pods: &[Pod]) -> (Vec<Subset>, bool) {
    let family = service.families().first().copied();
    let mut groups: BTreeMap<Vec<EndpointPort>, Subset> = BTreeMap::new();
    let (mut count, mut cut) = (0, false);
    for pod in pods.iter().filter(|pod| is_included(service, pod)) {
        let Some(endpoint) = family.and_then(|family| super::desired::endpoint_of(service, pod, family, None)) else {
            continue;
        };
        count += 1;
        if count > MAX {
            cut = true;
            break;
        }
        let mut ports: Vec<EndpointPort> = ports_of(service, pod)
            .into_iter()
            .map(|port| EndpointPort {
                name: port.name.unwrap_or_default(),
                port: port.port.unwrap_or_default(),
                protocol: port.protocol.unwrap_or_default(),
                app_protocol: port.app_protocol,
            })
            .collect();
        // An address that offers none of the Service's ports is of use to a headless Service only.
        if ports.is_empty() && !(service.is_headless() && service.spec.ports.is_empty()) {
            continue;
        }
        ports.sort();
        let subset = groups.entry(ports.clone()).or_insert_with(|| Subset { ports, ..Subset::default() });
        let address = Address {
            ip: endpoint.addresses.into_iter().next().unwrap_or_default(),
            hostname: endpoint.hostname.unwrap_or_default(),
            node_name: endpoint.node_name,
            target_ref: Some(target_ref(pod)),
        };
        let ready = service.spec.publish_not_ready_addresses || pod.is_ready();
        if ready { subset.addresses.push(address) } else { subset.not_ready_addresses.push(address) }
    }
    let mut subsets: Vec<Subset> = groups.into_values().collect();
    for subset in &mut subsets {
        subset.addresses.sort_by(|a, b| a.ip.cmp(&b.ip));
        subset.not_ready_addresses.sort_by(|a, b| a.ip.cmp(&b.ip));
    }
    (subsets, cut)
}

/// Pods that are going are named only when the Service wants pods that are not ready.
fn is_included(service: &Service, pod: &Pod) -> bool {
    !pod.metadata.is_deleting() || service.spec.publish_not_ready_addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_with_the_same_ports_share_a_subset() {
        let service: Service = serde_json::from_value(json!({"metadata": {"name": "s", "namespace": "ns"},
            "spec": {"clusterIP": "10.96.0.9", "ports": [{"port": 80, "targetPort": "web", "protocol": "TCP"}]}}))
        .unwrap();
        let pod = |ip: &str, port: i32, ready: &str| -> Pod {
            serde_json::from_value(json!({"metadata": {"name": ip, "namespace": "ns"},
                "spec": {"containers": [{"ports": [{"name": "web", "containerPort": port, "protocol": "TCP"}]}]},
                "status": {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": ready}]}}))
            .unwrap()
        };
        let pods = [
            pod("10.0.0.2", 80, "True"),
            pod("10.0.0.1", 80, "True"),
            pod("10.0.0.3", 80, "False"),
            pod("10.0.0.4", 81, "True"),
        ];
        let (subsets, cut) = subsets(&service, &pods);
        assert!(!cut);
        assert_eq!(subsets.len(), 2);
        let ips: Vec<&str> = subsets[0].addresses.iter().map(|address| address.ip.as_str()).collect();
        assert_eq!(ips, ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(subsets[0].not_ready_addresses[0].ip, "10.0.0.3");
        assert_eq!(subsets[1].ports[0].port, 81);
    }
}
