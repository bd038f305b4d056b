//! Who depends on whom, read from the informers of all resources.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use windlass_api::meta::PartialObject;
use windlass_api::resource::CUSTOM_RESOURCE_DEFINITIONS;
use windlass_api::well_known::finalizer;
use windlass_api::{Expiring, GroupVersionResource, Meta, ObjectKey, OwnerReference};
use windlass_client::{ApiResource, Change, Client, Discovered, Informer, Informers, WorkQueue};

const BY_OWNER: &str = "owner";
/// Resources change when definitions do, which wakes the collector; this is for API servers that are registered and come up later.
const REDISCOVER: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(1);
/// Owners that are remembered as gone, and for how long.
const GONE_MAX: usize = 1000;
const GONE: Duration = Duration::from_secs(600);
/// How long a cache may take to fill before its objects are looked at all the same.
const FILL: Duration = Duration::from_secs(5);
const API_SERVICES: GroupVersionResource = GroupVersionResource::of("apiregistration.k8s.io", "v1", "apiservices");

/// An object, by its coordinates.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Node {
    pub resource: GroupVersionResource,
    pub key: ObjectKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Cluster,
    Namespaced,
}

impl Scope {
    pub(super) fn key(self, namespace: &str, name: &str) -> ObjectKey {
        match self {
            Self::Cluster => ObjectKey::new("", name),
            Self::Namespaced => ObjectKey::new(namespace, name),
        }
    }
}

struct Followed {
    resource: ApiResource,
    informer: Arc<Informer>,
}

/// All resources that are collected, each with its informer.
pub(super) struct Graph {
    informers: Arc<Informers>,
    queue: WorkQueue<Node>,
    followed: RwLock<HashMap<GroupVersionResource, Followed>>,
    /// UIDs of owners that were seen to go: nobody can be asked about them when their kind is no longer served.
    gone: Expiring<String, ()>,
    /// Objects that have owners of a kind, by group and name, that is not served.
    waiting: Mutex<HashMap<(String, String), HashSet<Node>>>,
}

impl Graph {
    pub(super) fn new(informers: Arc<Informers>, queue: WorkQueue<Node>) -> Self {
        Self { informers, queue, followed: RwLock::default(), gone: Expiring::new(GONE_MAX), waiting: Mutex::default() }
    }

    pub(super) fn enqueue(&self, node: Node) {
        self.queue.add(node);
    }

    fn followed(&self) -> parking_lot::RwLockReadGuard<'_, HashMap<GroupVersionResource, Followed>> {
        self.followed.read()
    }

    /// The objects that name this UID among their owners.
    pub(super) fn dependents(&self, uid: &str) -> Vec<(Node, Meta)> {
        let mut found = Vec::new();
        for followed in self.followed().values() {
            for object in followed.informer.by_index(BY_OWNER, uid) {
                if let Ok(dependent) = object.decode::<PartialObject>() {
                    found.push((
                        Node { resource: followed.resource.resource.clone(), key: object.key },
                        dependent.metadata,
                    ));
                }
            }
        }
        found
    }

    /// The resource that an owner reference is about; `None` when no such kind is served.
    pub(super) fn resource_of(&self, owner: &OwnerReference) -> Option<(GroupVersionResource, Scope)> {
        let group = group_of_owner(owner);
        let followed = self.followed();
        let found = followed
            .values()
            .find(|followed| followed.resource.kind == owner.kind && followed.resource.resource.group == group)?;
        let scope = if found.resource.namespaced { Scope::Namespaced } else { Scope::Cluster };
        Some((found.resource.resource.clone(), scope))
    }

    /// Whether an owner was seen to go.
    pub(super) fn has_gone(&self, uid: &str) -> bool {
        self.gone.get(uid).is_some()
    }

    /// Has an object looked at again when the kind of its owner is served.
    pub(super) fn wait_for_kind_of(&self, owner: &OwnerReference, node: &Node) {
        self.waiting.lock().entry(kind_of_owner(owner)).or_default().insert(node.clone());
    }

    /// An object that has gone waits for nobody.
    fn wait_no_longer(&self, meta: &Meta, node: &Node) {
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() {
            return;
        }
        for kind in meta.owner_references.iter().map(kind_of_owner) {
            if let Some(nodes) = waiting.get_mut(&kind) {
                nodes.remove(node);
                if nodes.is_empty() {
                    waiting.remove(&kind);
                }
            }
        }
    }

    /// The kind of a resource.
    pub(super) fn kind_of(&self, resource: &GroupVersionResource) -> Option<String> {
        self.followed().get(resource).map(|followed| followed.resource.kind.clone())
    }

    /// Whether the owner that a reference means lives in another namespace than its dependent. It looks through all objects of the
    /// owner's kind: for owners that are not where they should be.
    pub(super) fn is_elsewhere(&self, owner: &OwnerReference, namespace: &str) -> bool {
        let Some((resource, _)) = self.resource_of(owner) else { return false };
        let informer = self.followed().get(&resource).map(|followed| followed.informer.clone());
        informer.is_some_and(|informer| {
            let mut elsewhere = informer.list("").into_iter().filter(|object| object.key.namespace != namespace);
            elsewhere.any(|object| {
                object.key.name == owner.name
                    && object.decode::<PartialObject>().is_ok_and(|object| object.metadata.uid == owner.uid)
            })
        })
    }

    /// Keeps following every resource that can be listed, watched and deleted, for ever.
    pub(super) async fn follow_resources(self: &Arc<Self>, client: &Client) {
        let changed = Arc::new(Notify::new());
        for resource in [&CUSTOM_RESOURCE_DEFINITIONS, &API_SERVICES] {
            let changed = changed.clone();
            self.informers.of(resource).subscribe(move |_| changed.notify_one());
        }
        loop {
            let wait = match client.discover().await {
                Ok(found) => {
                    self.follow(found).await;
                    REDISCOVER
                }
                Err(error) => {
                    tracing::warn!(%error, "the garbage collector cannot learn which resources there are");
                    RETRY
                }
            };
            // Waiting longer than this changes nothing but how soon new resources are collected.
            let _ = tokio::time::timeout(wait, changed.notified()).await;
        }
    }

    async fn follow(self: &Arc<Self>, found: Discovered) {
        self.forget_all_but(&found);
        let mut new = Vec::new();
        for resource in found.resources {
            let name = &resource.resource;
            let collected = ["list", "watch", "delete"].iter().all(|verb| resource.has_verb(verb));
            // Events have no dependents worth the while, and there are many of them.
            if !collected || name.resource == "events" || self.followed().contains_key(name) {
                continue;
            }
            let informer = self.informers.of(name);
            informer.add_index(BY_OWNER, |object| {
                let Ok(object) = object.decode::<PartialObject>() else { return Vec::new() };
                object.metadata.owner_references.into_iter().map(|owner| owner.uid).collect()
            });
            new.push((name.clone(), informer.clone()));
            let followed = Followed { resource: resource.clone(), informer };
            self.followed.write().insert(resource.resource, followed);
        }
        // With all caches filled, an owner that is in none of them is worth a question to the API, and only then.
        for (_, informer) in &new {
            let _ = tokio::time::timeout(FILL, informer.synced()).await;
        }
        // Subscribed one after the other, an owner's end could fall between its dependents' turn and its own. So all are subscribed
        // before any counts, and then everything is looked at once.
        let counts = Arc::new(AtomicBool::new(false));
        for (resource, informer) in &new {
            let (graph, counts, resource) = (Arc::downgrade(self), counts.clone(), resource.clone());
            informer.subscribe(move |change| {
                if let Some(graph) = graph.upgrade().filter(|_| counts.load(Ordering::Acquire)) {
                    graph.changed(&resource, change);
                }
            });
        }
        counts.store(true, Ordering::Release);
        for (resource, _) in &new {
            let kind = self.kind_of(resource).unwrap_or_default();
            let waiting = self.waiting.lock().remove(&(resource.group.to_string(), kind));
            waiting.into_iter().flatten().for_each(|node| self.enqueue(node));
        }
        for (resource, informer) in &new {
            for object in informer.list("") {
                self.changed(resource, &Change { old: None, new: Some(object) });
            }
        }
    }

    /// Follows no longer what is no longer served: kinds whose definition has gone. Those of a server that does not answer stay.
    fn forget_all_but(&self, found: &Discovered) {
        let served: HashSet<&GroupVersionResource> = found.resources.iter().map(|known| &known.resource).collect();
        let mut owners = Vec::new();
        self.followed.write().retain(|resource, followed| {
            let is_kept = served.contains(resource) || found.stale.contains(&resource.group_version());
            if !is_kept {
                owners.extend(followed.informer.list(""));
                self.informers.forget(resource);
            }
            is_kept
        });
        // Nobody has seen these go. What they own waits until somebody can be asked.
        for owner in owners.iter().filter_map(|owner| owner.decode::<PartialObject>().ok()) {
            self.dependents(&owner.metadata.uid).into_iter().for_each(|(dependent, _)| self.enqueue(dependent));
        }
    }

    fn changed(&self, resource: &GroupVersionResource, change: &Change) {
        let Ok(object) = change.object().decode::<PartialObject>() else { return };
        let meta = object.metadata;
        let node = || Node { resource: resource.clone(), key: change.object().key.clone() };
        if change.new.is_none() {
            self.wait_no_longer(&meta, &node());
            let dependents = self.dependents(&meta.uid);
            if !dependents.is_empty() {
                self.gone.put(meta.uid.clone(), (), GONE);
            }
            dependents.into_iter().for_each(|(dependent, _)| self.enqueue(dependent));
            // Owners that wait for this one.
            for owner in &meta.owner_references {
                self.enqueue_owner(owner, &meta.namespace);
            }
            return;
        }
        if let Some(Ok(old)) = change.old.as_ref().map(windlass_client::Object::decode::<PartialObject>) {
            // Owners that wait for this one, and need not any more.
            for owner in no_longer_blocked(&old.metadata, &meta) {
                self.enqueue_owner(owner, &meta.namespace);
            }
        }
        if meta.is_deleting() {
            let ours = |f: &String| f == finalizer::FOREGROUND || f == finalizer::ORPHAN;
            if meta.finalizers.iter().any(ours) {
                self.enqueue(node());
            }
            return;
        }
        if meta.owner_references.iter().any(|owner| !self.is_solid(owner, &meta.namespace)) {
            self.enqueue(node());
        }
    }

    fn owner(&self, owner: &OwnerReference, namespace: &str) -> Option<(Node, Option<Meta>)> {
        let (resource, scope) = self.resource_of(owner)?;
        let key = scope.key(namespace, &owner.name);
        let meta = self.followed().get(&resource).and_then(|followed| followed.informer.read::<PartialObject>(&key));
        Some((Node { resource, key }, meta.map(|object| object.metadata)))
    }

    /// The owner is in the caches and does not wait for its dependents.
    fn is_solid(&self, owner: &OwnerReference, namespace: &str) -> bool {
        let Some((_, Some(meta))) = self.owner(owner, namespace) else { return false };
        meta.uid == owner.uid && !meta.is_deleting()
    }

    fn enqueue_owner(&self, owner: &OwnerReference, namespace: &str) {
        if let Some((node, Some(meta))) = self.owner(owner, namespace)
            && meta.uid == owner.uid
            && meta.is_deleting()
        {
            self.enqueue(node);
        }
    }
}

fn group_of_owner(owner: &OwnerReference) -> &str {
    owner.api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

/// The group and the name of an owner's kind.
fn kind_of_owner(owner: &OwnerReference) -> (String, String) {
    (group_of_owner(owner).to_owned(), owner.kind.clone())
}

/// The owners that an object kept from going and, as it is now, does not.
fn no_longer_blocked<'a>(old: &'a Meta, new: &Meta) -> impl Iterator<Item = &'a OwnerReference> {
    let blocks = |owner: &&OwnerReference| owner.block_owner_deletion == Some(true);
    let blocked: Vec<String> = new.owner_references.iter().filter(blocks).map(|owner| owner.uid.clone()).collect();
    old.owner_references.iter().filter(blocks).filter(move |owner| !blocked.contains(&owner.uid))
}
