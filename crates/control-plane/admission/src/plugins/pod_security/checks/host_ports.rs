//! Ports of the host.

use serde_json::Value;

use super::wording::{Sorted, containers, plural};
use super::{Check, Pod, Violation};

pub(super) const PORTS: Check = Check::new("hostPorts", &[(0, ports)]);

fn host_ports(container: &Value) -> impl Iterator<Item = i64> {
    let ports = container["ports"].as_array().into_iter().flatten();
    ports.filter_map(|port| port["hostPort"].as_i64()).filter(|port| *port != 0)
}

fn ports(pod: Pod<'_>) -> Option<Violation> {
    let bad = pod.containers_that(|container| host_ports(container).next().is_some());
    // Sorted as text, as upstream does.
    let ports: Sorted = pod.containers().flat_map(host_ports).map(|port| port.to_string()).collect();
    let detail = || {
        let (who, use_) = (containers(&bad), plural("uses", "use", bad.len()));
        let listed: Vec<&str> = ports.iter().map(String::as_str).collect();
        format!("{who} {use_} {} {}", plural("hostPort", "hostPorts", ports.len()), listed.join(", "))
    };
    (!bad.is_empty()).then(|| Violation::new("hostPort", detail()))
}
