//! The indexes of [`windlass_auth`] over the store, kept up to date by reading what has changed since the last request. So a role counts from
//! the moment that its creation is acknowledged, and nothing runs in the background.

use std::sync::Arc;

use parking_lot::RwLock;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use windlass_auth::node::NodeAuthorizer;
use windlass_auth::rbac::{BindingKey, Rbac, RoleKey, RoleRef, Rule, Subject, bootstrap};
use windlass_store::{EventKind, Item, Range, Store, Table};

/// An index over tables, with the revision of each up to which it has been fed.
pub(super) struct Fed<T> {
    tables: Vec<Arc<Table>>,
    state: RwLock<(T, Vec<u64>)>,
    /// The index of nothing.
    empty: Box<dyn Fn() -> T + Send + Sync>,
    /// Takes in a change: the table's number, the object, and whether it is gone.
    take: fn(&mut T, usize, &Item, bool),
}

impl<T> Fed<T> {
    fn new(
        store: &Store,
        tables: &[&str],
        empty: impl Fn() -> T + Send + Sync + 'static,
        take: fn(&mut T, usize, &Item, bool),
    ) -> Self {
        let tables: Vec<_> = tables.iter().map(|name| store.table(name)).collect();
        let state = RwLock::new((empty(), vec![0; tables.len()]));
        Self { tables, state, empty: Box::new(empty), take }
    }

    /// Answers from the index as of now. Cost when nothing has changed: a revision compared for each table, and a read lock.
    pub(super) fn ask<R>(&self, question: impl FnOnce(&T) -> R) -> R {
        {
            let state = self.state.read();
            if self.tables.iter().zip(&state.1).all(|(table, seen)| table.last() == *seen) {
                return question(&state.0);
            }
        }
        let mut state = self.state.write();
        let (index, seen) = &mut *state;
        if !self.catch_up(index, seen) {
            // Events are missing, so what has been deleted meanwhile is not known: start from nothing.
            *index = (self.empty)();
            seen.fill(0);
            self.catch_up(index, seen);
        }
        question(index)
    }

    /// Whether the logs still reached back to what had been seen.
    fn catch_up(&self, index: &mut T, seen: &mut [u64]) -> bool {
        for (number, table) in self.tables.iter().enumerate() {
            let now = table.state();
            if seen[number] == 0 {
                now.iter(&Range::default()).for_each(|item| (self.take)(index, number, item, false));
            } else {
                let Ok(events) = now.events_after(seen[number]) else { return false };
                for event in events {
                    (self.take)(index, number, &event.item, event.kind == EventKind::Deleted);
                }
            }
            seen[number] = now.last();
        }
        true
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RoleObject {
    rules: Option<Vec<Rule>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BindingObject {
    role_ref: RoleRef,
    subjects: Option<Vec<Subject>>,
}

fn read<T: DeserializeOwned + Default>(item: &Item) -> T {
    serde_json::from_slice(&item.value).unwrap_or_else(|error| {
        tracing::error!(key = %item.key, %error, "an object in the store cannot be read");
        T::default()
    })
}

fn key(item: &Item) -> BindingKey {
    let namespace = item.namespace();
    RoleKey { namespace: (!namespace.is_empty()).then(|| namespace.to_owned()), name: item.name().to_owned() }
}

fn take_rbac(rbac: &mut Rbac, table: usize, item: &Item, gone: bool) {
    if table < 2 {
        rbac.set_role(key(item), (!gone).then(|| read::<RoleObject>(item).rules.unwrap_or_default()));
    } else {
        let binding = (!gone).then(|| read::<BindingObject>(item));
        rbac.set_binding(key(item), binding.map(|b| (b.role_ref, b.subjects.unwrap_or_default())));
    }
}

/// The tables of objects that belong to nodes, or lead to them.
const OF_NODES: [&str; 5] = [
    "pods",
    "persistentvolumes",
    "volumeattachments.storage.k8s.io",
    "resourceslices.resource.k8s.io",
    "podcertificaterequests.certificates.k8s.io",
];

fn take_of_nodes(nodes: &mut NodeAuthorizer, table: usize, item: &Item, gone: bool) {
    let object = (!gone).then(|| read::<Value>(item));
    let (namespace, name) = (item.namespace(), item.name());
    let node = object.as_ref().and_then(|object| object["spec"]["nodeName"].as_str());
    match table {
        0 => nodes.set_pod(namespace, name, object.as_ref()),
        1 => nodes.set_volume(name, object.as_ref()),
        2 => nodes.set_named("volumeattachments", namespace, name, node),
        3 => nodes.set_named("resourceslices", namespace, name, node),
        _ => nodes.set_named("podcertificaterequests", namespace, name, node),
    }
}

/// The rules that every node has; upstream binds the role to nobody and builds it into the Node authorizer.
fn node_rules() -> Vec<Rule> {
    let objects = bootstrap::objects();
    let role = objects.iter().find(|o| o["kind"] == "ClusterRole" && o["metadata"]["name"] == "system:node");
    role.and_then(|role| serde_json::from_value(role["rules"].clone()).ok()).unwrap_or_default()
}

/// The index of roles and bindings.
pub(super) fn rbac(store: &Store) -> Fed<Rbac> {
    const RBAC: [&str; 4] = [
        "roles.rbac.authorization.k8s.io",
        "clusterroles.rbac.authorization.k8s.io",
        "rolebindings.rbac.authorization.k8s.io",
        "clusterrolebindings.rbac.authorization.k8s.io",
    ];
    Fed::new(store, &RBAC, Rbac::default, take_rbac)
}

/// The index of what belongs to nodes.
pub(super) fn nodes(store: &Store) -> Fed<NodeAuthorizer> {
    Fed::new(store, &OF_NODES, || NodeAuthorizer::new(node_rules()), take_of_nodes)
}
