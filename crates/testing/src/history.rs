//! Every change of every object since a moment: what watches and acknowledgements are held against.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use windlass_api::resource::{EVENTS, LEASES, NODES};
use windlass_api::{GroupVersionResource, ObjectKey, Status};
use windlass_client::{EventKind, Options, Reply, Request, VersionMatch};

use crate::cluster::Cluster;
use crate::watched::{Seen, Watched};

/// Resources that change although nothing happens.
const HEARTBEATS: [GroupVersionResource; 3] = [LEASES, NODES, EVENTS];

/// One change.
#[derive(Clone, Debug)]
pub struct Record {
    pub resource: GroupVersionResource,
    pub kind: EventKind,
    pub key: ObjectKey,
    pub revision: u64,
    pub json: Bytes,
    /// When it was seen, since the history began.
    pub at: Duration,
}

/// A write that was carried out, as its answer said.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    pub resource: GroupVersionResource,
    pub subresource: String,
    pub verb: &'static str,
    pub key: ObjectKey,
    pub revision: u64,
}

impl Acknowledged {
    /// What the answer to a write says; `None` for reads, failures, and answers that are not the object itself.
    pub(crate) fn of(request: &Request, reply: Result<&Reply, &Status>) -> Option<Self> {
        let Ok(Reply::Object(object)) = reply else { return None };
        let is_object = matches!(&*request.subresource, "" | "status");
        if request.verb.is_read_only() || request.options.dry_run || !is_object || object.revision == 0 {
            return None;
        }
        Some(Self {
            resource: request.resource.clone(),
            subresource: request.subresource.clone().into_owned(),
            verb: request.verb.name(),
            key: object.key.clone(),
            revision: object.revision,
        })
    }
}

/// The history of some resources; cloning shares it. It is kept as long as one of the clones is there.
#[derive(Clone, Debug)]
pub struct History {
    state: Arc<Mutex<State>>,
    /// How many changes there were, those of [`HEARTBEATS`] aside.
    count: Arc<watch::Sender<usize>>,
    _tasks: Arc<JoinSet<()>>,
}

#[derive(Debug, Default)]
struct State {
    resources: BTreeMap<String, Followed>,
    problems: Vec<String>,
}

#[derive(Debug, Default)]
struct Followed {
    initial: Vec<Record>,
    records: Vec<Record>,
}

impl History {
    /// Follows resources from now on.
    pub async fn of(cluster: &Cluster, resources: &[GroupVersionResource]) -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let count = Arc::new(watch::Sender::new(0));
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for resource in resources {
            let options = Options {
                send_initial_events: Some(true),
                version_match: Some(VersionMatch::NotOlderThan),
                allow_bookmarks: true,
                timeout_seconds: Some(1_000_000),
                ..Options::default()
            };
            let mut events = cluster.admin.watch(resource, "", options).await.unwrap();
            let (state, count, resource) = (state.clone(), count.clone(), resource.clone());
            lock(&state).resources.insert(resource.to_string(), Followed::default());
            let mut initial = true;
            tasks.spawn(async move {
                while let Some(event) = events.next().await {
                    let state = &mut *lock(&state);
                    let event = match event {
                        Ok(event) => event,
                        Err(status) => {
                            state.problems.push(format!("the history of {resource} broke off: {status}"));
                            return;
                        }
                    };
                    let followed = state.resources.get_mut(&resource.to_string()).unwrap();
                    if event.kind == EventKind::Bookmark {
                        initial &= !event.initial_events_end;
                        continue;
                    }
                    let record = Record {
                        resource: resource.clone(),
                        kind: event.kind,
                        key: event.object.key,
                        revision: event.object.revision,
                        json: event.object.json,
                        at: begun.elapsed(),
                    };
                    if initial {
                        followed.initial.push(record);
                        continue;
                    }
                    followed.records.push(record);
                    if !HEARTBEATS.contains(&resource) {
                        count.send_modify(|count| *count += 1);
                    }
                }
            });
        }
        Self { state, count, _tasks: Arc::new(tasks) }
    }

    /// How many changes there were, heartbeats and events aside.
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until nothing has changed for `quiet`, but not beyond `deadline`; whether it came to that.
    pub async fn quiet(&self, quiet: Duration, deadline: Instant) -> bool {
        let mut count = self.count.subscribe();
        while Instant::now() < deadline {
            count.mark_unchanged();
            if tokio::time::timeout(quiet, count.changed()).await.is_err() {
                return true;
            }
        }
        false
    }

    /// Waits until something changes; whether that was before `deadline`.
    pub async fn changes_before(&self, deadline: Instant) -> bool {
        let mut count = self.count.subscribe();
        tokio::time::timeout_at(deadline, count.changed()).await.is_ok()
    }

    /// All changes in the order of their revisions, after what was there at the beginning.
    pub fn records(&self) -> Vec<Record> {
        let state = lock(&self.state);
        let all =
            |of: fn(&Followed) -> &Vec<Record>| state.resources.values().flat_map(of).cloned().collect::<Vec<_>>();
        let (mut before, mut after) = (all(|followed| &followed.initial), all(|followed| &followed.records));
        before.sort_by_key(|record| record.revision);
        after.sort_by_key(|record| record.revision);
        before.append(&mut after);
        before
    }

    /// What is wrong with the history itself: an object that is added twice, or changes before it is there.
    pub fn problems(&self) -> Vec<String> {
        let state = lock(&self.state);
        let mut problems = state.problems.clone();
        for (resource, followed) in &state.resources {
            let mut there: BTreeMap<&ObjectKey, u64> =
                followed.initial.iter().map(|record| (&record.key, record.revision)).collect();
            let mut last = 0;
            for Record { kind, key, revision, .. } in &followed.records {
                let was = if *kind == EventKind::Deleted { there.remove(key) } else { there.insert(key, *revision) };
                if was.is_some() == (*kind == EventKind::Added) || was.is_some_and(|was| was >= *revision) {
                    problems.push(format!("{resource} {key}: {kind:?} at {revision}, after {was:?}"));
                }
                if *revision < last {
                    problems.push(format!("{resource} {key}: revision {revision} comes after {last}"));
                }
                last = *revision;
            }
        }
        problems
    }

    /// The acknowledged writes that did not happen.
    pub fn missing(&self, acknowledged: &[Acknowledged]) -> Vec<String> {
        let state = lock(&self.state);
        let happened = |write: &Acknowledged| {
            let Some(followed) = state.resources.get(&write.resource.to_string()) else { return true };
            let all = followed.initial.iter().chain(&followed.records);
            all.filter(|record| record.key == write.key).any(|record| record.revision == write.revision)
        };
        acknowledged
            .iter()
            .filter(|write| !happened(write))
            .map(|Acknowledged { verb, resource, key, revision, .. }| {
                format!(
                    "{verb} of {resource} {key} was acknowledged at revision {revision}, and there is no such change"
                )
            })
            .collect()
    }

    /// What is wrong with what a watch was told: events lost, repeated, out of order, or never written.
    pub fn faults_of(&self, watched: &Watched) -> Vec<String> {
        let state = lock(&self.state);
        let Some(followed) = state.resources.get(&watched.resource.to_string()) else { return Vec::new() };
        let seen = watched.seen();
        let complain = |problem: String| {
            vec![format!("a watch of {} by {} from {:?}: {problem}", watched.resource, watched.component, watched.from)]
        };
        let initial_end = seen.iter().position(|event| event.initial_events_end);
        let (from, events) = match (watched.from, initial_end) {
            (Some(from), _) => (from, &seen[..]),
            // It was cut before it had told what there is.
            (None, None) => return Vec::new(),
            (None, Some(end)) => {
                if watched.is_whole
                    && let Some(problem) = followed.compare_initial(watched, &seen[..end], seen[end].revision)
                {
                    return complain(problem);
                }
                (seen[end].revision, &seen[end + 1..])
            }
        };
        let mut last = from;
        for event in events {
            let is_late =
                if event.kind == EventKind::Bookmark { event.revision < last } else { event.revision <= last };
            if is_late {
                return complain(format!("{event:?} comes after revision {last}"));
            }
            last = event.revision;
        }
        if !watched.is_whole {
            return Vec::new();
        }
        let of_it = |record: &&Record| {
            record.revision > from && record.revision <= last && is_in(&watched.namespace, &record.key)
        };
        let expected = followed.records.iter().filter(of_it).map(|record| (record.kind, &record.key, record.revision));
        let told = events.iter().filter(|event| event.kind != EventKind::Bookmark);
        let told: Vec<_> = told.map(|event| (event.kind, &event.key, event.revision)).collect();
        let expected: Vec<_> = expected.collect();
        if told == expected {
            return Vec::new();
        }
        let at = told.iter().zip(&expected).position(|(told, expected)| told != expected);
        let at = at.unwrap_or(told.len().min(expected.len()));
        complain(format!("it was told {:?} instead of {:?}", told.get(at), expected.get(at)))
    }
}

impl Followed {
    /// Compares the first events of a watch with what there was at a revision.
    fn compare_initial(&self, watched: &Watched, told: &[Seen], revision: u64) -> Option<String> {
        let mut there: BTreeMap<&ObjectKey, u64> = BTreeMap::new();
        for record in self.initial.iter().chain(&self.records).filter(|record| record.revision <= revision) {
            if record.kind == EventKind::Deleted {
                there.remove(&record.key);
            } else {
                there.insert(&record.key, record.revision);
            }
        }
        there.retain(|key, _| is_in(&watched.namespace, key));
        let told: BTreeMap<&ObjectKey, u64> = told.iter().map(|event| (&event.key, event.revision)).collect();
        (there != told).then(|| format!("at revision {revision} it began with {told:?} instead of {there:?}"))
    }
}

fn is_in(namespace: &str, key: &ObjectKey) -> bool {
    namespace.is_empty() || key.namespace == namespace
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use windlass_api::resource::CONFIG_MAPS;
    use windlass_client::{Client, Informers};

    use super::*;
    use crate::{Dice, Faults, Life, Rates, Story, admin};

    async fn create(cluster: &Cluster, name: &str) {
        cluster.create(&CONFIG_MAPS, "default", json!({"metadata": {"name": name}})).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_watch_was_told_is_held_against_what_happened() {
        let cluster = Cluster::start().await;
        create(&cluster, "before").await;
        let history = History::of(&cluster, &[CONFIG_MAPS]).await;
        let faults = Faults::new(Dice::new(0), Rates::default(), Story::default());
        let client = Client::new(Life::immortal(&faults, "test").over(cluster.transport(admin(), "test")));
        let informers = Informers::new(client.clone());
        let informer = informers.of(&CONFIG_MAPS);
        informer.synced().await;
        for name in ["a", "b", "c"] {
            client.create(&CONFIG_MAPS, "default", &json!({"metadata": {"name": name}})).await.unwrap();
        }
        informer.until(|informer| informer.get(&ObjectKey::new("default", "c")).is_some()).await;
        history.quiet(Duration::from_secs(1), Instant::now() + Duration::from_secs(10)).await;
        let watched = faults.watched().remove(0);
        assert!(history.problems().is_empty() && history.faults_of(&watched).is_empty());
        let told = watched.seen().clone();
        let tampered = |with: &dyn Fn(&mut Vec<Seen>)| {
            with(&mut watched.seen());
            let found = history.faults_of(&watched);
            watched.seen().clone_from(&told);
            found
        };
        let end = told.len() - 1;
        assert!(!tampered(&|seen| _ = seen.remove(0)).is_empty(), "one of the first is missing");
        assert!(!tampered(&|seen| _ = seen.remove(end - 1)).is_empty(), "one is lost");
        assert!(!tampered(&|seen| seen.push(told[end].clone())).is_empty(), "one is repeated");
        assert!(!tampered(&|seen| seen.swap(end, end - 1)).is_empty(), "two are in the wrong order");
        let mut acknowledged = faults.acknowledged();
        assert_eq!((acknowledged.len(), history.missing(&acknowledged)), (3, Vec::<String>::new()));
        acknowledged[0].revision += 1000;
        assert_eq!(history.missing(&acknowledged).len(), 1);
    }
}
