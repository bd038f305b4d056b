//! Ingress: HTTP routes from outside to Services.

use jiff::Timestamp;
use serde_json::Value;
use windlass_machinery::tree::{items, text};

use crate::columns::{self, length, or_none, word};
use crate::core::service::balancer_addresses;
use crate::{Resource, Strategy, Subresource};

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const HOSTS_SHOWN_MAX: usize = 3;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("networking.k8s.io", "v1", "Ingress", "ingresses")
        .short_names(&["ing"])
        .subresources(&[Subresource::Status])
        .counts_generations()
        .columns(columns::list(&["Name", "Class", "Hosts", "Address", "Ports", "Age"]))
        .strategy(Ingress)
}

struct Ingress;

impl Strategy for Ingress {
    fn warnings(&self, object: &Value) -> Vec<String> {
        let annotated = object.pointer("/metadata/annotations").is_some_and(|a| a.get(CLASS_ANNOTATION).is_some());
        let named = object.pointer("/spec/ingressClassName").is_some_and(Value::is_string);
        match annotated && !named {
            true => vec![format!(
                "annotation {CLASS_ANNOTATION:?} is deprecated, please use 'spec.ingressClassName' instead"
            )],
            false => Vec::new(),
        }
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let addresses: Vec<&str> = balancer_addresses(object).into_iter().collect();
        let ports = if length(object, "/spec/tls") == 0 { "80" } else { "80, 443" };
        vec![
            columns::name(object),
            or_none(object.pointer("/spec/ingressClassName").map(|_| word(object, "/spec/ingressClassName"))),
            Value::from(hosts(&object["spec"])),
            Value::from(addresses.join(",")),
            Value::from(ports),
            columns::age(object, now),
        ]
    }
}

/// The hosts of the first rules; rules without a host count as seen only by how many they are.
fn hosts(spec: &Value) -> String {
    let rules = items(spec, "rules").count();
    let hosts: Vec<&str> =
        items(spec, "rules").map(|rule| text(rule, "host")).filter(|host| !host.is_empty()).collect();
    match hosts.len() {
        0 => "*".to_owned(),
        many if many >= HOSTS_SHOWN_MAX && third_host_has_successor(spec) => {
            format!("{} + {} more...", hosts[..HOSTS_SHOWN_MAX].join(","), rules - HOSTS_SHOWN_MAX)
        }
        _ => hosts.join(","),
    }
}

fn third_host_has_successor(spec: &Value) -> bool {
    let mut seen = 0;
    for rule in items(spec, "rules") {
        if seen == HOSTS_SHOWN_MAX {
            return true;
        }
        seen += usize::from(!text(rule, "host").is_empty());
    }
    false
}
