//! The order in which nodes are looked at: one of each zone in turn, so that a search that stops early has seen all zones.
//!
//! Source: `pkg/scheduler/backend/cache/node_tree.go`.

use std::collections::BTreeMap;

use windlass_api::well_known::label;

use super::node_info::{NodeId, NodeInfo};

pub(super) fn interleaved<'a>(nodes: impl Iterator<Item = &'a NodeInfo>) -> Vec<NodeId> {
    let mut zones: BTreeMap<(&str, &str), Vec<(&str, NodeId)>> = BTreeMap::new();
    for node in nodes {
        let zone = (node.label(label::REGION).unwrap_or(""), node.label(label::ZONE).unwrap_or(""));
        zones.entry(zone).or_default().push((node.name(), node.id));
    }
    let mut zones: Vec<_> = zones.into_values().collect();
    zones.iter_mut().for_each(|zone| zone.sort_unstable());
    let longest = zones.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|n| zones.iter().filter_map(move |zone| zone.get(n)).map(|(_, id)| *id)).collect()
}
