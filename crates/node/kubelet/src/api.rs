//! The kubelet as its API sees it.

use std::path::PathBuf;

use serde_json::{Value, json};
use windlass_api::k8s::api::core::v1::ContainerStatus;
use windlass_api::time::Clock;
use windlass_kubelet_api::{ContainerState, ContainerView, Node, NodeUsage, PodView};

use crate::facts::machine;
use crate::{Handle, Options};

/// What `windlass_kubelet_api` serves.
pub struct ApiView {
    handle: Handle,
    clock: Clock,
    config: Value,
    /// Where pods' data lie: its file system is the node's.
    directory: PathBuf,
}

impl ApiView {
    pub fn new(handle: Handle, clock: Clock, options: &Options) -> Self {
        let config = json!({
            "kind": "KubeletConfiguration",
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "port": options.port,
            "clusterDNS": options.cluster_dns,
            "clusterDomain": options.cluster_domain,
            "maxPods": options.max_pods,
            "podPidsLimit": options.pod_pids_limit,
            "podLogsDir": options.pod_logs,
            "containerLogMaxSize": options.container_log_max_size.to_string(),
            "containerLogMaxFiles": options.container_log_max_files,
            "containerLogMonitorInterval": format!("{}s", options.container_log_monitor_interval.as_secs()),
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

impl Node for ApiView {
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
        self.handle.health()
    }

    fn update_metrics(&self) {
        self.handle.update_metrics();
    }

    fn probe_metrics(&self) -> Vec<u8> {
        self.handle.probe_metrics()
    }

    fn usage(&self) -> NodeUsage {
        machine::usage(&self.directory, self.clock.now_nanos())
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
}
