//! Events about pods, in the form of `events.k8s.io/v1`.
//!
//! A repetition becomes a series on the first event of its kind; what is said again and again is written at the second time and then
//! every six minutes. Source: client-go `tools/events`.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use windlass_api::time::{Clock, rfc3339_micro};
use windlass_api::{GroupVersionResource, ObjectKey, Status, Timestamp};
use windlass_client::{Client, EventNames, OBJECT, ObjectReference};

const EVENTS: GroupVersionResource = GroupVersionResource::of("events.k8s.io", "v1", "events");
/// Events that wait to be sent; more are dropped, since they are for reading and not for relying on.
const QUEUE_MAX: usize = 4096;
/// A series is written this often, and ends when it paused for so long.
const REFRESH: Duration = Duration::from_secs(6 * 60);
/// Series that are remembered.
const REMEMBERED_MAX: usize = 4096;
/// The API takes no longer notes.
const NOTE_BYTES_MAX: usize = 1024;

#[derive(Clone, Debug)]
pub(crate) struct Occurrence {
    pub regarding: ObjectReference,
    pub related: Option<ObjectReference>,
    /// `Normal` or `Warning`.
    pub kind: &'static str,
    pub reason: &'static str,
    pub action: &'static str,
    pub note: String,
    /// The profile that speaks.
    pub controller: String,
}

/// Sends events; cloning shares the queue.
#[derive(Clone, Debug)]
pub(crate) struct EventLog {
    queue: mpsc::Sender<(Occurrence, Timestamp)>,
    clock: Clock,
}

impl EventLog {
    pub(crate) fn start(client: Client, clock: Clock, host_name: &str) -> Self {
        let (queue, occurrences) = mpsc::channel(QUEUE_MAX);
        let names = EventNames::default();
        let writer = Writer { client, host_name: host_name.to_owned(), names, series: HashMap::new() };
        tokio::spawn(writer.run(occurrences));
        Self { queue, clock }
    }

    /// Never waits.
    pub(crate) fn record(&self, occurrence: Occurrence) {
        if let Err(mpsc::error::TrySendError::Full((occurrence, _))) =
            self.queue.try_send((occurrence, self.clock.now()))
        {
            tracing::warn!(reason = occurrence.reason, pod = %occurrence.regarding.name, "an event was dropped, because too many wait");
        }
    }
}

/// What makes occurrences repetitions of one another.
type Same = (&'static str, &'static str, String, ObjectReference, Option<ObjectReference>);

struct Series {
    event: ObjectKey,
    count: u64,
    seen: Timestamp,
    written: Timestamp,
}

struct Writer {
    client: Client,
    host_name: String,
    names: EventNames,
    series: HashMap<Same, Series>,
}

impl Writer {
    async fn run(mut self, mut occurrences: mpsc::Receiver<(Occurrence, Timestamp)>) {
        while let Some((occurrence, at)) = occurrences.recv().await {
            match self.write(occurrence, at).await {
                Ok(()) => {}
                Err(status) if status.is_namespace_terminating() || status.is_not_found() => {}
                Err(error) => tracing::warn!(%error, "an event cannot be written"),
            }
        }
    }

    async fn write(&mut self, occurrence: Occurrence, at: Timestamp) -> Result<(), Status> {
        let Occurrence { regarding, related, reason, action, controller, .. } = &occurrence;
        let same = (*reason, *action, controller.clone(), regarding.clone(), related.clone());
        let age = |since: Timestamp| at.duration_since(since).unsigned_abs();
        if let Some(series) = self.series.get_mut(&same).filter(|series| age(series.seen) < REFRESH) {
            series.count += 1;
            series.seen = at;
            if series.count > 2 && age(series.written) < REFRESH {
                return Ok(());
            }
            series.written = at;
            let patch = json!({"series": {"count": series.count, "lastObservedTime": rfc3339_micro(at)}});
            match self.client.patch(&EVENTS, &series.event, OBJECT, &patch).await {
                Err(status) if status.is_not_found() => {}
                result => return result.map(drop),
            }
        }
        let (event, key) = self.event(&occurrence, at);
        self.client.create(&EVENTS, &key.namespace, &event).await?;
        if self.series.len() >= REMEMBERED_MAX {
            // Forgetting only means that a repetition gets an event of its own.
            self.series.clear();
        }
        self.series.insert(same, Series { event: key, count: 1, seen: at, written: at });
        Ok(())
    }

    fn event(&mut self, occurrence: &Occurrence, at: Timestamp) -> (Value, ObjectKey) {
        let regarding = &occurrence.regarding;
        let name = self.names.next(&regarding.name, at);
        let mut event = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": regarding.namespace},
            "eventTime": rfc3339_micro(at),
            "reportingController": occurrence.controller,
            "reportingInstance": format!("{}-{}", occurrence.controller, self.host_name),
            "action": occurrence.action,
            "reason": occurrence.reason,
            "regarding": regarding,
            "note": shortened(&occurrence.note),
            "type": occurrence.kind,
        });
        if let Some(related) = &occurrence.related {
            event["related"] = json!(related);
        }
        (event, ObjectKey::new(regarding.namespace.as_str(), name))
    }
}

fn shortened(note: &str) -> String {
    const CUT: &str = " ...";
    if note.len() <= NOTE_BYTES_MAX {
        return note.to_owned();
    }
    format!("{}{CUT}", &note[..note.floor_char_boundary(NOTE_BYTES_MAX - CUT.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_notes_are_cut() {
        assert_eq!(shortened("short"), "short");
        let long = shortened(&"ä".repeat(2000));
        assert!(long.len() <= NOTE_BYTES_MAX && long.ends_with("ä ..."));
    }
}
