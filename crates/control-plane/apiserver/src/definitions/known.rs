//! The definitions as they were last seen, found by name and by group.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use windlass_resources::definition::Definition;
use windlass_store::Item;

#[derive(Default)]
pub(super) struct Known {
    by_name: BTreeMap<Box<str>, Definition>,
    /// The names of those in each group.
    groups: HashMap<String, HashSet<Box<str>>>,
}

impl Known {
    pub(super) fn get(&self, name: &str) -> Option<&Definition> {
        self.by_name.get(name)
    }

    /// Takes in a definition. Returns its group if that may have a name less now.
    pub(super) fn put(&mut self, item: &Arc<Item>) -> Option<String> {
        let names = self.get(&item.key).map(|before| before.status.accepted_names.clone());
        let freed = self.remove(&item.key);
        let definition = serde_json::from_slice::<Definition>(&item.value)
            .inspect_err(|error| tracing::error!(definition = &*item.key, %error, "a definition cannot be read"));
        let Ok(definition) = definition else { return freed };
        let is_freed = names.is_some_and(|names| names != definition.status.accepted_names);
        self.groups.entry(definition.spec.group.clone()).or_default().insert(item.key.clone());
        self.by_name.insert(item.key.clone(), definition);
        freed.filter(|_| is_freed)
    }

    /// Forgets a definition. Returns its group.
    pub(super) fn remove(&mut self, name: &str) -> Option<String> {
        let group = self.by_name.remove(name)?.spec.group;
        if let Some(names) = self.groups.get_mut(&group) {
            names.remove(name);
            if names.is_empty() {
                self.groups.remove(&group);
            }
        }
        Some(group)
    }

    pub(super) fn of_group(&self, group: &str) -> impl Iterator<Item = &Definition> {
        self.groups.get(group).into_iter().flatten().filter_map(|name| self.by_name.get(name))
    }

    /// The names of those in a group that want to be called otherwise than they are.
    pub(super) fn wanting(&self, group: &str) -> Vec<Box<str>> {
        let wants = |definition: &&Definition| definition.spec.names != definition.status.accepted_names;
        self.of_group(group).filter(wants).map(|definition| definition.metadata.name.as_str().into()).collect()
    }
}
