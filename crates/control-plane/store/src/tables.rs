//! All tables of a store, as the committer publishes them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::expiring::{Changes, Expiring};
use crate::table::{Table, TableState};

/// Bytes that the events of all tables together may hold; the table that holds most gives way.
const EVENT_BYTES_MAX: usize = 256 << 20;

/// All tables by name, and the revision up to which they are published.
#[derive(Debug)]
pub(crate) struct Tables {
    by_name: ArcSwap<HashMap<Box<str>, Arc<Table>>>,
    revision: AtomicU64,
    /// The same for those who wait; reading it takes a lock, so whoever does not wait reads `revision`.
    pub reached: watch::Sender<u64>,
    /// Held while a table is added to `by_name`.
    adding: Mutex<()>,
    /// What the events of all tables hold.
    event_bytes: AtomicUsize,
    pub expiring: Expiring,
}

impl Tables {
    pub(crate) fn new(loaded: HashMap<String, TableState>, revision: u64) -> Self {
        let expiring = Expiring::new(&loaded);
        let event_bytes = loaded.values().map(TableState::log_bytes).sum();
        let by_name =
            loaded.into_iter().map(|(name, state)| (name.as_str().into(), Arc::new(Table::new(&name, state))));
        Self {
            by_name: ArcSwap::from_pointee(by_name.collect()),
            revision: AtomicU64::new(revision),
            reached: watch::Sender::new(revision),
            adding: Mutex::new(()),
            event_bytes: AtomicUsize::new(event_bytes),
            expiring,
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The table, made when it is not there: a table without objects is the same as none.
    pub(crate) fn table(&self, name: &str) -> Arc<Table> {
        if let Some(table) = self.by_name.load().get(name) {
            return table.clone();
        }
        let _adding = self.adding.lock();
        let mut all = HashMap::clone(&self.by_name.load());
        let table = all.entry(name.into()).or_insert_with(|| Arc::new(Table::new(name, TableState::default())));
        let table = table.clone();
        self.by_name.store(Arc::new(all));
        table
    }

    pub(crate) fn all(&self) -> Vec<Arc<Table>> {
        self.by_name.load().values().cloned().collect()
    }

    pub(crate) fn compact(&self, revision: u64) {
        for table in self.all() {
            let mut state = (*table.state()).clone();
            state.compact(revision);
            self.replace(&table, state);
        }
    }

    pub(crate) fn publish(&self, working: HashMap<Arc<str>, TableState>, revision: u64, expiring: Changes) {
        for (name, state) in working {
            self.replace(&self.table(&name), state);
        }
        self.bound_events(EVENT_BYTES_MAX);
        self.revision.store(revision, Ordering::Release);
        self.reached.send_replace(revision);
        self.expiring.apply(expiring);
    }

    /// Only the committer calls this, so nothing comes between the two loads and stores.
    fn replace(&self, table: &Table, state: TableState) {
        let others = self.event_bytes.load(Ordering::Relaxed) - table.state().log_bytes();
        self.event_bytes.store(others + state.log_bytes(), Ordering::Relaxed);
        table.publish(state);
    }

    fn bound_events(&self, bytes_max: usize) {
        while self.event_bytes.load(Ordering::Relaxed) > bytes_max {
            let Some(largest) = self.all().into_iter().max_by_key(|table| table.state().log_bytes()) else { return };
            let mut state = (*largest.state()).clone();
            state.trim_half();
            self.replace(&largest, state);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use windlass_machinery::json::Template;

    use super::*;
    use crate::item::Item;
    use crate::table::Expired;

    #[test]
    fn the_table_with_most_events_gives_way() {
        let tables = Tables::new(HashMap::new(), 0);
        let mut revision = 0;
        for (name, count) in [("quiet", 10), ("busy", 300)] {
            let mut state = TableState::default();
            for _ in 0..count {
                revision += 1;
                state.apply(Arc::new(Item::new("a", &Template::new(&json!({})), revision, 1, 0)), false);
            }
            tables.publish(HashMap::from([(name.into(), state)]), revision, Changes::default());
        }
        let events = |name: &str| tables.table(name).state().events_after(0).map(Iterator::count);
        let bytes = || tables.all().iter().map(|table| table.state().log_bytes()).sum::<usize>();
        assert_eq!(tables.event_bytes.load(Ordering::Relaxed), bytes());
        let bytes_max = bytes() / 3;
        tables.bound_events(bytes_max);
        assert_eq!(tables.event_bytes.load(Ordering::Relaxed), bytes());
        assert!(bytes() <= bytes_max && bytes() > bytes_max / 4);
        assert_eq!(events("quiet"), Ok(10));
        assert!(matches!(events("busy"), Err(Expired::TooOld { asked: 0, .. })));
        assert_eq!(tables.table("busy").state().len(), 1);
    }
}
