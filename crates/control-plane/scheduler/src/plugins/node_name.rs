//! NodeName: a pod that names its node can go nowhere else.

use crate::cache::{Cluster, NodeInfo};
use crate::framework::{Event, Filter, Plugin, PreFilter, PreFiltered, Rejection, Requeue};
use crate::object::Pod;

pub(super) struct NodeName;

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }
}

impl Requeue for NodeName {
    fn may_help(&self, pod: &Pod, event: &Event) -> bool {
        matches!(event, Event::Node { old: None, new } if new.name == pod.node_name)
    }
}

impl PreFilter for NodeName {
    fn pre_filter<'a>(&'a self, _cluster: &'a Cluster, pod: &'a Pod) -> PreFiltered<'a> {
        if pod.node_name.is_empty() { PreFiltered::Skip } else { PreFiltered::filter(Named(&pod.node_name)) }
    }
}

struct Named<'a>(&'a str);

impl Filter for Named<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        if node.name() == self.0 {
            Ok(())
        } else {
            Err(Rejection::unresolvable("node(s) didn't match the requested node name"))
        }
    }
}
