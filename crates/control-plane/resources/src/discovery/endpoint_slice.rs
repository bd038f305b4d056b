//! EndpointSlice: some of the addresses behind a Service.

use jiff::Timestamp;
use serde_json::Value;
use windlass_machinery::tree::{items, items_mut, remove, set, text};

use crate::columns::{self, first_three};
use crate::{Moment, Resource, Strategy, metadata};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
        .counts_generations()
        .columns(columns::list(&["Name", "AddressType", "Ports", "Endpoints", "Age"]))
        .strategy(EndpointSlice)
}

struct EndpointSlice;

impl Strategy for EndpointSlice {
    fn set_defaults(&self, object: &mut Value) {
        for port in items_mut(object, "ports") {
            set(port, "name", "");
            set(port, "protocol", "TCP");
        }
    }

    /// The field is a relic of a version that is not served; what clients write into it here is dropped.
    fn prepare_create(&self, object: &mut Value, _moment: Moment) {
        drop_topology(object);
    }

    fn prepare_update(&self, object: &mut Value, old: &Value, _moment: Moment) {
        if object.get("endpoints") != old.get("endpoints") {
            drop_topology(object);
        }
    }

    /// Labels say which Service the slice belongs to, so they count as well.
    fn is_new_generation(&self, object: &Value, old: &Value) -> bool {
        metadata::content_differs(object, old) || object.pointer("/metadata/labels") != old.pointer("/metadata/labels")
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let ports: Vec<String> = items(object, "ports")
            .map(|port| match port.get("port").and_then(Value::as_i64) {
                Some(number) => number.to_string(),
                None => port.get("name").and_then(Value::as_str).unwrap_or("*").to_owned(),
            })
            .collect();
        let addresses: Vec<String> = items(object, "endpoints")
            .flat_map(|endpoint| items(endpoint, "addresses"))
            .filter_map(|address| address.as_str().map(str::to_owned))
            .collect();
        vec![
            columns::name(object),
            Value::from(text(object, "addressType")),
            Value::from(first_three(&ports)),
            Value::from(first_three(&addresses)),
            columns::age(object, now),
        ]
    }
}

fn drop_topology(slice: &mut Value) {
    for endpoint in items_mut(slice, "endpoints") {
        remove(endpoint, "deprecatedTopology");
    }
}
