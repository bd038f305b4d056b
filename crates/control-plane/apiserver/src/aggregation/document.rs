//! What a server says about the resources of its group versions, in the form of aggregated discovery (`apidiscovery.k8s.io`).
//!
//! Servers that do not know that form list the resources of one group version in the old one, which is turned into the new.
//! Source: kube-aggregator `apiserver/handler_discovery.go`, apiserver `endpoints/discovery.go`.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use windlass_api::text::null_is_default;

pub(crate) const CURRENT: &str = "Current";
pub(crate) const STALE: &str = "Stale";

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct VersionDiscovery {
    pub version: String,
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceDiscovery>,
    pub freshness: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ResourceDiscovery {
    pub resource: String,
    #[serde(deserialize_with = "null_is_default")]
    pub response_kind: Kind,
    pub scope: String,
    pub singular_resource: String,
    #[serde(deserialize_with = "null_is_default")]
    pub verbs: Vec<String>,
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub short_names: Vec<String>,
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub subresources: Vec<SubresourceDiscovery>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SubresourceDiscovery {
    pub subresource: String,
    #[serde(deserialize_with = "null_is_default")]
    pub response_kind: Kind,
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub accepted_types: Vec<Kind>,
    #[serde(deserialize_with = "null_is_default")]
    pub verbs: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Kind {
    pub group: String,
    pub version: String,
    pub kind: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GroupList {
    #[serde(deserialize_with = "null_is_default")]
    items: Vec<Group>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Group {
    metadata: Name,
    #[serde(deserialize_with = "null_is_default")]
    versions: Vec<VersionDiscovery>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Name {
    name: String,
}

/// What a server's document says of one group version; nothing when it does not know it.
pub(crate) fn of_document(bytes: &[u8], group: &str, version: &str) -> serde_json::Result<VersionDiscovery> {
    let list: GroupList = serde_json::from_slice(bytes)?;
    let mut versions = list.items.into_iter().filter(|known| known.metadata.name == group).flat_map(|g| g.versions);
    let found = versions.find(|known| known.version == version);
    Ok(found.unwrap_or_else(|| VersionDiscovery { version: version.to_owned(), ..VersionDiscovery::default() }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OldList {
    #[serde(deserialize_with = "null_is_default")]
    resources: Vec<OldResource>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OldResource {
    name: String,
    singular_name: String,
    namespaced: bool,
    kind: String,
    group: String,
    version: String,
    #[serde(deserialize_with = "null_is_default")]
    verbs: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    short_names: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    categories: Vec<String>,
}

impl OldResource {
    fn response_kind(&self) -> Kind {
        Kind { group: self.group.clone(), version: self.version.clone(), kind: self.kind.clone() }
    }

    fn scope(&self) -> String {
        if self.namespaced { "Namespaced" } else { "Cluster" }.to_owned()
    }
}

/// What an `APIResourceList` says of its group version.
pub(crate) fn of_old_list(bytes: &[u8], version: &str) -> serde_json::Result<VersionDiscovery> {
    let list: OldList = serde_json::from_slice(bytes)?;
    let (parts, wholes): (Vec<_>, Vec<_>) = list.resources.into_iter().partition(|entry| entry.name.contains('/'));
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut resources: Vec<ResourceDiscovery> = Vec::new();
    for entry in wholes {
        places.insert(entry.name.clone(), resources.len());
        resources.push(ResourceDiscovery {
            response_kind: entry.response_kind(),
            scope: entry.scope(),
            resource: entry.name,
            singular_resource: entry.singular_name,
            verbs: entry.verbs,
            short_names: entry.short_names,
            categories: entry.categories,
            subresources: Vec::new(),
        });
    }
    for entry in parts {
        let Some((whole, part)) = entry.name.split_once('/') else { continue };
        // A subresource of something that has no verbs itself.
        let place = *places.entry(whole.to_owned()).or_insert_with(|| {
            let (resource, scope) = (whole.to_owned(), entry.scope());
            resources.push(ResourceDiscovery { resource, scope, ..ResourceDiscovery::default() });
            resources.len() - 1
        });
        resources[place].subresources.push(SubresourceDiscovery {
            subresource: part.to_owned(),
            response_kind: entry.response_kind(),
            accepted_types: Vec::new(),
            verbs: entry.verbs,
        });
    }
    Ok(VersionDiscovery { version: version.to_owned(), resources, freshness: String::new() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_version_of_a_document() {
        let document = json!({"items": [
            {"metadata": {"name": "other"}, "versions": [{"version": "v1", "resources": []}]},
            {"metadata": {"name": "a"}, "versions": [{"version": "v1", "freshness": "Current", "resources": [
                {"resource": "xs", "responseKind": {"group": "a", "version": "v1", "kind": "X"}, "scope": "Namespaced",
                 "singularResource": "x", "verbs": ["get"], "unknown": [1], "shortNames": null,
                 "subresources": [{"subresource": "status", "responseKind": null, "verbs": ["get"]}]}]}]}]});
        let bytes = document.to_string();
        let found = of_document(bytes.as_bytes(), "a", "v1").unwrap();
        assert_eq!(
            serde_json::to_value(&found).unwrap(),
            json!({"version": "v1", "freshness": "Current", "resources": [
                {"resource": "xs", "responseKind": {"group": "a", "version": "v1", "kind": "X"}, "scope": "Namespaced",
                 "singularResource": "x", "verbs": ["get"], "subresources": [
                    {"subresource": "status", "responseKind": {"group": "", "version": "", "kind": ""}, "verbs": ["get"]}]}]})
        );
        assert!(of_document(bytes.as_bytes(), "a", "v2").unwrap().resources.is_empty());
        assert!(of_document(b"<html>", "a", "v1").is_err());
        assert!(of_document(br#"{"items": null}"#, "a", "v1").unwrap().resources.is_empty());
    }

    #[test]
    fn an_old_list() {
        let list = json!({"resources": [
            {"name": "xs/status", "singularName": "", "namespaced": true, "kind": "X", "verbs": ["get"]},
            {"name": "xs", "singularName": "x", "namespaced": true, "kind": "X", "verbs": ["list"], "shortNames": ["ex"]},
            {"name": "ys/z", "namespaced": false, "group": "b", "version": "v2", "kind": "Z", "verbs": ["create"]}]});
        let found = of_old_list(list.to_string().as_bytes(), "v1").unwrap();
        let names: Vec<_> = found
            .resources
            .iter()
            .map(|r| {
                (r.resource.as_str(), r.scope.as_str(), r.subresources.iter().map(|s| s.subresource.as_str()).collect())
            })
            .collect::<Vec<(&str, &str, Vec<&str>)>>();
        assert_eq!(names, [("xs", "Namespaced", vec!["status"]), ("ys", "Cluster", vec!["z"])]);
        let kind = &found.resources[1].subresources[0].response_kind;
        assert_eq!((kind.group.as_str(), kind.version.as_str(), kind.kind.as_str()), ("b", "v2", "Z"));
    }
}
