//! The status of the Node object. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use windlass_api::Quantity;
use windlass_api::condition;
use windlass_api::k8s::api::core::v1::{
    ContainerImage, DaemonEndpoint, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeFeatures, NodeRuntimeHandler,
    NodeRuntimeHandlerFeatures, NodeStatus, NodeSystemInfo,
};
use windlass_api::pod::AnyList;
use windlass_cri::{Image, RuntimeStatus};

use crate::facts::Pressure;
use crate::pod::resources::texts;
use crate::status::time;

/// Images that a node lists, and names of each.
const IMAGES_MAX: usize = 50;
const NAMES_MAX: usize = 5;
/// What not every node of this minor version does.
const DECLARED_FEATURES: [&str; 2] =
    ["InPlacePodLevelResourcesVerticalScaling", "InPlacePodVerticalScalingInitContainers"];

pub(super) struct StatusInput<'a> {
    pub(super) hostname: &'a str,
    pub(super) ips: &'a [IpAddr],
    pub(super) port: u16,
    pub(super) info: NodeSystemInfo,
    pub(super) capacity: &'a BTreeMap<String, Quantity>,
    pub(super) allocatable: &'a BTreeMap<String, Quantity>,
    pub(super) runtime: Option<&'a RuntimeStatus>,
    /// What is wrong with the kubelet itself.
    pub(super) problems: Vec<String>,
    pub(super) pressure: Pressure,
    pub(super) images: &'a [Image],
    pub(super) old: &'a NodeStatus,
    pub(super) now: Timestamp,
}

pub(super) fn generate(input: &StatusInput<'_>) -> NodeStatus {
    let mut addresses: Vec<NodeAddress> =
        input.ips.iter().map(|ip| NodeAddress { type_: "InternalIP".to_owned(), address: ip.to_string() }).collect();
    addresses.push(NodeAddress { type_: "Hostname".to_owned(), address: input.hostname.to_owned() });
    NodeStatus {
        addresses: Some(addresses),
        allocatable: Some(texts(input.allocatable.amounts())),
        capacity: Some(texts(input.capacity.amounts())),
        conditions: Some(conditions(input)),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint { port: i32::from(input.port) }),
        }),
        features: Some(NodeFeatures {
            supplemental_groups_policy: Some(input.runtime.is_some_and(|runtime| runtime.supplemental_groups_policy)),
        }),
        images: Some(images(input.images)),
        node_info: Some(input.info.clone()),
        runtime_handlers: input.runtime.map(handlers),
        volumes_attached: input.old.volumes_attached.clone(),
        volumes_in_use: input.old.volumes_in_use.clone(),
        config: input.old.config.clone(),
        phase: None,
        declared_features: Some(DECLARED_FEATURES.map(str::to_owned).to_vec()),
    }
}

fn handlers(runtime: &RuntimeStatus) -> Vec<NodeRuntimeHandler> {
    let one = |handler: &windlass_cri::RuntimeHandler| NodeRuntimeHandler {
        name: Some(handler.name.clone()),
        features: Some(NodeRuntimeHandlerFeatures {
            recursive_read_only_mounts: Some(handler.recursive_read_only_mounts),
            user_namespaces: Some(handler.user_namespaces),
        }),
    };
    runtime.handlers.iter().map(one).collect()
}

/// The largest images, with their names by digest first.
fn images(all: &[Image]) -> Vec<ContainerImage> {
    let mut all: Vec<&Image> = all.iter().collect();
    all.sort_by(|a, b| b.size_bytes.cmp(&a.size_bytes).then_with(|| a.id.cmp(&b.id)));
    let one = |image: &Image| {
        let names = image.repo_digests.iter().chain(&image.repo_tags).take(NAMES_MAX).cloned().collect();
        ContainerImage { names: Some(names), size_bytes: Some(i64::try_from(image.size_bytes).unwrap_or(i64::MAX)) }
    };
    all.into_iter().take(IMAGES_MAX).map(one).collect()
}

/// Why the node is not ready; empty when it is.
fn not_ready(runtime: Option<&RuntimeStatus>) -> Vec<String> {
    let Some(runtime) = runtime else {
        return vec!["container runtime status check may not have completed yet".to_owned()];
    };
    let say = |what: &str, kind: &str| {
        let condition = runtime.conditions.iter().find(|condition| condition.kind == kind)?;
        let (reason, message) = (&condition.reason, &condition.message);
        (!condition.status).then(|| format!("{what} not ready: {kind}=false reason:{reason} message:{message}"))
    };
    [say("container runtime", "RuntimeReady"), say("container runtime network", "NetworkReady")]
        .into_iter()
        .flatten()
        .collect()
}

fn conditions(input: &StatusInput<'_>) -> Vec<NodeCondition> {
    let problems: Vec<String> = not_ready(input.runtime).into_iter().chain(input.problems.iter().cloned()).collect();
    let ready = if problems.is_empty() {
        ("True", "KubeletReady", "kubelet is posting ready status".to_owned())
    } else if let [one] = problems.as_slice() {
        ("False", "KubeletNotReady", one.clone())
    } else {
        ("False", "KubeletNotReady", format!("[{}]", problems.join(", ")))
    };
    let pressure = |under: bool, has: (&str, &str), has_not: (&str, &str)| {
        let (reason, message) = if under { has } else { has_not };
        (if under { "True" } else { "False" }, reason.to_owned(), message.to_owned())
    };
    let Pressure { memory, disk, pids } = input.pressure;
    let own = [
        (
            "MemoryPressure",
            pressure(
                memory,
                ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
                ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            ),
        ),
        (
            "DiskPressure",
            pressure(
                disk,
                ("KubeletHasDiskPressure", "kubelet has disk pressure"),
                ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            ),
        ),
        (
            "PIDPressure",
            pressure(
                pids,
                ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
                ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ),
        ),
        ("Ready", (ready.0, ready.1.to_owned(), ready.2)),
    ];
    let old = input.old.conditions.as_deref().unwrap_or_default();
    let mut all = old.to_vec();
    for (kind, (status, reason, message)) in own {
        let wanted = NodeCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason),
            message: Some(message),
            last_heartbeat_time: Some(time(input.now)),
            last_transition_time: None,
        };
        condition::set(&mut all, wanted, input.now);
    }
    all
}

/// Whether two statuses differ in more than their heartbeats.
pub(super) fn differs(old: &NodeStatus, new: &NodeStatus) -> bool {
    let still = |status: &NodeStatus| {
        let mut status = status.clone();
        for condition in status.conditions.iter_mut().flatten() {
            condition.last_heartbeat_time = None;
        }
        if let Some(list) = &mut status.conditions {
            list.sort_by(|a, b| a.type_.cmp(&b.type_));
        }
        status.phase = None;
        serde_json::to_value(&status).unwrap_or_default()
    };
    still(old) != still(new)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use windlass_cri::RuntimeCondition;

    use super::*;

    fn status(runtime: Option<&RuntimeStatus>, pressure: Pressure, old: &NodeStatus, now: i64) -> NodeStatus {
        generate(&input(runtime, pressure, old, now))
    }

    fn input<'a>(
        runtime: Option<&'a RuntimeStatus>,
        pressure: Pressure,
        old: &'a NodeStatus,
        now: i64,
    ) -> StatusInput<'a> {
        StatusInput {
            hostname: "n",
            ips: const { &[IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))] },
            port: 10250,
            info: NodeSystemInfo::default(),
            capacity: const { &BTreeMap::new() },
            allocatable: const { &BTreeMap::new() },
            runtime,
            problems: Vec::new(),
            pressure,
            images: &[],
            old,
            now: Timestamp::from_second(now).unwrap(),
        }
    }

    fn ready(status: &NodeStatus) -> (String, String) {
        let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready").unwrap();
        (ready.status.clone(), ready.message.clone().unwrap())
    }

    #[test]
    fn readiness() {
        let condition = |kind, status, message: &str| RuntimeCondition {
            kind,
            status,
            reason: "R".to_owned(),
            message: message.to_owned(),
        };
        let good = RuntimeStatus {
            conditions: vec![condition("RuntimeReady", true, ""), condition("NetworkReady", true, "")],
            ..RuntimeStatus::default()
        };
        let bad = RuntimeStatus { conditions: vec![condition("NetworkReady", false, "no CNI")], ..good.clone() };
        let empty = NodeStatus::default();
        let first = status(Some(&good), Pressure::default(), &empty, 100);
        assert_eq!(ready(&first), ("True".to_owned(), "kubelet is posting ready status".to_owned()));
        let text = "container runtime network not ready: NetworkReady=false reason:R message:no CNI";
        assert_eq!(ready(&status(Some(&bad), Pressure::default(), &empty, 100)), ("False".to_owned(), text.to_owned()));
        assert_eq!(ready(&status(None, Pressure::default(), &empty, 100)).0, "False");
        let stuck =
            StatusInput { problems: vec!["stuck".to_owned()], ..input(Some(&bad), Pressure::default(), &empty, 100) };
        assert_eq!(ready(&generate(&stuck)), ("False".to_owned(), format!("[{text}, stuck]")));
        let later = status(Some(&good), Pressure::default(), &first, 500);
        assert!(!differs(&first, &later));
        assert!(differs(&first, &status(Some(&good), Pressure { memory: true, ..Pressure::default() }, &first, 500)));
        let since = |status: &NodeStatus| status.conditions.as_ref().unwrap()[3].last_transition_time.clone();
        assert_eq!(since(&first), since(&later));
    }
}
