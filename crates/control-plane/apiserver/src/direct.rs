//! The transport for components in the same process: a call, no socket and no encoding. The component's user is authorized
//! and its writes are admitted like anybody's.

use std::net::Ipv4Addr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use serde_json::Value;
use windlass_api::{GroupVersionKind, ObjectKey, Status};
use windlass_audit::{About, Stage, Trail};
use windlass_auth::User;
use windlass_client::{ApiResource, Discovered, Event, EventKind, List, Object, Reply, Request, Transport, Verb};
use windlass_machinery::json::with_type_meta;
use windlass_machinery::names::new_uid;
use windlass_store::Item;

use crate::aggregation::Remote;
use crate::auditing::{UntilEnd, record_failure, record_outcome};
use crate::authorization::{request_attributes, with_request_info};
use crate::context::Context;
use crate::encode::Format;
use crate::outcome::{Outcome, Payload, panicked};
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

impl Direct {
    /// Begins the trail of a request in the audit log, where nothing else shows what components do; `None` when nothing of it is recorded.
    async fn trail(&self, request: &Request) -> Result<Option<Arc<Trail>>, Status> {
        let Some(auditor) = &self.server.auditor else { return Ok(None) };
        let asked = with_request_info(request_attributes(&self.user, request));
        let id = new_uid(&self.server.storage.chance);
        let received = self.server.clock().now();
        let source_ips = vec![Ipv4Addr::LOCALHOST.into()];
        let about = About { id: &id, uri: request_path(request), source_ips, agent: &self.name, received };
        let trail = auditor.begin(&asked, about);
        if let Some(trail) = &trail {
            trail.received().await.map_err(Status::internal)?;
        }
        Ok(trail)
    }

    async fn answer(&self, context: &Context, request: Request) -> Result<Outcome, Status> {
        // A request that panics fails; who asked goes on.
        let answering = AssertUnwindSafe(self.server.call(context, request)).catch_unwind();
        let Ok(outcome) = answering.await else {
            tracing::error!(component = &*self.name, "a request of a component panicked");
            let status = panicked();
            if let Some(trail) = &context.trail {
                record_failure(trail, &status);
                trail.reached(Stage::Panic).await;
            }
            return Err(status);
        };
        if let Some(trail) = &context.trail {
            let (code, is_watch) = match &outcome {
                Ok(Outcome::Watch(_)) => (200, true),
                Ok(Outcome::Object { created: true, .. }) => (201, false),
                Ok(_) => (200, false),
                Err(status) => (status.code, false),
            };
            match &outcome {
                Ok(outcome) => record_outcome(trail, outcome, Format::default(), self.server.clock().now()),
                Err(status) => record_failure(trail, status),
            }
            trail.answered(code);
            trail.reached(if is_watch { Stage::ResponseStarted } else { Stage::ResponseComplete }).await;
        }
        outcome
    }
}

/// The path under which a client would have made a request.
fn request_path(request: &Request) -> String {
    let resource = &request.resource;
    let group = if resource.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", resource.group) };
    let mut path = format!("{group}/{}", resource.version);
    if !request.namespace.is_empty() {
        path += &format!("/namespaces/{}", request.namespace);
    }
    path += &format!("/{}", resource.resource);
    for part in [request.name.as_str(), &request.subresource].into_iter().filter(|part| !part.is_empty()) {
        path += &format!("/{part}");
    }
    if request.verb == Verb::Watch { path + "?watch=true" } else { path }
}

#[async_trait]
impl Transport for Direct {
    async fn call(&self, request: Request) -> Result<Reply, Status> {
        let context = Context::new(self.user.clone(), self.name.clone()).with_trail(self.trail(&request).await?);
        let remote = self.remote(&request);
        if let Some(remote) = remote {
            self.server.gate.authorize_request(&context, &request).await?;
            return self.server.aggregation.call(&remote, &context.user, &request).await;
        }
        match self.answer(&context, request).await? {
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
            Outcome::Watch(watcher) => {
                let until_end = context.trail.map(UntilEnd);
                let events = stream_of(*watcher).inspect(move |_| {
                    let _held = &until_end;
                });
                Ok(Reply::Watch(events.boxed()))
            }
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
        Payload::Draft(served, object) => tree_object(&served.resource.kind, &object),
        Payload::Tree(kind, tree) => tree_object(&kind, &tree),
    }
}

fn tree_object(kind: &GroupVersionKind, tree: &Value) -> Result<Object, Status> {
    let text = |field: &str| tree["metadata"][field].as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text("namespace"), text("name"));
    let revision = text("resourceVersion").parse().unwrap_or(0);
    let body = serde_json::to_vec(tree).map_err(Status::internal)?;
    let prefix = windlass_machinery::json::type_meta_prefix(&kind.api_version(), &kind.kind);
    let json = with_type_meta(&prefix, &body).into();
    Ok(Object { key: ObjectKey { namespace, name }, revision, json })
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
