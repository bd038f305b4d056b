//! What the runtime shows of a pod: its sandboxes and containers, newest first. The one place where the CRI's lists become
//! something to decide on.
//!
//! Observing only reads. A container that vanishes between two calls is left out, as if it had been listed later.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use jiff::Timestamp;
use windlass_api::k8s::api::core::v1::Pod;
use windlass_cri::{
    ContainerFilter, ContainerState, ContainerStatus, ContainerUser, NamespaceMode, Resources, RuntimeService,
    SandboxFilter, SandboxState,
};

use crate::labels;
use crate::pod::PodView;
use crate::termination_message;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Created,
    Running,
    Exited,
    Unknown,
}

/// One container that the runtime knows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContainerView {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) attempt: u32,
    pub(crate) sandbox_id: String,
    pub(crate) state: State,
    /// Nanoseconds since the epoch.
    pub(crate) created_at: i64,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) exit_code: i32,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// As the pod wrote it.
    pub(crate) image: String,
    /// By digest, or the image's ID.
    pub(crate) image_ref: String,
    /// Of what the container was made from; another hash means that it must be made again.
    pub(crate) hash: String,
    pub(crate) resources: Resources,
    pub(crate) user: Option<ContainerUser>,
    pub(crate) log_path: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SandboxView {
    pub(crate) id: String,
    pub(crate) attempt: u32,
    pub(crate) ready: bool,
    pub(crate) created_at: i64,
    pub(crate) ips: Vec<String>,
    pub(crate) on_host_network: bool,
}

/// A pod as the runtime shows it; both lists have the newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Observed {
    pub(crate) sandboxes: Vec<SandboxView>,
    pub(crate) containers: Vec<ContainerView>,
}

impl Observed {
    /// The newest container of this name, in whatever sandbox.
    pub(crate) fn latest(&self, name: &str) -> Option<&ContainerView> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// The newest container of this name in the newest sandbox.
    pub(crate) fn active(&self, name: &str) -> Option<&ContainerView> {
        let sandbox = self.sandboxes.first()?;
        self.containers.iter().find(|container| container.name == name && container.sandbox_id == sandbox.id)
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &ContainerView> {
        self.containers.iter().filter(|container| container.state == State::Running)
    }

    pub(crate) fn is_anything_alive(&self) -> bool {
        self.running().next().is_some() || self.sandboxes.iter().any(|sandbox| sandbox.ready)
    }

    pub(crate) fn any_app_container(&self, pod: &Pod) -> bool {
        pod.app_containers().iter().any(|container| self.latest(&container.name).is_some())
    }

    /// Whether an app container has started in the newest sandbox, so that the init containers are done.
    pub(crate) fn is_initialized(&self, pod: &Pod) -> bool {
        pod.app_containers().iter().any(|container| {
            self.active(&container.name).is_some_and(|it| matches!(it.state, State::Running | State::Exited))
        })
    }

    /// Addresses of the newest sandbox while it is ready.
    pub(crate) fn ips(&self) -> &[String] {
        self.sandboxes.first().filter(|sandbox| sandbox.ready).map_or(&[], |sandbox| &sandbox.ips)
    }
}

/// Reads pods from the runtime. Keeps the messages of ended containers, which are read from files once.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    messages: HashMap<String, String>,
}

impl Observer {
    pub(crate) async fn observe(
        &mut self,
        runtime: &dyn RuntimeService,
        uid: &str,
        pod_logs: &Path,
    ) -> windlass_cri::Result<Observed> {
        let label = BTreeMap::from([(labels::POD_UID.to_owned(), uid.to_owned())]);
        let filter = SandboxFilter { labels: label.clone(), ..SandboxFilter::default() };
        let mut sandboxes = Vec::new();
        for sandbox in runtime.list_sandboxes(filter).await? {
            let (ips, on_host_network) = match runtime.sandbox_status(&sandbox.id).await {
                Ok(status) => (status.ips, status.namespaces.network == NamespaceMode::Node),
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            sandboxes.push(SandboxView {
                id: sandbox.id,
                attempt: sandbox.metadata.attempt,
                ready: sandbox.state == SandboxState::Ready,
                created_at: sandbox.created_at,
                ips,
                on_host_network,
            });
        }
        sandboxes.sort_by_key(|sandbox| std::cmp::Reverse((sandbox.created_at, sandbox.attempt)));
        let mut containers = Vec::new();
        let filter = ContainerFilter { labels: label, ..ContainerFilter::default() };
        for container in runtime.list_containers(filter).await? {
            match runtime.container_status(&container.id).await {
                Ok(status) => containers.push(self.view(status, pod_logs).await),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        containers.sort_by_key(|container| std::cmp::Reverse((container.created_at, container.attempt)));
        self.messages.retain(|id, _| containers.iter().any(|container| container.id == *id));
        Ok(Observed { sandboxes, containers })
    }

    async fn view(&mut self, status: ContainerStatus, pod_logs: &Path) -> ContainerView {
        let state = match status.container.state {
            ContainerState::Created => State::Created,
            ContainerState::Running => State::Running,
            ContainerState::Exited => State::Exited,
            ContainerState::Unknown => State::Unknown,
        };
        let mut message = status.message.clone();
        if state == State::Exited {
            let id = status.container.id.clone();
            let written = match self.messages.get(&id) {
                Some(known) => known.clone(),
                None => {
                    let written = termination_message::read(&status, pod_logs).await;
                    self.messages.insert(id, written.clone());
                    written
                }
            };
            if !written.is_empty() {
                if !message.is_empty() {
                    message.push_str(": ");
                }
                message.push_str(&written);
            }
        }
        let container = status.container;
        let annotation = |name: &str| container.annotations.get(name).cloned().unwrap_or_default();
        let wrote = container.image.user_specified_image.clone();
        ContainerView {
            hash: annotation(labels::CONTAINER_HASH),
            image: if wrote.is_empty() { container.image.image.clone() } else { wrote },
            name: container.metadata.name,
            attempt: container.metadata.attempt,
            id: container.id,
            sandbox_id: container.sandbox_id,
            state,
            created_at: container.created_at,
            started_at: instant(status.started_at),
            finished_at: instant(status.finished_at),
            exit_code: status.exit_code,
            reason: status.reason,
            message,
            image_ref: container.image_ref,
            resources: status.resources,
            user: status.user,
            log_path: status.log_path,
        }
    }
}

fn instant(nanoseconds: i64) -> Option<Timestamp> {
    (nanoseconds > 0).then(|| Timestamp::from_nanosecond(i128::from(nanoseconds)).ok()).flatten()
}
