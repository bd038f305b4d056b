//! How a pod's claims would get their volumes on a node. Source: `plugins/volumebinding/binder.go`.

use std::collections::HashSet;

use smallvec::SmallVec;
use windlass_api::ObjectKey;

use super::Storage;
use super::objects::{Claim, Volume};
use crate::object::Node;
use crate::rejection::Rejection;

/// What is to be done before the pod can be bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Volumes that exist, and the claims that get them.
    pub bindings: Vec<(String, ObjectKey)>,
    /// Claims whose volumes are to be made.
    pub provisions: Vec<ObjectKey>,
}

impl Plan {
    pub(crate) fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.provisions.is_empty()
    }
}

/// Finds volumes for the claims of a pod on a node, or says why there are none.
pub(crate) fn plan(storage: &Storage, claims: &[&Claim], node: &Node) -> Result<Plan, Rejection> {
    const OUT_OF_REACH: &str = "node(s) didn't match PersistentVolume's node affinity";
    const NOTHING_TO_BIND: &str = "node(s) didn't find available persistent volumes to bind";
    const TOO_LITTLE: &str = "node(s) did not have enough free storage";
    const GONE: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
    let mut reasons: SmallVec<[_; 1]> = SmallVec::new();
    for claim in claims.iter().filter(|claim| claim.bound) {
        match storage.volumes.get(&claim.volume_name) {
            None => reasons.push(GONE.into()),
            Some(volume) if !volume.is_reachable(&node.name, &node.labels) => reasons.push(OUT_OF_REACH.into()),
            Some(_) => continue,
        }
        break;
    }
    let mut plan = Plan::default();
    let mut taken = HashSet::new();
    let mut unbound: Vec<&Claim> = claims.iter().copied().filter(|claim| !claim.bound).collect();
    unbound.sort_by_key(|claim| claim.bytes);
    let mut to_provision = Vec::new();
    for claim in unbound {
        if let Some(selected) = &claim.selected_node {
            if *selected != node.name {
                reasons.push(NOTHING_TO_BIND.into());
                return Err(Rejection { reasons, preemption_may_help: false });
            }
            to_provision.push(claim);
        } else if let Some(volume) = best_volume(storage, claim, node, &taken) {
            taken.insert(volume.name.clone());
            plan.bindings.push((volume.name.clone(), claim.key.clone()));
        } else {
            to_provision.push(claim);
        }
    }
    for claim in to_provision {
        let class = storage.class_of(claim).filter(|class| class.provisions() && class.allows(&node.labels));
        let Some(class) = class else {
            reasons.push(NOTHING_TO_BIND.into());
            break;
        };
        if !has_room(storage, claim, &class.provisioner, node) {
            reasons.push(TOO_LITTLE.into());
            break;
        }
        plan.provisions.push(claim.key.clone());
    }
    if reasons.is_empty() { Ok(plan) } else { Err(Rejection { reasons, preemption_may_help: false }) }
}

/// The smallest volume that will do; one that is kept for the claim before any other.
fn best_volume<'a>(storage: &'a Storage, claim: &Claim, node: &Node, taken: &HashSet<String>) -> Option<&'a Volume> {
    let is_free = |volume: &&Volume| {
        let chosen = storage.chosen.get(&volume.name);
        !taken.contains(&volume.name) && chosen.is_none_or(|by| *by == claim.key) && !volume.terminating
    };
    let is_for = |volume: &Volume| {
        volume.claim.as_ref().is_some_and(|(key, uid)| *key == claim.key && (uid.is_empty() || *uid == claim.uid))
    };
    let fits = |volume: &&Volume| {
        volume.bytes >= claim.bytes
            && volume.block == claim.block
            && volume.is_reachable(&node.name, &node.labels)
            && claim.access_modes.iter().all(|mode| volume.access_modes.contains(mode))
    };
    let suits = |volume: &&Volume| {
        is_for(volume)
            || (volume.claim.is_none()
                && volume.available
                && volume.class == claim.class
                && claim.selector.as_ref().is_none_or(|selector| selector.matches(&volume.labels)))
    };
    let candidates = storage.volumes.values().filter(is_free).filter(fits).filter(suits);
    candidates.min_by_key(|volume| (!is_for(volume), volume.bytes, &volume.name))
}

/// Whether a driver that says how much it has can make the volume for the node.
fn has_room(storage: &Storage, claim: &Claim, provisioner: &str, node: &Node) -> bool {
    if !storage.csi_drivers.get(provisioner).is_some_and(|driver| driver.tells_capacity) || claim.bytes == 0 {
        return true;
    }
    storage.capacities.values().any(|capacity| {
        capacity.class == claim.class && capacity.bytes >= claim.bytes && capacity.nodes.matches(&node.labels)
    })
}
