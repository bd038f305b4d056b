//! Which plugins a profile has that nobody has configured.

use std::sync::Arc;

use windlass_client::Client;

use super::default_binder::DefaultBinder;
use super::default_preemption::DefaultPreemption;
use super::image_locality::ImageLocality;
use super::inter_pod_affinity::InterPodAffinity;
use super::node_affinity::NodeAffinity;
use super::node_name::NodeName;
use super::node_ports::NodePorts;
use super::node_resources_balanced_allocation::NodeResourcesBalancedAllocation;
use super::node_resources_fit::NodeResourcesFit;
use super::node_unschedulable::NodeUnschedulable;
use super::pod_topology_spread::PodTopologySpread;
use super::priority_sort::PrioritySort;
use super::scheduling_gates::SchedulingGates;
use super::taint_toleration::TaintToleration;
use crate::framework::Profile;

/// Upstream's default plugins, in upstream's order.
pub(crate) fn default_profile(name: &str, client: &Client) -> Profile {
    Profile {
        name: name.to_owned(),
        pre_enqueue: vec![Arc::new(SchedulingGates)],
        queue_sort: Arc::new(PrioritySort),
        pre_filter: vec![
            Arc::new(NodeName),
            Arc::new(NodeUnschedulable),
            Arc::new(TaintToleration),
            Arc::new(NodeAffinity),
            Arc::new(NodePorts),
            Arc::new(NodeResourcesFit),
            Arc::new(PodTopologySpread),
            Arc::new(InterPodAffinity),
        ],
        post_filter: vec![Arc::new(DefaultPreemption)],
        pre_score: vec![
            Arc::new(TaintToleration),
            Arc::new(NodeAffinity),
            Arc::new(NodeResourcesFit),
            Arc::new(PodTopologySpread),
            Arc::new(InterPodAffinity),
            Arc::new(NodeResourcesBalancedAllocation),
            Arc::new(ImageLocality),
        ],
        reserve: Vec::new(),
        permit: Vec::new(),
        pre_bind: Vec::new(),
        bind: Arc::new(DefaultBinder { client: client.clone() }),
        post_bind: Vec::new(),
    }
}
