//! Looks after the definitions of custom resources: gives them their names and establishes them, and empties those that are being
//! deleted. The registry follows what their status says ([`crate::registry`]).
//!
//! Everything here reads the store and writes through the API. A definition is looked at when it changes, and those of its group that
//! want a name when one becomes free.
//! Source: apiextensions-apiserver `controller/{status,establish,finalizer}`.

mod emptying;
mod known;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::{self, JoinSet};
use windlass_api::condition::{self as conditions, Condition};
use windlass_api::resource::CUSTOM_RESOURCE_DEFINITIONS;
use windlass_api::well_known::{finalizer, group};
use windlass_api::{ObjectKey, Status};
use windlass_auth::User;
use windlass_client::{Client, STATUS};
use windlass_resources::definition::Definition;
use windlass_resources::definition::naming::{self, Naming, Taken};
use windlass_store::{Event, EventKind, Item, Range, Table, Watch};

use crate::direct::Direct;
use crate::registry::Registry;
use crate::server::Server;
use known::Known;

/// Under this name upstream records what it writes to definitions.
const MANAGER: &str = "kube-apiserver";

/// After a failure.
const RETRY: Duration = Duration::from_secs(1);

/// The definitions of a server, looked after.
pub struct Definitions {
    writer: Writer,
    known: Known,
    /// The UIDs of those that are being emptied, each by a task.
    emptying: HashMap<task::Id, String>,
    tasks: JoinSet<()>,
    /// Those whose status could not be written.
    failed: HashSet<Box<str>>,
}

/// The way to the definitions' status.
#[derive(Clone)]
struct Writer {
    server: Arc<Server>,
    user: Arc<User>,
    client: Client,
}

impl Definitions {
    pub fn new(server: &Arc<Server>) -> Self {
        let user = User::new("system:apiserver", &[group::MASTERS]);
        let client = Client::new(Arc::new(Direct::new(server.clone(), user.clone(), MANAGER)));
        let writer = Writer { server: server.clone(), user: Arc::new(user), client };
        Self {
            writer,
            known: Known::default(),
            emptying: HashMap::new(),
            tasks: JoinSet::new(),
            failed: HashSet::new(),
        }
    }

    /// Looks after the definitions, for ever.
    pub async fn keep(mut self) {
        let table = self.writer.table();
        let mut watch = self.begin(&table).await;
        loop {
            let events = tokio::select! {
                events = watch.next() => events,
                Some(ended) = self.tasks.join_next_with_id() => {
                    let task = ended.map_or_else(|error| error.id(), |(task, ())| task);
                    self.emptying.remove(&task);
                    continue;
                }
                () = tokio::time::sleep(RETRY), if !self.failed.is_empty() => {
                    for name in std::mem::take(&mut self.failed) {
                        self.look_at(&name).await;
                    }
                    continue;
                }
            };
            match events {
                Ok(events) => self.follow(&events).await,
                // So much has happened that what went is no longer known.
                Err(_) => watch = self.begin(&table).await,
            }
        }
    }

    /// Looks at all definitions, in the order in which they were made: who was there first has the name.
    async fn begin(&mut self, table: &Arc<Table>) -> Watch {
        loop {
            let state = table.state();
            let Ok(watch) = table.watch(state.last()) else { continue };
            let mut items: Vec<&Arc<Item>> = state.iter(&Range::default()).collect();
            items.sort_by_key(|item| item.created);
            self.known = Known::default();
            items.iter().for_each(|item| drop(self.known.put(item)));
            for item in items {
                self.look_at(&item.key).await;
            }
            return watch;
        }
    }

    async fn follow(&mut self, events: &[Arc<Event>]) {
        let mut changed: Vec<Box<str>> = Vec::new();
        for event in events {
            let freed = match event.kind {
                EventKind::Deleted => self.known.remove(&event.item.key),
                _ => {
                    changed.push(event.item.key.clone());
                    self.known.put(&event.item)
                }
            };
            changed.extend(freed.map(|group| self.known.wanting(&group)).into_iter().flatten());
        }
        for name in changed {
            self.look_at(&name).await;
        }
    }

    async fn look_at(&mut self, name: &str) {
        let Some(definition) = self.known.get(name) else { return };
        let taken = Taken::of(self.known.of_group(&definition.spec.group));
        let (naming, approval) = (naming::decide(definition, &taken), definition.approval());
        if naming.is_some() || approval.is_some() {
            // What is written comes back as an event, and is looked at again.
            match self.writer.write(definition, |conditions| status_patch(naming, approval, conditions)).await {
                Ok(_) => self.writer.table().get(name).iter().for_each(|item| drop(self.known.put(item))),
                Err(error) => {
                    tracing::warn!(definition = name, %error, "a definition's status cannot be written");
                    self.failed.insert(name.into());
                }
            }
            return;
        }
        let metadata = &definition.metadata;
        let is_full = metadata.finalizers.iter().any(|name| name == finalizer::CUSTOM_RESOURCE_CLEANUP);
        let is_being_emptied = self.emptying.values().any(|uid| *uid == metadata.uid);
        if metadata.is_deleting() && is_full && !is_being_emptied {
            let (writer, name, uid) = (self.writer.clone(), name.to_owned(), metadata.uid.clone());
            let task = self.tasks.spawn(async move { emptying::empty(&writer, &name, &uid).await });
            self.emptying.insert(task.id(), metadata.uid.clone());
        }
    }
}

impl Writer {
    fn table(&self) -> Arc<Table> {
        self.server.store().table(Registry::DEFINITIONS)
    }

    /// Patches the status of a definition that is still the one that was read; `patch` is given its conditions. Says whether it was:
    /// when it has changed or gone meanwhile, nothing is written.
    async fn write(&self, definition: &Definition, patch: impl FnOnce(Conditions) -> Value) -> Result<bool, Status> {
        let now = self.server.clock().now();
        let mut patch = patch(Conditions { all: definition.status.conditions.clone(), now });
        let metadata = &definition.metadata;
        patch["metadata"]["uid"] = json!(metadata.uid);
        patch["metadata"]["resourceVersion"] = json!(metadata.resource_version);
        let key = ObjectKey::new("", &metadata.name);
        match self.client.patch(&CUSTOM_RESOURCE_DEFINITIONS, &key, STATUS, &patch).await {
            Err(status) if status.says_gone() || status.is_conflict() => Ok(false),
            Err(status) => Err(status),
            Ok(_) => Ok(true),
        }
    }
}

/// Conditions that are being changed.
struct Conditions {
    all: Vec<Condition>,
    now: windlass_api::Timestamp,
}

impl Conditions {
    fn with(mut self, condition: Condition) -> Self {
        conditions::set(&mut self.all, condition, self.now);
        self
    }
}

fn status_patch(naming: Option<Naming>, approval: Option<Condition>, mut conditions: Conditions) -> Value {
    let mut status = json!({});
    if let Some(approval) = approval {
        conditions = conditions.with(approval);
    }
    if let Some(naming) = naming {
        // Names that are no longer wanted are taken back.
        let mut names = json!({"shortNames": null, "categories": null, "singular": null, "listKind": null});
        if let (Some(names), Ok(Value::Object(accepted))) =
            (names.as_object_mut(), serde_json::to_value(naming.accepted))
        {
            names.extend(accepted);
        }
        status["acceptedNames"] = names;
        conditions = conditions.with(naming.names_accepted).with(naming.established);
    }
    status["conditions"] = json!(conditions.all);
    json!({"status": status})
}
