//! Whether a pod that was bound to this node may run here: the last word, since the scheduler may have known less. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_api::Quantity;
use windlass_api::k8s::api::core::v1::{Node, Pod};
use windlass_api::node_selector::Term;
use windlass_api::pod::resources::CPU;
use windlass_api::pod::{HostPort, Options, QosClass, Total, host_ports, requests};
use windlass_api::taint::{Taint, Toleration};
use windlass_api::well_known::taint;

use crate::facts::Pressure;
use crate::pod::qos::class_of;
use crate::pod::resources::PODS;
use crate::pod::{PodView, apparmor};

/// Sysctls that are namespaced and can do no harm to others.
const SAFE_SYSCTLS: [&str; 14] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_notsent_lowat",
];

/// Why a pod may not run here: the reason and message of its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) reason: String,
    pub(crate) message: String,
}

fn reject(reason: &str, message: impl Into<String>) -> Result<(), Rejection> {
    Err(Rejection { reason: reason.to_owned(), message: message.into() })
}

pub(crate) struct Input<'a> {
    pub(crate) pod: &'a Pod,
    /// Those that run here already.
    pub(crate) others: &'a [Arc<Pod>],
    pub(crate) node: Option<&'a Node>,
    pub(crate) allocatable: &'a BTreeMap<String, Quantity>,
    pub(crate) pressure: Pressure,
    pub(crate) allowed_unsafe_sysctls: &'a [String],
    /// Whether the kernel can enforce AppArmor profiles.
    pub(crate) apparmor: bool,
}

pub(crate) fn admit(input: &Input<'_>) -> Result<(), Rejection> {
    let pod = input.pod;
    let os = pod.pod_spec().os.as_ref().map(|os| os.name.as_str());
    if os.is_some_and(|os| os != "linux") {
        return reject("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS");
    }
    pressure(input)?;
    sysctls(input)?;
    if let Some(problem) = apparmor::problem(pod, input.apparmor) {
        return reject("AppArmor", format!("Cannot enforce AppArmor: {problem}"));
    }
    if let Some(node) = input.node
        && !pod.is_static()
    {
        if !matches_node(pod, node) {
            let text = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
            return reject("NodeAffinity", text);
        }
        let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()).map(Taint::from);
        let tolerations = tolerations(pod);
        if taints.any(|taint| taint.effect == "NoExecute" && !taint.is_tolerated(&tolerations)) {
            let text = "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate";
            return reject("TaintToleration", text);
        }
    }
    if input.others.iter().any(|other| ports_conflict(pod, other)) {
        let text = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
        return reject("NodePorts", text);
    }
    fits(input)
}

fn pressure(input: &Input<'_>) -> Result<(), Rejection> {
    let Pressure { memory, disk, pids } = input.pressure;
    let pod = input.pod;
    if pod.is_critical() || !(memory || disk || pids) {
        return Ok(());
    }
    if memory && !disk && !pids {
        // Those with requests of their own are let in, and so is who tolerates the pressure.
        let pressure =
            Taint { key: taint::MEMORY_PRESSURE.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() };
        if class_of(pod) != QosClass::BestEffort || pressure.is_tolerated(&tolerations(pod)) {
            return Ok(());
        }
    }
    let names = [(memory, "MemoryPressure"), (disk, "DiskPressure"), (pids, "PIDPressure")];
    let names: Vec<&str> = names.into_iter().filter(|(under, _)| *under).map(|(_, name)| name).collect();
    reject("Evicted", format!("The node had condition: [{}]. ", names.join(" ")))
}

fn sysctls(input: &Input<'_>) -> Result<(), Rejection> {
    let security = input.pod.pod_spec().security_context.as_ref();
    for sysctl in security.and_then(|security| security.sysctls.as_ref()).into_iter().flatten() {
        let name = sysctl.name.replace('/', ".");
        let allowed = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *pattern,
        };
        if !SAFE_SYSCTLS.contains(&name.as_str()) && !input.allowed_unsafe_sysctls.iter().any(allowed) {
            return reject("SysctlForbidden", format!("forbidden sysctl: {:?} not allowlisted", sysctl.name));
        }
    }
    Ok(())
}

fn tolerations(pod: &Pod) -> Vec<Toleration> {
    pod.pod_spec().tolerations.iter().flatten().map(Toleration::from).collect()
}

/// The node selector, and the affinity that is required.
fn matches_node(pod: &Pod, node: &Node) -> bool {
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let selector = pod.pod_spec().node_selector.iter().flatten();
    if !selector.into_iter().all(|(name, value)| labels.get(name) == Some(value)) {
        return false;
    }
    let affinity = pod.pod_spec().affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref());
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let mut terms = required.into_iter().flat_map(|required| &required.node_selector_terms).map(Term::from);
    required.is_none() || terms.any(|term| term.matches(name, &labels))
}

fn ports_conflict(pod: &Pod, other: &Pod) -> bool {
    let taken: Vec<HostPort> = host_ports(other).collect();
    host_ports(pod).any(|port| taken.iter().any(|other| port.conflicts(other)))
}

/// Whether there is room: first for one more pod, then for what it asks.
fn fits(input: &Input<'_>) -> Result<(), Rejection> {
    let lacking = |name: &str, requested: i64, used: i64, capacity: i64| {
        let text = format!(
            "Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
        );
        reject(&format!("OutOf{name}"), text)
    };
    let count = |amount: &Quantity, name: &str| if name == CPU { amount.milli() } else { amount.units() };
    let pods = i64::try_from(input.others.len()).unwrap_or(i64::MAX);
    let pods_max = input.allocatable.get(PODS).map_or(0, Quantity::units);
    if pods + 1 > pods_max {
        return lacking(PODS, 1, pods, pods_max);
    }
    let used: Vec<Total<'_>> = input.others.iter().map(|other| requests(&**other, Options::SPEC)).collect();
    for (name, requested) in requests(input.pod, Options::SPEC).iter() {
        let requested = count(&requested, name);
        // What the node does not have at all is somebody else's to decide.
        let Some(capacity) = input.allocatable.get(name).map(|amount| count(amount, name)) else { continue };
        let used: i64 = used.iter().filter_map(|amounts| amounts.get(name)).map(|amount| count(&amount, name)).sum();
        if requested > 0 && used + requested > capacity {
            return lacking(name, requested, used, capacity);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(spec: Value) -> Arc<Pod> {
        Arc::new(serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u"}, "spec": spec})).unwrap())
    }

    fn reason(spec: Value, pressure: Pressure) -> String {
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": "n", "labels": {"zone": "a", "size": "5"}},
            "spec": {"taints": [{"key": "t", "effect": "NoExecute"}, {"key": "s", "effect": "NoSchedule"}]}}))
        .unwrap();
        let others = [pod(json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "1500m"}},
                "ports": [{"containerPort": 80, "hostPort": 80}]}]}))];
        let allocatable = BTreeMap::from([
            ("cpu".to_owned(), Quantity::from_units(2)),
            ("pods".to_owned(), Quantity::from_units(110)),
        ]);
        let mut spec = spec;
        if spec.get("tolerations").is_none() {
            spec["tolerations"] = json!([{"operator": "Exists", "key": "t"}]);
        }
        let pod = pod(spec);
        let result = admit(&Input {
            pod: &pod,
            others: &others,
            node: Some(&node),
            allocatable: &allocatable,
            pressure,
            allowed_unsafe_sysctls: &["kernel.msg*".to_owned()],
            apparmor: false,
        });
        result.err().map(|rejection| rejection.reason).unwrap_or_default()
    }

    #[test]
    fn who_may_run() {
        let none = Pressure::default();
        let affinity = |key: &str, operator: &str, values: &[&str]| {
            json!({"containers": [], "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                {"nodeSelectorTerms": [{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]}}}})
        };
        let with = |container: Value| json!({"containers": [container]});
        let cases = [
            (json!({"containers": []}), ""),
            (json!({"containers": [], "tolerations": []}), "TaintToleration"),
            (json!({"containers": [], "os": {"name": "windows"}}), "PodOSNotSupported"),
            (json!({"containers": [], "nodeSelector": {"zone": "a"}}), ""),
            (json!({"containers": [], "nodeSelector": {"zone": "b"}}), "NodeAffinity"),
            (affinity("zone", "In", &["a", "b"]), ""),
            (affinity("zone", "NotIn", &["a"]), "NodeAffinity"),
            (affinity("size", "Gt", &["4"]), ""),
            (affinity("size", "Lt", &["4"]), "NodeAffinity"),
            (affinity("other", "DoesNotExist", &[]), ""),
            (with(json!({"name": "c", "resources": {"requests": {"cpu": "500m"}}})), ""),
            (with(json!({"name": "c", "resources": {"requests": {"cpu": "501m"}}})), "OutOfcpu"),
            (with(json!({"name": "c", "resources": {"requests": {"example.com/x": "1"}}})), ""),
            (
                with(json!({"name": "c", "ports": [{"containerPort": 1, "hostPort": 80, "hostIP": "1.2.3.4"}]})),
                "NodePorts",
            ),
            (with(json!({"name": "c", "ports": [{"containerPort": 1, "hostPort": 80, "protocol": "UDP"}]})), ""),
            (json!({"containers": [], "securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}), ""),
            (
                json!({"containers": [], "securityContext": {"sysctls": [{"name": "vm.swappiness", "value": "1"}]}}),
                "SysctlForbidden",
            ),
            (
                with(json!({"name": "c", "securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}})),
                "AppArmor",
            ),
            (with(json!({"name": "c", "securityContext": {"appArmorProfile": {"type": "Unconfined"}}})), ""),
        ];
        for (spec, expected) in cases {
            assert_eq!(reason(spec.clone(), none), expected, "{spec}");
        }
        let memory = Pressure { memory: true, ..none };
        assert_eq!(reason(json!({"containers": []}), memory), "Evicted");
        assert_eq!(reason(with(json!({"name": "c", "resources": {"requests": {"cpu": "1m"}}})), memory), "");
        assert_eq!(reason(json!({"containers": [], "priority": 2_000_000_000}), memory), "");
    }
}
