//! Which endpoints a Service's pods give. Pure functions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_api::Meta;
use windlass_api::labels::Selector;
use windlass_api::pod::is_sidecar;

use crate::pods::{Container, Pod};

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Service {
    pub metadata: Meta,
    pub spec: ServiceSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceSpec {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(rename = "clusterIP")]
    pub cluster_ip: String,
    pub selector: Option<BTreeMap<String, String>>,
    pub ports: Vec<ServicePort>,
    pub ip_families: Vec<String>,
    pub publish_not_ready_addresses: bool,
    pub traffic_distribution: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServicePort {
    pub name: String,
    pub protocol: String,
    pub port: i32,
    pub target_port: Value,
    pub app_protocol: Option<String>,
}

/// A port of an EndpointSlice. All fields but the name may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Port {
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Endpoint {
    pub addresses: Vec<String>,
    pub conditions: Conditions,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<TargetRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hints: Option<Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Conditions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminating: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct TargetRef {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    /// As it is called in `ipFamilies` and `addressType`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        }
    }

    pub(super) fn of(address: &str) -> Self {
        if address.contains(':') { Self::Ipv6 } else { Self::Ipv4 }
    }
}

impl Service {
    pub(super) fn selector(&self) -> Option<Selector> {
        let labels = self.spec.selector.as_ref().filter(|labels| !labels.is_empty())?;
        (self.spec.kind != "ExternalName").then(|| Selector::from_map(labels))
    }

    pub(super) fn is_headless(&self) -> bool {
        self.spec.cluster_ip == "None"
    }

    pub(super) fn families(&self) -> Vec<Family> {
        let of = |name: &String| if name == "IPv6" { Family::Ipv6 } else { Family::Ipv4 };
        if self.spec.ip_families.is_empty() {
            return vec![Family::of(&self.spec.cluster_ip)];
        }
        self.spec.ip_families.iter().map(of).collect()
    }
}

impl Pod {
    /// Its address of this family.
    fn address(&self, family: Family) -> Option<&str> {
        let all = self.status.pod_ips.iter().map(|ip| ip.ip.as_str()).chain([self.status.pod_ip.as_str()]);
        all.filter(|ip| !ip.is_empty()).find(|ip| Family::of(ip) == family)
    }

    /// Its host name, when DNS is to know it under this Service.
    pub(super) fn hostname_under(&self, service: &Service) -> Option<String> {
        let is_named = !self.spec.hostname.is_empty()
            && self.spec.subdomain == service.metadata.name
            && self.metadata.namespace == service.metadata.namespace;
        is_named.then(|| self.spec.hostname.clone())
    }
}

/// The number of the container port that `target_port` names, or is.
pub(super) fn target_port(pod: &Pod, target_port: &Value, service_port: i32, protocol: &str) -> Option<i32> {
    match target_port {
        Value::Number(number) => {
            let number = i32::try_from(number.as_i64()?).ok()?;
            Some(if number == 0 { service_port } else { number })
        }
        Value::String(name) => {
            let sidecars = pod.spec.init_containers.iter().filter(|container| is_sidecar(*container));
            let containers = pod.spec.containers.iter().chain(sidecars);
            let named = |container: &Container| {
                let mut ports = container.ports.iter();
                ports
                    .find(|port| port.name == *name && same_protocol(&port.protocol, protocol))
                    .map(|p| p.container_port)
            };
            containers.into_iter().find_map(named)
        }
        _ => Some(service_port),
    }
}

fn same_protocol(a: &str, b: &str) -> bool {
    let or_tcp = |protocol: &str| if protocol.is_empty() { "TCP".to_owned() } else { protocol.to_owned() };
    or_tcp(a) == or_tcp(b)
}

/// The ports that a pod gives a Service; those which it does not have are left out.
pub(super) fn ports_of(service: &Service, pod: &Pod) -> Vec<Port> {
    let ports = service.spec.ports.iter().filter_map(|port| {
        let number = target_port(pod, &port.target_port, port.port, &port.protocol)?;
        Some(Port {
            name: Some(port.name.clone()),
            protocol: Some(if port.protocol.is_empty() { "TCP".to_owned() } else { port.protocol.clone() }),
            port: Some(number),
            app_protocol: port.app_protocol.clone(),
        })
    });
    ports.collect()
}

/// The endpoint that a pod is for a Service, if it is one: it has an address and has not ended. A pod that is going still serves
/// as long as it is ready, for those who find nothing better.
pub(super) fn endpoint_of(service: &Service, pod: &Pod, family: Family, zone: Option<&str>) -> Option<Endpoint> {
    if pod.has_ended() {
        return None;
    }
    let address = pod.address(family)?;
    let (serving, terminating) = (pod.is_ready(), pod.metadata.is_deleting());
    let ready = service.spec.publish_not_ready_addresses || (serving && !terminating);
    let node = Some(pod.spec.node_name.clone()).filter(|name| !name.is_empty());
    Some(Endpoint {
        addresses: vec![address.to_owned()],
        conditions: Conditions { ready: Some(ready), serving: Some(serving), terminating: Some(terminating) },
        hostname: pod.hostname_under(service),
        target_ref: Some(target_ref(pod)),
        hints: hints(service, ready, zone, node.as_deref()),
        node_name: node,
        zone: zone.map(str::to_owned),
    })
}

pub(super) fn target_ref(pod: &Pod) -> TargetRef {
    TargetRef {
        kind: "Pod".to_owned(),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
    }
}

/// Who should use an endpoint, when the Service asks for traffic to stay near.
fn hints(service: &Service, ready: bool, zone: Option<&str>, node: Option<&str>) -> Option<Value> {
    let distribution = service.spec.traffic_distribution.as_str();
    if !ready || !["PreferClose", "PreferSameZone", "PreferSameNode"].contains(&distribution) {
        return None;
    }
    let mut hints = serde_json::Map::new();
    if let Some(zone) = zone {
        hints.insert("forZones".to_owned(), serde_json::json!([{"name": zone}]));
    }
    if let Some(node) = node.filter(|_| distribution == "PreferSameNode") {
        hints.insert("forNodes".to_owned(), serde_json::json!([{"name": node}]));
    }
    (!hints.is_empty()).then_some(Value::Object(hints))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: &Value, deleting: bool) -> Pod {
        let mut pod = json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"},
            "spec": {"nodeName": "n", "hostname": "h", "subdomain": "svc",
                "containers": [{"ports": [{"name": "web", "containerPort": 8080, "protocol": "TCP"}]}]},
            "status": status});
        if deleting {
            pod["metadata"]["deletionTimestamp"] = json!("2026-11-21T06:00:00Z");
        }
        serde_json::from_value(pod).unwrap()
    }

    fn service(extra: &Value) -> Service {
        let mut service = json!({"metadata": {"name": "svc", "namespace": "ns"}, "spec": {"clusterIP": "10.96.0.9",
            "ports": [{"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"}]}});
        for (name, value) in extra.as_object().unwrap() {
            service["spec"][name] = value.clone();
        }
        serde_json::from_value(service).unwrap()
    }

    fn ready() -> Value {
        json!({"phase": "Running", "podIP": "10.244.0.5", "podIPs": [{"ip": "10.244.0.5"}],
            "conditions": [{"type": "Ready", "status": "True"}]})
    }

    #[test]
    fn conditions_follow_the_pod() {
        let conditions = |status: &Value, deleting, extra: &Value| {
            let endpoint = endpoint_of(&service(extra), &pod(status, deleting), Family::Ipv4, None)?.conditions;
            Some((endpoint.ready?, endpoint.serving?, endpoint.terminating?))
        };
        let unready = json!({"phase": "Running", "podIP": "10.244.0.5"});
        let publish = json!({"publishNotReadyAddresses": true});
        assert_eq!(conditions(&ready(), false, &json!({})), Some((true, true, false)));
        assert_eq!(conditions(&ready(), true, &json!({})), Some((false, true, true)));
        assert_eq!(conditions(&unready, false, &json!({})), Some((false, false, false)));
        assert_eq!(conditions(&unready, false, &publish), Some((true, false, false)));
        assert_eq!(conditions(&json!({"phase": "Pending"}), false, &json!({})), None);
        assert_eq!(conditions(&json!({"phase": "Succeeded", "podIP": "10.244.0.5"}), false, &json!({})), None);
    }

    #[test]
    fn ports_by_number_and_name() {
        let pod = pod(&ready(), false);
        assert_eq!(ports_of(&service(&json!({})), &pod)[0].port, Some(8080));
        for (target, expected) in
            [(json!("nope"), None), (json!(81), Some(81)), (json!(0), Some(80)), (json!(null), Some(80))]
        {
            assert_eq!(target_port(&pod, &target, 80, "TCP"), expected, "{target}");
        }
        assert_eq!(target_port(&pod, &json!("web"), 80, "UDP"), None);
    }

    #[test]
    fn near_traffic() {
        let service = service(&json!({"trafficDistribution": "PreferSameNode"}));
        let endpoint = endpoint_of(&service, &pod(&ready(), false), Family::Ipv4, Some("z")).unwrap();
        assert_eq!(endpoint.hints.unwrap(), json!({"forZones": [{"name": "z"}], "forNodes": [{"name": "n"}]}));
        assert_eq!(endpoint.hostname.as_deref(), Some("h"));
    }
}
