//! Endpoints: the addresses behind a Service in one object; EndpointSlices have taken its place.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_api::well_known::{label, namespace};
use windlass_machinery::tree::{items, items_mut, number, set_text, text};

use crate::columns;
use crate::first::{Beginnings, First};
use crate::rules::{app_protocol, at, complain, endpoint_ip, ip, named_port};
use crate::{Resource, Strategy};

const SHOWN_MAX: usize = 3;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "Endpoints", "endpoints")
        .short_names(&["ep"])
        .creates_on_update()
        .deprecated("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
        .columns(columns::list(&["Name", "Endpoints", "Age"]))
        .strategy(Endpoints)
}

struct Endpoints;

impl Strategy for Endpoints {
    /// The API server's, which no controller may copy into a slice: it has one.
    fn first(&self, beginnings: &Beginnings) -> Vec<First> {
        let ports = json!([{"name": "https", "port": beginnings.server.port, "protocol": "TCP"}]);
        let object = json!({
            "metadata": {"name": "kubernetes", "namespace": namespace::DEFAULT, "labels": {label::SKIP_MIRROR: "true"}},
            "subsets": [{"addresses": [{"ip": beginnings.server.address.to_string()}], "ports": ports}],
        });
        vec![First { object, status: None, follows: &["subsets"] }]
    }

    fn set_defaults(&self, object: &mut Value) {
        for subset in items_mut(object, "subsets") {
            for port in items_mut(subset, "ports") {
                set_text(port, "protocol", "TCP");
            }
        }
    }

    fn validate(&self, object: &Value) -> Errors {
        let (mut errors, path) = (Errors::new(), Path::new("subsets"));
        for (index, subset) in items(object, "subsets").enumerate() {
            validate_subset(&mut errors, subset, &path.index(index));
        }
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        if object.get("subsets") == old.get("subsets") { Errors::new() } else { self.validate(object) }
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), Value::from(addresses(object)), columns::age(object, now)]
    }
}

fn addresses(endpoints: &Value) -> String {
    if items(endpoints, "subsets").next().is_none() {
        return "<none>".to_owned();
    }
    let mut shown = Vec::new();
    let mut all = 0;
    for subset in items(endpoints, "subsets") {
        let ports: Vec<Option<i64>> = match items(subset, "ports").next() {
            None => vec![None],
            Some(_) => items(subset, "ports").map(|port| Some(number(port, "port"))).collect(),
        };
        for port in ports {
            for address in items(subset, "addresses") {
                all += 1;
                if shown.len() < SHOWN_MAX {
                    shown.push(host_port(text(address, "ip"), port));
                }
            }
        }
    }
    let list = shown.join(",");
    if all > SHOWN_MAX { format!("{list} + {} more...", all - SHOWN_MAX) } else { list }
}

fn host_port(ip: &str, port: Option<i64>) -> String {
    match port {
        None => ip.to_owned(),
        Some(port) if ip.contains(':') => format!("[{ip}]:{port}"),
        Some(port) => format!("{ip}:{port}"),
    }
}

fn validate_subset(errors: &mut Errors, subset: &Value, path: &Path<'_>) {
    let lists = ["addresses", "notReadyAddresses"];
    if lists.iter().all(|list| items(subset, list).next().is_none()) {
        errors.push(Error::required(path, "must specify `addresses` or `notReadyAddresses`"));
    }
    for list in lists {
        let list_path = path.child(list);
        for (index, address) in items(subset, list).enumerate() {
            let path = list_path.index(index);
            ip(errors, &path.child("ip"), text(address, "ip"));
            let host = text(address, "hostname");
            if !host.is_empty() {
                complain(errors, &path.child("hostname"), host, names::dns1123_label(host));
            }
            if let Some(node) = at(address, "nodeName").and_then(Value::as_str) {
                complain(errors, &path.child("nodeName"), node, names::dns1123_subdomain(node));
            }
            endpoint_ip(errors, &path.child("ip"), text(address, "ip"));
        }
    }
    let ports = path.child("ports");
    let several = items(subset, "ports").count() > 1;
    for (index, port) in items(subset, "ports").enumerate() {
        named_port(errors, port, &ports.index(index), several, names::dns1123_label);
        app_protocol(errors, port, &ports.index(index));
    }
}
