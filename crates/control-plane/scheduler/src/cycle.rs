//! The scheduling cycle: from the cluster as it is and a pod to a node, or to the reasons why there is none.
//!
//! The hot path of the scheduler. For each node that is looked at it costs a call for each plugin that has an opinion about the pod, and
//! no allocation unless a node is refused; what plugins need to know of other pods they have counted before, by sets of
//! pods that are alike.

use windlass_api::Chance;

use crate::cache::{Cluster, NodeId, NodeInfo, Nominator};
use crate::framework::{Diagnosis, PostFiltered, PreparedFilter, Profile, check};
use crate::object::Pod;

/// Below this many nodes all are looked at, and at least so many are found before a search ends early.
const FEASIBLE_MIN: usize = 100;
/// A search never ends before this share of the nodes was found feasible.
const PERCENTAGE_MIN: usize = 5;

/// How nodes are searched; it lives from cycle to cycle.
#[derive(Debug)]
pub(crate) struct Search {
    /// Where the next search begins, so that every node has its turn.
    pub next_start: usize,
    pub percentage: u8,
    pub chance: Chance,
}

/// What a cycle came to.
#[derive(Debug)]
pub(crate) enum Found {
    Node(String),
    /// There are no nodes at all.
    NoNodes,
    Nothing {
        diagnosis: Diagnosis,
        /// What the PostFilter plugins did about it.
        post: Option<PostFiltered>,
    },
}

impl Search {
    /// How many feasible nodes are enough.
    fn enough(&self, nodes: usize) -> usize {
        if nodes < FEASIBLE_MIN {
            return nodes;
        }
        let percentage = match self.percentage {
            0 => 50_usize.saturating_sub(nodes / 125).max(PERCENTAGE_MIN),
            set => usize::from(set).min(100),
        };
        (nodes * percentage / 100).max(FEASIBLE_MIN)
    }
}

pub(crate) fn find(
    cluster: &Cluster,
    profile: &Profile,
    nominator: &Nominator,
    search: &mut Search,
    pod: &Pod,
) -> Found {
    if cluster.node_count() == 0 {
        return Found::NoNodes;
    }
    let mut diagnosis = Diagnosis::default();
    let mut filters = Vec::new();
    let mut feasible = Vec::new();
    if let Some(prepared) = profile.prepare(cluster, pod, &mut diagnosis) {
        filters = prepared.filters;
        feasible = nominated_if_feasible(cluster, nominator, pod, &mut filters);
        if feasible.is_empty() {
            let nodes: Option<Vec<&NodeInfo>> =
                prepared.nodes.map(|names| names.iter().filter_map(|name| cluster.node_named(name)).collect());
            feasible = match nodes {
                Some(nodes) => filtered(nodes.into_iter(), usize::MAX, nominator, pod, &mut filters, &mut diagnosis).0,
                None => search_all(cluster, nominator, search, pod, &mut filters, &mut diagnosis),
            };
        }
    }
    match best(cluster, profile, &search.chance, pod, &feasible) {
        Some(node) => Found::Node(node),
        None => {
            let random = search.chance.number();
            let post = post_filter(cluster, profile, nominator, pod, &mut filters, &diagnosis, random);
            Found::Nothing { diagnosis, post }
        }
    }
}

/// The node that the pod is nominated for, if it can go there now: looking further would be in vain.
fn nominated_if_feasible(
    cluster: &Cluster,
    nominator: &Nominator,
    pod: &Pod,
    filters: &mut [PreparedFilter<'_>],
) -> Vec<NodeId> {
    let name = nominator.node_of(&pod.key).unwrap_or(pod.nominated_node());
    let node = cluster.node_named(name);
    node.filter(|node| check(filters, nominator, pod, node).is_ok()).map(|node| node.id).into_iter().collect()
}

fn search_all(
    cluster: &Cluster,
    nominator: &Nominator,
    search: &mut Search,
    pod: &Pod,
    filters: &mut [PreparedFilter<'_>],
    diagnosis: &mut Diagnosis,
) -> Vec<NodeId> {
    let count = cluster.node_count();
    let nodes = (0..count).map(|n| cluster.nth(search.next_start + n));
    let (feasible, looked_at) = filtered(nodes, search.enough(count), nominator, pod, filters, diagnosis);
    search.next_start = (search.next_start + looked_at) % count;
    feasible
}

/// The nodes that pass, up to `enough`, and how many were looked at.
fn filtered<'a>(
    nodes: impl Iterator<Item = &'a NodeInfo>,
    enough: usize,
    nominator: &Nominator,
    pod: &Pod,
    filters: &mut [PreparedFilter<'_>],
    diagnosis: &mut Diagnosis,
) -> (Vec<NodeId>, usize) {
    let mut feasible = Vec::new();
    let mut looked_at = 0;
    for node in nodes {
        looked_at += 1;
        match check(filters, nominator, pod, node) {
            Ok(()) => feasible.push(node.id),
            Err((plugin, rejection)) => diagnosis.reject(node.id, plugin, rejection),
        }
        if feasible.len() >= enough {
            break;
        }
    }
    (feasible, looked_at)
}

/// The node with the greatest sum of weighted scores; among equals, any.
fn best(cluster: &Cluster, profile: &Profile, chance: &Chance, pod: &Pod, feasible: &[NodeId]) -> Option<String> {
    let name = |id: NodeId| cluster.node(id).map(|node| node.name().to_owned());
    if let [] | [_] = feasible {
        return name(*feasible.first()?);
    }
    let mut totals = vec![0_i64; feasible.len()];
    let mut scores = Vec::with_capacity(feasible.len());
    for pre_score in &profile.pre_score {
        let Some(scorer) = pre_score.pre_score(cluster, pod, feasible) else { continue };
        scores.clear();
        scores.extend(feasible.iter().map(|id| cluster.node(*id).map_or(0, |node| scorer.score(node))));
        scorer.normalize(&mut scores);
        for (total, score) in totals.iter_mut().zip(&scores) {
            *total += score * pre_score.weight();
        }
    }
    let most = totals.iter().copied().max()?;
    let equals: Vec<NodeId> =
        feasible.iter().zip(&totals).filter(|(_, total)| **total == most).map(|(id, _)| *id).collect();
    name(equals[chance.below(equals.len())])
}

/// Asks the PostFilter plugins one after another, until one has found a way.
fn post_filter(
    cluster: &Cluster,
    profile: &Profile,
    nominator: &Nominator,
    pod: &Pod,
    filters: &mut [PreparedFilter<'_>],
    diagnosis: &Diagnosis,
    random: u64,
) -> Option<PostFiltered> {
    let mut last: Option<PostFiltered> = None;
    for plugin in &profile.post_filter {
        let outcome = plugin.post_filter(cluster, nominator, pod, filters, diagnosis, random);
        if !outcome.victims.is_empty() {
            return Some(outcome);
        }
        last = Some(match last {
            None => outcome,
            Some(before) => PostFiltered {
                message: format!("{}, {}", before.message, outcome.message),
                nominate: outcome.nominate.or(before.nominate),
                victims: Vec::new(),
            },
        });
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_nodes_are_enough() {
        let enough = |percentage, nodes| Search { next_start: 0, percentage, chance: Chance::seeded(0) }.enough(nodes);
        for (percentage, nodes, expected) in [
            (0, 10, 10),
            (0, 100, 100),
            (0, 1000, 420),
            (0, 5000, 500),
            (0, 6000, 300),
            (40, 1000, 400),
            (100, 500, 500),
        ] {
            assert_eq!(enough(percentage, nodes), expected, "{percentage} {nodes}");
        }
    }
}
