//! Which pods there are: from the API, from files, and those that only the runtime still remembers. Lets new ones in and starts
//! their workers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use windlass_api::ObjectKey;
use windlass_api::Status;
use windlass_api::k8s::api::core::v1::Pod;
use windlass_client::{EventType, Informer, Outcome, WorkQueue};
use windlass_cri::{ContainerEventKind, SandboxFilter};

use crate::admission::{self, Rejection};
use crate::files;
use crate::labels;
use crate::pod::{PodView, apparmor};
use crate::registry::{Ending, Mailbox};
use crate::registry::{Entry, Registry};
use crate::shared::Shared;
use crate::status::Eviction;
use crate::sync::Worker;

/// Starts, feeds and ends the workers.
pub(crate) struct Pods {
    shared: Arc<Shared>,
    registry: Arc<Registry>,
    informer: Arc<Informer>,
    queue: WorkQueue<ObjectKey>,
    /// UIDs of the pods from the API by name.
    known: Mutex<HashMap<ObjectKey, String>>,
    /// Admission is one at a time, since each pod takes room from the next.
    workers: Mutex<JoinSet<()>>,
}

impl Pods {
    pub(crate) fn new(shared: Arc<Shared>, registry: Arc<Registry>, informer: Arc<Informer>) -> Arc<Self> {
        let queue = shared.loops.pods.clone();
        Arc::new(Self { shared, registry, informer, queue, known: Mutex::default(), workers: Mutex::default() })
    }

    /// Follows the API for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        self.informer.synced().await;
        let queue = self.queue.clone();
        self.informer.subscribe(move |change| queue.add(change.object().key.clone()));
        self.end_forgotten().await;
        let this = self.clone();
        self.queue.run("kubelet-pods", 1, |key| this.reconcile(key)).await;
    }

    /// Containers' events wake the workers of their pods.
    pub(crate) async fn follow_runtime(self: Arc<Self>) {
        loop {
            let mut events = self.shared.runtime.events();
            while let Some(event) = events.next().await {
                let appeared = matches!(event.kind, ContainerEventKind::Created | ContainerEventKind::Started);
                if appeared && self.registry.get(&event.pod_uid).is_none() && self.informer.is_synced() {
                    // It came to be after its pod had gone.
                    self.end_forgotten().await;
                }
                self.registry.wake(&event.pod_uid);
            }
            // Some were missed: everybody looks.
            self.registry.wake_all();
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    async fn reconcile(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let pod: Option<Pod> = self.informer.get(&key).map(|object| object.decode()).transpose()?;
        // What stands in the API for a static pod is nobody's pod to run.
        let pod = pod.filter(|pod| !pod.is_mirror());
        let uid = pod.as_ref().map(|pod| pod.uid().to_owned());
        let before = {
            let mut known = self.known.lock();
            match &uid {
                Some(uid) => known.insert(key.clone(), uid.clone()),
                None => known.remove(&key),
            }
        };
        let is_news = before != uid;
        if let Some(before) = before.filter(|before| Some(before) != uid.as_ref())
            && let Some(entry) = self.registry.get(&before)
        {
            entry.mailbox.gone(None);
        }
        if let Some(pod) = pod {
            self.put(Arc::new(pod));
        }
        if is_news {
            self.share_cpu().await;
        }
        self.shared.status.wake(key);
        Ok(Outcome::Done)
    }

    /// Burstable pods together weigh as much as they ask for.
    async fn share_cpu(&self) {
        let (cgroups, pods) = (self.shared.cgroups.clone(), self.registry.pods());
        let result = tokio::task::spawn_blocking(move || cgroups.share_classes(&pods)).await;
        if let Ok(Err(error)) = result {
            tracing::warn!(%error, "the weight of a class of pods cannot be set");
        }
    }

    /// Takes a version of a pod, which may be a new one.
    pub(crate) fn put(&self, pod: Arc<Pod>) {
        match self.registry.get(pod.uid()) {
            Some(entry) => entry.mailbox.update(pod),
            None => self.add(pod),
        }
    }

    /// A static pod's file has gone.
    pub(crate) fn take(&self, uid: &str) {
        if let Some(entry) = self.registry.get(uid) {
            entry.mailbox.gone(None);
        }
    }

    fn add(&self, pod: Arc<Pod>) {
        let mailbox = Arc::new(Mailbox::new(pod.clone()));
        let is_new = !pod.is_terminal() && !pod.is_deleting() && pod.pod_status().start_time.is_none();
        if is_new && let Err(Rejection { reason, message }) = self.admit(&pod) {
            tracing::info!(pod = pod.name(), namespace = pod.namespace(), reason, message, "pod was rejected");
            self.shared.recorder.event(&pod.reference(), EventType::Warning, &reason, message.clone());
            let eviction = Eviction { reason, message: format!("Pod was rejected: {message}"), conditions: Vec::new() };
            mailbox.end(Ending { eviction, grace_seconds: None, rejected: true });
        }
        let is_to_run = !mailbox.peek().must_end() && !pod.is_terminal();
        let entry = Entry { mailbox, record: Arc::default() };
        self.registry.insert(pod.uid(), entry.clone());
        if is_to_run {
            self.shared.certificates.track(&pod);
        }
        self.spawn(pod.uid().to_owned(), entry);
    }

    fn admit(&self, pod: &Pod) -> Result<(), Rejection> {
        let others = self.registry.allocated(pod.uid());
        admission::admit(&admission::Input {
            pod,
            others: &others,
            node: self.shared.node.node().as_ref(),
            allocatable: self.shared.node.allocatable(),
            pressure: self.shared.node.pressure(),
            allowed_unsafe_sysctls: &self.shared.options.allowed_unsafe_sysctls,
            apparmor: apparmor::is_enabled(),
        })
    }

    /// A worker that panics is a bug; the pod gets another, which goes on from what it observes.
    fn spawn(&self, uid: String, entry: Entry) {
        let (shared, registry) = (self.shared.clone(), self.registry.clone());
        let mut workers = self.workers.lock();
        while workers.try_join_next().is_some() {}
        workers.spawn(async move {
            loop {
                let worker = Worker::new(shared.clone(), registry.clone(), entry.clone());
                let run = std::panic::AssertUnwindSafe(Box::pin(worker.run()));
                if futures::FutureExt::catch_unwind(run).await.is_ok() {
                    registry.remove(&uid);
                    // There is room for somebody's resize, perhaps.
                    registry.wake_all();
                    return;
                }
                tracing::error!(pod_uid = uid, "a pod's worker panicked and is started anew");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        });
    }

    /// Pods that the runtime has and the API has forgotten while the kubelet was away are ended and removed, and what is left of
    /// others on the disk is cleaned up.
    async fn end_forgotten(&self) {
        let present: HashSet<String> = self
            .informer
            .list("")
            .iter()
            .filter_map(|object| object.decode::<Pod>().ok())
            .map(|pod| pod.uid().to_owned())
            .chain(self.registry.pods().iter().map(|pod| pod.uid().to_owned()))
            .collect();
        let sandboxes = match self.shared.runtime.list_sandboxes(SandboxFilter::default()).await {
            Ok(sandboxes) => sandboxes,
            Err(error) => {
                tracing::warn!(%error, "the runtime does not list its sandboxes; forgotten pods stay until the next start");
                return;
            }
        };
        let mut keep = present.clone();
        for sandbox in sandboxes {
            let uid = sandbox.metadata.uid.clone();
            let is_ours = sandbox.labels.contains_key(labels::POD_UID);
            if !is_ours || !keep.insert(uid.clone()) {
                continue;
            }
            tracing::info!(
                pod = sandbox.metadata.name,
                namespace = sandbox.metadata.namespace,
                "ending a forgotten pod"
            );
            let pod = Arc::new(self.remembered(&sandbox).await);
            let mailbox = Arc::new(Mailbox::new(pod));
            mailbox.gone(None);
            let entry = Entry { mailbox, record: Arc::default() };
            self.registry.insert(&uid, entry.clone());
            self.spawn(uid, entry);
        }
        for (uid, error) in self.shared.volumes.remove_orphans(&keep).await {
            tracing::warn!(pod_uid = uid, %error, "the directory of a pod that is gone cannot be removed");
        }
        self.remove_orphaned_logs(&keep).await;
    }

    /// As much of a forgotten pod as its containers tell: preStop hooks and the grace period still count.
    async fn remembered(&self, sandbox: &windlass_cri::Sandbox) -> Pod {
        let mut spec = serde_json::json!({"containers": []});
        let filter = windlass_cri::ContainerFilter { sandbox_id: Some(sandbox.id.clone()), ..Default::default() };
        for container in self.shared.runtime.list_containers(filter).await.unwrap_or_default() {
            let annotation = |name: &str| container.annotations.get(name);
            if let Some(seconds) = annotation(labels::TERMINATION_GRACE).and_then(|text| text.parse::<i64>().ok()) {
                spec["terminationGracePeriodSeconds"] = seconds.into();
            }
            let mut own = serde_json::json!({"name": container.metadata.name});
            if let Some(hook) = annotation(labels::PRE_STOP).and_then(|text| serde_json::from_str(text).ok()) {
                let hook: serde_json::Value = hook;
                own["lifecycle"] = serde_json::json!({"preStop": hook});
            }
            if let Some(list) = spec["containers"].as_array_mut() {
                list.push(own);
            }
        }
        let mut pod: Pod =
            serde_json::from_value(serde_json::json!({"metadata": {}, "spec": spec})).unwrap_or_default();
        pod.metadata.name = Some(sandbox.metadata.name.clone());
        pod.metadata.namespace = Some(sandbox.metadata.namespace.clone());
        pod.metadata.uid = Some(sandbox.metadata.uid.clone());
        pod
    }

    /// Log directories are named `NAMESPACE_NAME_UID`.
    async fn remove_orphaned_logs(&self, keep: &HashSet<String>) {
        let Ok(mut entries) = tokio::fs::read_dir(&self.shared.options.pod_logs).await else { return };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let name = entry.file_name().into_string().unwrap_or_default();
            let uid = name.rsplit('_').next().unwrap_or_default();
            if name.split('_').count() == 3
                && !keep.contains(uid)
                && let Err(error) = files::remove_tree(entry.path()).await
            {
                tracing::warn!(path = %entry.path().display(), %error, "orphaned logs cannot be removed");
            }
        }
    }
}
