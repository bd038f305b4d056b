//! NodeVolumeLimits: a CSI driver can have only so many volumes on a node.

use std::collections::{BTreeMap, BTreeSet};

use crate::cache::{Cluster, NodeInfo};
use crate::framework::{Event, Filter, Plugin, PreFilter, PreFiltered, Rejection, Requeue};
use crate::object::Pod;

pub(super) struct NodeVolumeLimits;

impl Plugin for NodeVolumeLimits {
    fn name(&self) -> &'static str {
        "NodeVolumeLimits"
    }
}

impl Requeue for NodeVolumeLimits {
    fn may_help(&self, _pod: &Pod, event: &Event) -> bool {
        match event {
            Event::Node { old: None, .. } | Event::Storage => true,
            Event::PodDeleted(other) => other.has_claims(),
            _ => false,
        }
    }
}

/// The volumes of a pod by their driver; one that is still to be made goes by its claim.
fn volumes(cluster: &Cluster, pod: &Pod) -> BTreeMap<String, BTreeSet<String>> {
    let storage = &cluster.surroundings.storage;
    let mut by_driver: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (key, _) in pod.claims() {
        let Some(claim) = storage.claims.get(&key) else { continue };
        let volume = match storage.volumes.get(&claim.volume_name) {
            Some(volume) => volume.csi.clone(),
            None => storage.class_of(claim).map(|class| (class.provisioner.clone(), format!("claim {key}"))),
        };
        if let Some((driver, handle)) = volume {
            by_driver.entry(driver).or_default().insert(handle);
        }
    }
    by_driver
}

impl PreFilter for NodeVolumeLimits {
    fn pre_filter<'a>(&'a self, cluster: &'a Cluster, pod: &'a Pod) -> PreFiltered<'a> {
        if !pod.has_claims() {
            return PreFiltered::Skip;
        }
        let wanted = volumes(cluster, pod);
        if wanted.is_empty() { PreFiltered::Skip } else { PreFiltered::filter(WithinLimits { cluster, wanted }) }
    }
}

struct WithinLimits<'a> {
    cluster: &'a Cluster,
    wanted: BTreeMap<String, BTreeSet<String>>,
}

impl Filter for WithinLimits<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        let Some(csi_node) = self.cluster.surroundings.storage.csi_nodes.get(node.name()) else { return Ok(()) };
        for (driver, wanted) in &self.wanted {
            let Some(limit) = csi_node.limits.get(driver) else { continue };
            let mut all = wanted.clone();
            for other in node.pods.iter().filter(|other| other.has_claims()) {
                all.extend(volumes(self.cluster, other).remove(driver).unwrap_or_default());
            }
            if i64::try_from(all.len()).is_ok_and(|count| count > *limit) {
                return Err(Rejection::unschedulable("node(s) exceed max volume count"));
            }
        }
        Ok(())
    }
}
