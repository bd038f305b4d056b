//! NodeUnschedulable: a cordoned node takes only pods that tolerate that.

use windlass_api::taint::Taint;
use windlass_api::well_known::taint;

use crate::cache::{Cluster, NodeInfo};
use crate::framework::{Event, Filter, Plugin, PreFilter, PreFiltered, Rejection, Requeue};
use crate::object::Pod;

pub(super) struct NodeUnschedulable;

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }
}

fn tolerates(pod: &Pod) -> bool {
    let cordon = Taint { key: taint::UNSCHEDULABLE.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() };
    cordon.is_tolerated(&pod.wishes().tolerations)
}

impl Requeue for NodeUnschedulable {
    fn may_help(&self, _pod: &Pod, event: &Event) -> bool {
        match event {
            Event::Node { old, new } => !new.unschedulable && old.as_ref().is_none_or(|old| old.unschedulable),
            _ => false,
        }
    }
}

impl PreFilter for NodeUnschedulable {
    fn pre_filter<'a>(&'a self, _cluster: &'a Cluster, pod: &'a Pod) -> PreFiltered<'a> {
        if tolerates(pod) { PreFiltered::Skip } else { PreFiltered::filter(NotCordoned) }
    }
}

struct NotCordoned;

impl Filter for NotCordoned {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        if node.node.unschedulable { Err(Rejection::unresolvable("node(s) were unschedulable")) } else { Ok(()) }
    }
}
