//! Ports of the node that pods take.

use k8s_openapi::api::core::v1::{Container, ContainerPort};

use super::view::AnyPod;

/// Every address of the node: what no address and the unspecified one mean. `::` is an address like any other, as upstream has it.
const ANY: &str = "0.0.0.0";

/// A port of the node that a container takes. Source: `HostPortInfo` in kube-scheduler's framework.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// `0.0.0.0` is every address.
    pub ip: Box<str>,
    pub protocol: Box<str>,
    pub port: u16,
}

impl HostPort {
    /// A port as a container names it: TCP on every address unless it says more. `None` when it takes none of the node's.
    pub fn new(ip: &str, protocol: &str, port: i64) -> Option<Self> {
        let port = u16::try_from(port).ok().filter(|port| *port != 0)?;
        let or = |text: &str, default: &str| if text.is_empty() { default.into() } else { text.into() };
        Some(Self { ip: or(ip, ANY), protocol: or(protocol, "TCP"), port })
    }

    /// Whether both cannot be had on one node.
    pub fn conflicts(&self, other: &Self) -> bool {
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || &*self.ip == ANY || &*other.ip == ANY)
    }
}

/// A container that shows the node's ports that it takes.
pub trait HasPorts {
    fn host_ports(&self) -> impl Iterator<Item = HostPort>;
}

/// The node's ports that the pod takes as long as it runs: those of its containers and sidecars.
pub fn host_ports<'a, P: AnyPod<'a>>(pod: P) -> impl Iterator<Item = HostPort>
where
    P::Container: HasPorts,
{
    pod.long_running().flat_map(HasPorts::host_ports)
}

impl HasPorts for Container {
    fn host_ports(&self) -> impl Iterator<Item = HostPort> {
        let read = |port: &ContainerPort| {
            let text = |field: &Option<String>| field.clone().unwrap_or_default();
            HostPort::new(&text(&port.host_ip), &text(&port.protocol), port.host_port.unwrap_or(0).into())
        };
        self.ports.iter().flatten().filter_map(read)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;

    #[test]
    fn of_what_runs_all_the_time() {
        let with =
            |port: i64| json!({"name": "c", "ports": [{"containerPort": 1}, {"containerPort": 2, "hostPort": port}]});
        let mut sidecar = with(3);
        sidecar["restartPolicy"] = json!("Always");
        let pod: Pod = serde_json::from_value(json!({"spec": {
            "containers": [with(1), with(2)], "initContainers": [sidecar, with(4)]}}))
        .unwrap();
        assert_eq!(host_ports(&pod).map(|port| port.port).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn conflicts() {
        let of = |ip: &str, protocol: &str, port: i64| HostPort::new(ip, protocol, port).unwrap();
        // one, another, whether both can be had
        let cases = [
            (("", "", 80), ("", "TCP", 80), true),
            (("", "", 80), ("", "TCP", 81), false),
            (("", "UDP", 80), ("", "TCP", 80), false),
            (("10.0.0.1", "", 80), ("10.0.0.2", "", 80), false),
            (("10.0.0.1", "", 80), ("10.0.0.1", "", 80), true),
            (("0.0.0.0", "", 80), ("10.0.0.1", "", 80), true),
            (("::", "", 80), ("10.0.0.1", "", 80), false),
        ];
        for (one, another, expected) in cases {
            let (a, b) = (of(one.0, one.1, one.2), of(another.0, another.1, another.2));
            assert_eq!((a.conflicts(&b), b.conflicts(&a)), (expected, expected), "{one:?} {another:?}");
        }
        assert_eq!(HostPort::new("", "", 0), None);
        assert_eq!(HostPort::new("", "", 70_000), None);
    }
}
