//! The two services of the CRI.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{
    AttachRequest, AuthConfig, Connection, Container, ContainerConfig, ContainerFilter, ContainerStats,
    ContainerStatus, DiskUsage, ExecOutput, ExecRequest, FilesystemUsage, Image, ImageSpec, ProgressSink, Resources,
    Result, Sandbox, SandboxConfig, SandboxFilter, SandboxResources, SandboxStats, SandboxStatus, Session,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub runtime_name: String,
    pub runtime_version: String,
    /// `v1`
    pub runtime_api_version: String,
}

/// `RuntimeReady` or `NetworkReady`; the node is Ready only when both are true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeCondition {
    pub kind: &'static str,
    pub status: bool,
    pub reason: String,
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeHandler {
    /// Empty for the default handler.
    pub name: String,
    pub recursive_read_only_mounts: bool,
    pub user_namespaces: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeStatus {
    pub conditions: Vec<RuntimeCondition>,
    pub handlers: Vec<RuntimeHandler>,
    pub supplemental_groups_policy: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerEventKind {
    Created,
    Started,
    Stopped,
    Deleted,
}

/// Something happened to a container, or to a sandbox when `container_id` equals `sandbox_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEvent {
    pub container_id: String,
    pub sandbox_id: String,
    /// The UID of the pod, from the sandbox's metadata.
    pub pod_uid: String,
    pub kind: ContainerEventKind,
    /// Nanoseconds since the epoch.
    pub created_at: i64,
}

/// Sandboxes and containers. Every call is idempotent where the CRI says so: stopping what is stopped and removing what is
/// gone succeed. Cancelling a call (dropping its future) leaves nothing half-done that a later remove would not clean up.
#[async_trait]
pub trait RuntimeService: Send + Sync {
    async fn version(&self) -> Result<Version>;
    async fn status(&self) -> Result<RuntimeStatus>;

    /// Makes and starts a sandbox with its network. `runtime_handler` is empty or a handler that `status` lists.
    async fn run_sandbox(&self, config: SandboxConfig, runtime_handler: &str) -> Result<String>;
    /// Ends every process of the sandbox and gives back its network. Idempotent.
    async fn stop_sandbox(&self, id: &str) -> Result<()>;
    /// Stops if needed, and removes the sandbox with its containers. Idempotent.
    async fn remove_sandbox(&self, id: &str) -> Result<()>;
    async fn sandbox_status(&self, id: &str) -> Result<SandboxStatus>;
    async fn list_sandboxes(&self, filter: SandboxFilter) -> Result<Vec<Sandbox>>;
    async fn update_sandbox_resources(&self, id: &str, resources: SandboxResources) -> Result<()>;

    async fn create_container(&self, sandbox_id: &str, config: ContainerConfig) -> Result<String>;
    async fn start_container(&self, id: &str) -> Result<()>;
    /// Sends the stop signal, waits for `grace`, then kills. A zero grace kills at once. Idempotent.
    async fn stop_container(&self, id: &str, grace: Duration) -> Result<()>;
    /// Kills if needed and removes. The log file stays: it is the kubelet's. Idempotent.
    async fn remove_container(&self, id: &str) -> Result<()>;
    async fn container_status(&self, id: &str) -> Result<ContainerStatus>;
    async fn list_containers(&self, filter: ContainerFilter) -> Result<Vec<Container>>;
    async fn update_container_resources(&self, id: &str, resources: Resources) -> Result<()>;
    /// Opens the log's path anew, after the kubelet has rotated the file away.
    async fn reopen_container_log(&self, id: &str) -> Result<()>;

    /// Runs a command to its end; `timeout` of `None` waits for ever. On a timeout the command is killed and the error's
    /// code is [`crate::Code::DeadlineExceeded`]. Of each stream `output_max` bytes are kept.
    async fn exec_sync(
        &self,
        id: &str,
        cmd: Vec<String>,
        timeout: Option<Duration>,
        output_max: usize,
    ) -> Result<ExecOutput>;
    async fn exec(&self, request: ExecRequest) -> Result<Session>;
    async fn attach(&self, request: AttachRequest) -> Result<Session>;
    /// Connects to a port on the sandbox's loopback address.
    async fn port_forward(&self, sandbox_id: &str, port: u16) -> Result<Connection>;

    async fn container_stats(&self, id: &str) -> Result<ContainerStats>;
    async fn list_sandbox_stats(&self, filter: SandboxFilter) -> Result<Vec<SandboxStats>>;
    /// What pods take of the disk by way of the runtime. Of layers that are still being counted, as much as was found.
    async fn disk_usage(&self) -> Result<DiskUsage>;

    /// Events from now on. A consumer that falls too far behind gets the end of the stream and must list again.
    fn events(&self) -> BoxStream<'static, ContainerEvent>;
    /// Tells the runtime the node's pod address range once the cluster has assigned it.
    async fn update_pod_cidr(&self, pod_cidr: &str) -> Result<()>;
}

/// Images on the node.
#[async_trait]
pub trait ImageService: Send + Sync {
    /// All images, or those that `filter` names.
    async fn list_images(&self, filter: Option<&ImageSpec>) -> Result<Vec<Image>>;
    /// `None` when the image is not on the node.
    async fn image_status(&self, image: &ImageSpec) -> Result<Option<Image>>;
    /// Pulls and unpacks; returns the image's ID. Pulls of one image at the same time are one pull.
    async fn pull_image(
        &self,
        image: &ImageSpec,
        auth: Option<AuthConfig>,
        progress: Option<ProgressSink>,
    ) -> Result<String>;
    /// Removes the image and its names. Idempotent.
    async fn remove_image(&self, image: &ImageSpec) -> Result<()>;
    /// What images and containers' writable layers take of the disk.
    async fn image_fs_info(&self) -> Result<Vec<FilesystemUsage>>;
}
