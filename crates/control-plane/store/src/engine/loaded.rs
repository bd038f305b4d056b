//! What was found on the disk, record by record.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::damage::OpenError;
use super::frame::Found;
use crate::table::TableState;

/// What the engine found on the disk.
#[derive(Default)]
pub(crate) struct Loaded {
    pub tables: HashMap<String, TableState>,
    pub revision: u64,
    /// Objects whose newest version cannot be decrypted, by table and key, and why.
    locked: BTreeMap<(String, String), String>,
}

impl Loaded {
    pub(crate) fn new(tables: HashMap<String, TableState>, revision: u64) -> Self {
        Self { tables, revision, locked: BTreeMap::new() }
    }

    pub(crate) fn apply(&mut self, table: &str, found: Found) {
        self.revision = self.revision.max(found.revision());
        let (item, deleted) = match found {
            Found::Put(item) => (item, false),
            Found::Deleted(item) => (item, true),
            Found::Locked { key, why, .. } => {
                self.locked.insert((table.to_owned(), key), why);
                return;
            }
        };
        if !self.locked.is_empty() {
            self.locked.remove(&(table.to_owned(), item.key.to_string()));
        }
        if !self.tables.contains_key(table) {
            self.tables.insert(table.to_owned(), TableState::default());
        }
        if let Some(state) = self.tables.get_mut(table) {
            state.load(Arc::new(item), deleted);
        }
    }

    /// An older version that cannot be decrypted is no loss.
    pub(crate) fn check_locked(&self, directory: &Path) -> Result<(), OpenError> {
        let Some(((table, key), why)) = self.locked.first_key_value() else { return Ok(()) };
        Err(OpenError::Locked {
            directory: directory.to_owned(),
            object: format!("{table} {key}"),
            others: self.locked.len() - 1,
            why: why.clone(),
        })
    }
}
