//! What stands behind the Service of an APIService, before anybody is asked.
//!
//! Source: kube-aggregator `controllers/status/remote/remote_available_controller.go`.

use windlass_api::condition::{Condition, FALSE};

use crate::aggregation::api_service::{AVAILABLE, ServiceReference};
use crate::endpoints::{Service, Slice};

/// What is wrong with the Service before anybody is asked.
pub(super) fn problem(reference: &ServiceReference, service: Option<&Service>, slices: &[Slice]) -> Option<Condition> {
    let ServiceReference { namespace, name, port } = reference;
    let no = |reason, message: String| Some(Condition::new(AVAILABLE, FALSE, reason, message));
    let Some(service) = service else {
        return no("ServiceNotFound", format!("service/{name} in {namespace:?} is not present"));
    };
    if service.spec.kind != "ClusterIP" {
        return None;
    }
    let Some(found) = service.spec.ports.iter().find(|known| known.port == *port) else {
        return no("ServicePortError", format!("service/{name} in {namespace:?} is not listening on port {port}"));
    };
    if slices.is_empty() {
        let why = format!("cannot find endpointslices for service/{name} in {namespace:?}");
        return no("EndpointsNotFound", why);
    }
    if !slices.iter().any(|slice| slice.has_ready(&found.name)) {
        let port = &found.name;
        let why =
            format!("endpointslices for service/{name} in {namespace:?} have no addresses with port name {port:?}");
        return no("MissingEndpoints", why);
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_behind_a_service() {
        let reference = ServiceReference { namespace: "n".to_owned(), name: "s".to_owned(), port: 443 };
        let cluster_ip = json!({"spec": {"type": "ClusterIP", "ports": [{"name": "web", "port": 443}, {"name": "other", "port": 80}]}});
        let name_elsewhere = json!({"spec": {"type": "ExternalName", "externalName": "a.example"}});
        let slice = |port: &str, ready| {
            json!({"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}],
                "ports": [{"name": port, "port": 8443}]})
        };
        let not_there = ("ServiceNotFound", "service/s in \"n\" is not present");
        let no_slices = ("EndpointsNotFound", "cannot find endpointslices for service/s in \"n\"");
        let no_endpoints =
            ("MissingEndpoints", "endpointslices for service/s in \"n\" have no addresses with port name \"web\"");
        let no_port = ("ServicePortError", "service/s in \"n\" is not listening on port 443");
        for (service, slices, expected) in [
            (None, vec![], Some(not_there)),
            (Some(json!({"spec": {"type": "ClusterIP", "ports": [{"port": 80}]}})), vec![], Some(no_port)),
            (Some(cluster_ip.clone()), vec![], Some(no_slices)),
            (Some(cluster_ip.clone()), vec![slice("web", json!(false))], Some(no_endpoints)),
            (Some(cluster_ip.clone()), vec![slice("other", json!(true))], Some(no_endpoints)),
            (Some(cluster_ip), vec![slice("other", json!(true)), slice("web", json!(null))], None),
            (Some(name_elsewhere), vec![], None),
        ] {
            let service: Option<Service> = service.map(|service| serde_json::from_value(service).unwrap());
            let slices: Vec<Slice> = slices.into_iter().map(|slice| serde_json::from_value(slice).unwrap()).collect();
            let found = problem(&reference, service.as_ref(), &slices);
            let found = found.as_ref().map(|problem| (problem.reason.as_str(), problem.message.as_str()));
            assert_eq!(found, expected);
        }
    }
}
