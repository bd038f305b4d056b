//! The stored objects of all resources: found, read as trees of the served version, and written in transactions.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use ipnet::Ipv4Net;
use serde_json::Value;
use windlass_api::time::Clock;
use windlass_api::{Chance, GroupVersionKind, GroupVersionResource, Status};
use windlass_machinery::json::Template;
use windlass_machinery::tree::{remove, text};
use windlass_store::{CommitError, Expect, Item, Op, Range, Store, Table};

use crate::registry::{Registry, Served};

/// The store, and which of its tables are served as what.
pub(crate) struct Storage {
    pub store: Arc<Store>,
    pub clock: Clock,
    pub chance: Chance,
    registry: ArcSwap<Registry>,
    definitions: Arc<Table>,
    /// Where Services get their addresses from, until ServiceCIDR objects say otherwise.
    pub service_cidr: Ipv4Net,
    pub node_ports: RangeInclusive<u16>,
    pub webhooks: windlass_webhook::Client,
}

impl Storage {
    pub(crate) fn new(
        store: Arc<Store>,
        clock: Clock,
        chance: Chance,
        registry: Registry,
        service_cidr: Ipv4Net,
        node_ports: RangeInclusive<u16>,
    ) -> Self {
        let definitions = store.table(Registry::DEFINITIONS);
        Self {
            store,
            clock,
            chance,
            registry: ArcSwap::from_pointee(registry),
            definitions,
            service_cidr,
            node_ports,
            webhooks: windlass_webhook::Client::default(),
        }
    }

    /// What is served, as of now: a definition counts from the moment that its status is acknowledged. Cost when none has changed: a
    /// revision compared.
    pub(crate) fn registry(&self) -> Guard<Arc<Registry>> {
        let registry = self.registry.load();
        if registry.definitions_revision == self.definitions.last() {
            return registry;
        }
        self.follow_definitions();
        self.registry.load()
    }

    /// Catches up with the definitions; of several requests that notice a change, each finds it done when this returns.
    #[cold]
    fn follow_definitions(&self) {
        self.registry.rcu(|registry| {
            let definitions = self.definitions.state();
            match registry.definitions_revision >= definitions.last() {
                true => registry.clone(),
                false => Arc::new(registry.following(&definitions, &self.store)),
            }
        });
    }

    /// The resource, if it is served.
    pub(crate) fn find(&self, resource: &GroupVersionResource) -> Result<Arc<Served>, Status> {
        self.registry().find(resource).cloned().ok_or_else(Status::no_such_path)
    }

    /// An object by the name of its table (`pods`, `leases.coordination.k8s.io`), as it is stored.
    pub(crate) fn object(&self, table: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let item = self.store.table(table).get(&key(namespace, name))?;
        parse(&item.value).ok().map(Arc::new)
    }

    /// An object as one of a kind that is served.
    pub(crate) async fn object_of(&self, kind: &GroupVersionKind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let served = self.registry().find_kind(kind)?.clone();
        let item = self.present_one(&served, served.table.get(&served.key(namespace, name))?).await.ok()?;
        tree(&served, &item).ok().map(Arc::new)
    }

    /// The objects of a namespace, or with an empty one of the cluster, as those of a kind that is served.
    pub(crate) async fn objects_of(&self, kind: &GroupVersionKind, namespace: &str) -> Vec<Arc<Value>> {
        let Some(served) = self.registry().find_kind(kind).cloned() else { return Vec::new() };
        let prefix = prefix(namespace);
        let range = Range { prefix: &prefix, after: None };
        let items = served.table.state().iter(&range).cloned().collect();
        let items = self.present(&served, items).await.unwrap_or_default();
        items.iter().filter_map(|item| tree(&served, item).ok().map(Arc::new)).collect()
    }

    /// Whether a table has objects in a namespace, or with an empty one in the cluster.
    pub(crate) fn has_objects(&self, table: &str, namespace: &str) -> bool {
        let prefix = prefix(namespace);
        self.store.table(table).state().iter(&Range { prefix: &prefix, after: None }).next().is_some()
    }

    /// The objects of a table in a namespace, or with an empty one in the cluster.
    pub(crate) fn objects(&self, table: &str, namespace: &str) -> Vec<Arc<Value>> {
        let prefix = prefix(namespace);
        let state = self.store.table(table).state();
        let range = Range { prefix: &prefix, after: None };
        state.iter(&range).filter_map(|item| parse(&item.value).ok().map(Arc::new)).collect()
    }
}

/// What the keys of a namespace begin with; of all, with an empty one.
fn prefix(namespace: &str) -> String {
    if namespace.is_empty() { String::new() } else { format!("{namespace}/") }
}

/// The write of an object in place of one that was read here, and has not changed since.
pub(crate) fn replacement(table: &str, old: &Value, new: &Value) -> Op {
    let metadata = &old["metadata"];
    Op {
        table: table.into(),
        key: key(text(metadata, "namespace"), text(metadata, "name")),
        expect: Expect::Revision(text(metadata, "resourceVersion").parse().unwrap_or(0)),
        put: Some(Template::new(new)),
        last: None,
        expires: 0,
    }
}

fn key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// The stored object that a request names.
pub(crate) fn stored(served: &Served, namespace: &str, name: &str) -> Result<Arc<Item>, Status> {
    let item = served.table.get(&served.key(namespace, name));
    item.ok_or_else(|| Status::not_found(&served.resource.group_resource(), name))
}

/// The stored object as a tree of the served version, without `kind` and `apiVersion`.
pub(crate) fn tree(served: &Served, item: &Item) -> Result<Value, Status> {
    let mut tree = parse(&item.value)?;
    if served.resource.is_custom() {
        remove(&mut tree, "kind");
        remove(&mut tree, "apiVersion");
    }
    served.resource.strategy.to_served(&mut tree);
    Ok(tree)
}

pub(crate) fn parse(bytes: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(bytes)
        .map_err(|error| Status::internal(format_args!("an object in the store cannot be read: {error}")))
}

/// The failure of a transaction that was no conflict.
pub(crate) fn commit_failure(error: CommitError) -> Status {
    match error {
        CommitError::Closed => Status::service_unavailable("the server is shutting down"),
        other => Status::internal(other),
    }
}
