//! VolumeRestrictions: disks that two pods of a node cannot share, and claims that one pod alone may use.

use windlass_api::ObjectKey;

use crate::cache::{Cluster, NodeInfo};
use crate::framework::{Event, Filter, Plugin, PreFilter, PreFiltered, Rejection, Requeue};
use crate::object::Pod;
use crate::object::volume::{Disk, Volume};

const READ_WRITE_ONCE_POD: &str = "ReadWriteOncePod";

pub(super) struct VolumeRestrictions;

impl Plugin for VolumeRestrictions {
    fn name(&self) -> &'static str {
        "VolumeRestrictions"
    }
}

fn disks(pod: &Pod) -> impl Iterator<Item = &Disk> {
    pod.volumes.iter().filter_map(|volume| match volume {
        Volume::Disk(disk) => Some(disk),
        Volume::Claim { .. } => None,
    })
}

fn conflict(pod: &Pod, other: &Pod) -> bool {
    disks(pod).any(|disk| disks(other).any(|taken| disk.conflicts(taken)))
}

impl Requeue for VolumeRestrictions {
    fn may_help(&self, pod: &Pod, event: &Event) -> bool {
        match event {
            Event::Node { old: None, .. } | Event::Storage => true,
            Event::PodDeleted(other) => {
                conflict(pod, other) || pod.claims().any(|(claim, _)| other.claims().any(|(used, _)| used == claim))
            }
            _ => false,
        }
    }
}

impl PreFilter for VolumeRestrictions {
    fn pre_filter<'a>(&'a self, cluster: &'a Cluster, pod: &'a Pod) -> PreFiltered<'a> {
        let mut exclusive = Vec::new();
        for (key, _) in pod.claims() {
            let Some(claim) = cluster.surroundings.storage.claims.get(&key) else {
                let reason = format!("persistentvolumeclaim {:?} not found", key.name);
                return PreFiltered::Reject(Rejection::unresolvable(reason));
            };
            if claim.access_modes.iter().any(|mode| mode == READ_WRITE_ONCE_POD) {
                exclusive.push(key);
            }
        }
        if exclusive.is_empty() && disks(pod).next().is_none() {
            return PreFiltered::Skip;
        }
        let users = exclusive.iter().map(|claim| i64::from(cluster.uses_of_claim(claim))).sum();
        PreFiltered::filter(Shareable { pod, exclusive, users })
    }
}

struct Shareable<'a> {
    pod: &'a Pod,
    exclusive: Vec<ObjectKey>,
    /// How often other pods use the claims that the pod must have for itself.
    users: i64,
}

impl Shareable<'_> {
    fn uses(&self, other: &Pod) -> i64 {
        other.claims().filter(|(claim, _)| self.exclusive.contains(claim)).map(|_| 1).sum()
    }
}

impl Filter for Shareable<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        if node.pods.iter().any(|other| conflict(self.pod, other)) {
            return Err(Rejection::unschedulable("node(s) had no available disk"));
        }
        if self.users > 0 {
            return Err(Rejection::unschedulable(
                "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by \
                 another pod",
            ));
        }
        Ok(())
    }

    fn add_pod(&mut self, pod: &Pod, _node: &NodeInfo) {
        self.users += self.uses(pod);
    }

    fn remove_pod(&mut self, pod: &Pod, _node: &NodeInfo) {
        self.users -= self.uses(pod);
    }
}
