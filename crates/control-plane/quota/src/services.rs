//! What a Service counts as: itself, its node ports, its load balancer.

use serde_json::Value;
use windlass_api::Quantity;
use windlass_machinery::tree::{items, number, text};

use crate::Amounts;

pub(crate) const NAMES: [&str; 3] = ["services", "services.loadbalancers", "services.nodeports"];

pub(crate) fn usage(service: &Value) -> Amounts {
    let spec = &service["spec"];
    let ports = || items(spec, "ports");
    let (node_ports, balancers) = match text(spec, "type") {
        "NodePort" => (ports().count(), 0),
        // Ports that are not allocated of themselves count only where they are asked for.
        "LoadBalancer" if spec["allocateLoadBalancerNodePorts"] == false => {
            (ports().filter(|port| number(port, "nodePort") != 0).count(), 1)
        }
        "LoadBalancer" => (ports().count(), 1),
        _ => (0, 0),
    };
    let node_ports = i64::try_from(node_ports).unwrap_or(i64::MAX);
    let counts = [1, balancers, node_ports].map(Quantity::from_units);
    NAMES.iter().map(|name| (*name).to_owned()).zip(counts).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_services_take() {
        let cases = [
            (json!({"type": "ClusterIP", "ports": [{}]}), [1, 0, 0]),
            (json!({"type": "NodePort", "ports": [{}, {}]}), [1, 0, 2]),
            (json!({"type": "LoadBalancer", "ports": [{}, {}]}), [1, 1, 2]),
            (
                json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": [{}, {"nodePort": 30000}]}),
                [1, 1, 1],
            ),
        ];
        for (spec, expected) in cases {
            let used = usage(&json!({"spec": spec}));
            assert_eq!(NAMES.map(|name| used[name].units()), expected, "{spec}");
        }
    }
}
