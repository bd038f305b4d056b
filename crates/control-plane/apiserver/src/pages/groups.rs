//! The groups that there are, whoever serves them, in the order of discovery.
//!
//! Source: kube-aggregator `apiserver/handler_apis.go`, apiserver `endpoints/discovery/aggregated/handler.go`.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::version_document::version_document;
use crate::aggregation::Aggregation;
use crate::aggregation::api_service::{Listed, ListedGroup, Priority, in_groups};
use crate::aggregation::document::{STALE, VersionDiscovery};
use crate::aggregation::priorities::{OF_CUSTOM, OWN_GROUP, in_discovery, of_builtin};
use crate::registry::Registry;

pub(super) struct Groups<'a> {
    registry: &'a Registry,
    aggregation: &'a Aggregation,
}

fn listed<T>(group: &str, version: &str, priority: Priority, value: T) -> Listed<T> {
    Listed { group: group.to_owned(), version: version.to_owned(), priority, value }
}

impl<'a> Groups<'a> {
    pub(super) fn new(registry: &'a Registry, aggregation: &'a Aggregation) -> Self {
        Self { registry, aggregation }
    }

    /// Differs whenever one of the documents does.
    pub(super) fn version(&self) -> String {
        let (routes, said) = self.aggregation.version();
        format!("{} {routes} {said}", self.registry.definitions_revision)
    }

    /// The groups as their APIServices list them. Those that the server makes itself count although they are not there yet; of a group
    /// version that is built in, somebody may have taken it away.
    pub(super) fn listed(&self) -> Vec<ListedGroup<()>> {
        let routes = self.aggregation.routes();
        let is_registered = self.aggregation.is_registered();
        let mut all: Vec<Listed<()>> = routes.listed().collect();
        for (group, known) in self.registry.groups() {
            for (version, resources) in known.versions {
                let priority = match resources.iter().all(|served| served.resource.is_custom()) {
                    true => Some(OF_CUSTOM),
                    false => of_builtin(group, version).filter(|_| !is_registered),
                };
                let Some(priority) = priority else { continue };
                if !routes.has(&format!("{version}.{group}")) {
                    all.push(listed(group, version, priority, ()));
                }
            }
        }
        all.retain(|listed| listed.group != OWN_GROUP);
        // Among equals the APIService's name decides.
        let mut groups = in_groups(all, |listed| format!("{}.{}", listed.version, listed.group));
        let own = Priority { group: i32::MAX, version: 0 };
        groups.insert(0, (OWN_GROUP.to_owned(), vec![listed(OWN_GROUP, "v1", own, ())]));
        groups
    }

    /// The versions of a group; those that are served here, where no APIService is for any.
    pub(super) fn group(&self, name: &str) -> Option<ListedGroup<()>> {
        if let Some(found) = self.listed().into_iter().find(|(group, _)| group == name) {
            return Some(found);
        }
        let versions = self.registry.group(name)?.versions.into_iter();
        let versions = versions.map(|(version, _)| listed(name, version, in_discovery(name, version), ()));
        Some((name.to_owned(), versions.collect()))
    }

    /// The groups with all that their versions have. `wanted` says which groups.
    pub(super) fn documents(&self, wanted: impl Fn(&str) -> bool) -> Vec<ListedGroup<Value>> {
        let mut all: Vec<Listed<Value>> = Vec::new();
        let mut taken: HashSet<(&str, &str)> = HashSet::new();
        let routes = self.aggregation.routes();
        for remote in routes.remotes().filter(|remote| !remote.group.is_empty() && wanted(&remote.group)) {
            let unknown = || {
                let (version, freshness) = (remote.version.clone(), STALE.to_owned());
                json!(VersionDiscovery { version, freshness, ..VersionDiscovery::default() })
            };
            let document = self.aggregation.documents(remote).discovery.map_or_else(unknown, |known| json!(*known));
            taken.insert((&remote.group, &remote.version));
            all.push(listed(&remote.group, &remote.version, remote.priority, document));
        }
        for (group, known) in self.registry.groups() {
            for (version, resources) in known.versions {
                if !wanted(group) || taken.contains(&(group, version)) {
                    continue;
                }
                let is_custom = resources.iter().all(|served| served.resource.is_custom());
                let priority = if is_custom { OF_CUSTOM } else { in_discovery(group, version) };
                all.push(listed(group, version, priority, version_document(version, &resources)));
            }
        }
        in_groups(all, |listed| listed.group.clone())
    }
}
