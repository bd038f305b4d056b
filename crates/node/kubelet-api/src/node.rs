//! What this API must know of the kubelet.

use serde_json::Value;

/// Pods as the kubelet has them. All of these are reads of what it holds already: they do not wait.
pub trait Node: Send + Sync {
    /// The node's name.
    fn name(&self) -> &str;

    /// All pods of the node with their status, as `v1.Pod` objects.
    fn pods(&self) -> Vec<Value>;

    fn pod(&self, namespace: &str, name: &str) -> Option<PodView>;

    /// The kubelet's configuration, as a `KubeletConfiguration` of `kubelet.config.k8s.io/v1beta1`.
    fn config(&self) -> Value;

    /// Why the kubelet is not healthy, if it is not.
    fn health(&self) -> Result<(), String>;

    /// The results of probes in Prometheus' text format, for `/metrics/probes`.
    fn probe_metrics(&self) -> Vec<u8>;

    /// Called before metrics are shown, for those that say how things are now.
    fn update_metrics(&self);

    /// The node's own usage, for `/stats/summary` and `/metrics/resource`.
    fn usage(&self) -> NodeUsage;
}

/// A pod, as far as logs and sessions need to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodView {
    pub uid: String,
    /// The sandbox that runs, if one does.
    pub sandbox_id: Option<String>,
    /// Containers of all kinds that have a status.
    pub containers: Vec<ContainerView>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerView {
    pub name: String,
    pub state: ContainerState,
    /// The instance before this one, if it is known; its ID in the runtime.
    pub last_terminated: Option<String>,
}

/// The state in the container's status. IDs are the runtime's own, without `containerd://` or the like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    Waiting {
        reason: String,
    },
    Running {
        id: String,
    },
    /// The ID is empty when the container never came to be.
    Terminated {
        id: String,
    },
}

impl PodView {
    pub fn container(&self, name: &str) -> Option<&ContainerView> {
        self.containers.iter().find(|container| container.name == name)
    }
}

/// What the whole node uses. Instants are nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NodeUsage {
    pub started: i64,
    pub timestamp: i64,
    pub cpu_usage_core_nanoseconds: u64,
    pub memory_usage_bytes: u64,
    pub memory_working_set_bytes: u64,
    pub memory_available_bytes: u64,
    pub memory_rss_bytes: u64,
    pub file_system_capacity_bytes: u64,
    pub file_system_available_bytes: u64,
    pub file_system_inodes: u64,
    pub file_system_inodes_free: u64,
    pub processes: u64,
    pub processes_max: u64,
}
