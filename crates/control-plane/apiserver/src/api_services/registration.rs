//! Makes APIServices of the group versions that this server serves itself: of those that are built in when it starts, and of those
//! of definitions for as long as these are there. What to do with one is [`automanaged`](super::automanaged)'s matter.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use windlass_api::{GroupVersionResource, ObjectKey, Status};
use windlass_client::{Client, DeleteOptions, OBJECT, Outcome, WorkQueue};
use windlass_resources::definition::Definition;
use windlass_store::Range;

use super::automanaged::{Action, Current, Managed, Situation};
use super::following::follow;
use crate::aggregation::api_service::{AUTOMANAGED, ApiService, Priority, Spec};
use crate::aggregation::priorities::{OF_CUSTOM, of_builtin};
use crate::aggregation::server::Aggregation;
use crate::registry::Registry;
use crate::server::Server;

const RESOURCE: GroupVersionResource = GroupVersionResource::of("apiregistration.k8s.io", "v1", "apiservices");
/// As many as there are built-in group versions: those of a new cluster share their writes to the disk.
const WORKERS: usize = 32;

pub(super) struct Registration {
    server: Arc<Server>,
    client: Client,
    queue: WorkQueue<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    builtin: HashMap<String, Spec>,
    /// How many definitions serve a group version.
    custom: HashMap<String, (Spec, usize)>,
    /// What each definition serves.
    by_definition: HashMap<String, BTreeSet<String>>,
    /// Those that were there when the server started.
    at_start: HashSet<String>,
    settled: HashSet<String>,
    /// Those of built-in group versions that are not settled yet.
    pending: HashSet<String>,
}

fn spec(group: &str, version: &str, priority: Priority) -> Spec {
    Spec {
        group: group.to_owned(),
        version: version.to_owned(),
        group_priority_minimum: priority.group,
        version_priority: priority.version,
        ..Spec::default()
    }
}

fn name(group: &str, version: &str) -> String {
    format!("{version}.{group}")
}

impl State {
    fn desired(&self, name: &str) -> Option<(Managed, &Spec)> {
        let custom = self.custom.get(name).map(|(spec, _)| (Managed::Always, spec));
        custom.or_else(|| self.builtin.get(name).map(|spec| (Managed::OnStart, spec)))
    }

    /// Takes in what a definition serves now. Returns the names that may have changed.
    fn define(&mut self, definition: &str, served: Vec<Spec>) -> BTreeSet<String> {
        let before = self.by_definition.remove(definition).unwrap_or_default();
        for name in &before {
            if let Some((_, count)) = self.custom.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.custom.remove(name);
                }
            }
        }
        let mut now = BTreeSet::new();
        for spec in served {
            let name = name(&spec.group, &spec.version);
            if now.insert(name.clone()) {
                self.custom.entry(name).or_insert((spec, 0)).1 += 1;
            }
        }
        let changed = before.symmetric_difference(&now).cloned().collect();
        if !now.is_empty() {
            self.by_definition.insert(definition.to_owned(), now);
        }
        changed
    }
}

impl Registration {
    pub(super) fn new(server: &Arc<Server>, client: Client) -> Self {
        let registry = server.registry();
        let kinds = registry.iter().filter(|served| !served.resource.is_custom()).map(|served| &served.resource.kind);
        let builtin: HashMap<String, Spec> = kinds
            .filter_map(|kind| {
                let priority = of_builtin(&kind.group, &kind.version)?;
                Some((name(&kind.group, &kind.version), spec(&kind.group, &kind.version, priority)))
            })
            .collect();
        let pending = builtin.keys().cloned().collect();
        let state = Mutex::new(State { builtin, pending, ..State::default() });
        Self { server: server.clone(), client, queue: WorkQueue::new(), state }
    }

    fn aggregation(&self) -> &Arc<Aggregation> {
        &self.server.aggregation
    }

    /// Looks after the APIServices, for ever.
    pub(super) async fn keep(&self) {
        let definitions = self.server.store().table(Registry::DEFINITIONS);
        // Those of definitions that are there shall not be taken for ones of definitions that have gone.
        definitions.state().iter(&Range::default()).for_each(|item| drop(self.define(&item.key)));
        {
            let mut state = self.state.lock();
            let present = self.aggregation().table().state();
            state.at_start = present.iter(&Range::default()).map(|item| item.key.to_string()).collect();
            state.builtin.keys().chain(state.custom.keys()).for_each(|name| self.queue.add(name.clone()));
        }
        let forgotten = || {
            let known: Vec<String> = self.state.lock().by_definition.keys().cloned().collect();
            known.iter().flat_map(|definition| self.define(definition)).for_each(|name| self.queue.add(name));
        };
        let follow_definitions = follow(&definitions, forgotten, |definition| {
            self.define(&definition.key).into_iter().for_each(|name| self.queue.add(name));
        });
        let table = self.aggregation().table();
        let follow_all = follow(table, || {}, |changed| self.queue.add(changed.key.to_string()));
        let work = self.queue.run("apiservice_registration", WORKERS, async |name| self.sync(name).await);
        futures::join!(follow_definitions, follow_all, work);
    }

    /// Reads a definition as it is now, if it is. Returns the names of APIServices that may have changed.
    fn define(&self, name: &str) -> BTreeSet<String> {
        let item = self.server.store().table(Registry::DEFINITIONS).get(name);
        let definition = item.and_then(|item| serde_json::from_slice::<Definition>(&item.value).ok());
        let served = definition.map_or_else(Vec::new, |definition| {
            let versions = definition.spec.versions.iter().filter(|version| version.served);
            versions.map(|version| spec(&definition.spec.group, &version.name, OF_CUSTOM)).collect()
        });
        self.state.lock().define(name, served)
    }

    async fn sync(&self, name: String) -> Result<Outcome, Status> {
        let item = self.aggregation().table().get(&name);
        let object: Value = match &item {
            Some(item) => serde_json::from_slice(&item.value).map_err(Status::internal)?,
            None => Value::Null,
        };
        let current: Option<ApiService> = item.is_some().then(|| ApiService::of(&object)).transpose()?;
        let (situation, desired) = {
            let state = self.state.lock();
            let desired = state.desired(&name).map(|(managed, spec)| (managed, spec.clone()));
            let current = current.as_ref().map(|current| Current {
                managed: Managed::read(current.automanaged()),
                is_as_desired: desired.as_ref().is_some_and(|(_, spec)| *spec == current.spec),
            });
            let situation = Situation {
                desired: desired.as_ref().map(|(managed, _)| *managed),
                current,
                was_at_start: state.at_start.contains(&name),
                is_settled: state.settled.contains(&name),
            };
            (situation, desired)
        };
        let key = ObjectKey::new("", &name);
        let done = match (situation.action(), desired) {
            (Action::Create, Some((managed, spec))) => {
                let metadata = json!({"name": name, "labels": {AUTOMANAGED: managed.label()}});
                let created = json!({"metadata": metadata, "spec": spec});
                self.client.create(&RESOURCE, "", &created).await.map(drop)
            }
            (Action::Update, Some((_, spec))) => {
                let mut updated = object;
                updated["spec"] = json!(spec);
                self.client.update(&RESOURCE, &key, OBJECT, &updated).await.map(drop)
            }
            (Action::Delete, _) => {
                let uid = current.map(|current| current.metadata.uid).unwrap_or_default();
                self.client.delete(&RESOURCE, &key, &DeleteOptions::of_uid(uid)).await.map(drop)
            }
            _ => Ok(()),
        };
        match done {
            // Somebody was quicker, which comes back as an event.
            Err(status) if status.says_gone() || status.is_conflict() || status.is_already_exists() => {}
            done => done?,
        }
        self.settle(name, situation);
        Ok(Outcome::Done)
    }

    fn settle(&self, name: String, situation: Situation) {
        let mut state = self.state.lock();
        state.pending.remove(&name);
        if state.pending.is_empty() {
            self.aggregation().set_registered();
        }
        if situation.desired.is_none() && situation.current.is_none() {
            // Names that users invent are not kept for ever.
            state.settled.remove(&name);
            state.at_start.remove(&name);
        } else {
            state.settled.insert(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_share_group_versions() {
        let mut state = State::default();
        let of = |versions: &[&str]| versions.iter().map(|version| spec("a", version, OF_CUSTOM)).collect::<Vec<_>>();
        let names = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(names(state.define("xs.a", of(&["v1", "v2"]))), "v1.a v2.a");
        assert_eq!(names(state.define("ys.a", of(&["v1"]))), "v1.a");
        assert_eq!(names(state.define("xs.a", of(&["v1"]))), "v2.a");
        assert!(state.desired("v1.a").is_some() && state.desired("v2.a").is_none());
        assert_eq!(names(state.define("xs.a", Vec::new())), "v1.a");
        assert_eq!(state.desired("v1.a").map(|(managed, _)| managed), Some(Managed::Always));
        state.define("ys.a", Vec::new());
        assert!(state.desired("v1.a").is_none() && state.by_definition.is_empty());
    }
}
