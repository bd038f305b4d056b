//! Environment variables that tell a container of the services of its namespace, as Docker's links once did. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The part of a Service that its variables are made of.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ServiceView {
    metadata: Name,
    spec: Spec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Name {
    name: String,
    namespace: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    ports: Vec<Port>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Port {
    name: String,
    port: i32,
    protocol: String,
}

impl ServiceView {
    pub(super) fn name(&self) -> (&str, &str) {
        (&self.metadata.namespace, &self.metadata.name)
    }

    fn has_address(&self) -> bool {
        !matches!(self.spec.cluster_ip.as_str(), "" | "None") && !self.spec.ports.is_empty()
    }
}

fn upper(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

fn join(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

pub(super) fn variables<'a>(services: impl Iterator<Item = &'a ServiceView>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for service in services.filter(|service| service.has_address()) {
        let (prefix, spec) = (upper(&service.metadata.name), &service.spec);
        let first = &spec.ports[0];
        all.insert(format!("{prefix}_SERVICE_HOST"), spec.cluster_ip.clone());
        all.insert(format!("{prefix}_SERVICE_PORT"), first.port.to_string());
        for port in spec.ports.iter().filter(|port| !port.name.is_empty()) {
            all.insert(format!("{prefix}_SERVICE_PORT_{}", upper(&port.name)), port.port.to_string());
        }
        for (index, port) in spec.ports.iter().enumerate() {
            let protocol = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
            let url = format!("{}://{}", protocol.to_lowercase(), join(&spec.cluster_ip, port.port));
            if index == 0 {
                all.insert(format!("{prefix}_PORT"), url.clone());
            }
            let link = format!("{prefix}_PORT_{}_{}", port.port, protocol.to_uppercase());
            all.insert(link.clone(), url);
            all.insert(format!("{link}_PROTO"), protocol.to_lowercase());
            all.insert(format!("{link}_PORT"), port.port.to_string());
            all.insert(format!("{link}_ADDR"), spec.cluster_ip.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn links() {
        let service: ServiceView = serde_json::from_value(json!({"metadata": {"name": "red-is", "namespace": "n"},
            "spec": {"clusterIP": "10.0.0.11", "ports": [{"name": "cl-ient", "port": 6379, "protocol": "TCP"}]}}))
        .unwrap();
        let headless: ServiceView =
            serde_json::from_value(json!({"metadata": {"name": "h"}, "spec": {"clusterIP": "None"}})).unwrap();
        let all = variables([service, headless].iter());
        let text: Vec<String> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            text,
            [
                "RED_IS_PORT=tcp://10.0.0.11:6379",
                "RED_IS_PORT_6379_TCP=tcp://10.0.0.11:6379",
                "RED_IS_PORT_6379_TCP_ADDR=10.0.0.11",
                "RED_IS_PORT_6379_TCP_PORT=6379",
                "RED_IS_PORT_6379_TCP_PROTO=tcp",
                "RED_IS_SERVICE_HOST=10.0.0.11",
                "RED_IS_SERVICE_PORT=6379",
                "RED_IS_SERVICE_PORT_CL_IENT=6379",
            ]
        );
    }
}
