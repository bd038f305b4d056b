//! VolumeZone: a volume that is labelled with zones or regions is reached only from there.

use windlass_api::well_known::label;

use crate::cache::{Cluster, NodeInfo};
use crate::framework::{Event, Filter, Plugin, PreFilter, PreFiltered, Rejection, Requeue};
use crate::object::Pod;

/// Labels of volumes, and what the same is called now.
const LABELS: [(&str, &str); 4] = [
    (label::ZONE, label::ZONE),
    (label::REGION, label::REGION),
    ("failure-domain.beta.kubernetes.io/zone", label::ZONE),
    ("failure-domain.beta.kubernetes.io/region", label::REGION),
];

pub(super) struct VolumeZone;

impl Plugin for VolumeZone {
    fn name(&self) -> &'static str {
        "VolumeZone"
    }
}

impl Requeue for VolumeZone {
    fn may_help(&self, _pod: &Pod, event: &Event) -> bool {
        matches!(event, Event::Node { .. } | Event::Storage)
    }
}

impl PreFilter for VolumeZone {
    fn pre_filter<'a>(&'a self, cluster: &'a Cluster, pod: &'a Pod) -> PreFiltered<'a> {
        let storage = &cluster.surroundings.storage;
        let mut domains = Vec::new();
        for (key, _) in pod.claims() {
            // Claims that are missing or not bound are the matter of other plugins.
            let Some(volume) = storage.claims.get(&key).and_then(|claim| storage.volumes.get(&claim.volume_name))
            else {
                continue;
            };
            for (old, new) in LABELS {
                if let Some(values) = volume.labels.get(old) {
                    domains.push((old, new, values.split("__").collect()));
                }
            }
        }
        if domains.is_empty() { PreFiltered::Skip } else { PreFiltered::filter(Within(domains)) }
    }
}

/// Labels, with the values of which the node must have one.
struct Within<'a>(Vec<(&'static str, &'static str, Vec<&'a str>)>);

impl Filter for Within<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        if LABELS.iter().all(|(name, _)| node.label(name).is_none()) {
            // A cluster of one zone may not bother to say so.
            return Ok(());
        }
        let within = self.0.iter().all(|(old, new, values)| {
            node.label(old).or_else(|| node.label(new)).is_some_and(|value| values.contains(&value))
        });
        if within { Ok(()) } else { Err(Rejection::unresolvable("node(s) had no available volume zone")) }
    }
}
