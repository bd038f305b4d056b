//! What sandboxes, containers and images use of the machine. Instants are nanoseconds since the epoch; a counter that the
//! kernel does not give is `None`.

use std::collections::BTreeMap;

use crate::{ContainerMetadata, SandboxMetadata};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuUsage {
    pub timestamp: i64,
    /// Since the start, over all cores.
    pub usage_core_nanoseconds: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MemoryUsage {
    pub timestamp: i64,
    /// Usage without inactive file pages: what eviction looks at.
    pub working_set_bytes: Option<u64>,
    /// Limit minus working set; `None` without a limit.
    pub available_bytes: Option<u64>,
    pub usage_bytes: Option<u64>,
    pub rss_bytes: Option<u64>,
    pub page_faults: Option<u64>,
    pub major_page_faults: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilesystemUsage {
    pub timestamp: i64,
    pub mountpoint: String,
    pub used_bytes: u64,
    pub inodes_used: u64,
}

/// What the runtime keeps on the disk that pods write to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DiskUsage {
    /// Writable layers of all containers, of those that have ended too, by the containers' IDs.
    pub layers: BTreeMap<String, FilesystemUsage>,
    /// Files that a sandbox lends to its containers (hostname, resolv.conf), by the sandboxes' IDs.
    pub sandboxes: BTreeMap<String, FilesystemUsage>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct InterfaceUsage {
    pub name: String,
    pub rx_bytes: u64,
    pub rx_errors: u64,
    pub tx_bytes: u64,
    pub tx_errors: u64,
}

#[derive(Clone, Debug, Default)]
pub struct ContainerStats {
    pub id: String,
    pub metadata: ContainerMetadata,
    pub labels: BTreeMap<String, String>,
    pub cpu: CpuUsage,
    pub memory: MemoryUsage,
    pub writable_layer: Option<FilesystemUsage>,
    pub processes: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub struct SandboxStats {
    pub id: String,
    pub metadata: SandboxMetadata,
    pub labels: BTreeMap<String, String>,
    pub cpu: CpuUsage,
    pub memory: MemoryUsage,
    /// The pod's own interfaces, the default one first; empty on the node's network.
    pub interfaces: Vec<InterfaceUsage>,
    pub processes: Option<u64>,
    pub containers: Vec<ContainerStats>,
}
