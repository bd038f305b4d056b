//! The parts of Service and EndpointSlice that a service proxy looks at, as the API's JSON has them.
//!
//! Objects come from the API server, so they are valid; what is missing or malformed nevertheless is passed over by
//! [`crate::service`], never a reason to fail.

use std::collections::BTreeMap;

use serde::Deserialize;
use windlass_api::taint::Taint;
use windlass_api::text::null_is_default;
use windlass_api::well_known::{label, taint};

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Service {
    pub metadata: Metadata,
    pub spec: ServiceSpec,
    pub status: ServiceStatus,
}

/// The node on which the proxy runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Node {
    pub metadata: NodeMetadata,
    pub spec: NodeSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeMetadata {
    pub deletion_timestamp: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    #[serde(deserialize_with = "null_is_default")]
    pub taints: Vec<Taint>,
}

impl Node {
    /// Whether load balancers may send traffic there, as upstream's `ProxyHealthServer`: not when it is on its way out.
    pub fn is_eligible(&self) -> bool {
        self.metadata.deletion_timestamp.is_none() && !self.spec.taints.iter().any(|it| it.key == taint::TO_BE_DELETED)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Metadata {
    pub labels: Labels,
}

/// The only labels that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "BTreeMap<String, String>")]
pub struct Labels {
    pub service_proxy_name: Option<String>,
    pub headless: Option<String>,
    pub service_name: Option<String>,
}

impl From<BTreeMap<String, String>> for Labels {
    fn from(mut all: BTreeMap<String, String>) -> Self {
        let mut take = |name| all.remove(name);
        Self {
            service_proxy_name: take(label::SERVICE_PROXY_NAME),
            headless: take(label::HEADLESS),
            service_name: take(label::SERVICE_NAME),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    pub cluster_ip: String,
    #[serde(rename = "clusterIPs")]
    pub cluster_ips: Vec<String>,
    #[serde(rename = "type")]
    pub kind: ServiceType,
    pub ports: Vec<ServicePort>,
    #[serde(rename = "externalIPs")]
    pub external_ips: Vec<String>,
    pub session_affinity: SessionAffinity,
    pub session_affinity_config: SessionAffinityConfig,
    pub external_traffic_policy: TrafficPolicy,
    pub internal_traffic_policy: TrafficPolicy,
    pub load_balancer_source_ranges: Vec<String>,
    pub health_check_node_port: u16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ServiceType {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
    ExternalName,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum SessionAffinity {
    #[default]
    None,
    ClientIP,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum TrafficPolicy {
    #[default]
    Cluster,
    Local,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionAffinityConfig {
    #[serde(rename = "clientIP")]
    pub client_ip: ClientIPConfig,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientIPConfig {
    pub timeout_seconds: u32,
}

impl Default for ClientIPConfig {
    /// The API's default: three hours.
    fn default() -> Self {
        Self { timeout_seconds: 10_800 }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    pub name: String,
    pub protocol: Protocol,
    pub port: u16,
    pub node_port: u16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    /// `IPPROTO_…`
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => libc::IPPROTO_TCP as u8,
            Self::Udp => libc::IPPROTO_UDP as u8,
            Self::Sctp => libc::IPPROTO_SCTP as u8,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    pub load_balancer: LoadBalancerStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LoadBalancerStatus {
    pub ingress: Vec<Ingress>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ingress {
    pub ip: String,
    /// `VIP` or `Proxy`; nodes take only traffic for the former themselves. Absent is `VIP`.
    pub ip_mode: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    pub metadata: Metadata,
    /// `IPv4`, `IPv6` or `FQDN`.
    pub address_type: String,
    #[serde(deserialize_with = "null_is_default")]
    pub endpoints: Vec<SliceEndpoint>,
    #[serde(deserialize_with = "null_is_default")]
    pub ports: Vec<EndpointPort>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SliceEndpoint {
    #[serde(deserialize_with = "null_is_default")]
    pub addresses: Vec<String>,
    pub conditions: Conditions,
    pub node_name: Option<String>,
    pub hints: Option<Hints>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Conditions {
    pub ready: Option<bool>,
    pub serving: Option<bool>,
    pub terminating: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hints {
    pub for_zones: Vec<Hint>,
    pub for_nodes: Vec<Hint>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Hint {
    pub name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EndpointPort {
    pub name: Option<String>,
    pub protocol: Protocol,
    pub port: Option<u16>,
}

impl Service {
    pub fn from_json(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }
}

impl EndpointSlice {
    pub fn from_json(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_objects_are_read() {
        let service = Service::from_json(
            br#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","labels":{"x":"y"}},
            "spec":{"clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1"],"type":"NodePort","sessionAffinity":"ClientIP",
            "sessionAffinityConfig":{"clientIP":{"timeoutSeconds":60}},"externalTrafficPolicy":"Local",
            "ports":[{"name":"http","protocol":"UDP","port":80,"targetPort":"web","nodePort":30080}]},
            "status":{"loadBalancer":{"ingress":[{"hostname":"x"},{"ip":"1.2.3.4","ipMode":"VIP"}]}}}"#,
        )
        .unwrap();
        assert_eq!(service.spec.kind, ServiceType::NodePort);
        assert_eq!(service.spec.session_affinity_config.client_ip.timeout_seconds, 60);
        assert_eq!((service.spec.ports[0].protocol, service.spec.ports[0].node_port), (Protocol::Udp, 30080));
        assert_eq!(service.status.load_balancer.ingress.len(), 2);
        let slice = EndpointSlice::from_json(
            br#"{"metadata":{"labels":{"kubernetes.io/service-name":"a"}},"addressType":"IPv4",
            "endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":true},"nodeName":"n","zone":"z",
              "hints":{"forZones":[{"name":"z"}]}}],"ports":[{"name":"","port":8080,"protocol":"TCP"}]}"#,
        )
        .unwrap();
        assert_eq!(slice.metadata.labels.service_name.as_deref(), Some("a"));
        assert_eq!(slice.endpoints[0].hints.as_ref().unwrap().for_zones[0].name, "z");
    }

    #[test]
    fn what_is_absent_or_null_is_empty() {
        assert_eq!(Service::from_json(b"{}").unwrap(), Service::default());
        let slice = EndpointSlice::from_json(br#"{"endpoints":null,"ports":null}"#).unwrap();
        assert_eq!(slice, EndpointSlice::default());
        assert!(EndpointSlice::from_json(br#"{"endpoints":[{"addresses":null}],"ports":[{}]}"#).is_ok());
    }
}
