//! A cursor into a table's log.

use std::sync::Arc;

use tokio::sync::watch;

use crate::item::Event;
use crate::table::{Expired, Table};

/// Follows one table from a revision on: every later event once, in order. The cursor holds no events, so a watcher that does
/// not read costs nothing; when the log has been trimmed past it, it gets [`Expired`].
#[derive(Debug)]
pub struct Watch {
    table: Arc<Table>,
    revision: u64,
    changed: watch::Receiver<u64>,
}

impl Table {
    /// Everything that happens after `revision`; fails at once when that is no longer known.
    pub fn watch(self: &Arc<Self>, revision: u64) -> Result<Watch, Expired> {
        drop(self.state().events_after(revision)?);
        Ok(Watch { table: self.clone(), revision, changed: self.changes() })
    }
}

impl Watch {
    /// The revision of the last event that was given out.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The events that have come since the last call, without waiting; possibly none.
    pub fn try_next(&mut self) -> Result<Vec<Arc<Event>>, Expired> {
        self.changed.mark_unchanged();
        let state = self.table.state();
        if state.last() <= self.revision {
            return Ok(Vec::new());
        }
        let events: Vec<_> = state.events_after(self.revision)?.cloned().collect();
        self.revision = state.last();
        Ok(events)
    }

    /// Waits until something has happened since the last look. Cancelling loses nothing.
    pub async fn changed(&mut self) {
        if self.changed.changed().await.is_err() {
            // The table lives as long as this cursor, so its sender does as well.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until there is at least one event. Cancelling loses nothing.
    pub async fn next(&mut self) -> Result<Vec<Arc<Event>>, Expired> {
        loop {
            let events = self.try_next()?;
            if !events.is_empty() {
                return Ok(events);
            }
            self.changed().await;
        }
    }
}
