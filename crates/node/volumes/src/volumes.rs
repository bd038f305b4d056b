//! The door to all of it: setting up a pod's volumes, mounting them into containers, tearing down.
//!
//! Every call is idempotent and may be repeated after a crash; two calls for one pod wait for each other. Nothing is
//! remembered but tokens: what is mounted, the kernel knows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use futures::future::join_all;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use windlass_api::k8s::api::core::v1::{Container, Pod, Volume};
use windlass_api::time::Clock;
use windlass_cri::Mount;

use crate::cleanup::{self, TearDownError};
use crate::container::{self, MountError};
use crate::layout::{Layout, Plugin, is_file_name};
use crate::mounted::Mounted;
use crate::ownership::Ownership;
use crate::payload::{Collector, PayloadError};
use crate::plan::{self, NodeFacts, Plan, PlanError};
use crate::plugins::{self, SetUpError};
use crate::sources::{SourceError, Sources};
use crate::tokens::Tokens;
use crate::{pod, sub_path};

/// Changing the owner of a large volume and removing one take long: not more than this many at a time.
const BLOCKING_MAX: usize = 16;

/// The volumes of this node's pods.
#[derive(Clone)]
pub struct Volumes {
    inner: Arc<Inner>,
}

struct Inner {
    layout: Layout,
    clock: Clock,
    tokens: Tokens,
    pods: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    blocking: Arc<Semaphore>,
}

/// The right to change a pod's volumes. Work on a blocking thread holds it too, for the thread goes on when the call that
/// started it is cancelled.
type Turn = Arc<tokio::sync::OwnedMutexGuard<()>>;

/// What became of a pod's volumes.
#[derive(Debug, Default)]
pub struct SetUp {
    /// By the name that the pod gives them.
    pub volumes: BTreeMap<String, Mounted>,
    /// The pod's containers cannot start before there are none.
    pub failures: Vec<(String, VolumeError)>,
    /// When to set up again, even if nothing has changed: a token runs out.
    pub refresh_at: Option<Timestamp>,
}

#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    #[error("the pod's UID {0:?} cannot be a directory's name")]
    Uid(String),
    #[error("error processing PVC {namespace}/{claim}")]
    Claim { namespace: String, claim: String, source: SourceError },
    #[error(transparent)]
    Plan(PlanError),
    #[error(transparent)]
    Payload(PayloadError),
    #[error(transparent)]
    SetUp(SetUpError),
}

impl VolumeError {
    /// One line for the pod's event, as upstream words it.
    pub fn event_message(&self, volume: &str) -> String {
        let mut text = format!("MountVolume.SetUp failed for volume \"{volume}\" : {self}");
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl Volumes {
    /// `root` is the kubelet's directory.
    pub fn new(root: impl Into<PathBuf>, clock: Clock) -> Self {
        Self {
            inner: Arc::new(Inner {
                layout: Layout::new(root),
                clock,
                tokens: Tokens::default(),
                pods: Mutex::default(),
                blocking: Arc::new(Semaphore::new(BLOCKING_MAX)),
            }),
        }
    }

    pub fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    /// Makes every volume that the pod's containers use, or brings it up to date.
    pub async fn set_up(&self, pod: &Arc<Pod>, node: &NodeFacts, sources: &dyn Sources) -> SetUp {
        let mut outcome = SetUp::default();
        let all = pod::spec(pod).and_then(|spec| spec.volumes.as_ref()).into_iter().flatten();
        let (mounted, devices) = pod::used_volumes(pod);
        let used = |volume: &&Volume| mounted.contains(volume.name.as_str()) || devices.contains(volume.name.as_str());
        let used: Vec<&Volume> = all.filter(used).collect();
        let uid = pod::uid(pod);
        if !is_file_name(uid) {
            let failure = |volume: &&Volume| (volume.name.clone(), VolumeError::Uid(uid.to_owned()));
            outcome.failures = used.iter().map(failure).collect();
            return outcome;
        }
        let own = self.inner.lock(uid).await;
        let settings = used.iter().map(|volume| self.set_up_one(pod, volume, node, sources, own.clone()));
        for (volume, result) in used.iter().zip(join_all(settings).await) {
            match result {
                Ok((mounted, refresh_at)) => {
                    outcome.volumes.insert(volume.name.clone(), mounted);
                    outcome.refresh_at = [outcome.refresh_at, refresh_at].into_iter().flatten().min();
                }
                Err(error) => outcome.failures.push((volume.name.clone(), error)),
            }
        }
        outcome
    }

    async fn set_up_one(
        &self,
        pod: &Arc<Pod>,
        volume: &Volume,
        node: &NodeFacts,
        sources: &dyn Sources,
        own: Turn,
    ) -> Result<(Mounted, Option<Timestamp>), VolumeError> {
        let bound = match plan::claim(pod, volume) {
            Some((claim, _)) => {
                let namespace = pod::namespace(pod).to_owned();
                let bound = sources.claim(&namespace, &claim).await;
                Some(bound.map_err(|source| VolumeError::Claim { namespace, claim, source })?)
            }
            None => None,
        };
        let planned = plan::plan(pod, volume, bound.as_deref(), node).map_err(VolumeError::Plan)?;
        let now = self.inner.clock.now();
        let (payload, refresh_at) = match &planned {
            Plan::Files(files) => {
                let collector = Collector { pod, node, sources, tokens: &self.inner.tokens, now };
                collector.collect(files).await.map_err(VolumeError::Payload)?
            }
            _ => Default::default(),
        };
        let name = match &bound {
            Some(bound) => bound.metadata.name.clone().unwrap_or_default(),
            None => volume.name.clone(),
        };
        let (layout, pod) = (self.inner.layout.clone(), pod.clone());
        let make = move || execute(&layout, &pod, name, planned, &payload, now);
        let mounted = self.inner.run(&self.inner.blocking, Some(own), make).await.map_err(VolumeError::SetUp)?;
        Ok((mounted, refresh_at))
    }

    /// The mounts of a container, parts of volumes made ready. `variables` is the container's environment.
    pub async fn container_mounts(
        &self,
        pod: &Pod,
        container: &Container,
        volumes: &BTreeMap<String, Mounted>,
        variables: &BTreeMap<String, String>,
        recursive_read_only: bool,
    ) -> Result<Vec<Mount>, MountError> {
        let wanted = container.volume_mounts.as_deref().unwrap_or_default();
        let decided = container::decide(&container.name, wanted, volumes, variables, recursive_read_only)?;
        let uid = pod::uid(pod).to_owned();
        let own = self.inner.lock(&uid).await;
        let mut mounts = Vec::with_capacity(decided.len());
        for (mut decided, wanted) in decided.into_iter().zip(wanted) {
            if let Some(part) = decided.sub_path {
                let failed = || MountError::SubPath { mount: wanted.name.clone(), container: container.name.clone() };
                // These become directories, and come from the API.
                if !is_file_name(&uid) || !is_file_name(&container.name) || !is_file_name(&part.volume_name) {
                    return Err(failed());
                }
                let target = self.inner.layout.sub_path(&uid, &part.volume_name, &container.name, part.index);
                let prepare = move || sub_path::prepare(&part.volume, &part.path, target);
                let ready =
                    self.inner.run(&self.inner.blocking, Some(own.clone()), prepare).await.map_err(|error| {
                        tracing::error!(
                            pod = pod::name(pod), namespace = pod::namespace(pod), container = container.name,
                            volume = wanted.name, %error, "failed to prepare a subPath"
                        );
                        failed()
                    })?;
                decided.mount.host_path = ready.display().to_string();
            }
            mounts.push(decided.mount);
        }
        Ok(mounts)
    }

    /// Unmounts and removes all volumes of a pod; its containers are gone.
    pub async fn tear_down(&self, pod_uid: &str) -> Result<(), TearDownError> {
        let own = self.inner.lock(pod_uid).await;
        self.inner.tokens.forget(pod_uid);
        let (layout, uid) = (self.inner.layout.clone(), pod_uid.to_owned());
        self.inner.run(&self.inner.blocking, Some(own), move || cleanup::tear_down(&layout, &uid)).await
    }

    /// Removes the directory of a pod, its volumes torn down first where nobody has done that. The only way to remove one: what is
    /// mounted below is unmounted, or stays.
    pub async fn remove_pod(&self, pod_uid: &str) -> Result<(), TearDownError> {
        let own = self.inner.lock(pod_uid).await;
        self.inner.tokens.forget(pod_uid);
        let (layout, uid) = (self.inner.layout.clone(), pod_uid.to_owned());
        let remove = move || cleanup::remove_pod_directory(&layout, &uid);
        self.inner.run(&self.inner.blocking, Some(own), remove).await
    }

    /// Tears down and removes the directories of pods that are not in `keep`: those that ended while the kubelet was away.
    /// Returns what could not be removed.
    pub async fn remove_orphans(&self, keep: &HashSet<String>) -> Vec<(String, TearDownError)> {
        let layout = self.inner.layout.clone();
        let pods = match self.inner.run(&self.inner.blocking, None, move || cleanup::pods(&layout)).await {
            Ok(pods) => pods,
            Err(error) => return vec![(String::new(), error)],
        };
        let mut failures = Vec::new();
        for uid in pods.into_iter().filter(|uid| !keep.contains(uid)) {
            match self.remove_pod(&uid).await {
                Ok(()) => tracing::info!(pod_uid = uid, "removed the directory of a pod that is gone"),
                Err(error) => failures.push((uid, error)),
            }
        }
        failures
    }

    /// Where those emptyDirs of a pod are that take the node's disk, by name. Not all of them need be there yet.
    pub fn on_disk(&self, pod: &Pod) -> BTreeMap<String, PathBuf> {
        let uid = pod::uid(pod);
        if !is_file_name(uid) {
            return BTreeMap::new();
        }
        let volumes = pod::spec(pod).and_then(|spec| spec.volumes.as_ref()).into_iter().flatten();
        let is_on_disk = |volume: &&Volume| {
            let medium = volume.empty_dir.as_ref().map(|source| source.medium.as_deref().unwrap_or_default());
            medium == Some("") && is_file_name(&volume.name)
        };
        let path = |volume: &Volume| self.inner.layout.volume(uid, Plugin::EmptyDir, &volume.name);
        volumes.filter(is_on_disk).map(|volume| (volume.name.clone(), path(volume))).collect()
    }

    /// Names of the volumes that a pod's containers use.
    pub fn used_volumes(pod: &Pod) -> BTreeSet<String> {
        let (mounted, devices) = pod::used_volumes(pod);
        mounted.into_iter().chain(devices).map(str::to_owned).collect()
    }
}

impl Inner {
    /// One at a time for each pod.
    async fn lock(&self, uid: &str) -> Turn {
        let lock = {
            let mut pods = self.pods.lock();
            pods.retain(|_, lock| lock.strong_count() > 0);
            let known = pods.get(uid).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let lock = Arc::new(tokio::sync::Mutex::new(()));
                pods.insert(uid.to_owned(), Arc::downgrade(&lock));
                lock
            })
        };
        Arc::new(lock.lock_owned().await)
    }

    async fn run<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        turn: Option<Turn>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let permit = permits.clone().acquire_owned().await.expect("the semaphore is never closed");
        let work = move || {
            let _held = (permit, turn);
            work()
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// Carries out a plan.
fn execute(
    layout: &Layout,
    pod: &Pod,
    name: String,
    planned: Plan,
    payload: &crate::payload::Payload,
    now: Timestamp,
) -> Result<Mounted, SetUpError> {
    let uid = pod::uid(pod);
    Ok(match planned {
        Plan::EmptyDir(medium) => {
            let path = plugins::empty_dir::set_up(layout, uid, &name, &medium, pod::fs_group(pod))?;
            Mounted::Path { path, read_only: false, name }
        }
        Plan::Files(files) => {
            let path = plugins::files::set_up(layout, pod, &name, &files, payload, now)?;
            Mounted::Path { path, read_only: true, name }
        }
        Plan::HostPath { path, kind, read_only } => {
            plugins::host_path::set_up(&path, kind)?;
            Mounted::Path { path, read_only, name }
        }
        Plan::Local(local) => {
            let only_on_root_mismatch = pod::only_on_root_mismatch(pod);
            let owner = pod::fs_group(pod).map(|group| Ownership { group, read_only: false, only_on_root_mismatch });
            let path = plugins::local::set_up(layout, uid, &local, owner)?;
            Mounted::Path { path, read_only: local.read_only, name }
        }
        Plan::BlockDevice { path, read_only } => Mounted::Device { path, read_only },
        Plan::Image { reference } => Mounted::Image { reference },
    })
}
