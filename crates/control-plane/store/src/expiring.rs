//! Which objects go away by themselves, and when: events, after their time to live.
//!
//! Which object goes when is part of what a commit publishes, so nothing that has an end is forgotten, whoever waits for the commit
//! or does not, and nothing is kept of an object that has been changed or is gone.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::item::{Event, EventKind, Item};
use crate::table::{Range, TableState};

/// An object with an end.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    pub table: Arc<str>,
    pub item: Arc<Item>,
}

/// All objects that have an end, the first to go first.
#[derive(Debug)]
pub(crate) struct Expiring {
    due: Mutex<BTreeSet<Due>>,
    /// When the first goes.
    earliest: watch::Sender<Option<i64>>,
}

/// Changes of objects that have, or had, an end.
#[derive(Debug, Default)]
pub(crate) struct Changes(Vec<(Arc<str>, Arc<Event>)>);

impl Changes {
    pub(crate) fn add(&mut self, table: &Arc<str>, event: Arc<Event>) {
        if event.item.expires != 0 || event.before.as_ref().is_some_and(|before| before.expires != 0) {
            self.0.push((table.clone(), event));
        }
    }
}

impl Expiring {
    pub(crate) fn new(loaded: &HashMap<String, TableState>) -> Self {
        #[expect(clippy::mutable_key_type, reason = "an item's cache is no part of its order")]
        let mut due = BTreeSet::new();
        for (name, state) in loaded {
            let table: Arc<str> = name.as_str().into();
            let expiring = state.iter(&Range::default()).filter(|item| item.expires != 0);
            due.extend(expiring.map(|item| Due { table: table.clone(), item: item.clone() }));
        }
        let earliest = watch::Sender::new(due.first().map(|due| due.item.expires));
        Self { due: Mutex::new(due), earliest }
    }

    /// Called when the changes are published, by the committer alone.
    pub(crate) fn apply(&self, changes: Changes) {
        if changes.0.is_empty() {
            return;
        }
        let mut due = self.due.lock();
        for (table, event) in changes.0 {
            if let Some(before) = event.before.as_ref().filter(|before| before.expires != 0) {
                due.remove(&Due { table: table.clone(), item: before.clone() });
            }
            if event.kind != EventKind::Deleted && event.item.expires != 0 {
                due.insert(Due { table, item: event.item.clone() });
            }
        }
        let first = due.first().map(|due| due.item.expires);
        self.earliest.send_if_modified(|earliest| std::mem::replace(earliest, first) != first);
    }

    /// What is due at `now`, the first of it.
    pub(crate) fn due(&self, now: i64, count_max: usize) -> Vec<Due> {
        let due = self.due.lock();
        due.iter().take_while(|due| due.item.expires <= now).take(count_max).cloned().collect()
    }

    pub(crate) fn earliest(&self) -> watch::Receiver<Option<i64>> {
        self.earliest.subscribe()
    }
}

impl Due {
    fn order(&self) -> (i64, &str, &str) {
        (self.item.expires, &self.table, &self.item.key)
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use windlass_machinery::json::Template;

    use super::*;

    #[test]
    fn nothing_is_kept_of_what_was_replaced() {
        let table: Arc<str> = "events".into();
        let (mut state, expiring) = (TableState::default(), Expiring::new(&HashMap::new()));
        let mut change = |revision: u64, expires: i64, deleted: bool| {
            let item = Item::new("a", &Template::new(&json!({})), revision, 1, expires);
            let mut changes = Changes::default();
            changes.add(&table, state.apply(Arc::new(item), deleted));
            expiring.apply(changes);
            (expiring.due.lock().len(), *expiring.earliest().borrow())
        };
        for revision in 1..=1000 {
            assert_eq!(change(revision, 500 + revision as i64, false), (1, Some(500 + revision as i64)));
        }
        assert_eq!(change(1001, 20, false), (1, Some(20)));
        assert_eq!(change(1002, 0, true), (0, None));
        assert_eq!(change(1003, 30, false), (1, Some(30)));
    }
}
