//! Endpoints: the addresses behind a Service in one object; EndpointSlices have taken its place.

use jiff::Timestamp;
use serde_json::Value;
use windlass_machinery::tree::{items, items_mut, number, set_text, text};

use crate::columns;
use crate::{Resource, Strategy};

const SHOWN_MAX: usize = 3;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "Endpoints", "endpoints")
        .short_names(&["ep"])
        .creates_on_update()
        .columns(columns::list(&["Name", "Endpoints", "Age"]))
        .strategy(Endpoints)
}

struct Endpoints;

impl Strategy for Endpoints {
    fn set_defaults(&self, object: &mut Value) {
        for subset in items_mut(object, "subsets") {
            for port in items_mut(subset, "ports") {
                set_text(port, "protocol", "TCP");
            }
        }
    }

    fn warnings(&self, _object: &Value) -> Vec<String> {
        vec!["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".to_owned()]
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
