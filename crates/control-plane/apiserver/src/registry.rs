//! The resources that are served.

use std::collections::{BTreeMap, HashMap};
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

    /// Versions of each group with their resources, the preferred version first.
    pub fn groups(&self) -> BTreeMap<&str, Vec<(&str, Vec<&Arc<Served>>)>> {
        let mut groups: BTreeMap<&str, Vec<(&str, Vec<&Arc<Served>>)>> = BTreeMap::new();
        for served in &self.all {
            let versions = groups.entry(&served.resource.kind.group).or_default();
            let version = &*served.resource.kind.version;
            match versions.iter_mut().find(|(v, _)| *v == version) {
                Some((_, resources)) => resources.push(served),
                None => versions.push((version, vec![served])),
            }
        }
        groups
    }
}
