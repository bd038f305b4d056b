//! IPAddress: an address that is taken, and by whom.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::text;

use crate::columns;
use crate::resource::not_a_known_field;
use crate::rules::{at, complain, ip, object_at, required, unchanged};
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::cluster("networking.k8s.io", "v1", "IPAddress", "ipaddresses")
        .short_names(&["ip"])
        .name_rule(address_problems)
        .selectable(&[
            ("spec.parentRef.group", "/spec/parentRef/group"),
            ("spec.parentRef.resource", "/spec/parentRef/resource"),
            ("spec.parentRef.namespace", "/spec/parentRef/namespace"),
            ("spec.parentRef.name", "/spec/parentRef/name"),
        ])
        .columns(columns::list(&["Name", "ParentRef"]))
        .strategy(IpAddress)
}

struct IpAddress;

impl Strategy for IpAddress {
    fn unselectable(&self, field: &str) -> Option<String> {
        Some(not_a_known_field(field))
    }

    fn validate(&self, object: &Value) -> Errors {
        let (mut errors, spec) = (Errors::new(), Path::new("spec"));
        let path = spec.child("parentRef");
        let Some(parent) = object_at(&object["spec"], "parentRef") else {
            errors.push(Error::required(&path, ""));
            return errors;
        };
        let group = text(parent, "group");
        if !group.is_empty() {
            complain(&mut errors, &path.child("group"), group, names::dns1123_subdomain(group));
        }
        for field in ["resource", "name", "namespace"] {
            let value = text(parent, field);
            if !value.is_empty() {
                complain(&mut errors, &path.child(field), value, names::path_segment(value));
            }
        }
        for field in ["resource", "name"] {
            required(&mut errors, parent, &path, field);
        }
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let (mut errors, path) = (self.validate(object), Path::new("spec"));
        let (new, old) = (at(&object["spec"], "parentRef"), at(&old["spec"], "parentRef"));
        unchanged(&mut errors, &path.child("parentRef"), new, old);
        errors
    }

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

fn address_problems(name: &str) -> Vec<String> {
    let mut errors = Errors::new();
    ip(&mut errors, &Path::new(""), name);
    errors.into_iter().map(|error| error.detail).collect()
}
