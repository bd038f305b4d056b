//! A group version that is served here, as aggregated discovery shows it.

use std::sync::Arc;

use serde_json::{Value, json};
use windlass_api::GroupVersionKind;
use windlass_resources::Resource;

use crate::registry::Served;

/// The verbs of a resource, in the order in which upstream lists them.
pub(super) fn verbs(resource: &Resource) -> Vec<&'static str> {
    const OF_CUSTOM: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
    let names = resource.verbs.names();
    match resource.is_custom() {
        true => OF_CUSTOM.into_iter().filter(|verb| names.contains(verb)).collect(),
        false => names.to_vec(),
    }
}

/// A version that is served here.
pub(super) fn version_document(version: &str, resources: &[&Arc<Served>]) -> Value {
    let mut resources: Vec<Value> = resources.iter().map(|served| aggregated_resource(served)).collect();
    resources.sort_by(|a, b| a["resource"].as_str().cmp(&b["resource"].as_str()));
    json!({"version": version, "resources": resources, "freshness": "Current"})
}

fn aggregated_resource(served: &Served) -> Value {
    let resource = &served.resource;
    let scope = if resource.is_namespaced() { "Namespaced" } else { "Cluster" };
    let response_kind = |kind: Option<GroupVersionKind>| {
        let kind = kind.unwrap_or_else(|| resource.kind.clone());
        // A built-in kind of the version at hand needs no group and version.
        let is_at_hand = (&kind.group, &kind.version) == (&resource.kind.group, &resource.kind.version);
        match is_at_hand && !resource.is_custom() {
            true => json!({"group": "", "version": "", "kind": kind.kind}),
            false => json!({"group": kind.group, "version": kind.version, "kind": kind.kind}),
        }
    };
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": response_kind(None),
        "scope": scope,
        "singularResource": resource.singular,
        "verbs": verbs(resource),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    if !resource.subresources.is_empty() {
        let subresources = resource.subresources.iter().map(|subresource| {
            json!({
                "subresource": subresource.name(),
                "responseKind": response_kind(subresource.kind(&resource.kind)),
                "verbs": subresource.verbs(),
            })
        });
        entry["subresources"] = subresources.collect();
    }
    entry
}
