//! What can be set.

use windlass_api::Chance;

/// The scheduler's settings; the defaults are upstream's.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pods with one of these in `spec.schedulerName` are this scheduler's.
    pub scheduler_names: Vec<String>,
    /// The machine or pod that this scheduler runs on: part of the reporting instance of its events.
    pub host_name: String,
    /// The share of nodes that is looked at before the best of those found so far is taken; 0 is upstream's formula, which is
    /// the smaller the larger the cluster is. Clusters below 100 nodes are always searched whole.
    pub percentage_of_nodes_to_score: u8,
    /// Compete for the Lease `kube-system/kube-scheduler` under this identity; `None` where there is only one scheduler.
    pub leader_election_identity: Option<String>,
    /// Chooses among equal nodes.
    pub chance: Chance,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scheduler_names: vec!["default-scheduler".to_owned()],
            host_name: String::new(),
            percentage_of_nodes_to_score: 0,
            leader_election_identity: None,
            chance: Chance::system(),
        }
    }
}
