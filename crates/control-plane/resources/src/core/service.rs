//! Service: a stable address for a set of pods.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::field::Errors;
use windlass_api::names;
use windlass_api::well_known::namespace;
use windlass_machinery::tree::{child, items, items_mut, keep, number, put, remove, set, set_text, text};

use super::service_allocation::ServiceAllocation;
use super::service_validation::{self, is_external};
use crate::allocation::Allocation;
use crate::columns;
use crate::first::{Beginnings, First};
use crate::{Moment, Resource, Strategy, Subresource};

/// Sessions last for three hours, if their length is not given.
const SESSION_SECONDS: i64 = 10_800;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "Service", "services")
        .short_names(&["svc"])
        .categories(&["all"])
        .subresources(&[Subresource::Proxy, Subresource::Status])
        .name_rule(names::dns1123_label)
        .creates_on_update()
        .selectable(&[("spec.clusterIP", "/spec/clusterIP"), ("spec.type", "/spec/type")])
        .columns(columns::list(&["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"]))
        .strategy(Service)
}

struct Service;

impl Strategy for Service {
    /// The Service by which pods reach the API server.
    fn first(&self, beginnings: &Beginnings) -> Vec<First> {
        let ports = json!([{"name": "https", "port": 443, "protocol": "TCP", "targetPort": beginnings.server.port}]);
        vec![First::once(json!({
            "metadata": {"name": "kubernetes", "namespace": namespace::DEFAULT,
                "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {"type": "ClusterIP", "clusterIP": beginnings.service_ip(), "ports": ports, "sessionAffinity": "None"},
        }))]
    }

    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        set_text(spec, "sessionAffinity", "None");
        match text(spec, "sessionAffinity") {
            "None" => {
                remove(spec, "sessionAffinityConfig");
            }
            "ClientIP" if spec.pointer("/sessionAffinityConfig/clientIP/timeoutSeconds").is_none_or(Value::is_null) => {
                put(spec, "sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": SESSION_SECONDS}}));
            }
            _ => {}
        }
        set_text(spec, "type", "ClusterIP");
        for port in items_mut(spec, "ports") {
            set_text(port, "protocol", "TCP");
            if port.get("targetPort").is_none_or(|target| target == 0 || target == "") {
                put(port, "targetPort", number(port, "port"));
            }
        }
        if is_external(spec) {
            set_text(spec, "externalTrafficPolicy", "Cluster");
        }
        let kind = text(spec, "type").to_owned();
        if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
            set(spec, "internalTrafficPolicy", "Cluster");
        }
        if kind == "LoadBalancer" {
            set(spec, "allocateLoadBalancerNodePorts", true);
            if let Some(balancer) = child(object, "status").get_mut("loadBalancer") {
                for ingress in items_mut(balancer, "ingress").filter(|ingress| !text(ingress, "ip").is_empty()) {
                    set(ingress, "ipMode", "VIP");
                }
            }
        }
    }

    fn prepare_update(&self, object: &mut Value, old: &Value, _moment: Moment) {
        agree_on_addresses(child(object, "spec"), &old["spec"]);
        drop_what_the_type_has_not(object, old);
    }

    fn warnings(&self, object: &Value, _old: Option<&Value>) -> Vec<String> {
        service_validation::warnings(object)
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        service_validation::validate(&mut errors, object);
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        service_validation::validate_update(&mut errors, object, old);
        errors
    }

    fn validate_status(&self, object: &Value, _old: &Value) -> Errors {
        let mut errors = Errors::new();
        service_validation::validate_status(&mut errors, object);
        errors
    }

    fn allocation(&self) -> Option<&dyn Allocation> {
        Some(&ServiceAllocation)
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let spec = &object["spec"];
        let ports: Vec<String> = items(spec, "ports").map(port_cell).collect();
        vec![
            columns::name(object),
            Value::from(text(spec, "type")),
            columns::or_none(spec.pointer("/clusterIPs/0").and_then(Value::as_str)),
            Value::from(external_cell(object)),
            columns::or_none(Some(&ports.join(","))),
            columns::age(object, now),
            columns::labels(spec.get("selector")),
        ]
    }
}

/// Clients that know only one of `clusterIP` and `clusterIPs` change only that one: the other follows.
fn agree_on_addresses(spec: &mut Value, old: &Value) {
    let (address, before) = (text(spec, "clusterIP").to_owned(), text(old, "clusterIP"));
    let (list, list_before): (Vec<&Value>, Vec<&Value>) =
        (items(spec, "clusterIPs").collect(), items(old, "clusterIPs").collect());
    let is_same = list == list_before;
    if address == before {
        if list.is_empty() && !is_same {
            keep(spec, old, "clusterIPs");
        }
    } else if is_same && address.is_empty() {
        remove(spec, "clusterIPs");
    } else if is_same {
        put(spec, "clusterIPs", json!([address]));
    }
}

/// When a Service changes its type, what the server had filled in for the old one goes, if the client has left it as it was;
/// what the client did change stays, for validation to complain of.
fn drop_what_the_type_has_not(object: &mut Value, old: &Value) {
    let old_spec = &old["spec"];
    let spec = child(object, "spec");
    let (before, after) = (text(old_spec, "type").to_owned(), text(spec, "type").to_owned());
    let same = |spec: &Value, field: &str| {
        spec.get(field).unwrap_or(&Value::Null) == old_spec.get(field).unwrap_or(&Value::Null)
    };
    if before != "ExternalName" && after == "ExternalName" {
        if same(spec, "clusterIP") && same(spec, "clusterIPs") {
            remove(spec, "clusterIP");
            remove(spec, "clusterIPs");
        }
        for field in ["ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            if same(spec, field) {
                remove(spec, field);
            }
        }
    }
    let has_node_ports = |kind: &str| matches!(kind, "NodePort" | "LoadBalancer");
    let ports = |spec: &Value| -> BTreeSet<i64> {
        items(spec, "ports").map(|port| number(port, "nodePort")).filter(|port| *port != 0).collect()
    };
    if has_node_ports(&before) && !has_node_ports(&after) && ports(spec).is_subset(&ports(old_spec)) {
        for port in items_mut(spec, "ports") {
            remove(port, "nodePort");
        }
    }
    let checks_health =
        |spec: &Value| text(spec, "type") == "LoadBalancer" && text(spec, "externalTrafficPolicy") == "Local";
    if checks_health(old_spec) && !checks_health(spec) && same(spec, "healthCheckNodePort") {
        remove(spec, "healthCheckNodePort");
    }
    if before == "LoadBalancer" && after != "LoadBalancer" {
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if same(spec, field) {
                remove(spec, field);
            }
        }
    }
    if is_external(old_spec) && !is_external(spec) && same(spec, "externalTrafficPolicy") {
        remove(spec, "externalTrafficPolicy");
    }
    if after != "LoadBalancer" {
        put(child(object, "status"), "loadBalancer", json!({}));
    }
}

fn port_cell(port: &Value) -> String {
    let (number_, protocol) = (number(port, "port"), text(port, "protocol"));
    match number(port, "nodePort") {
        0 => format!("{number_}/{protocol}"),
        node_port => format!("{number_}:{node_port}/{protocol}"),
    }
}

fn external_cell(service: &Value) -> String {
    let spec = &service["spec"];
    let external: Vec<&str> = items(spec, "externalIPs").filter_map(Value::as_str).collect();
    match text(spec, "type") {
        "ClusterIP" | "NodePort" if external.is_empty() => "<none>".to_owned(),
        "ClusterIP" | "NodePort" => external.join(","),
        "LoadBalancer" => {
            let mut all: Vec<&str> = balancer_addresses(service).into_iter().collect();
            all.extend(external);
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        "ExternalName" => text(spec, "externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

/// The addresses or names of the load balancers of a Service or Ingress.
pub(crate) fn balancer_addresses(object: &Value) -> BTreeSet<&str> {
    let balancer = object.pointer("/status/loadBalancer").unwrap_or(&Value::Null);
    let address = |ingress| match text(ingress, "ip") {
        "" => text(ingress, "hostname"),
        ip => ip,
    };
    items(balancer, "ingress").map(address).filter(|address| !address.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults() {
        let mut service = json!({"spec": {"ports": [{"port": 80, "targetPort": 0}], "sessionAffinity": "ClientIP", "type": "NodePort"}});
        Service.set_defaults(&mut service);
        assert_eq!(
            service["spec"],
            json!({"ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}], "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}, "type": "NodePort",
                "externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster"})
        );
    }

    #[test]
    fn another_type() {
        let old = json!({"spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "externalTrafficPolicy": "Cluster",
            "ports": [{"port": 80, "nodePort": 30000}]}, "status": {"loadBalancer": {}}});
        let mut new = old.clone();
        new["spec"]["type"] = json!("ExternalName");
        drop_what_the_type_has_not(&mut new, &old);
        assert_eq!(new["spec"], json!({"type": "ExternalName", "ports": [{"port": 80}]}));
    }

    #[test]
    fn one_address_and_the_list_of_them() {
        let old = json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]});
        for (new, expected) in [
            (json!({"clusterIP": "", "clusterIPs": ["10.0.0.1"]}), json!({"clusterIP": ""})),
            (json!({"clusterIPs": ["10.0.0.1"]}), json!({})),
            (json!({"clusterIP": "10.0.0.1"}), old.clone()),
            (
                json!({"clusterIP": "None", "clusterIPs": ["10.0.0.1"]}),
                json!({"clusterIP": "None", "clusterIPs": ["None"]}),
            ),
            (json!({}), json!({})),
        ] {
            let mut spec = new;
            agree_on_addresses(&mut spec, &old);
            assert_eq!(spec, expected);
        }
    }

    #[test]
    fn rows() {
        let service = json!({"metadata": {"name": "s"}, "spec": {"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"],
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30000}]}, "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}});
        let cells = Service.cells(&service, Timestamp::UNIX_EPOCH);
        assert_eq!(
            cells[..5],
            [json!("s"), json!("LoadBalancer"), json!("10.0.0.1"), json!("1.2.3.4"), json!("80:30000/TCP")]
        );
    }
}
