//! The resources that are served: those that are built in, and those that definitions add.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::watch;
use windlass_admission::Equivalent;
use windlass_api::{GroupResource, GroupVersionKind, GroupVersionResource, version_order};
use windlass_machinery::json::type_meta_prefix;
use windlass_machinery::pick::Paths;
use windlass_resources::Resource;
use windlass_resources::custom;
use windlass_resources::definition::{Definition, Names};
use windlass_store::{EventKind, Item, Range, Store, Table, TableState};

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
    /// Turns true when the definition has changed, and the resource is another one or none.
    replaced: watch::Sender<bool>,
}

/// All served resources.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    by_resource: HashMap<Arc<GroupVersionResource>, Arc<Served>>,
    /// The resources that serve the objects of a table.
    by_table: HashMap<Arc<str>, Vec<Arc<Served>>>,
    /// Those that are built in, in the order in which they were given.
    builtin: Arc<[Arc<Served>]>,
    /// What each definition has added, by its name.
    custom: BTreeMap<Arc<str>, Arc<Defined>>,
    /// The revision of the definitions that this follows.
    pub(crate) definitions_revision: u64,
}

/// The resources of a definition, and what of it they follow from.
#[derive(Debug)]
struct Defined {
    /// The text of the specification.
    spec: Bytes,
    accepted: Names,
    is_served: bool,
    is_terminating: bool,
    resources: Vec<Arc<Served>>,
}

impl Defined {
    /// Without resources yet.
    fn read(item: &Item) -> serde_json::Result<(Self, Definition)> {
        #[derive(Deserialize)]
        struct SpecText<'a> {
            #[serde(borrow)]
            spec: &'a RawValue,
        }
        let definition: Definition = serde_json::from_slice(&item.value)?;
        let text: SpecText<'_> = serde_json::from_slice(&item.value)?;
        let defined = Self {
            spec: item.value.slice_ref(text.spec.get().as_bytes()),
            accepted: definition.status.accepted_names.clone(),
            is_served: definition.is_served(),
            is_terminating: definition.is_terminating(),
            resources: Vec::new(),
        };
        Ok((defined, definition))
    }

    /// Whether the same resources follow from both.
    fn is_as(&self, other: &Self) -> bool {
        (self.is_served, self.is_terminating, &self.accepted, &self.spec)
            == (other.is_served, other.is_terminating, &other.accepted, &other.spec)
    }
}

impl AsRef<Resource> for Served {
    fn as_ref(&self) -> &Resource {
        &self.resource
    }
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
            replaced: watch::Sender::new(false),
        }
    }

    /// Whether a webhook converts objects between the forms of the kind.
    pub(crate) fn is_converted(&self) -> bool {
        self.resource.forms.as_ref().is_some_and(|forms| forms.webhook.is_some())
    }

    /// Waits until the definition has changed, and watches have to begin anew. Built-in resources stay.
    pub(crate) async fn replaced(&self) {
        if self.resource.is_custom() {
            // The sender lives as long as this.
            let _ = self.replaced.subscribe().wait_for(|is_replaced| *is_replaced).await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    /// The key of an object in the table.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        if self.resource.is_namespaced() { format!("{namespace}/{name}") } else { name.to_owned() }
    }
}

impl Registry {
    /// The table of the definitions.
    pub(crate) const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

    pub fn new(resources: Vec<Resource>, store: &Store) -> Self {
        let builtin: Arc<[_]> = resources.into_iter().map(|resource| Arc::new(Served::new(resource, store))).collect();
        let by_resource =
            builtin.iter().map(|served| (served.resource.group_version_resource().into(), served.clone())).collect();
        let mut registry = Self { by_resource, builtin, ..Self::default() };
        registry.builtin.clone().iter().for_each(|served| registry.serve(served));
        registry
    }

    /// The registry that follows from the definitions as they are now. It reads only what has changed since.
    pub(crate) fn following(&self, definitions: &TableState, store: &Store) -> Self {
        let mut registry = self.clone();
        match definitions.events_after(self.definitions_revision) {
            Ok(events) if self.definitions_revision > 0 => {
                for event in events {
                    registry.define(&event.item, event.kind == EventKind::Deleted, store);
                }
            }
            // The first reading, or one so late that nobody knows what has been deleted meanwhile.
            _ => {
                let names: Vec<Arc<str>> = registry.custom.keys().cloned().collect();
                names.iter().for_each(|name| registry.forget(name));
                definitions.iter(&Range::default()).for_each(|item| registry.define(item, false, store));
            }
        }
        registry.definitions_revision = definitions.last();
        registry
    }

    fn define(&mut self, item: &Item, is_gone: bool, store: &Store) {
        if is_gone {
            return self.forget(&item.key);
        }
        let (mut defined, definition) = match Defined::read(item) {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(definition = &*item.key, %error, "a definition in the store cannot be read");
                return self.forget(&item.key);
            }
        };
        // Most changes are of what the status says beside.
        if self.custom.get(&*item.key).is_some_and(|before| before.is_as(&defined)) {
            return;
        }
        self.forget(&item.key);
        for resource in custom::resources(&definition, &item.value) {
            let name = resource.group_version_resource();
            // A definition takes nothing from the built-in kinds, in whatever version.
            if !self.is_builtin(&resource.group_resource()) {
                let served = Arc::new(Served::new(resource, store));
                self.by_resource.insert(name.into(), served.clone());
                self.serve(&served);
                defined.resources.push(served);
            }
        }
        self.custom.insert((*item.key).into(), defined.into());
    }

    fn forget(&mut self, definition: &str) {
        for served in self.custom.remove(definition).iter().flat_map(|defined| &defined.resources) {
            self.by_resource.remove(&served.resource.group_version_resource());
            self.by_table.remove(&served.resource.table);
            served.replaced.send_replace(true);
        }
    }

    fn serve(&mut self, served: &Arc<Served>) {
        self.by_table.entry(served.resource.table.clone()).or_default().push(served.clone());
    }

    /// The other resources that serve the objects of one, and have the subresource, with the kinds that they speak.
    pub(crate) fn equivalents(&self, resource: &GroupVersionResource, subresource: &str) -> Vec<Equivalent> {
        let Some(served) = self.find(resource) else { return Vec::new() };
        let others = self.by_table.get(&served.resource.table).into_iter().flatten();
        let kind = |other: &Served| {
            let own = &other.resource.kind;
            if subresource.is_empty() {
                return Some(own.clone());
            }
            let found = other.resource.subresources.iter().find(|part| part.name() == subresource)?;
            Some(found.kind(own).unwrap_or_else(|| own.clone()))
        };
        others
            .filter(|other| !Arc::ptr_eq(other, served))
            .filter_map(|other| {
                Some(Equivalent { resource: other.resource.group_version_resource(), kind: kind(other)? })
            })
            .collect()
    }

    pub fn find(&self, resource: &GroupVersionResource) -> Option<&Arc<Served>> {
        self.by_resource.get(resource)
    }

    /// Whether a resource of this name is built in, in any version.
    pub fn is_builtin(&self, resource: &GroupResource) -> bool {
        self.builtin.iter().any(|served| served.resource.group_resource() == *resource)
    }

    /// Whether a group's version has resources that are built in.
    pub(crate) fn has_builtin(&self, group: &str, version: &str) -> bool {
        self.builtin
            .iter()
            .map(|served| &served.resource.kind)
            .any(|kind| kind.group == group && kind.version == version)
    }

    pub fn find_kind(&self, kind: &GroupVersionKind) -> Option<&Arc<Served>> {
        self.iter().find(|served| served.resource.kind == *kind)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.builtin.iter().chain(self.custom.values().flat_map(|defined| &defined.resources))
    }

    /// The groups that are served, by their names; the core group is the empty string.
    pub fn groups(&self) -> BTreeMap<&str, Group<'_>> {
        let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
        self.iter().for_each(|served| groups.entry(&served.resource.kind.group).or_default().add(served));
        groups.values_mut().for_each(Group::sort);
        groups
    }

    /// A group that is served.
    pub fn group(&self, name: &str) -> Option<Group<'_>> {
        let mut group = Group::default();
        self.iter().filter(|served| served.resource.kind.group == name).for_each(|served| group.add(served));
        group.sort();
        (!group.versions.is_empty()).then_some(group)
    }

    /// The resources of a group's version.
    pub fn of(&self, group: &str, version: &str) -> impl Iterator<Item = &Arc<Served>> {
        self.iter().filter(move |served| served.resource.kind.group == group && served.resource.kind.version == version)
    }
}

/// A group's versions with their resources, the preferred version first: those that are built in as they come, and then the others by
/// what their names say.
#[derive(Debug, Default)]
pub struct Group<'a> {
    pub versions: Vec<(&'a str, Vec<&'a Arc<Served>>)>,
}

impl<'a> Group<'a> {
    fn add(&mut self, served: &'a Arc<Served>) {
        let version = &*served.resource.kind.version;
        match self.versions.iter_mut().find(|(name, _)| *name == version) {
            Some((_, resources)) => resources.push(served),
            None => self.versions.push((version, vec![served])),
        }
    }

    fn sort(&mut self) {
        let builtin = self.versions.iter().take_while(|(_, all)| !all[0].resource.is_custom()).count();
        self.versions[builtin..].sort_by_key(|(version, _)| version_order(version));
    }
}
