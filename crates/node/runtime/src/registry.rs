//! All sandboxes and containers of the node by ID, and the names that they hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;
use windlass_cri::{Code, ContainerMetadata, Error, Result, SandboxMetadata};

use crate::record::{Container, Sandbox};

/// Shortest beginning of an ID that stands for the whole, as people type it.
const PREFIX_CHARS_MIN: usize = 4;

#[derive(Default)]
struct Tables {
    sandboxes: BTreeMap<String, Arc<Sandbox>>,
    containers: BTreeMap<String, Arc<Container>>,
    /// To the ID that holds the name.
    names: HashMap<String, String>,
}

#[derive(Default)]
pub(crate) struct Registry(RwLock<Tables>);

/// A name that is held until this is dropped, or for good once it was [kept](NameGuard::keep).
pub(crate) struct NameGuard<'a> {
    registry: &'a Registry,
    name: Option<String>,
}

impl NameGuard<'_> {
    pub(crate) fn keep(mut self) {
        self.name = None;
    }
}

impl Drop for NameGuard<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            self.registry.0.write().names.remove(name);
        }
    }
}

pub(crate) fn sandbox_name(metadata: &SandboxMetadata) -> String {
    let SandboxMetadata { name, uid, namespace, attempt } = metadata;
    format!("sandbox {name}_{namespace}_{uid}_{attempt}")
}

pub(crate) fn container_name(sandbox_id: &str, metadata: &ContainerMetadata) -> String {
    let ContainerMetadata { name, attempt } = metadata;
    format!("container {name}_{sandbox_id}_{attempt}")
}

impl Registry {
    pub(crate) fn reserve(&self, name: String, id: &str) -> Result<NameGuard<'_>> {
        let mut tables = self.0.write();
        if let Some(holder) = tables.names.get(&name) {
            let message = format!("the name {name:?} is reserved for {holder:?}");
            return Err(Error::new(Code::AlreadyExists, message));
        }
        tables.names.insert(name.clone(), id.to_owned());
        Ok(NameGuard { registry: self, name: Some(name) })
    }

    pub(crate) fn add_sandbox(&self, sandbox: Arc<Sandbox>) {
        self.0.write().sandboxes.insert(sandbox.id.clone(), sandbox);
    }

    pub(crate) fn add_container(&self, container: Arc<Container>) {
        self.0.write().containers.insert(container.id.clone(), container);
    }

    pub(crate) fn remove_sandbox(&self, sandbox: &Sandbox) {
        let mut tables = self.0.write();
        tables.sandboxes.remove(&sandbox.id);
        tables.names.remove(&sandbox_name(&sandbox.state.lock().config.metadata));
    }

    pub(crate) fn remove_container(&self, container: &Container) {
        let mut tables = self.0.write();
        tables.containers.remove(&container.id);
        tables.names.remove(&container_name(&container.sandbox_id, &container.state.lock().file.config.metadata));
    }

    pub(crate) fn sandbox(&self, id: &str) -> Option<Arc<Sandbox>> {
        find(&self.0.read().sandboxes, id)
    }

    pub(crate) fn container(&self, id: &str) -> Option<Arc<Container>> {
        find(&self.0.read().containers, id)
    }

    pub(crate) fn sandboxes(&self) -> Vec<Arc<Sandbox>> {
        self.0.read().sandboxes.values().cloned().collect()
    }

    pub(crate) fn containers(&self) -> Vec<Arc<Container>> {
        self.0.read().containers.values().cloned().collect()
    }

    pub(crate) fn containers_of(&self, sandbox_id: &str) -> Vec<Arc<Container>> {
        let tables = self.0.read();
        tables.containers.values().filter(|container| container.sandbox_id == sandbox_id).cloned().collect()
    }
}

/// By the whole ID, or by a beginning that only one has.
fn find<T>(table: &BTreeMap<String, Arc<T>>, id: &str) -> Option<Arc<T>> {
    if let Some(exact) = table.get(id) {
        return Some(exact.clone());
    }
    if id.len() < PREFIX_CHARS_MIN {
        return None;
    }
    let mut matching = table.range(id.to_owned()..).take_while(|(known, _)| known.starts_with(id));
    match (matching.next(), matching.next()) {
        (Some((_, only)), None) => Some(only.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_of_identifiers() {
        let table: BTreeMap<String, Arc<u8>> =
            [("abcd1", 1), ("abcd2", 2), ("abce", 3)].map(|(id, value)| (id.to_owned(), Arc::new(value))).into();
        for (id, wanted) in [
            ("abcd1", Some(1)),
            ("abcd", None),
            ("abce", Some(3)),
            ("abc", None),
            ("", None),
            ("abcd2", Some(2)),
            ("abcf", None),
        ] {
            assert_eq!(find(&table, id).as_deref().copied(), wanted, "{id}");
        }
    }

    #[test]
    fn names_are_held_once() {
        let registry = Registry::default();
        let metadata = ContainerMetadata { name: "web".to_owned(), attempt: 0 };
        let name = || container_name("s", &metadata);
        let held = registry.reserve(name(), "1").unwrap();
        assert_eq!(registry.reserve(name(), "2").err().unwrap().code, Code::AlreadyExists);
        drop(held);
        registry.reserve(name(), "2").unwrap().keep();
        assert!(registry.reserve(name(), "3").is_err());
    }
}
