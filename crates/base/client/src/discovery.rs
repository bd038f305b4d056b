//! Which resources an API server has.

use serde::Deserialize;
use windlass_api::{GroupVersion, GroupVersionResource, Status};

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

/// All resources of a server, and what it could not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// Within a group the preferred version first.
    pub resources: Vec<ApiResource>,
    /// Group versions of aggregated servers that did not say what they have.
    pub stale: Vec<GroupVersion>,
}

impl Discovered {
    pub(crate) fn extend(&mut self, more: Self) {
        self.resources.extend(more.resources);
        self.stale.extend(more.stale);
    }

    /// Why the list is not complete, as client-go words it; `None` when it is.
    pub fn failure(&self) -> Option<String> {
        let mut stale: Vec<String> =
            self.stale.iter().map(|version| format!("{version}: stale GroupVersion discovery: {version}")).collect();
        stale.sort();
        let all = stale.join(", ");
        (!stale.is_empty()).then(|| format!("unable to retrieve the complete list of server APIs: {all}"))
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
    #[serde(default)]
    freshness: String,
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
pub(crate) fn parse(document: &[u8]) -> Result<Discovered, Status> {
    let groups: Groups = serde_json::from_slice(document)
        .map_err(|error| Status::internal(format_args!("the API server's resources cannot be read: {error}")))?;
    let mut all = Discovered::default();
    for group in groups.items {
        for Version { version, resources, freshness } in group.versions {
            if freshness == "Stale" {
                let stale = GroupVersion { group: group.metadata.name.clone().into(), version: version.into() };
                all.stale.push(stale);
                continue;
            }
            for resource in resources {
                all.resources.push(ApiResource {
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
            {"version":"v1","resources":[{"resource":"xs","scope":"Namespaced","verbs":[]},{"resource":"ys","scope":"Cluster","verbs":[]}]}]},
            {"metadata":{"name":"gone"},"versions":[{"version":"v1","freshness":"Stale"},{"version":"v2","freshness":"Current"}]}]}"#;
        let found = parse(document).unwrap();
        let why = "unable to retrieve the complete list of server APIs: gone/v1: stale GroupVersion discovery: gone/v1";
        assert_eq!(found.failure().as_deref(), Some(why));
        assert_eq!(Discovered::default().failure(), None);
        let all = preferred(found.resources);
        let names: Vec<String> = all.iter().map(|entry| entry.resource.to_string()).collect();
        assert_eq!(names, ["a/v2, Resource=xs", "a/v1, Resource=ys"]);
        assert!(all[0].namespaced && all[0].has_verb("list") && !all[1].namespaced);
    }
}
