//! The objects of one resource in memory, and the log of what happened to them lately.

use std::ops::Bound;
use std::sync::Arc;

use arc_swap::ArcSwap;
use imbl::{OrdSet, Vector};
use tokio::sync::watch;

use crate::item::{Event, EventKind, Item, Keyed};

/// At most this many events are kept for each table.
const EVENTS_MAX: usize = 8192;
/// Bytes that the events of one table may hold. So many that objects of 4 KB, which is what pods have, meet the bound on events first
/// (an event holds two versions); so few that objects of the largest size that the API takes still have a past of ten changes.
const EVENT_BYTES_MAX: usize = 64 << 20;
/// What an event takes beside the versions that it holds.
const EVENT_BYTES: usize = 256;
/// Compaction leaves this many, so that a watch on a quiet table can go on after a pause.
const EVENTS_KEPT: usize = 128;

/// The objects of one resource. Reading takes a snapshot: no lock, and no copy.
#[derive(Debug)]
pub struct Table {
    pub(crate) name: Box<str>,
    state: ArcSwap<TableState>,
    /// The revision of the last change, for watchers to wait on.
    changed: watch::Sender<u64>,
}

/// All of a table at one moment: objects and log always agree.
#[derive(Clone, Debug, Default)]
pub struct TableState {
    objects: OrdSet<Keyed>,
    log: Vector<Arc<Event>>,
    /// What the log's events hold.
    log_bytes: usize,
    /// The revision of the last change; 0 when there was none.
    last: u64,
    /// Events up to this revision are no longer in the log.
    trimmed: u64,
}

/// The revision asked for is no longer, or not yet, there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Expired {
    #[error("too old resource version: {asked} ({oldest})")]
    TooOld { asked: u64, oldest: u64 },
    #[error("Too large resource version: {asked}, current: {current}")]
    TooLarge { asked: u64, current: u64 },
}

/// A part of a table's keys.
#[derive(Clone, Debug, Default)]
pub struct Range<'a> {
    /// Only keys that start so: `namespace/`, or nothing for all.
    pub prefix: &'a str,
    /// Only keys after this one.
    pub after: Option<&'a str>,
}

/// Items of a table at a revision, in the order of their keys.
#[derive(Debug)]
pub struct Page {
    pub items: Vec<Arc<Item>>,
    /// How many more there are after the last of `items`, when there are.
    pub remaining: usize,
}

impl TableState {
    pub fn get(&self, key: &str) -> Option<&Arc<Item>> {
        self.objects.get(key).map(|keyed| &keyed.0)
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The revision of the last change; 0 when there was none.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The objects of a range, in order.
    pub fn iter<'a>(&'a self, range: &Range<'a>) -> impl Iterator<Item = &'a Arc<Item>> + use<'a> {
        let prefix = range.prefix;
        let start = match range.after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.objects
            .range::<_, str>((start, Bound::Unbounded))
            .map(|keyed| &keyed.0)
            .take_while(move |item| item.key.starts_with(prefix))
    }

    /// The events after a revision, oldest first.
    pub fn events_after(&self, revision: u64) -> Result<impl Iterator<Item = &Arc<Event>>, Expired> {
        if revision < self.trimmed {
            return Err(Expired::TooOld { asked: revision, oldest: self.trimmed });
        }
        let start = match self.log.back() {
            None => self.log.len(),
            Some(last) if last.revision() <= revision => self.log.len(),
            Some(_) => partition_point(&self.log, |event| event.revision() <= revision),
        };
        Ok(self.log.focus().narrow(start..).into_iter())
    }

    /// The table as it was at a revision: the log's events are undone.
    pub(crate) fn at(&self, revision: u64) -> Result<Self, Expired> {
        let mut then = self.clone();
        if revision >= self.last {
            return Ok(then);
        }
        let newer: Vec<_> = self.events_after(revision)?.cloned().collect();
        for event in newer.iter().rev() {
            match &event.before {
                Some(before) => then.objects.insert(Keyed(before.clone())),
                None => then.objects.remove(&*event.item.key),
            };
        }
        Ok(then)
    }

    /// Applies a change; `item` is the new version, or the tombstone.
    pub(crate) fn apply(&mut self, item: Arc<Item>, deleted: bool) -> Arc<Event> {
        self.last = item.revision;
        let (kind, before) = if deleted {
            (EventKind::Deleted, self.objects.remove(&*item.key))
        } else {
            let before = self.objects.insert(Keyed(item.clone()));
            (if before.is_some() { EventKind::Modified } else { EventKind::Added }, before)
        };
        let event = Arc::new(Event::new(kind, item, before.map(|keyed| keyed.0)));
        self.log.push_back(event.clone());
        self.log_bytes += bytes_of(&event);
        self.trim(EVENTS_MAX, EVENT_BYTES_MAX);
        event
    }

    /// Takes an object in without an event: what was there when the store was opened.
    pub(crate) fn load(&mut self, item: Arc<Item>, deleted: bool) {
        self.last = item.revision;
        self.trimmed = item.revision;
        if deleted {
            self.objects.remove(&*item.key);
        } else {
            self.objects.insert(Keyed(item));
        }
    }

    /// Forgets events up to a revision, but keeps the newest few.
    pub(crate) fn compact(&mut self, revision: u64) {
        while self.log.len() > EVENTS_KEPT && self.log.front().is_some_and(|event| event.revision() <= revision) {
            self.trim_front();
        }
    }

    /// Bytes that the log of events holds. What somebody else holds as well counts in full.
    pub(crate) fn log_bytes(&self) -> usize {
        self.log_bytes
    }

    /// Forgets the oldest half of the events, by their bytes.
    pub(crate) fn trim_half(&mut self) {
        self.trim(self.log.len().saturating_sub(1), self.log_bytes / 2);
    }

    fn trim(&mut self, events_max: usize, bytes_max: usize) {
        while self.log.len() > events_max || self.log_bytes > bytes_max {
            self.trim_front();
        }
    }

    fn trim_front(&mut self) {
        if let Some(event) = self.log.pop_front() {
            self.trimmed = event.revision();
            self.log_bytes -= bytes_of(&event);
        }
    }
}

/// The memory that goes when an event is forgotten: a version is held by the event that made it and the one that replaced it.
fn bytes_of(event: &Event) -> usize {
    let before = event.before.as_ref().map_or(0, |before| before.value.len());
    EVENT_BYTES + event.item.value.len() + before
}

fn partition_point(log: &Vector<Arc<Event>>, before: impl Fn(&Event) -> bool) -> usize {
    let (mut low, mut high) = (0, log.len());
    while low < high {
        let middle = (low + high) / 2;
        if before(&log[middle]) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

impl Table {
    pub(crate) fn new(name: &str, state: TableState) -> Self {
        let (changed, _) = watch::channel(state.last);
        Self { name: name.into(), state: ArcSwap::from_pointee(state), changed }
    }

    /// The table as it is now.
    pub fn state(&self) -> Arc<TableState> {
        self.state.load_full()
    }

    pub fn get(&self, key: &str) -> Option<Arc<Item>> {
        self.state.load().get(key).cloned()
    }

    /// How many follow the table at this moment.
    pub fn watchers(&self) -> usize {
        self.changed.receiver_count()
    }

    /// The revision of the last change; cheap enough to ask before every use of something derived.
    pub fn last(&self) -> u64 {
        self.state.load().last
    }

    /// The table as it was at `revision`.
    pub fn state_at(&self, revision: u64) -> Result<Arc<TableState>, Expired> {
        let now = self.state();
        if revision >= now.last { Ok(now) } else { now.at(revision).map(Arc::new) }
    }

    /// Tells the revision of each change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn publish(&self, state: TableState) {
        let last = state.last;
        self.state.store(Arc::new(state));
        self.changed.send_replace(last);
    }
}

impl Page {
    /// At most `limit` of the objects of a range (0 is no limit), of those that `keep` lets through.
    pub fn of(state: &TableState, range: &Range<'_>, limit: usize, mut keep: impl FnMut(&Item) -> bool) -> Self {
        let mut all = state.iter(range);
        let mut items = Vec::with_capacity(if limit == 0 { 16 } else { limit.min(1024) });
        for item in all.by_ref() {
            if keep(item) {
                items.push(item.clone());
                if items.len() == limit {
                    break;
                }
            }
        }
        Self { items, remaining: all.count() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;
    use windlass_machinery::json::Template;

    use super::*;

    fn item(key: &str, revision: u64) -> Arc<Item> {
        Arc::new(Item::new(key, &Template::new(&json!({"metadata": {}})), revision, revision, 0))
    }

    fn keys(state: &TableState, prefix: &str, after: Option<&str>) -> Vec<String> {
        state.iter(&Range { prefix, after }).map(|item| item.key.to_string()).collect()
    }

    #[test]
    fn ranges() {
        let mut state = TableState::default();
        for (revision, key) in ["a/x", "a/y", "a-b/x", "b/x", "ab"].into_iter().enumerate() {
            state.apply(item(key, revision as u64 + 1), false);
        }
        assert_eq!(keys(&state, "", None), ["a-b/x", "a/x", "a/y", "ab", "b/x"]);
        assert_eq!(keys(&state, "a/", None), ["a/x", "a/y"]);
        assert_eq!(keys(&state, "a/", Some("a/x")), ["a/y"]);
        assert_eq!(keys(&state, "a/", Some("a")), ["a/x", "a/y"]);
        assert_eq!(keys(&state, "c/", None), Vec::<String>::new());
        let page = Page::of(&state, &Range::default(), 2, |_| true);
        assert_eq!((page.items.len(), page.remaining), (2, 3));
    }

    #[test]
    fn a_trimmed_log_says_so() {
        let mut state = TableState::default();
        for revision in 1..=EVENTS_MAX as u64 + 10 {
            state.apply(item("a", revision), false);
        }
        assert_eq!(state.events_after(10).unwrap().count(), EVENTS_MAX);
        assert_eq!(state.events_after(9).err(), Some(Expired::TooOld { asked: 9, oldest: 10 }));
        state.compact(u64::MAX);
        assert_eq!(state.log.len(), EVENTS_KEPT);
        assert_eq!(state.events_after(state.last).unwrap().count(), 0);
    }

    #[test]
    fn a_log_of_large_objects_is_trimmed_by_bytes() {
        let text = "x".repeat(1 << 20);
        let template = Template::new(&json!({"metadata": {}, "data": text}));
        let mut state = TableState::default();
        for revision in 1..=200 {
            state.apply(Arc::new(Item::new("a", &template, revision, 1, 0)), false);
            assert!(state.log_bytes <= EVENT_BYTES_MAX);
        }
        assert_eq!(state.log.len(), 31, "of a megabyte twice");
        assert_eq!(state.events_after(168).err(), Some(Expired::TooOld { asked: 168, oldest: 169 }));
        assert_eq!(state.events_after(169).unwrap().count(), 31);
        state.compact(u64::MAX);
        state.trim_half();
        assert_eq!((state.log.len(), state.trimmed), (15, 185));
        while state.log_bytes > 0 {
            state.trim_half();
        }
        assert!(state.log.is_empty());
    }

    proptest! {
        /// The past that the log gives back is the past that was.
        #[test]
        fn undo(changes in proptest::collection::vec((0_u8..6, any::<bool>()), 1..60)) {
            let mut state = TableState::default();
            let mut now: BTreeMap<String, u64> = BTreeMap::new();
            let mut history = vec![now.clone()];
            for (revision, (key, delete)) in (1..).zip(changes) {
                let key = format!("k{key}");
                let delete = delete && now.contains_key(&key);
                if delete {
                    let last = state.get(&key).unwrap().tombstone(revision);
                    state.apply(Arc::new(last), true);
                    now.remove(&key);
                } else {
                    state.apply(item(&key, revision), false);
                    now.insert(key, revision);
                }
                history.push(now.clone());
            }
            for (revision, then) in history.iter().enumerate() {
                let past = state.at(revision as u64).unwrap();
                let found: BTreeMap<String, u64> =
                    past.iter(&Range::default()).map(|item| (item.key.to_string(), item.revision)).collect();
                prop_assert_eq!(&found, then);
            }
        }
    }
}
