//! The kubelet as its own API and others in the process see it. Cheap to clone.

use std::path::PathBuf;
use std::sync::Arc;

use windlass_api::k8s::api::core::v1::{Pod, PodStatus};

use crate::observe::{ContainerView, State};
use crate::pod::PodView;
use crate::registry::{Entry, Registry};
use crate::shared::Shared;

#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    registry: Arc<Registry>,
}

/// One instance of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerInstance {
    pub name: String,
    pub id: String,
    pub attempt: u32,
    pub running: bool,
    /// Of the log file that is being written, or was last.
    pub log_path: PathBuf,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>, registry: Arc<Registry>) -> Self {
        Self { shared, registry }
    }

    /// What is wrong with the kubelet itself, if anything is.
    pub fn health(&self) -> Result<(), String> {
        let problems = self.shared.loops.problems();
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
    }

    /// The pods of this node with the statuses that the kubelet wants them to have, which the API may not show yet.
    pub fn pods(&self) -> Vec<Pod> {
        self.registry.all().iter().map(with_status).collect()
    }

    pub fn pod(&self, namespace: &str, name: &str) -> Option<Pod> {
        self.registry.by_name(namespace, name).as_ref().map(with_status)
    }

    /// Instances of a pod's container, the newest first.
    pub fn containers(&self, pod_uid: &str, name: &str) -> Vec<ContainerInstance> {
        let Some(entry) = self.registry.get(pod_uid) else { return Vec::new() };
        let record = entry.record.lock();
        record.observed.containers.iter().filter(|view| view.name == name).map(instance).collect()
    }

    /// The pod's newest sandbox, while it is ready.
    pub fn sandbox(&self, pod_uid: &str) -> Option<String> {
        let entry = self.registry.get(pod_uid)?;
        let record = entry.record.lock();
        record.observed.sandboxes.first().filter(|sandbox| sandbox.ready).map(|sandbox| sandbox.id.clone())
    }

    /// `POD_LOGS/NAMESPACE_NAME_UID`
    pub fn log_directory(&self, pod: &Pod) -> PathBuf {
        self.shared.log_directory(pod)
    }

    /// Brings those metrics up to date that say how things are now.
    pub fn update_metrics(&self) {
        let (mut pods, mut states) = (0, [("created", 0), ("running", 0), ("exited", 0), ("unknown", 0)]);
        for entry in self.registry.all() {
            let record = entry.record.lock();
            pods += usize::from(record.observed.sandboxes.first().is_some_and(|sandbox| sandbox.ready));
            record.observed.containers.iter().for_each(|view| states[view.state as usize].1 += 1);
        }
        self.shared.metrics.set_running(pods, states);
        self.shared.metrics.set_pod_certificates(&self.shared.certificates.counts());
    }

    /// The results of probes in Prometheus' text format.
    pub fn probe_metrics(&self) -> Vec<u8> {
        self.shared.metrics.probes_text()
    }

    pub fn node_name(&self) -> &str {
        &self.shared.options.node_name
    }
}

fn instance(view: &ContainerView) -> ContainerInstance {
    ContainerInstance {
        name: view.name.clone(),
        id: view.id.clone(),
        attempt: view.attempt,
        running: view.state == State::Running,
        log_path: PathBuf::from(&view.log_path),
    }
}

fn with_status(entry: &Entry) -> Pod {
    let mut pod = Pod::clone(entry.mailbox.pod().pod());
    let status: PodStatus = entry.record.lock().status.clone();
    pod.status = Some(status);
    pod
}
