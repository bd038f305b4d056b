//! Containers: what the kubelet wants of one, and what became of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{IdMapping, ImageSpec, Namespaces, SecurityProfile};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerMetadata {
    pub name: String,
    /// Grows with each restart.
    pub attempt: u32,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerConfig {
    pub metadata: ContainerMetadata,
    /// The image by the ID that [`crate::ImageService::pull_image`] or `image_status` gave.
    pub image: ImageSpec,
    /// Replaces the image's entrypoint; empty keeps it.
    pub command: Vec<String>,
    /// Replaces the image's arguments; empty keeps them, unless `command` is given.
    pub args: Vec<String>,
    /// Empty takes the image's.
    pub working_dir: String,
    /// Added to, and stronger than, the image's.
    pub envs: Vec<(String, String)>,
    pub mounts: Vec<Mount>,
    pub devices: Vec<Device>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Relative to the sandbox's `log_directory`; empty writes no log.
    pub log_path: String,
    pub stdin: bool,
    /// Close stdin after the first attached client has gone.
    pub stdin_once: bool,
    pub tty: bool,
    /// A signal's name such as `SIGUSR1`; `None` takes the image's, else SIGTERM.
    pub stop_signal: Option<String>,
    pub resources: Resources,
    pub security: SecurityContext,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountPropagation {
    #[default]
    Private,
    HostToContainer,
    Bidirectional,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    pub container_path: String,
    /// Empty when `image` is the source.
    pub host_path: String,
    pub readonly: bool,
    pub recursive_read_only: bool,
    pub propagation: MountPropagation,
    pub uid_mappings: Vec<IdMapping>,
    pub gid_mappings: Vec<IdMapping>,
    /// An image whose file system is mounted read-only (image volumes).
    pub image: Option<ImageSpec>,
    pub image_sub_path: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub container_path: String,
    pub host_path: String,
    /// Any of `r`, `w` and `m`.
    pub permissions: String,
}

/// Limits of a container's or a pod's cgroup; 0 and `None` leave a limit as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    pub cpu_period_us: i64,
    /// -1 removes the limit.
    pub cpu_quota_us: i64,
    pub cpu_shares: i64,
    pub memory_limit_bytes: i64,
    /// -1000 to 1000; clamped to what the node's own process may set.
    pub oom_score_adj: i64,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    /// Page size as in `2MB`, and bytes.
    pub hugepage_limits: Vec<(String, u64)>,
    /// Raw cgroup v2 files and their contents.
    pub unified: BTreeMap<String, String>,
    pub memory_swap_limit_bytes: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SupplementalGroupsPolicy {
    /// The groups of the user in the image's /etc/group count too.
    #[default]
    Merge,
    Strict,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SecurityContext {
    /// Names without `CAP_`; `ALL` is allowed in both lists.
    pub add_capabilities: Vec<String>,
    pub drop_capabilities: Vec<String>,
    pub privileged: bool,
    pub namespaces: Namespaces,
    pub run_as_user: Option<i64>,
    pub run_as_group: Option<i64>,
    /// A user's name, looked up in the image's /etc/passwd; used when `run_as_user` is `None`.
    pub run_as_username: String,
    pub readonly_rootfs: bool,
    pub supplemental_groups: Vec<i64>,
    pub supplemental_groups_policy: SupplementalGroupsPolicy,
    pub no_new_privs: bool,
    pub masked_paths: Vec<String>,
    pub readonly_paths: Vec<String>,
    pub seccomp: SecurityProfile,
    /// `None` asks for nothing: the default profile, where the node has AppArmor.
    pub apparmor: Option<SecurityProfile>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerState {
    Created,
    Running,
    Exited,
    Unknown,
}

/// One line of a list of containers.
#[derive(Clone, Debug)]
pub struct Container {
    pub id: String,
    pub sandbox_id: String,
    pub metadata: ContainerMetadata,
    pub image: ImageSpec,
    /// The image by digest where it has one, else by ID: what the pod's status shows as `imageID`.
    pub image_ref: String,
    pub state: ContainerState,
    pub created_at: i64,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub struct ContainerStatus {
    pub container: Container,
    /// 0 until it was started.
    pub started_at: i64,
    /// 0 until it has ended.
    pub finished_at: i64,
    /// 128 plus the number of the signal that ended it, else what it returned.
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `ContainerCannotRun`, `StartError`; empty while it runs.
    pub reason: String,
    pub message: String,
    pub mounts: Vec<Mount>,
    /// Absolute.
    pub log_path: String,
    pub resources: Resources,
    pub user: Option<ContainerUser>,
    pub stop_signal: Option<String>,
    /// The process's ID on the node while it runs; not in the CRI's protobuf, where `info` carries it.
    pub pid: Option<u32>,
}

/// The identity that a container's first process started with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerUser {
    pub uid: i64,
    pub gid: i64,
    pub supplemental_groups: Vec<i64>,
}

/// Selects containers; an unset field selects all.
#[derive(Clone, Debug, Default)]
pub struct ContainerFilter {
    pub id: Option<String>,
    pub state: Option<ContainerState>,
    pub sandbox_id: Option<String>,
    pub labels: BTreeMap<String, String>,
}
