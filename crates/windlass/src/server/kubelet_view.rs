//! The kubelet as its API sees it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use windlass_api::k8s::api::core::v1::ContainerStatus;
use windlass_api::time::Clock;
use windlass_kubelet::Handle;
use windlass_kubelet_api::{ContainerState, ContainerView, Node, NodeUsage, PodView};

pub(crate) struct KubeletView {
    handle: Handle,
    clock: Clock,
    config: Value,
    /// Where pods' data lie: its file system is the node's.
    directory: PathBuf,
}

impl KubeletView {
    pub(crate) fn new(handle: Handle, clock: Clock, options: &windlass_kubelet::Options) -> Self {
        let config = json!({
            "kind": "KubeletConfiguration",
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "port": options.port,
            "clusterDNS": options.cluster_dns,
            "clusterDomain": options.cluster_domain,
            "maxPods": options.max_pods,
            "podLogsDir": options.pod_logs,
            "staticPodPath": options.static_pods,
            "resolvConf": options.resolv_conf,
            "cgroupRoot": options.cgroup_root,
            "seccompDefault": options.seccomp_default,
            "allowedUnsafeSysctls": options.allowed_unsafe_sysctls,
            "nodeLeaseDurationSeconds": options.lease_duration.as_secs(),
            "nodeStatusReportFrequency": format!("{}s", options.status_report_interval.as_secs()),
        });
        Self { handle, clock, config, directory: options.root.clone() }
    }
}

/// The runtime's own ID of `windlass://ID`.
fn id(shown: Option<&String>) -> String {
    shown.and_then(|shown| shown.split_once("://")).map(|(_, id)| id.to_owned()).unwrap_or_default()
}

fn view(status: &ContainerStatus) -> ContainerView {
    let own = id(status.container_id.as_ref());
    let state = match &status.state {
        Some(state) if state.running.is_some() => ContainerState::Running { id: own },
        Some(state) if state.terminated.is_some() => {
            let of_end = id(state.terminated.as_ref().and_then(|ended| ended.container_id.as_ref()));
            ContainerState::Terminated { id: if of_end.is_empty() { own } else { of_end } }
        }
        state => {
            let waiting = state.as_ref().and_then(|state| state.waiting.as_ref());
            let reason = waiting.and_then(|waiting| waiting.reason.clone());
            ContainerState::Waiting { reason: reason.unwrap_or_else(|| "ContainerCreating".to_owned()) }
        }
    };
    let last = status.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    let last_terminated = last.map(|last| id(last.container_id.as_ref())).filter(|id| !id.is_empty());
    ContainerView { name: status.name.clone(), state, last_terminated }
}

impl Node for KubeletView {
    fn name(&self) -> &str {
        self.handle.node_name()
    }

    fn pods(&self) -> Vec<Value> {
        self.handle.pods().iter().filter_map(|pod| serde_json::to_value(pod).ok()).collect()
    }

    fn pod(&self, namespace: &str, name: &str) -> Option<PodView> {
        let pod = self.handle.pod(namespace, name)?;
        let uid = pod.metadata.uid.unwrap_or_default();
        let status = pod.status.unwrap_or_default();
        let all = [status.init_container_statuses, status.container_statuses, status.ephemeral_container_statuses];
        let containers = all.iter().flatten().flatten().map(view).collect();
        Some(PodView { sandbox_id: self.handle.sandbox(&uid), uid, containers })
    }

    fn config(&self) -> Value {
        self.config.clone()
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }

    fn update_metrics(&self) {
        self.handle.update_metrics();
    }

    fn probe_metrics(&self) -> Vec<u8> {
        self.handle.probe_metrics()
    }

    fn usage(&self) -> NodeUsage {
        usage(&self.directory, self.clock.now_nanos())
    }
}

/// Reads the machine's usage from /proc; what cannot be read is zero.
fn usage(directory: &Path, now: i64) -> NodeUsage {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let memory = read("/proc/meminfo");
    let bytes = |name: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    let stat = read("/proc/stat");
    let numbers = |name: &str| {
        let line = stat.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().filter_map(|number| number.parse::<u64>().ok()).collect::<Vec<_>>()
    };
    // user, nice, system, idle, iowait, irq, softirq, steal: in hundredths of a second.
    let cpu = numbers("cpu ");
    let busy: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|&index| cpu.get(index)).sum();
    let started = numbers("btime ").first().copied().unwrap_or(0);
    let (total, available) = (bytes("MemTotal"), bytes("MemAvailable"));
    let file_system = nix::sys::statvfs::statvfs(directory).ok();
    let of = |field: fn(&nix::sys::statvfs::Statvfs) -> u64| file_system.as_ref().map_or(0, field);
    NodeUsage {
        started: i64::try_from(started).unwrap_or(0) * 1_000_000_000,
        timestamp: now,
        cpu_usage_core_nanoseconds: busy * 10_000_000,
        memory_usage_bytes: total.saturating_sub(bytes("MemFree")),
        memory_working_set_bytes: total.saturating_sub(available),
        memory_available_bytes: available,
        memory_rss_bytes: bytes("AnonPages"),
        file_system_capacity_bytes: of(|fs| fs.blocks() * fs.fragment_size()),
        file_system_available_bytes: of(|fs| fs.blocks_available() * fs.fragment_size()),
        file_system_inodes: of(nix::sys::statvfs::Statvfs::files),
        file_system_inodes_free: of(nix::sys::statvfs::Statvfs::files_free),
        processes: read("/proc/loadavg").split(['/', ' ']).nth(4).and_then(|text| text.parse().ok()).unwrap_or(0),
        processes_max: read("/proc/sys/kernel/pid_max").trim().parse().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_and_the_one_before() {
        let status: ContainerStatus = serde_json::from_value(json!({
            "name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 1, "containerID": "windlass://new",
            "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1, "containerID": "windlass://old"}}}))
        .unwrap();
        let view = view(&status);
        assert_eq!(view.state, ContainerState::Running { id: "new".to_owned() });
        assert_eq!(view.last_terminated.as_deref(), Some("old"));
    }

    #[test]
    fn the_machine_is_in_use() {
        let usage = usage(Path::new("/"), 1);
        assert!(usage.memory_working_set_bytes > 0 && usage.cpu_usage_core_nanoseconds > 0 && usage.started > 0);
        assert!(usage.file_system_capacity_bytes > usage.file_system_available_bytes && usage.processes > 0);
    }
}
