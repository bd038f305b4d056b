//! WATCH: what is there (if asked for), and then every change, until the time is up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use windlass_api::{Status, field};
use windlass_client::{Options, Request, VersionMatch};
use windlass_store::{Event, EventKind, Expired, Item, Range, Store, Watch};

use crate::outcome::Outcome;
use crate::registry::Served;
use crate::selection::Selection;
use crate::server::Server;

/// Without a limit of its own, a watch ends after half an hour to an hour, so that clients spread over servers again.
const TIMEOUT_MIN: Duration = Duration::from_secs(1800);
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
#[derive(Debug)]
pub struct Watcher {
    pub served: Arc<Served>,
    store: Arc<Store>,
    watch: Watch,
    selection: Selection,
    /// What was there when the watch began, still to be sent.
    initial: VecDeque<Arc<Item>>,
    /// A bookmark that ends the initial events is still to be sent.
    owes_initial_end: bool,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    /// The revision up to which the client knows everything.
    revision: u64,
    ended: bool,
}

impl Server {
    pub(crate) async fn watch(&self, served: &Arc<Served>, request: &Request) -> Result<Outcome, Status> {
        let options = &request.options;
        validate_options(options)?;
        let selection = Selection::new(served, &request.namespace, &request.name, options)?;
        if let Some(least) = options.resource_version {
            self.wait_for_revision(least).await?;
        }
        // Revision and state are read in this order, so that nothing can fall between the two.
        let revision = self.store.revision();
        let state = served.table.state();
        let current = revision.max(state.last());
        let wants_initial = match (options.send_initial_events, options.resource_version) {
            (Some(wanted), _) => wanted,
            (None, None | Some(0)) => true,
            (None, Some(_)) => false,
        };
        let start = match options.resource_version {
            Some(revision) if revision > 0 && !wants_initial => revision,
            _ => current,
        };
        let watch = served.table.watch(start).map_err(too_old)?;
        let initial = if wants_initial {
            let range = Range { prefix: &selection.prefix, after: None };
            state.iter(&range).filter(|item| selection.matches(served, item)).cloned().collect()
        } else {
            VecDeque::new()
        };
        let now = Instant::now();
        let timeout = match options.timeout_seconds {
            Some(seconds) if seconds > 0 => Duration::from_secs(seconds),
            _ => TIMEOUT_MIN + Duration::from_millis(self.chance.below(1_800_000) as u64),
        };
        Ok(Outcome::Watch(Box::new(Watcher {
            served: served.clone(),
            store: self.store.clone(),
            watch,
            selection,
            initial,
            owes_initial_end: options.send_initial_events == Some(true) && options.allow_bookmarks,
            bookmarks: options.allow_bookmarks,
            next_bookmark: now + BOOKMARK_INTERVAL,
            deadline: now + timeout,
            revision: start,
            ended: false,
        })))
    }
}

/// How many initial objects are given out at once.
const CHUNK: usize = 256;

impl Watcher {
    /// The next changes, at least one; `None` when the time is up. Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<Result<Vec<Change>, Status>> {
        if self.ended {
            return None;
        }
        if !self.initial.is_empty() {
            let count = self.initial.len().min(CHUNK);
            let chunk = self.initial.drain(..count).map(|item| Change::Object(EventKind::Added, item)).collect();
            return Some(Ok(chunk));
        }
        if std::mem::take(&mut self.owes_initial_end) {
            return Some(Ok(vec![Change::Bookmark { revision: self.revision, initial_events_end: true }]));
        }
        loop {
            // Read before the log: when the log has nothing, nothing has happened up to here.
            let known = self.store.revision();
            match self.watch.try_next() {
                Err(expired) => {
                    self.ended = true;
                    return Some(Err(too_old(expired)));
                }
                Ok(events) if events.is_empty() => self.revision = self.revision.max(known),
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
                result = self.watch.changed() => {
                    // The next turn of the loop reads what there is.
                    let () = result;
                }
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.next_bookmark = Instant::now() + BOOKMARK_INTERVAL;
                    return Some(Ok(vec![Change::Bookmark { revision: self.revision, initial_events_end: false }]));
                }
                () = tokio::time::sleep_until(self.deadline) => {
                    self.ended = true;
                    return self.bookmarks.then(|| {
                        Ok(vec![Change::Bookmark { revision: self.revision, initial_events_end: false }])
                    });
                }
            }
        }
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

fn validate_options(options: &Options) -> Result<(), Status> {
    let mut errors = field::Errors::new();
    let path = field::Path::new("resourceVersionMatch");
    match (options.send_initial_events, options.version_match) {
        (None, Some(_)) => {
            let detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(field::Error::forbidden(&path, detail));
        }
        (Some(_), None) => {
            let detail = "resourceVersionMatch is required when sendInitialEvents is provided";
            errors.push(field::Error::required(&path, detail));
        }
        (Some(_), Some(VersionMatch::Exact)) => {
            errors.push(field::Error::not_supported(&path, "Exact", &["NotOlderThan"]));
        }
        _ => {}
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", "ListOptions", "", &errors)) }
}
