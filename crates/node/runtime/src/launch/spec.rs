//! What the daemon has decided about a process before it is launched. Everything is resolved: users are numbers, filters are
//! compiled, paths are chosen. A launch only carries it out.
//!
//! These are also messages of the supervisor's protocol ([`crate::supervisor::protocol`]): new fields need
//! `#[serde(default)]`, because a daemon may be newer or older than the supervisor that it finds running.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A container's first process and the world around it. With the request come descriptors: the root file system (a detached
/// mount) first, then the mounts that [`MountSource::Passed`] refers to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ContainerLaunch {
    pub(crate) id: String,
    pub(crate) namespaces: NamespacePlan,
    pub(crate) cgroup: CgroupPlan,
    /// An empty directory of the node on which the root file system is attached, seen by the container's processes alone.
    pub(crate) root_mount_point: PathBuf,
    pub(crate) root_readonly: bool,
    /// In order.
    pub(crate) mounts: Vec<MountPlan>,
    pub(crate) devices: Vec<DeviceNode>,
    /// Symbolic links: path and target.
    pub(crate) links: Vec<(String, String)>,
    /// Paths that the image declared as volumes: they stay writable when the root is not.
    pub(crate) writable_paths: Vec<String>,
    pub(crate) masked_paths: Vec<String>,
    pub(crate) readonly_paths: Vec<String>,
    pub(crate) process: ProcessPlan,
    pub(crate) io: IoPlan,
}

/// Which namespaces a process gets. A path is a file that holds the namespace; `None` is the node's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct NamespacePlan {
    pub(crate) user: Option<PathBuf>,
    pub(crate) network: Option<PathBuf>,
    pub(crate) ipc: Option<PathBuf>,
    pub(crate) uts: Option<PathBuf>,
    pub(crate) pid: PidNamespace,
    /// A cgroup namespace whose root is the container's cgroup.
    pub(crate) own_cgroup: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PidNamespace {
    /// A new one, in which the process is number 1.
    #[default]
    Own,
    Node,
    /// That of the sandbox's init.
    Sandbox(String),
    /// That of a running container.
    Container(String),
}

/// Where a process is accounted, and what to look at when it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CgroupPlan {
    /// The container's directory in each hierarchy of cgroup v1.
    pub(crate) v1: Vec<PathBuf>,
    /// The container's directory in the hierarchy of cgroup v2, where that is in charge.
    pub(crate) v2: Option<PathBuf>,
    /// The file with the `oom_kill` counter.
    pub(crate) oom_counter: Option<PathBuf>,
    /// The file that lists the processes, for killing what a shared pid namespace leaves behind.
    pub(crate) processes: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct MountPlan {
    /// Inside the container, absolute.
    pub(crate) target: String,
    pub(crate) source: MountSource,
    pub(crate) attributes: MountAttributes,
    pub(crate) propagation: MountPropagation,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MountSource {
    /// A file or directory of the node with all that is mounted below it.
    Bind { path: PathBuf, id_mapped: bool },
    /// A detached mount that came with the request, by number.
    Passed { number: usize, sub_path: String },
    /// A fresh file system of a type, with options.
    Fresh { fs_type: String, options: Vec<(String, Option<String>)> },
}

impl Default for MountSource {
    fn default() -> Self {
        Self::Fresh { fs_type: "tmpfs".to_owned(), options: Vec::new() }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct MountAttributes {
    pub(crate) readonly: bool,
    /// `readonly` counts for the mounts below too.
    pub(crate) recursive: bool,
    pub(crate) nosuid: bool,
    pub(crate) nodev: bool,
    pub(crate) noexec: bool,
    pub(crate) strictatime: bool,
    /// Read-only only after the mounts that follow below it have been made.
    pub(crate) readonly_at_end: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MountPropagation {
    #[default]
    Private,
    Slave,
    Shared,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DeviceKind {
    Character,
    Block,
}

/// A device file to make in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceNode {
    pub(crate) path: String,
    /// The node's file with the same device; bound instead of made where a user namespace forbids making it.
    pub(crate) host_path: PathBuf,
    pub(crate) kind: DeviceKind,
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// A process as it is just before `execve`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ProcessPlan {
    pub(crate) args: Vec<String>,
    /// `NAME=value`
    pub(crate) env: Vec<String>,
    pub(crate) working_dir: String,
    pub(crate) user: UserPlan,
    /// Bits by capability number; already limited to what the node may give.
    pub(crate) capabilities: u64,
    pub(crate) no_new_privs: bool,
    /// A compiled filter: instructions of classic BPF, 8 bytes each, in base64.
    pub(crate) seccomp: Option<String>,
    /// A loaded profile's name.
    pub(crate) apparmor: Option<String>,
    pub(crate) oom_score_adj: Option<i32>,
    /// The user's number on the node, who gets the standard streams; another than `user.uid` in a user namespace.
    pub(crate) stream_owner: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct UserPlan {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct IoPlan {
    pub(crate) terminal: bool,
    pub(crate) stdin: bool,
    /// Close stdin when the first attached client that wrote to it has gone.
    pub(crate) stdin_once: bool,
    pub(crate) log_path: Option<PathBuf>,
}

/// A process in a running container. Without a terminal three descriptors come with the request: its stdin, stdout and
/// stderr. With one, the answer carries the terminal's master.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ExecLaunch {
    pub(crate) container_id: String,
    pub(crate) cgroup: CgroupPlan,
    pub(crate) process: ProcessPlan,
    pub(crate) terminal: bool,
    /// The container is in a user namespace.
    pub(crate) user_namespace: bool,
}

/// The init of a sandbox whose containers share a pid namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct InitLaunch {
    pub(crate) sandbox_id: String,
    pub(crate) namespaces: NamespacePlan,
    pub(crate) cgroup: CgroupPlan,
    pub(crate) root_mount_point: PathBuf,
    pub(crate) oom_score_adj: Option<i32>,
}

/// Namespaces that a new user namespace owns, to be pinned as files (`user`, `net`, `ipc`, `uts`) in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct UserNamespaceLaunch {
    pub(crate) sandbox_id: String,
    pub(crate) directory: PathBuf,
    /// Lines of `uid_map`.
    pub(crate) uid_map: String,
    pub(crate) gid_map: String,
    pub(crate) own_network: bool,
    pub(crate) own_ipc: bool,
    /// `None` keeps the node's UTS namespace.
    pub(crate) hostname: Option<String>,
}
