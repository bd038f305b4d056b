//! Pod sandboxes: the namespaces, network and cgroup that the containers of one pod share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Resources;

/// Identifies a sandbox to humans and across restarts; `attempt` grows when the kubelet recreates it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxMetadata {
    pub name: String,
    pub uid: String,
    pub namespace: String,
    pub attempt: u32,
}

/// What the kubelet wants of a sandbox.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxConfig {
    pub metadata: SandboxMetadata,
    /// Empty when the sandbox uses the node's UTS namespace.
    pub hostname: String,
    /// Where the log files of the containers go; `ContainerConfig::log_path` is relative to it.
    pub log_directory: String,
    /// What /etc/resolv.conf of the containers says; `None` leaves the node's.
    pub dns: Option<DnsConfig>,
    pub port_mappings: Vec<PortMapping>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// The pod's cgroup below each hierarchy's root, for example `/kubepods/burstable/pod<uid>`; the kubelet made it.
    pub cgroup_parent: String,
    pub namespaces: Namespaces,
    pub sysctls: BTreeMap<String, String>,
    /// The user of the sandbox itself; containers have their own.
    pub run_as_user: Option<i64>,
    pub run_as_group: Option<i64>,
    pub privileged: bool,
    pub seccomp: SecurityProfile,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsConfig {
    pub servers: Vec<String>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

/// A port of the node that leads to a port of the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    pub protocol: Protocol,
    pub container_port: u16,
    /// 0 asks for no port of the node.
    pub host_port: u16,
    /// Empty means every address of the node.
    pub host_ip: String,
}

/// Whose namespace a container uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespaceMode {
    /// The sandbox's.
    #[default]
    Pod,
    /// One of its own (pid only).
    Container,
    /// The node's.
    Node,
    /// That of the container with this ID (pid only; ephemeral containers).
    Target(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    pub network: NamespaceMode,
    pub pid: NamespaceMode,
    pub ipc: NamespaceMode,
    /// A user namespace for the pod; `None` uses the node's.
    pub user: Option<UserNamespace>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserNamespace {
    pub uids: Vec<IdMapping>,
    pub gids: Vec<IdMapping>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMapping {
    pub host_id: u32,
    pub container_id: u32,
    pub length: u32,
}

/// A seccomp or AppArmor profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecurityProfile {
    RuntimeDefault,
    #[default]
    Unconfined,
    /// A profile on the node: an absolute path (seccomp) or a loaded profile's name (AppArmor).
    Localhost(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SandboxState {
    Ready,
    NotReady,
}

/// One line of a list of sandboxes.
#[derive(Clone, Debug)]
pub struct Sandbox {
    pub id: String,
    pub metadata: SandboxMetadata,
    pub state: SandboxState,
    /// Nanoseconds since the epoch, as every instant of the CRI.
    pub created_at: i64,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub runtime_handler: String,
}

#[derive(Clone, Debug)]
pub struct SandboxStatus {
    pub sandbox: Sandbox,
    /// The pod's addresses, the primary one first; empty on the node's network.
    pub ips: Vec<String>,
    pub namespaces: Namespaces,
}

/// Selects sandboxes; an unset field selects all.
#[derive(Clone, Debug, Default)]
pub struct SandboxFilter {
    pub id: Option<String>,
    pub state: Option<SandboxState>,
    pub labels: BTreeMap<String, String>,
}

/// New limits of a running sandbox (in-place resize of a pod).
#[derive(Clone, Debug, Default)]
pub struct SandboxResources {
    pub overhead: Option<Resources>,
    pub resources: Option<Resources>,
}
