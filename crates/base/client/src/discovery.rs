//! Which resources an API server has.

use serde::Deserialize;
use windlass_api::{GroupVersionResource, Status};

/// A resource as discovery describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiResource {
    pub resource: GroupVersionResource,
    pub kind: String,
    pub namespaced: bool,
    pub verbs: Vec<String>,
}

impl ApiResource {
    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    pub fn api_version(&self) -> String {
        windlass_api::GroupVersion { group: self.resource.group.clone(), version: self.resource.version.clone() }
            .to_string()
    }
}

/// `apidiscovery.k8s.io/v2` APIGroupDiscoveryList, as far as it matters here.
#[derive(Deserialize)]
struct Groups {
    items: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    metadata: GroupName,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Default, Deserialize)]
struct GroupName {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Version {
    version: String,
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    resource: String,
    response_kind: Option<Kind>,
    scope: String,
    verbs: Vec<String>,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

/// Reads the resources of an aggregated discovery document.
pub(crate) fn parse(document: &[u8]) -> Result<Vec<ApiResource>, Status> {
    let groups: Groups = serde_json::from_slice(document)
        .map_err(|error| Status::internal(format_args!("the API server's resources cannot be read: {error}")))?;
    let mut all = Vec::new();
    for group in groups.items {
        for Version { version, resources } in group.versions {
            for resource in resources {
                all.push(ApiResource {
                    resource: GroupVersionResource {
                        group: group.metadata.name.clone().into(),
                        version: version.clone().into(),
                        resource: resource.resource.into(),
                    },
                    kind: resource.response_kind.map(|kind| kind.kind).unwrap_or_default(),
                    namespaced: resource.scope == "Namespaced",
                    verbs: resource.verbs,
                });
            }
        }
    }
    Ok(all)
}

/// Each resource once, in the version that its group prefers (the first that has it).
pub(crate) fn preferred(all: Vec<ApiResource>) -> Vec<ApiResource> {
    let mut seen = std::collections::HashSet::new();
    all.into_iter().filter(|entry| seen.insert(entry.resource.group_resource())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_preference() {
        let document = br#"{"items":[{"metadata":{"name":"a"},"versions":[
            {"version":"v2","resources":[{"resource":"xs","responseKind":{"kind":"X"},"scope":"Namespaced","verbs":["list"]}]},
            {"version":"v1","resources":[{"resource":"xs","scope":"Namespaced","verbs":[]},{"resource":"ys","scope":"Cluster","verbs":[]}]}]}]}"#;
        let all = preferred(parse(document).unwrap());
        let names: Vec<String> = all.iter().map(|entry| entry.resource.to_string()).collect();
        assert_eq!(names, ["a/v2, Resource=xs", "a/v1, Resource=ys"]);
        assert!(all[0].namespaced && all[0].has_verb("list") && !all[1].namespaced);
    }
}
