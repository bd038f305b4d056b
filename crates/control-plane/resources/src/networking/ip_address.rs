//! IPAddress: an address that is taken, and by whom.

use jiff::Timestamp;
use serde_json::Value;
use windlass_machinery::tree::text;

use crate::columns;
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::cluster("networking.k8s.io", "v1", "IPAddress", "ipaddresses")
        .name_rule(address)
        .short_names(&["ip"])
        .selectable(&[
            ("spec.parentRef.group", "/spec/parentRef/group"),
            ("spec.parentRef.resource", "/spec/parentRef/resource"),
            ("spec.parentRef.namespace", "/spec/parentRef/namespace"),
            ("spec.parentRef.name", "/spec/parentRef/name"),
        ])
        .columns(columns::list(&["Name", "ParentRef", "Age"]))
        .strategy(IpAddress)
}

/// The name is the address, in its canonical form.
fn address(name: &str) -> Vec<String> {
    match name.parse::<std::net::IpAddr>() {
        Ok(ip) if ip.to_string() == name => Vec::new(),
        Ok(_) => vec!["must be in canonical form".to_owned()],
        Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()],
    }
}

struct IpAddress;

impl Strategy for IpAddress {
    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let parent = object.pointer("/spec/parentRef").filter(|parent| parent.is_object());
        let parent = parent.map_or("<none>".to_owned(), |parent| {
            let dotted = |group: &str| if group.is_empty() { String::new() } else { format!(".{group}") };
            let resource = format!("{}{}", text(parent, "resource"), dotted(text(parent, "group"))).to_lowercase();
            let parts = [resource.as_str(), text(parent, "namespace"), text(parent, "name")];
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
        });
        vec![columns::name(object), Value::from(parent), columns::age(object, now)]
    }
}
