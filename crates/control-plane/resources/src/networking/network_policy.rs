//! NetworkPolicy: which traffic pods may have.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_machinery::tree::{child, items, items_mut, put, set};

use crate::columns;
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
        .short_names(&["netpol"])
        .counts_generations()
        .columns(columns::list(&["Name", "Pod-Selector", "Age"]))
        .strategy(NetworkPolicy)
}

struct NetworkPolicy;

impl Strategy for NetworkPolicy {
    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        for direction in ["ingress", "egress"] {
            for rule in items_mut(spec, direction) {
                for port in items_mut(rule, "ports") {
                    set(port, "protocol", "TCP");
                }
            }
        }
        // A policy that does not say so is about incoming traffic, and about outgoing traffic if it has rules for that.
        if items(spec, "policyTypes").next().is_none() {
            let both = items(spec, "egress").next().is_some();
            put(spec, "policyTypes", if both { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
        }
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), columns::selector(object.pointer("/spec/podSelector")), columns::age(object, now)]
    }
}
