//! PodTopologySpread: pods that are alike are to be spread evenly over zones, nodes or other domains.
//!
//! Hard constraints refuse nodes, soft ones move scores. A pod without constraints gets the system's soft ones, on hosts and zones,
//! with what its Services and its owner select. Source: `plugins/podtopologyspread`.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use windlass_api::labels::Selector;
use windlass_api::well_known::label;

use super::node_affinity::demanded;
use crate::cache::{Cluster, NodeId, NodeInfo, PodSet, Topology};
use crate::framework::{Event, Filter, MAX_SCORE, Plugin, PreFilter, PreFiltered, PreScore, Rejection, Requeue, Score};
use crate::object::Pod;
use crate::object::pod::Wishes;
use crate::object::spread::SpreadConstraint;

/// The score of a node that lacks a topology key, until scores are normalized.
const IGNORED: i64 = -1;

pub(super) struct PodTopologySpread;

impl Plugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }
}

fn hard(wishes: &Wishes) -> impl Iterator<Item = &SpreadConstraint> {
    wishes.spread.iter().filter(|constraint| constraint.hard)
}

fn has_keys<'a>(node: &NodeInfo, constraints: impl Iterator<Item = &'a SpreadConstraint>) -> bool {
    constraints.into_iter().all(|constraint| node.node.labels.contains_key(&constraint.topology_key))
}

/// Whether the node's pods count, by the constraint's inclusion policies.
fn counts(constraint: &SpreadConstraint, wishes: &Wishes, node: &NodeInfo) -> bool {
    let taints_allow =
        || node.node.taints.iter().all(|taint| !taint.keeps_away() || taint.is_tolerated(&wishes.tolerations));
    (!constraint.honor_node_affinity || demanded(wishes, &node.node))
        && (!constraint.honor_node_taints || taints_allow())
}

/// The sets of pods that a constraint is about.
fn matching<'a>(cluster: &'a Cluster, pod: &Pod, selector: &Selector) -> Vec<&'a PodSet> {
    if selector.is_everything() {
        // An empty selector counts nobody; upstream has it so.
        return Vec::new();
    }
    cluster.pod_sets.in_namespace(&pod.key.namespace).filter(|set| selector.matches(set.labels.as_ref())).collect()
}

impl Requeue for PodTopologySpread {
    fn may_help(&self, pod: &Pod, event: &Event) -> bool {
        let concerns = |other: &Pod| {
            other.key.namespace == pod.key.namespace
                && hard(pod.wishes()).any(|constraint| constraint.selector.matches(other.labels.as_ref()))
        };
        match event {
            Event::Node { .. } => true,
            Event::PodAdded(other) | Event::PodDeleted(other) => concerns(other),
            Event::PodUpdated { old, new } => old.labels != new.labels && (concerns(old) || concerns(new)),
            Event::NodeRemoved => true,
            Event::Namespace | Event::Storage => false,
        }
    }
}

impl PreFilter for PodTopologySpread {
    fn pre_filter<'a>(&'a self, cluster: &'a Cluster, pod: &'a Pod) -> PreFiltered<'a> {
        let wishes = pod.wishes();
        if hard(wishes).next().is_none() {
            return PreFiltered::Skip;
        }
        let domains = hard(wishes).map(|constraint| Domains::new(cluster, pod, constraint)).collect();
        let mut spread = EvenlySpread { pod, domains };
        for node in cluster.nodes() {
            spread.count(node, None, 0);
        }
        for index in 0..spread.domains.len() {
            for set in matching(cluster, pod, &spread.domains[index].constraint.selector) {
                for (id, count) in &set.nodes {
                    if let Some(node) = cluster.node(*id) {
                        spread.count(node, Some(index), i64::from(count.staying));
                    }
                }
            }
            spread.domains[index].find_fewest();
        }
        PreFiltered::filter(spread)
    }
}

struct EvenlySpread<'a> {
    pod: &'a Pod,
    domains: Vec<Domains<'a>>,
}

/// How many pods are in each domain of a constraint.
struct Domains<'a> {
    constraint: &'a SpreadConstraint,
    topology: Arc<Topology>,
    /// By domain; `None` where no node counts.
    pods: Vec<Option<i64>>,
    fewest: i64,
    /// 1 if the pod counts itself.
    itself: i64,
}

impl<'a> Domains<'a> {
    fn new(cluster: &Cluster, pod: &Pod, constraint: &'a SpreadConstraint) -> Self {
        let topology = cluster.topology(&constraint.topology_key);
        Self {
            constraint,
            pods: vec![None; topology.domains],
            topology,
            fewest: 0,
            itself: i64::from(constraint.selector.matches(pod.labels.as_ref())),
        }
    }

    fn find_fewest(&mut self) {
        let known = || self.pods.iter().flatten();
        let too_few = i64::try_from(known().count()).is_ok_and(|domains| domains < self.constraint.min_domains);
        self.fewest = if too_few { 0 } else { known().copied().min().unwrap_or(0) };
    }
}

impl EvenlySpread<'_> {
    /// Adds to the domains that a node is in: of one constraint or of all. Only nodes that are in a domain of each count.
    fn count(&mut self, node: &NodeInfo, of: Option<usize>, by: i64) {
        if self.domains.iter().any(|domain| domain.topology.domain(node.id).is_none()) {
            return;
        }
        let wishes = self.pod.wishes();
        for (index, domain) in self.domains.iter_mut().enumerate() {
            if of.is_none_or(|of| of == index)
                && counts(domain.constraint, wishes, node)
                && let Some(number) = domain.topology.domain(node.id)
            {
                *domain.pods[number].get_or_insert(0) += by;
            }
        }
    }

    fn think_of(&mut self, other: &Pod, node: &NodeInfo, by: i64) {
        if other.key.namespace != self.pod.key.namespace || other.terminating {
            return;
        }
        for index in 0..self.domains.len() {
            if self.domains[index].constraint.selector.matches(other.labels.as_ref()) {
                self.count(node, Some(index), by);
                self.domains[index].find_fewest();
            }
        }
    }
}

impl Filter for EvenlySpread<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        for domain in &self.domains {
            let Some(number) = domain.topology.domain(node.id) else {
                return Err(Rejection::unresolvable(
                    "node(s) didn't match pod topology spread constraints (missing required label)",
                ));
            };
            let skew = domain.pods[number].unwrap_or(0) + domain.itself - domain.fewest;
            if skew > domain.constraint.max_skew {
                return Err(Rejection::unschedulable("node(s) didn't match pod topology spread constraints"));
            }
        }
        Ok(())
    }

    fn add_pod(&mut self, pod: &Pod, node: &NodeInfo) {
        self.think_of(pod, node, 1);
    }

    fn remove_pod(&mut self, pod: &Pod, node: &NodeInfo) {
        self.think_of(pod, node, -1);
    }
}

/// The system's own constraints, for pods of Services and of controllers.
fn defaults(cluster: &Cluster, pod: &Pod) -> Vec<SpreadConstraint> {
    let controller = pod.wishes().controller.as_ref();
    let Some(selector) = cluster.surroundings.default_selector(&pod.key.namespace, &pod.labels, controller) else {
        return Vec::new();
    };
    let constraint = |topology_key: &str, max_skew| SpreadConstraint {
        max_skew,
        topology_key: topology_key.to_owned(),
        selector: selector.clone(),
        min_domains: 1,
        hard: false,
        honor_node_affinity: true,
        honor_node_taints: false,
    };
    vec![constraint(label::HOSTNAME, 3), constraint(label::ZONE, 5)]
}

impl PreScore for PodTopologySpread {
    fn weight(&self) -> i64 {
        2
    }

    fn pre_score<'a>(&'a self, cluster: &'a Cluster, pod: &'a Pod, feasible: &[NodeId]) -> Option<Box<dyn Score + 'a>> {
        let wishes = pod.wishes();
        let own = !wishes.spread.is_empty();
        let constraints: Vec<Cow<'a, SpreadConstraint>> = if own {
            wishes.spread.iter().filter(|constraint| !constraint.hard).map(Cow::Borrowed).collect()
        } else {
            defaults(cluster, pod).into_iter().map(Cow::Owned).collect()
        };
        if constraints.is_empty() {
            return None;
        }
        let mut evenness = Evenness { parts: Vec::with_capacity(constraints.len()), ignored: HashSet::new() };
        let nodes: Vec<&NodeInfo> = feasible.iter().filter_map(|id| cluster.node(*id)).collect();
        if own {
            let lacking = nodes.iter().filter(|node| !has_keys(node, constraints.iter().map(AsRef::as_ref)));
            evenness.ignored = lacking.map(|node| node.id).collect();
        }
        let scored = || nodes.iter().filter(|node| !evenness.ignored.contains(&node.id));
        for constraint in &constraints {
            let sets = matching(cluster, pod, &constraint.selector);
            let topology = cluster.topology(&constraint.topology_key);
            let on_hosts = constraint.topology_key == label::HOSTNAME;
            let mut pods = Vec::new();
            let mut domains = scored().count();
            if !on_hosts {
                pods = vec![None; topology.domains];
                let mut unlabelled = 0;
                for node in scored() {
                    match topology.domain(node.id) {
                        Some(number) => pods[number] = Some(0),
                        // All of them together are one more domain.
                        None => unlabelled = 1,
                    }
                }
                for (id, count) in sets.iter().flat_map(|set| &set.nodes) {
                    let Some(node) = cluster.node(*id) else { continue };
                    let counted = (!own || has_keys(node, constraints.iter().map(AsRef::as_ref)))
                        && counts(constraint, wishes, node);
                    let sum = topology.domain(*id).filter(|_| counted).and_then(|number| pods[number].as_mut());
                    if let Some(sum) = sum {
                        *sum += i64::from(count.staying);
                    }
                }
                domains = pods.iter().flatten().count() + unlabelled;
            }
            // Small topologies are not to be drowned by large ones.
            let weight = ((domains + 2) as f64).ln();
            evenness.parts.push(Part { max_skew: constraint.max_skew, topology, sets, pods, on_hosts, weight });
        }
        Some(Box::new(evenness))
    }
}

struct Evenness<'a> {
    parts: Vec<Part<'a>>,
    /// Nodes that lack a topology key of the pod's own constraints.
    ignored: HashSet<NodeId>,
}

struct Part<'a> {
    max_skew: i64,
    topology: Arc<Topology>,
    sets: Vec<&'a PodSet>,
    /// Of each domain with a node to score; hosts are counted when they are scored.
    pods: Vec<Option<i64>>,
    on_hosts: bool,
    weight: f64,
}

impl Score for Evenness<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        if self.ignored.contains(&node.id) {
            return IGNORED;
        }
        let part = |part: &Part<'_>| {
            let number = part.topology.domain(node.id)?;
            let count = if part.on_hosts {
                part.sets.iter().filter_map(|set| set.nodes.get(&node.id)).map(|count| i64::from(count.staying)).sum()
            } else {
                part.pods[number].unwrap_or(0)
            };
            Some(count as f64 * part.weight + (part.max_skew - 1) as f64)
        };
        self.parts.iter().filter_map(part).sum::<f64>().round() as i64
    }

    fn normalize(&self, scores: &mut [i64]) {
        let known = || scores.iter().copied().filter(|score| *score != IGNORED);
        let (least, most) = (known().min().unwrap_or(0), known().max().unwrap_or(0));
        for score in scores {
            *score = match *score {
                IGNORED => 0,
                _ if most == 0 => MAX_SCORE,
                score => MAX_SCORE * (most + least - score) / most,
            };
        }
    }
}
