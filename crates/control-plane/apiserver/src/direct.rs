//! The transport for components in the same process: a call, no socket and no encoding. The component's user is authorized
//! and its writes are admitted like anybody's.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use windlass_api::{ObjectKey, Status};
use windlass_auth::User;
use windlass_client::{ApiResource, Discovered, Event, EventKind, List, Object, Reply, Request, Transport};
use windlass_machinery::json::with_type_meta;
use windlass_store::Item;

use crate::aggregation::Remote;
use crate::context::Context;
use crate::outcome::{Outcome, Payload};
use crate::registry::Served;
use crate::server::Server;
use crate::storage;
use crate::watcher::{Change, Watcher};

/// One component's way to the server.
#[derive(Clone)]
pub struct Direct {
    server: Arc<Server>,
    user: Arc<User>,
    name: Arc<str>,
}

impl Direct {
    /// `name` is the component's, as it would stand in a User-Agent.
    pub fn new(server: Arc<Server>, user: User, name: &str) -> Self {
        Self { server, user: Arc::new(user), name: name.into() }
    }
}

impl Direct {
    /// Who else serves a resource that this server does not have. What it has itself stays its own for its components.
    fn remote(&self, request: &Request) -> Option<Arc<Remote>> {
        let routes = self.server.aggregation.routes();
        if routes.is_local() || self.server.storage.find(&request.resource).is_ok() {
            return None;
        }
        routes.find(&request.resource.group, &request.resource.version).cloned()
    }
}

#[async_trait]
impl Transport for Direct {
    async fn call(&self, request: Request) -> Result<Reply, Status> {
        let context = Context::new(self.user.clone(), self.name.clone());
        let remote = self.remote(&request);
        if let Some(remote) = remote {
            self.server.gate.authorize_request(&context, &request).await?;
            return self.server.aggregation.call(&remote, &context.user, &request).await;
        }
        match self.server.call(&context, request).await? {
            Outcome::Object { payload, .. } => Ok(Reply::Object(object_of(payload)?)),
            Outcome::List(listed) => {
                let items: Result<Vec<Object>, Status> =
                    listed.items.iter().map(|item| item_object(&listed.served, item)).collect();
                Ok(Reply::List(List {
                    items: items?,
                    revision: listed.revision,
                    continue_token: listed.continue_token,
                }))
            }
            Outcome::Watch(watcher) => Ok(Reply::Watch(stream_of(*watcher))),
        }
    }

    async fn discover(&self) -> Result<Discovered, Status> {
        let describe = |served: &Arc<Served>| ApiResource {
            resource: served.resource.group_version_resource(),
            kind: served.resource.kind.kind.to_string(),
            namespaced: served.resource.is_namespaced(),
            verbs: served.resource.verbs.names().iter().map(|&verb| verb.to_owned()).collect(),
        };
        let registry = self.server.registry();
        let groups = registry.groups();
        let all = groups.values().flat_map(|group| group.versions.iter().flat_map(|(_, resources)| resources));
        let mut found = Discovered { resources: all.map(|served| describe(served)).collect(), stale: Vec::new() };
        self.server.aggregation.discover(&mut found);
        Ok(found)
    }
}

fn key_of(item: &Item) -> ObjectKey {
    ObjectKey::new(item.namespace(), item.name())
}

/// The store's own bytes, where they are in the form that is served.
fn item_object(served: &Served, item: &Item) -> Result<Object, Status> {
    let json = if served.resource.strategy.is_stored_form(item.revision) {
        item.value.clone()
    } else {
        let tree = storage::tree(served, item)?;
        serde_json::to_vec(&tree).map_err(Status::internal)?.into()
    };
    Ok(Object { key: key_of(item), revision: item.revision, json })
}

fn object_of(payload: Payload) -> Result<Object, Status> {
    match payload {
        Payload::Item(served, item) => item_object(&served, &item),
        Payload::Tree(kind, tree) => {
            let text = |field: &str| tree["metadata"][field].as_str().unwrap_or_default().to_owned();
            let (namespace, name) = (text("namespace"), text("name"));
            let revision = text("resourceVersion").parse().unwrap_or(0);
            let body = serde_json::to_vec(&tree).map_err(Status::internal)?;
            let prefix = windlass_machinery::json::type_meta_prefix(&kind.api_version(), &kind.kind);
            let json = with_type_meta(&prefix, &body).into();
            Ok(Object { key: ObjectKey { namespace, name }, revision, json })
        }
    }
}

fn stream_of(watcher: Watcher) -> BoxStream<'static, Result<Event, Status>> {
    let batches = stream::unfold(watcher, |mut watcher| async move {
        let batch = watcher.next().await?;
        let events: Vec<Result<Event, Status>> = match batch {
            Ok(changes) => changes.iter().map(|change| event_of(&watcher.served, change)).collect(),
            Err(status) => vec![Err(status)],
        };
        Some((stream::iter(events), watcher))
    });
    batches.flatten().boxed()
}

fn event_of(served: &Served, change: &Change) -> Result<Event, Status> {
    let (kind, item) = match change {
        Change::Event(event) => (event.kind, &event.item),
        Change::Object(kind, item) => (*kind, item),
        Change::Bookmark { revision, initial_events_end } => {
            let object = Object { key: ObjectKey::default(), revision: *revision, json: bytes::Bytes::new() };
            return Ok(Event { kind: EventKind::Bookmark, object, initial_events_end: *initial_events_end });
        }
    };
    let kind = match kind {
        windlass_store::EventKind::Added => EventKind::Added,
        windlass_store::EventKind::Modified => EventKind::Modified,
        windlass_store::EventKind::Deleted => EventKind::Deleted,
    };
    Ok(Event { kind, object: item_object(served, item)?, initial_events_end: false })
}
