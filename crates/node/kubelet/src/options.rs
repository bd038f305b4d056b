//! What a kubelet is told when it starts. Defaults are upstream's KubeletConfiguration.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use windlass_api::Quantity;
use windlass_api::k8s::api::core::v1::Taint;

#[derive(Clone, Debug)]
pub struct Options {
    pub node_name: String,
    /// The node's addresses, one or two of different families, the primary one first.
    pub node_ips: Vec<IpAddr>,
    /// The kubelet's directory: pods, volumes.
    pub root: PathBuf,
    /// Where the logs of containers are: `POD_LOGS/NAMESPACE_NAME_UID/CONTAINER/ATTEMPT.log`.
    pub pod_logs: PathBuf,
    /// A container's log that is as large is rotated; no log is when this is negative.
    pub container_log_max_size: Quantity,
    /// Files that there are of a container's log at most, the one that is written among them; two at least.
    pub container_log_max_files: usize,
    /// How often all logs are looked at; those that are written to are anyway.
    pub container_log_monitor_interval: Duration,
    /// A directory with manifests of static pods.
    pub static_pods: Option<PathBuf>,
    /// Where the kubelet's own API listens: `daemonEndpoints`.
    pub port: u16,
    /// The cgroup below which pods live, as a path below the root of every hierarchy; `/` for the root itself.
    pub cgroup_root: String,
    pub cluster_dns: Vec<String>,
    pub cluster_domain: String,
    /// The resolver's configuration that pods with dnsPolicy Default get.
    pub resolv_conf: PathBuf,
    pub max_pods: u32,
    /// Processes and threads that a pod may have; -1 for any number. Upstream has no limit unless told.
    pub pod_pids_limit: i64,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    pub provider_id: Option<String>,
    /// Kept back from pods, by resource.
    pub reserved: BTreeMap<String, Quantity>,
    /// Containers without a seccomp profile of their own get the runtime's.
    pub seccomp_default: bool,
    /// Sysctls beyond the safe ones that pods may set; a trailing `*` matches any end.
    pub allowed_unsafe_sysctls: Vec<String>,
    /// What node info calls this program.
    pub version: String,
    pub lease_duration: Duration,
    /// How often the node's status is written though nothing has changed.
    pub status_report_interval: Duration,
    pub eviction: EvictionOptions,
    pub image_gc: ImageGcOptions,
}

/// When pods are evicted.
#[derive(Clone, Debug)]
pub struct EvictionOptions {
    pub hard: Vec<Threshold>,
    pub soft: Vec<SoftThreshold>,
    pub max_pod_grace_seconds: i64,
    /// How often what is left is looked at.
    pub monitoring_interval: Duration,
    /// A pressure condition stays so long after the pressure has gone.
    pub pressure_transition_period: Duration,
}

/// A signal that is under a threshold: `memory.available<100Mi`.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    pub signal: Signal,
    pub value: ThresholdValue,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SoftThreshold {
    pub threshold: Threshold,
    /// How long it must last.
    pub grace: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    MemoryAvailable,
    NodeFsAvailable,
    NodeFsInodesFree,
    ImageFsAvailable,
    ImageFsInodesFree,
    PidAvailable,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ThresholdValue {
    Quantity(Quantity),
    /// Of the capacity, from 0 to 1.
    Fraction(f64),
}

#[derive(Clone, Debug)]
pub struct ImageGcOptions {
    /// Where the images lie: what file system fills up.
    pub directory: PathBuf,
    /// Percent of the file system at which unused images are removed, and down to which.
    pub high_threshold_percent: u64,
    pub low_threshold_percent: u64,
    pub minimum_age: Duration,
}

impl Default for EvictionOptions {
    fn default() -> Self {
        let bytes = |signal, value| Threshold { signal, value: ThresholdValue::Quantity(value) };
        let fraction = |signal, value| Threshold { signal, value: ThresholdValue::Fraction(value) };
        Self {
            hard: vec![
                bytes(Signal::MemoryAvailable, Quantity::from_bytes(100 << 20)),
                fraction(Signal::NodeFsAvailable, 0.10),
                fraction(Signal::NodeFsInodesFree, 0.05),
                fraction(Signal::ImageFsAvailable, 0.15),
                fraction(Signal::ImageFsInodesFree, 0.05),
            ],
            soft: Vec::new(),
            max_pod_grace_seconds: 0,
            monitoring_interval: Duration::from_secs(10),
            pressure_transition_period: Duration::from_secs(300),
        }
    }
}

impl Options {
    /// The usual options of a node that keeps everything below `directory`.
    pub fn new(node_name: impl Into<String>, node_ips: Vec<IpAddr>, directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        Self {
            node_name: node_name.into(),
            node_ips,
            root: directory.join("kubelet"),
            pod_logs: directory.join("pod-logs"),
            container_log_max_size: Quantity::from_bytes(10 << 20),
            container_log_max_files: 5,
            container_log_monitor_interval: Duration::from_secs(10),
            static_pods: None,
            port: 10250,
            cgroup_root: "/".to_owned(),
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".to_owned(),
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
            max_pods: 110,
            pod_pids_limit: 4096,
            labels: BTreeMap::new(),
            taints: Vec::new(),
            provider_id: None,
            reserved: BTreeMap::new(),
            seccomp_default: false,
            allowed_unsafe_sysctls: Vec::new(),
            version: "v1.37.1".to_owned(),
            lease_duration: Duration::from_secs(40),
            status_report_interval: Duration::from_secs(300),
            eviction: EvictionOptions::default(),
            image_gc: ImageGcOptions {
                directory,
                high_threshold_percent: 85,
                low_threshold_percent: 80,
                minimum_age: Duration::from_secs(120),
            },
        }
    }
}
