//! NodePorts: a port of the node can be taken once.

use crate::cache::{Cluster, NodeInfo};
use crate::framework::{Event, Filter, Plugin, PreFilter, PreFiltered, Rejection, Requeue};
use windlass_api::pod::HostPort;

use crate::object::Pod;

pub(super) struct NodePorts;

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }
}

fn conflict(wanted: &[HostPort], taken: &[HostPort]) -> bool {
    wanted.iter().any(|port| taken.iter().any(|other| port.conflicts(other)))
}

impl Requeue for NodePorts {
    fn may_help(&self, pod: &Pod, event: &Event) -> bool {
        match event {
            Event::Node { old: None, .. } => true,
            Event::PodDeleted(other) => conflict(&pod.ports, &other.ports),
            _ => false,
        }
    }
}

impl PreFilter for NodePorts {
    fn pre_filter<'a>(&'a self, _cluster: &'a Cluster, pod: &'a Pod) -> PreFiltered<'a> {
        if pod.ports.is_empty() { PreFiltered::Skip } else { PreFiltered::filter(Free(&pod.ports)) }
    }
}

struct Free<'a>(&'a [HostPort]);

impl Filter for Free<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        if conflict(self.0, &node.ports) {
            Err(Rejection::unschedulable("node(s) didn't have free ports for the requested pod ports"))
        } else {
            Ok(())
        }
    }
}
