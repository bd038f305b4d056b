//! Which plugins a profile has that nobody has configured.

use std::sync::Arc;

use parking_lot::Mutex;
use windlass_api::resource::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS};
use windlass_client::{Client, Informers};

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
use super::node_volume_limits::NodeVolumeLimits;
use super::pod_topology_spread::PodTopologySpread;
use super::priority_sort::PrioritySort;
use super::scheduling_gates::SchedulingGates;
use super::taint_toleration::TaintToleration;
use super::volume_binding::VolumeBinding;
use super::volume_restrictions::VolumeRestrictions;
use super::volume_zone::VolumeZone;
use crate::framework::Profile;

/// Upstream's default plugins, in upstream's order.
pub(crate) fn default_profile(name: &str, client: &Client, informers: &Informers) -> Profile {
    let volume_binding = Arc::new(VolumeBinding {
        client: client.clone(),
        claims: informers.of(&PERSISTENT_VOLUME_CLAIMS),
        volumes: informers.of(&PERSISTENT_VOLUMES),
        pods: informers.of(&PODS),
        plans: Mutex::default(),
    });
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
            Arc::new(VolumeRestrictions),
            Arc::new(NodeVolumeLimits),
            volume_binding.clone(),
            Arc::new(VolumeZone),
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
        reserve: vec![volume_binding.clone()],
        permit: Vec::new(),
        pre_bind: vec![volume_binding.clone()],
        bind: Arc::new(DefaultBinder { client: client.clone() }),
        post_bind: vec![volume_binding],
    }
}
