//! One client's watch: a cursor into a table's log of events, seen through a selection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use windlass_api::Status;
use windlass_store::{Event, EventKind, Expired, Item, Range, TableState, Watch};

use crate::registry::Served;
use crate::selection::Selection;
use crate::storage::Storage;

const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);

/// One thing that a watch tells its client.
#[derive(Debug)]
pub enum Change {
    /// A stored event as it is: its encoding is shared with other watchers.
    Event(Arc<Event>),
    /// An object that has come into, changed in, or left the selection.
    Object(EventKind, Arc<Item>),
    /// Nothing else has happened up to the revision.
    Bookmark { revision: u64, initial_events_end: bool },
}

/// One client's watch.
pub struct Watcher {
    pub served: Arc<Served>,
    storage: Arc<Storage>,
    watch: Watch,
    selection: Selection,
    /// What was there when the watch began, still to be sent.
    initial: VecDeque<Arc<Item>>,
    /// Events of a kind that is converted, still to be converted and judged.
    unconverted: VecDeque<Arc<Event>>,
    /// A bookmark that ends the initial events is still to be sent.
    owes_initial_end: bool,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    /// The revision up to which the client knows everything.
    revision: u64,
    ended: bool,
}

/// How many initial objects are given out at once.
const CHUNK: usize = 256;

impl Watcher {
    /// A watch of what happens after the revision `start`. Everything in `initial` that is selected comes first.
    pub(crate) fn new(
        storage: Arc<Storage>,
        served: Arc<Served>,
        selection: Selection,
        start: u64,
        initial: Option<&TableState>,
        timeout: Duration,
    ) -> Result<Self, Status> {
        let watch = served.table.watch(start).map_err(too_old)?;
        let range = Range { prefix: &selection.prefix, after: None };
        let initial = initial.into_iter().flat_map(|state| state.iter(&range));
        // What is converted first is judged when it is given out.
        let is_initial = |item: &&Arc<Item>| served.is_converted() || selection.matches(&served, item);
        let initial = initial.filter(is_initial).cloned().collect();
        let now = Instant::now();
        Ok(Self {
            served,
            storage,
            watch,
            selection,
            initial,
            unconverted: VecDeque::new(),
            owes_initial_end: false,
            bookmarks: false,
            next_bookmark: now + BOOKMARK_INTERVAL,
            deadline: now + timeout,
            revision: start,
            ended: false,
        })
    }

    /// Sends bookmarks now and then, and one that ends the initial objects.
    pub(crate) fn with_bookmarks(self, bookmarks: bool, owes_initial_end: bool) -> Self {
        Self { bookmarks, owes_initial_end, ..self }
    }

    /// The next changes, at least one; `None` when the time is up. Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<Result<Vec<Change>, Status>> {
        if self.ended {
            return None;
        }
        while !self.initial.is_empty() {
            let count = self.initial.len().min(CHUNK);
            let chunk = self.initial.iter().take(count).cloned().collect();
            let chunk = match self.storage.present(&self.served, chunk).await {
                Ok(chunk) => chunk,
                Err(status) => return self.failed(status),
            };
            self.initial.drain(..count);
            let is_selected =
                |item: &Arc<Item>| !self.served.is_converted() || self.selection.matches(&self.served, item);
            let chunk: Vec<Change> =
                chunk.into_iter().filter(is_selected).map(|item| Change::Object(EventKind::Added, item)).collect();
            if !chunk.is_empty() {
                return Some(Ok(chunk));
            }
        }
        if std::mem::take(&mut self.owes_initial_end) {
            return Some(Ok(vec![Change::Bookmark { revision: self.revision, initial_events_end: true }]));
        }
        loop {
            while let Some(event) = self.unconverted.front().cloned() {
                match self.converted(&event).await {
                    Ok(change) => {
                        self.unconverted.pop_front();
                        if let Some(change) = change {
                            return Some(Ok(vec![change]));
                        }
                    }
                    Err(status) => return self.failed(status),
                }
            }
            // Read before the log: when the log has nothing, nothing has happened up to here.
            let known = self.storage.store.revision();
            match self.watch.try_next() {
                Err(expired) => return self.failed(too_old(expired)),
                Ok(events) if events.is_empty() => self.revision = self.revision.max(known),
                Ok(events) if self.served.is_converted() => {
                    self.revision = self.revision.max(self.watch.revision());
                    self.unconverted.extend(events);
                    continue;
                }
                Ok(events) => {
                    self.revision = self.revision.max(self.watch.revision());
                    let changes: Vec<Change> = events.iter().filter_map(|event| self.judge(event)).collect();
                    if !changes.is_empty() {
                        return Some(Ok(changes));
                    }
                    continue;
                }
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.next_bookmark = Instant::now() + BOOKMARK_INTERVAL;
                    return Some(Ok(vec![Change::Bookmark { revision: self.revision, initial_events_end: false }]));
                }
                // The client begins anew and sees what its resource has become.
                () = self.served.replaced() => {
                    self.ended = true;
                    return None;
                }
                () = tokio::time::sleep_until(self.deadline) => {
                    self.ended = true;
                    return self.bookmarks.then(|| {
                        Ok(vec![Change::Bookmark { revision: self.revision, initial_events_end: false }])
                    });
                }
                // The next turn of the loop reads what there is.
                () = self.watch.changed() => {}
            }
        }
    }

    /// The last that the client hears.
    fn failed(&mut self, status: Status) -> Option<Result<Vec<Change>, Status>> {
        self.ended = true;
        Some(Err(status))
    }

    /// What an event means, when its objects have the form that the client asks for.
    async fn converted(&self, event: &Arc<Event>) -> Result<Option<Change>, Status> {
        if !event.item.key.starts_with(&self.selection.prefix) {
            return Ok(None);
        }
        let objects = std::iter::once(&event.item).chain(&event.before).cloned().collect();
        let objects = self.storage.present(&self.served, objects).await?;
        let (item, before) = (&objects[0], objects.get(1));
        let matches = |item: &Arc<Item>| self.selection.matches(&self.served, item);
        let was = before.is_some_and(matches);
        let is = event.kind != EventKind::Deleted && matches(item);
        Ok(match (was, is) {
            (false, false) => None,
            (false, true) => Some(Change::Object(EventKind::Added, item.clone())),
            (true, true) => Some(Change::Object(EventKind::Modified, item.clone())),
            (true, false) => {
                let last = before.map(|before| Arc::new(before.at_revision(event.revision())));
                last.map(|last| Change::Object(EventKind::Deleted, last))
            }
        })
    }

    /// What an event means to a client that sees only the selection.
    fn judge(&self, event: &Arc<Event>) -> Option<Change> {
        if !event.item.key.starts_with(&self.selection.prefix) {
            return None;
        }
        if self.selection.is_all() {
            return Some(Change::Event(event.clone()));
        }
        let was = event.before.as_ref().is_some_and(|before| self.selection.matches(&self.served, before));
        let is = event.kind != EventKind::Deleted && self.selection.matches(&self.served, &event.item);
        match (was, is) {
            (false, false) => None,
            (false, true) if event.kind == EventKind::Added => Some(Change::Event(event.clone())),
            (false, true) => Some(Change::Object(EventKind::Added, event.item.clone())),
            (true, true) => Some(Change::Event(event.clone())),
            (true, false) if event.kind == EventKind::Deleted => Some(Change::Event(event.clone())),
            (true, false) => {
                // It has left the selection; the client is shown it as it was, at the revision of the change.
                let last = event.before.as_ref().map(|before| Arc::new(before.at_revision(event.revision())));
                Some(Change::Object(EventKind::Deleted, last?))
            }
        }
    }
}

fn too_old(expired: Expired) -> Status {
    Status::expired(expired.to_string())
}
