//! Events: what a component tells people about an object.
//!
//! Repetitions are counted on one Event; many different messages of one kind about one object become one Event that stands for
//! them all; and a component that talks too much about an object is cut short. The rules are those of upstream's event
//! correlator (client-go `tools/record/events_cache.go`).

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;
use windlass_api::resource::EVENTS;
use windlass_api::time::{Clock, rfc3339};
use windlass_api::{ObjectKey, Status};

use crate::client::{Client, OBJECT};

/// Events that wait to be sent; more are dropped, since they are for reading and not for relying on.
const QUEUE_MAX: usize = 1000;
/// Different messages of one kind within [`SIMILAR_WINDOW`] before they are taken together.
const SIMILAR_MAX: usize = 10;
const SIMILAR_WINDOW: Duration = Duration::from_secs(600);
/// Events of a component about one object: this many at once, and one more each [`REFILL`].
const BURST: f64 = 25.0;
const REFILL: Duration = Duration::from_secs(300);
/// Objects that are remembered.
const REMEMBERED_MAX: usize = 4096;

/// What an Event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectReference {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field_path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    Normal,
    Warning,
}

impl EventType {
    fn name(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Sends a component's events; cloning shares the queue.
#[derive(Clone, Debug)]
pub struct Recorder {
    queue: mpsc::Sender<Occurrence>,
    clock: Clock,
}

#[derive(Clone, Debug)]
struct Occurrence {
    about: ObjectReference,
    kind: EventType,
    reason: String,
    message: String,
    at: Timestamp,
}

impl Recorder {
    /// Starts a recorder for a component, on a node if it belongs to one.
    pub fn start(client: Client, clock: Clock, component: &str, node: &str) -> Self {
        let (queue, occurrences) = mpsc::channel(QUEUE_MAX);
        let sender = Sender {
            client,
            names: EventNames::default(),
            correlator: Correlator::default(),
            component: component.to_owned(),
            node: node.to_owned(),
        };
        tokio::spawn(sender.run(occurrences));
        Self { queue, clock }
    }

    /// Records that something happened. Never waits; when too much happens at once, some of it is dropped.
    pub fn event(&self, about: &ObjectReference, kind: EventType, reason: &str, message: impl Into<String>) {
        let occurrence = Occurrence {
            about: about.clone(),
            kind,
            reason: reason.to_owned(),
            message: message.into(),
            at: self.clock.now(),
        };
        if self.queue.try_send(occurrence).is_err() {
            tracing::warn!(reason, object = %about.name, "an event was dropped, because too many wait");
        }
    }
}

/// What is to be sent for an occurrence.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Decision {
    Create {
        message: String,
    },
    /// It has been seen before: the Event of this name counts one more.
    Count {
        name: String,
        count: u64,
        message: String,
    },
    Drop,
}

/// Everything but the message: occurrences that are alike.
type Alike = (ObjectReference, EventType, String);

#[derive(Default)]
struct Correlator {
    similar: HashMap<Alike, Similar>,
    sent: HashMap<(Alike, String), Sent>,
    budgets: HashMap<ObjectReference, Budget>,
}

struct Similar {
    messages: HashSet<String>,
    last: Timestamp,
}

struct Sent {
    name: String,
    count: u64,
}

struct Budget {
    left: f64,
    last: Timestamp,
}

impl Correlator {
    fn decide(&mut self, occurrence: &Occurrence) -> Decision {
        let about = ObjectReference { resource_version: String::new(), ..occurrence.about.clone() };
        let alike: Alike = (about.clone(), occurrence.kind, occurrence.reason.clone());
        let (message, grouped) = self.group(&alike, occurrence);
        let key = (alike, if grouped { String::new() } else { message.clone() });
        let seen = self.sent.get_mut(&key).map(|sent| {
            sent.count += 1;
            Decision::Count { name: sent.name.clone(), count: sent.count, message: message.clone() }
        });
        if !self.may_send(&about, occurrence.at) {
            return Decision::Drop;
        }
        seen.unwrap_or(Decision::Create { message })
    }

    /// The message to send, and whether it stands for many.
    fn group(&mut self, alike: &Alike, occurrence: &Occurrence) -> (String, bool) {
        forget_if_full(&mut self.similar);
        let fresh = || Similar { messages: HashSet::new(), last: occurrence.at };
        let similar = self.similar.entry(alike.clone()).or_insert_with(fresh);
        let pause = occurrence.at.duration_since(similar.last).unsigned_abs();
        if pause > SIMILAR_WINDOW {
            *similar = fresh();
        }
        similar.last = occurrence.at;
        if similar.messages.len() < SIMILAR_MAX {
            similar.messages.insert(occurrence.message.clone());
        }
        if similar.messages.len() < SIMILAR_MAX {
            (occurrence.message.clone(), false)
        } else {
            (format!("(combined from similar events): {}", occurrence.message), true)
        }
    }

    fn may_send(&mut self, about: &ObjectReference, now: Timestamp) -> bool {
        forget_if_full(&mut self.budgets);
        let budget = self.budgets.entry(about.clone()).or_insert(Budget { left: BURST, last: now });
        let passed = now.duration_since(budget.last).as_secs_f64().max(0.0);
        budget.left = (budget.left + passed / REFILL.as_secs_f64()).min(BURST);
        budget.last = now;
        let may = budget.left >= 1.0;
        if may {
            budget.left -= 1.0;
        }
        may
    }

    fn created(&mut self, occurrence: &Occurrence, message: &str, name: String) {
        forget_if_full(&mut self.sent);
        let about = ObjectReference { resource_version: String::new(), ..occurrence.about.clone() };
        let grouped = message.starts_with("(combined from similar events): ");
        let alike = (about, occurrence.kind, occurrence.reason.clone());
        let key = (alike, if grouped { String::new() } else { message.to_owned() });
        self.sent.insert(key, Sent { name, count: 1 });
    }
}

/// Bounds what is remembered; forgetting only means that a repetition gets an Event of its own.
fn forget_if_full<K, V>(map: &mut HashMap<K, V>) {
    if map.len() >= REMEMBERED_MAX {
        map.clear();
    }
}

/// Gives Events their names, as upstream does: the object's, and the time in nanoseconds. Of two at the same moment the second is taken for
/// a nanosecond later.
#[derive(Debug)]
pub struct EventNames {
    last: i128,
}

impl Default for EventNames {
    fn default() -> Self {
        Self { last: i128::MIN }
    }
}

impl EventNames {
    pub fn next(&mut self, about: &str, at: Timestamp) -> String {
        self.last = at.as_nanosecond().max(self.last.saturating_add(1));
        format!("{about}.{:x}", self.last)
    }
}

struct Sender {
    client: Client,
    names: EventNames,
    correlator: Correlator,
    component: String,
    node: String,
}

impl Sender {
    async fn run(mut self, mut occurrences: mpsc::Receiver<Occurrence>) {
        while let Some(occurrence) = occurrences.recv().await {
            let result = match self.correlator.decide(&occurrence) {
                Decision::Drop => Ok(()),
                Decision::Create { message } => self.create(&occurrence, &message).await,
                Decision::Count { name, count, message } => {
                    match self.count(&occurrence, &name, count, &message).await {
                        // It has been deleted, or its time is over.
                        Err(status) if status.is_not_found() => self.create(&occurrence, &message).await,
                        result => result,
                    }
                }
            };
            match result {
                Ok(()) => {}
                Err(status) if status.is_namespace_terminating() || status.is_not_found() => {}
                Err(status) => {
                    tracing::warn!(reason = occurrence.reason, error = %status, "an event cannot be written");
                }
            }
        }
    }

    fn namespace(occurrence: &Occurrence) -> &str {
        match occurrence.about.namespace.as_str() {
            "" => "default",
            namespace => namespace,
        }
    }

    async fn create(&mut self, occurrence: &Occurrence, message: &str) -> Result<(), Status> {
        let at = rfc3339(occurrence.at);
        let name = self.names.next(&occurrence.about.name, occurrence.at);
        let namespace = Self::namespace(occurrence);
        let mut source = json!({"component": self.component});
        if !self.node.is_empty() {
            source["host"] = json!(self.node);
        }
        let event = json!({
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": occurrence.about,
            "reason": occurrence.reason,
            "message": message,
            "source": source,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
            "type": occurrence.kind.name(),
            "reportingComponent": self.component,
            "reportingInstance": self.node,
        });
        self.client.create(&EVENTS, namespace, &event).await?;
        self.correlator.created(occurrence, message, name);
        Ok(())
    }

    async fn count(&self, occurrence: &Occurrence, name: &str, count: u64, message: &str) -> Result<(), Status> {
        let key = ObjectKey::new(Self::namespace(occurrence), name);
        let patch = json!({"count": count, "lastTimestamp": rfc3339(occurrence.at), "message": message});
        self.client.patch(&EVENTS, &key, OBJECT, &patch).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occurrence(reason: &str, message: &str, second: i64) -> Occurrence {
        Occurrence {
            about: ObjectReference { name: "p".to_owned(), ..ObjectReference::default() },
            kind: EventType::Normal,
            reason: reason.to_owned(),
            message: message.to_owned(),
            at: Timestamp::from_second(second).unwrap(),
        }
    }

    fn send(correlator: &mut Correlator, occurrence: &Occurrence) -> Decision {
        let decision = correlator.decide(occurrence);
        if let Decision::Create { message } = &decision {
            correlator.created(occurrence, message, format!("event of {message}"));
        }
        decision
    }

    #[test]
    fn repetitions_are_counted() {
        let mut correlator = Correlator::default();
        assert_eq!(send(&mut correlator, &occurrence("R", "m", 0)), Decision::Create { message: "m".to_owned() });
        for count in 2..5 {
            let expected = Decision::Count { name: "event of m".to_owned(), count, message: "m".to_owned() };
            assert_eq!(send(&mut correlator, &occurrence("R", "m", count as i64)), expected);
        }
    }

    #[test]
    fn similar_messages_are_taken_together() {
        let mut correlator = Correlator::default();
        for n in 0..9 {
            assert!(matches!(send(&mut correlator, &occurrence("R", &format!("m{n}"), n)), Decision::Create { .. }));
        }
        let tenth = send(&mut correlator, &occurrence("R", "m9", 9));
        assert_eq!(tenth, Decision::Create { message: "(combined from similar events): m9".to_owned() });
        assert!(matches!(send(&mut correlator, &occurrence("R", "m10", 10)), Decision::Count { count: 2, .. }));
        // After a pause the counting starts anew.
        assert_eq!(
            send(&mut correlator, &occurrence("R", "later", 1000)),
            Decision::Create { message: "later".to_owned() }
        );
    }

    #[test]
    fn names_of_one_moment_differ() {
        let mut names = EventNames::default();
        let at = Timestamp::from_second(1).unwrap();
        assert_eq!([names.next("p", at), names.next("p", at)], ["p.3b9aca00", "p.3b9aca01"]);
    }

    #[test]
    fn too_many_are_cut_short() {
        let mut correlator = Correlator::default();
        let sent =
            (0..40).filter(|n| send(&mut correlator, &occurrence(&format!("R{n}"), "m", 0)) != Decision::Drop).count();
        assert_eq!(sent, 25);
        assert_ne!(send(&mut correlator, &occurrence("again", "m", 301)), Decision::Drop);
    }
}
