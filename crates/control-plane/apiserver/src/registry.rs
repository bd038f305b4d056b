//! The resources that are served.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use windlass_api::{GroupVersionKind, GroupVersionResource};
use windlass_machinery::json::type_meta_prefix;
use windlass_machinery::pick::Paths;
use windlass_resources::Resource;
use windlass_store::{Store, Table};

/// A resource with what the request path needs at hand.
#[derive(Debug)]
pub struct Served {
    pub resource: Resource,
    pub table: Arc<Table>,
    pub(crate) api_version: String,
    /// `{"kind":…,"apiVersion":…` for stored objects.
    pub(crate) prefix: Vec<u8>,
    /// Labels, then the selectable fields in their order.
    pub(crate) selection: Paths,
}

/// All served resources.
#[derive(Debug, Default)]
pub struct Registry {
    by_resource: HashMap<GroupVersionResource, Arc<Served>>,
    /// In the order in which they were given.
    all: Vec<Arc<Served>>,
}

impl Served {
    pub fn new(resource: Resource, store: &Store) -> Self {
        let pointers = std::iter::once("/metadata/labels").chain(resource.selectable.iter().map(|f| &*f.pointer));
        Self {
            selection: Paths::new(pointers),
            prefix: type_meta_prefix(&resource.kind.api_version(), &resource.kind.kind),
            api_version: resource.kind.api_version(),
            table: store.table(&resource.table),
            resource,
        }
    }

    /// The key of an object in the table.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        if self.resource.is_namespaced() { format!("{namespace}/{name}") } else { name.to_owned() }
    }
}

impl Registry {
    pub fn new(resources: Vec<Resource>, store: &Store) -> Self {
        let mut registry = Self::default();
        for resource in resources {
            let served = Arc::new(Served::new(resource, store));
            registry.by_resource.insert(served.resource.group_version_resource(), served.clone());
            registry.all.push(served);
        }
        registry
    }

    pub fn find(&self, resource: &GroupVersionResource) -> Option<&Arc<Served>> {
        self.by_resource.get(resource)
    }

    pub fn find_kind(&self, kind: &GroupVersionKind) -> Option<&Arc<Served>> {
        self.all.iter().find(|served| served.resource.kind == *kind)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.all.iter()
    }

    /// The groups that are served, sorted; the core group is the empty string.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        let names: BTreeSet<&str> = self.all.iter().map(|served| &*served.resource.kind.group).collect();
        names.into_iter()
    }

    /// The versions of a group, the preferred one first.
    pub fn versions_of(&self, group: &str) -> Vec<&str> {
        let mut versions: Vec<&str> = Vec::new();
        for served in self.all.iter().filter(|served| served.resource.kind.group == group) {
            if !versions.contains(&&*served.resource.kind.version) {
                versions.push(&served.resource.kind.version);
            }
        }
        versions
    }

    /// The resources of a group's version.
    pub fn of(&self, group: &str, version: &str) -> impl Iterator<Item = &Arc<Served>> {
        self.all
            .iter()
            .filter(move |served| served.resource.kind.group == group && served.resource.kind.version == version)
    }
}
