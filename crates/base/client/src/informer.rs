//! Shared informers: a component's view of a resource, kept up to date by a watch.
//!
//! An informer holds objects as bytes (within the API server's process, the store's own) and decodes nothing; whoever reads an
//! object decodes the fields that it needs. There is one informer for a resource and selection in a process, however many
//! components use it ([`Informers`]).
//!
//! States: *listing* (the first objects arrive; [`Informer::synced`] waits) and *watching*. When a watch breaks it goes on
//! where it was; when that is no longer possible it lists anew, and what has vanished meanwhile is reported as deleted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use parking_lot::{Mutex, RwLock};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use windlass_api::{GroupVersionResource, ObjectKey, Status};

use crate::client::Client;
use crate::object::{EventKind, Object};
use crate::options::{Options, VersionMatch};

const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// What has changed: one of the two is there, or both.
#[derive(Clone, Debug)]
pub struct Change {
    pub old: Option<Object>,
    pub new: Option<Object>,
}

impl Change {
    /// The object as it is, or as it was last.
    pub fn object(&self) -> &Object {
        self.new.as_ref().or(self.old.as_ref()).expect("a change is of an object")
    }
}

type Handler = Arc<dyn Fn(&Change) + Send + Sync>;
/// Keys under which an object is to be found.
type IndexFunction = Arc<dyn Fn(&Object) -> Vec<String> + Send + Sync>;

/// One resource, or a selection of it.
pub struct Informer {
    client: Client,
    resource: GroupVersionResource,
    namespace: String,
    options: Options,
    state: RwLock<State>,
    /// Held while changes are reported, so that a new subscriber misses and repeats nothing.
    handlers: Mutex<Vec<Handler>>,
    /// Up to which revision the cache is; `None` until everything that was there at the start is in it.
    runs: AtomicBool,
    progress: watch::Sender<Option<u64>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<ObjectKey, Object>,
    indexes: HashMap<&'static str, Index>,
}

struct Index {
    keys_of: IndexFunction,
    objects: HashMap<String, BTreeSet<ObjectKey>>,
}

impl Index {
    fn replace(&mut self, key: &ObjectKey, old: Option<&Object>, new: Option<&Object>) {
        for name in old.map(|object| (self.keys_of)(object)).unwrap_or_default() {
            if let Some(keys) = self.objects.get_mut(&name) {
                keys.remove(key);
                if keys.is_empty() {
                    self.objects.remove(&name);
                }
            }
        }
        for name in new.map(|object| (self.keys_of)(object)).unwrap_or_default() {
            self.objects.entry(name).or_default().insert(key.clone());
        }
    }
}

impl State {
    fn put(&mut self, object: Object) -> Option<Object> {
        let key = object.key.clone();
        let old = self.objects.insert(key.clone(), object);
        let new = self.objects.get(&key);
        self.indexes.values_mut().for_each(|index| index.replace(&key, old.as_ref(), new));
        old
    }

    fn take(&mut self, key: &ObjectKey) -> Option<Object> {
        let old = self.objects.remove(key)?;
        self.indexes.values_mut().for_each(|index| index.replace(key, Some(&old), None));
        Some(old)
    }
}

impl Informer {
    fn new(client: Client, resource: GroupVersionResource, namespace: String, options: Options) -> Self {
        Self {
            client,
            resource,
            namespace,
            options,
            state: RwLock::default(),
            handlers: Mutex::default(),
            progress: watch::Sender::new(None),
            runs: AtomicBool::new(true),
        }
    }

    /// Whether the cache is still kept up to date: not after its resource has been [forgotten](Informers::forget).
    pub fn is_running(&self) -> bool {
        self.runs.load(Ordering::Acquire)
    }

    fn read_state(&self) -> parking_lot::RwLockReadGuard<'_, State> {
        self.state.read()
    }

    fn write_state(&self) -> parking_lot::RwLockWriteGuard<'_, State> {
        self.state.write()
    }

    /// Waits until everything that was there at the start is in the cache.
    pub async fn synced(&self) {
        // The sender lives in this informer.
        let _ = self.progress.subscribe().wait_for(Option::is_some).await;
    }

    pub fn is_synced(&self) -> bool {
        self.progress.borrow().is_some()
    }

    /// Waits until the cache has seen `revision`, which must be one of this informer's own objects: who writes an object and
    /// waits for its revision will find it in the cache.
    pub async fn reached(&self, revision: u64) {
        let has = |progress: &Option<u64>| progress.is_some_and(|reached| reached >= revision);
        if !has(&self.progress.borrow()) {
            let _ = self.progress.subscribe().wait_for(has).await;
        }
    }

    /// Waits until the cache is as `check` wants it.
    pub async fn until(&self, check: impl Fn(&Self) -> bool) {
        let mut progress = self.progress.subscribe();
        while !check(self) {
            if progress.changed().await.is_err() {
                return;
            }
        }
    }

    pub fn get(&self, key: &ObjectKey) -> Option<Object> {
        self.read_state().objects.get(key).cloned()
    }

    /// Reads the fields that `T` declares of an object that is in the cache.
    pub fn read<T: DeserializeOwned>(&self, key: &ObjectKey) -> Option<T> {
        let object = self.get(key)?;
        object.decode().inspect_err(|error| tracing::error!(%error, "an object in a cache cannot be read")).ok()
    }

    /// The objects of a namespace, or with an empty one all.
    pub fn list(&self, namespace: &str) -> Vec<Object> {
        let state = self.read_state();
        if namespace.is_empty() {
            return state.objects.values().cloned().collect();
        }
        let start = ObjectKey::new(namespace, "");
        let range = state.objects.range((Bound::Included(start), Bound::Unbounded));
        range.take_while(|(key, _)| key.namespace == namespace).map(|(_, object)| object.clone()).collect()
    }

    pub fn len(&self) -> usize {
        self.read_state().objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes objects findable by [`Informer::by_index`]. A second index of the same name changes nothing.
    pub fn add_index(&self, name: &'static str, keys_of: impl Fn(&Object) -> Vec<String> + Send + Sync + 'static) {
        let mut state = self.write_state();
        if state.indexes.contains_key(name) {
            return;
        }
        let mut index = Index { keys_of: Arc::new(keys_of), objects: HashMap::new() };
        for (key, object) in &state.objects {
            index.replace(key, None, Some(object));
        }
        state.indexes.insert(name, index);
    }

    pub fn by_index(&self, name: &str, key: &str) -> Vec<Object> {
        let state = self.read_state();
        let keys = state.indexes.get(name).and_then(|index| index.objects.get(key));
        keys.into_iter().flatten().filter_map(|key| state.objects.get(key).cloned()).collect()
    }

    /// Calls `handler` for every object that is there, and then for every change, after the cache has it. It must be quick, and is
    /// best used to put keys into a [`crate::WorkQueue`].
    pub fn subscribe(&self, handler: impl Fn(&Change) + Send + Sync + 'static) {
        let mut handlers = self.handlers.lock();
        for object in self.list("") {
            handler(&Change { old: None, new: Some(object) });
        }
        handlers.push(Arc::new(handler));
    }

    /// Takes changes into the cache and reports them.
    fn apply(&self, changes: impl IntoIterator<Item = (ObjectKey, Option<Object>)>) {
        let handlers = self.handlers.lock();
        for (key, new) in changes {
            let old = match &new {
                Some(object) => self.write_state().put(object.clone()),
                None => self.write_state().take(&key),
            };
            let unchanged = match (&old, &new) {
                (None, None) => true,
                (Some(old), Some(new)) => old.revision == new.revision,
                _ => false,
            };
            if !unchanged {
                let change = Change { old, new };
                handlers.iter().for_each(|handler| handler(&change));
            }
        }
    }

    /// Makes the cache hold exactly `objects`.
    fn replace(&self, objects: BTreeMap<ObjectKey, Object>) {
        let gone: Vec<ObjectKey> =
            self.read_state().objects.keys().filter(|key| !objects.contains_key(*key)).cloned().collect();
        self.apply(gone.into_iter().map(|key| (key, None)));
        self.apply(objects.into_iter().map(|(key, object)| (key, Some(object))));
    }

    /// Keeps the cache up to date for ever.
    async fn run(&self) {
        let mut revision = None;
        let mut wait = RETRY_FIRST;
        loop {
            match self.follow(&mut revision).await {
                Ok(()) => wait = RETRY_FIRST,
                Err(status) if status.is_expired() => {
                    tracing::debug!(resource = %self.resource, "a watch has expired; listing anew");
                    revision = None;
                }
                Err(status) => {
                    tracing::warn!(resource = %self.resource, error = %status, "a watch failed and will be tried again");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RETRY_MAX);
                }
            }
        }
    }

    /// One watch, until it ends. Without a revision it begins with everything that there is.
    async fn follow(&self, revision: &mut Option<u64>) -> Result<(), Status> {
        let options = Options {
            resource_version: *revision,
            allow_bookmarks: true,
            send_initial_events: revision.is_none().then_some(true),
            version_match: revision.is_none().then_some(VersionMatch::NotOlderThan),
            ..self.options.clone()
        };
        let mut stream = self.client.watch(&self.resource, &self.namespace, options).await?;
        let mut listing = revision.is_none().then(BTreeMap::new);
        while let Some(event) = stream.next().await {
            let event = event?;
            let (kind, object) = (event.kind, event.object);
            let at = object.revision;
            match (&mut listing, kind) {
                (Some(_), EventKind::Bookmark) if event.initial_events_end => {
                    self.replace(listing.take().unwrap_or_default());
                    *revision = Some(at);
                }
                (_, EventKind::Bookmark) => {}
                (Some(objects), EventKind::Deleted) => {
                    objects.remove(&object.key);
                }
                (Some(objects), _) => {
                    objects.insert(object.key.clone(), object);
                }
                (None, EventKind::Deleted) => {
                    self.apply([(object.key, None)]);
                }
                (None, _) => self.apply([(object.key.clone(), Some(object))]),
            }
            if listing.is_none() {
                *revision = Some(revision.unwrap_or(0).max(at));
                self.progress.send_replace(*revision);
            }
        }
        Ok(())
    }
}

/// The informers of a process: each resource and selection has one.
pub struct Informers {
    client: Client,
    all: Mutex<HashMap<String, Running>>,
    tasks: Mutex<tokio::task::JoinSet<()>>,
}

struct Running {
    informer: Arc<Informer>,
    task: tokio::task::AbortHandle,
}

impl Informers {
    pub fn new(client: Client) -> Self {
        Self { client, all: Mutex::default(), tasks: Mutex::default() }
    }

    /// All objects of a resource.
    pub fn of(&self, resource: &GroupVersionResource) -> Arc<Informer> {
        self.selected(resource, "", Options::default())
    }

    /// The objects of a namespace (empty: all) that the selectors of `options` match. The informer runs as long as this factory
    /// lives.
    pub fn selected(&self, resource: &GroupVersionResource, namespace: &str, options: Options) -> Arc<Informer> {
        let name = format!("{resource} {namespace} {} {}", options.labels, options.fields);
        let mut all = self.all.lock();
        let running = all.entry(name).or_insert_with(|| {
            let informer =
                Arc::new(Informer::new(self.client.clone(), resource.clone(), namespace.to_owned(), options));
            let running = informer.clone();
            let task = self.tasks.lock().spawn(async move { running.run().await });
            Running { informer, task }
        });
        running.informer.clone()
    }

    /// Ends the informers of a resource that is no longer served. Whoever still holds one sees that it [is not running](Informer::is_running).
    pub fn forget(&self, resource: &GroupVersionResource) {
        self.all.lock().retain(|_, running| {
            let is_kept = running.informer.resource != *resource;
            if !is_kept {
                running.task.abort();
                running.informer.runs.store(false, Ordering::Release);
            }
            is_kept
        });
    }

    /// Waits until every informer that has been asked for is in sync.
    pub async fn synced(&self) {
        let all: Vec<Arc<Informer>> = self.all.lock().values().map(|running| running.informer.clone()).collect();
        for informer in all {
            informer.synced().await;
        }
    }
}
