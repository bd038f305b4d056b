//! Claims, volumes, classes and drivers: what ties a pod's data to nodes.

mod objects;
mod plan;

use std::collections::HashMap;

use windlass_api::ObjectKey;

pub(crate) use objects::{
    Capacity, Claim, Class, CsiDriver, CsiNode, RawCapacity, RawClaim, RawClass, RawCsiDriver, RawCsiNode, RawVolume,
    SELECTED_NODE, Volume,
};
pub(crate) use plan::{Plan, plan};

/// The storage of the cluster, and what of it is spoken for by pods that are being bound.
#[derive(Debug, Default)]
pub(crate) struct Storage {
    pub claims: HashMap<ObjectKey, Claim>,
    pub volumes: HashMap<String, Volume>,
    pub classes: HashMap<String, Class>,
    pub csi_nodes: HashMap<String, CsiNode>,
    pub csi_drivers: HashMap<String, CsiDriver>,
    pub capacities: HashMap<ObjectKey, Capacity>,
    /// Volumes that were chosen for a claim, before the API knows.
    pub chosen: HashMap<String, ObjectKey>,
}

impl Storage {
    /// The class of a claim, if it names one that exists.
    pub(crate) fn class_of(&self, claim: &Claim) -> Option<&Class> {
        self.classes.get(&claim.class)
    }

    /// Whether a claim's volume is only to be chosen when the claim's first pod has a node.
    pub(crate) fn waits_for_consumer(&self, claim: &Claim) -> bool {
        self.class_of(claim).is_some_and(|class| class.waits_for_consumer)
    }
}

#[cfg(test)]
mod tests;
