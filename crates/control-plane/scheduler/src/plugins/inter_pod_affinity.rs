//! InterPodAffinity: which pods want to be near each other, or apart, in a domain of the topology.
//!
//! Source: `plugins/interpodaffinity`.

use std::sync::Arc;

use crate::cache::{Cluster, NodeId, NodeInfo, PodSet, Topology};
use crate::framework::{Event, Filter, MAX_SCORE, Plugin, PreFilter, PreFiltered, PreScore, Rejection, Requeue, Score};
use crate::object::affinity::{AffinityTerm, PodAffinity, WeightedTerm};
use crate::object::{Labels, Pod};

/// What a required term of a pod that runs adds to the score of its domain for a pod that it wants.
const HARD_POD_AFFINITY_WEIGHT: i64 = 1;

pub(super) struct InterPodAffinity;

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }
}

/// Sums by topology key and domain.
#[derive(Debug, Default)]
struct Sums(Vec<KeySums>);

#[derive(Debug)]
struct KeySums {
    key: String,
    topology: Arc<Topology>,
    by_domain: Vec<i64>,
    /// How many of them are not 0.
    some: usize,
}

impl KeySums {
    fn at(&self, node: NodeId) -> i64 {
        self.topology.domain(node).map_or(0, |number| self.by_domain[number])
    }
}

impl Sums {
    /// Adds where a node is.
    fn change(&mut self, cluster: &Cluster, key: &str, node: NodeId, by: i64) {
        let index = match self.0.iter().position(|sums| sums.key == key) {
            Some(index) => index,
            None => {
                let topology = cluster.topology(key);
                let by_domain = vec![0; topology.domains];
                self.0.push(KeySums { key: key.to_owned(), topology, by_domain, some: 0 });
                self.0.len() - 1
            }
        };
        let sums = &mut self.0[index];
        if let Some(number) = sums.topology.domain(node) {
            let sum = &mut sums.by_domain[number];
            let before = *sum != 0;
            *sum += by;
            match (before, *sum != 0) {
                (false, true) => sums.some += 1,
                (true, false) => sums.some -= 1,
                _ => {}
            }
        }
    }

    /// Adds `weight` for each pod of a set, where it is.
    fn add_set(&mut self, cluster: &Cluster, set: &PodSet, key: &str, weight: i64) {
        for (id, count) in &set.nodes {
            self.change(cluster, key, *id, weight * i64::from(count.all));
        }
    }

    fn get(&self, key: &str, node: NodeId) -> i64 {
        self.0.iter().find(|sums| sums.key == key).map_or(0, |sums| sums.at(node))
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|sums| sums.some == 0)
    }
}

/// Whether a pod is one that all these terms are about.
fn matches_all(terms: &[AffinityTerm], namespace: &str, namespace_labels: &Labels, labels: &Labels) -> bool {
    !terms.is_empty() && terms.iter().all(|term| term.matches(namespace, namespace_labels, labels))
}

/// The sets of pods in namespaces that one of the terms covers.
fn covered<'a>(cluster: &'a Cluster, terms: &[&AffinityTerm]) -> Vec<&'a PodSet> {
    let any = |set: &&PodSet| {
        let labels = cluster.namespace_labels(&set.namespace);
        terms.iter().any(|term| term.matches(&set.namespace, labels, &set.labels))
    };
    if let [term] = terms
        && term.namespace_selector == windlass_api::labels::Selector::nothing()
    {
        return term.namespaces.iter().flat_map(|ns| cluster.pod_sets.in_namespace(ns)).filter(any).collect();
    }
    cluster.pod_sets.all().filter(any).collect()
}

impl Requeue for InterPodAffinity {
    fn may_help(&self, pod: &Pod, event: &Event) -> bool {
        // Namespaces' labels are not at hand here, so that a term with a namespace selector is taken to be concerned.
        let about = |term: &AffinityTerm, other: &Pod| {
            let covers = term.namespaces.contains(&other.key.namespace)
                || term.namespace_selector != windlass_api::labels::Selector::nothing();
            covers && term.selector.matches(other.labels.as_ref())
        };
        let wants = |other: &Pod| {
            pod.affinity.as_ref().is_some_and(|affinity| affinity.required.iter().any(|term| about(term, other)))
        };
        let shuns = |other: &Pod| {
            let ours = pod.affinity.as_ref().is_some_and(|a| a.required_anti.iter().any(|term| about(term, other)));
            ours || other.affinity.as_ref().is_some_and(|a| a.required_anti.iter().any(|term| about(term, pod)))
        };
        match event {
            Event::Node { .. } | Event::Namespace => true,
            Event::PodAdded(other) => wants(other),
            Event::PodDeleted(other) => shuns(other) || wants(other),
            Event::PodUpdated { old, new } => old.labels != new.labels && (wants(new) || shuns(old)),
            Event::NodeRemoved | Event::Storage => false,
        }
    }
}

impl PreFilter for InterPodAffinity {
    fn pre_filter<'a>(&'a self, cluster: &'a Cluster, pod: &'a Pod) -> PreFiltered<'a> {
        static NONE: std::sync::LazyLock<PodAffinity> = std::sync::LazyLock::new(PodAffinity::default);
        let own = pod.affinity.as_deref().unwrap_or(&NONE);
        let namespace_labels = cluster.namespace_labels(&pod.key.namespace);
        let mut tolerance = Tolerance {
            cluster,
            pod,
            own,
            wanted: Sums::default(),
            shunned: Sums::default(),
            shunning: Sums::default(),
        };
        for set in cluster.pod_sets.with_affinity() {
            let terms = set.affinity.iter().flat_map(|affinity| &affinity.required_anti);
            for term in terms.filter(|term| term.matches(&pod.key.namespace, namespace_labels, &pod.labels)) {
                tolerance.shunning.add_set(cluster, set, &term.topology_key, 1);
            }
        }
        if own.required.is_empty() && own.required_anti.is_empty() {
            return if tolerance.shunning.is_empty() { PreFiltered::Skip } else { PreFiltered::filter(tolerance) };
        }
        for set in covered(cluster, &own.required.iter().collect::<Vec<_>>()) {
            let labels = cluster.namespace_labels(&set.namespace);
            if matches_all(&own.required, &set.namespace, labels, &set.labels) {
                for term in &own.required {
                    tolerance.wanted.add_set(cluster, set, &term.topology_key, 1);
                }
            }
        }
        for term in &own.required_anti {
            for set in covered(cluster, &[term]) {
                tolerance.shunned.add_set(cluster, set, &term.topology_key, 1);
            }
        }
        PreFiltered::filter(tolerance)
    }
}

/// Where the pod and those that run can be together.
struct Tolerance<'a> {
    cluster: &'a Cluster,
    pod: &'a Pod,
    own: &'a PodAffinity,
    /// Pods that all required terms are about.
    wanted: Sums,
    /// Pods that an anti-affinity term of the pod is about.
    shunned: Sums,
    /// Pods that have an anti-affinity term about this pod.
    shunning: Sums,
}

impl Tolerance<'_> {
    fn think_of(&mut self, other: &Pod, node: &NodeInfo, by: i64) {
        let labels = self.cluster.namespace_labels(&other.key.namespace);
        if matches_all(&self.own.required, &other.key.namespace, labels, &other.labels) {
            for term in &self.own.required {
                self.wanted.change(self.cluster, &term.topology_key, node.id, by);
            }
        }
        for term in &self.own.required_anti {
            if term.matches(&other.key.namespace, labels, &other.labels) {
                self.shunned.change(self.cluster, &term.topology_key, node.id, by);
            }
        }
        let own_labels = self.cluster.namespace_labels(&self.pod.key.namespace);
        for term in other.affinity.iter().flat_map(|affinity| &affinity.required_anti) {
            if term.matches(&self.pod.key.namespace, own_labels, &self.pod.labels) {
                self.shunning.change(self.cluster, &term.topology_key, node.id, by);
            }
        }
    }

    fn wanted_are_near(&self, node: &NodeInfo) -> bool {
        let mut near = true;
        for term in &self.own.required {
            if node.label(&term.topology_key).is_none() {
                return false;
            }
            near &= self.wanted.get(&term.topology_key, node.id) > 0;
        }
        // The first of a group whose members want each other may go anywhere.
        near || (self.wanted.is_empty() && self.wants_itself())
    }

    fn wants_itself(&self) -> bool {
        let labels = self.cluster.namespace_labels(&self.pod.key.namespace);
        matches_all(&self.own.required, &self.pod.key.namespace, labels, &self.pod.labels)
    }
}

impl Filter for Tolerance<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        if !self.wanted_are_near(node) {
            return Err(Rejection::unresolvable("node(s) didn't match pod affinity rules"));
        }
        let near = |key: &str| self.shunned.get(key, node.id) > 0;
        if self.own.required_anti.iter().any(|term| near(&term.topology_key)) {
            return Err(Rejection::unschedulable("node(s) didn't match pod anti-affinity rules"));
        }
        if self.shunning.0.iter().any(|sums| sums.at(node.id) > 0) {
            return Err(Rejection::unschedulable("node(s) didn't satisfy existing pods anti-affinity rules"));
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

impl PreScore for InterPodAffinity {
    fn weight(&self) -> i64 {
        2
    }

    fn pre_score<'a>(
        &'a self,
        cluster: &'a Cluster,
        pod: &'a Pod,
        _feasible: &[NodeId],
    ) -> Option<Box<dyn Score + 'a>> {
        let mut sums = Sums::default();
        let preferences = |affinity: &'a PodAffinity| {
            let near = affinity.preferred.iter().map(|term| (term, 1));
            near.chain(affinity.preferred_anti.iter().map(|term| (term, -1)))
        };
        for (WeightedTerm { term, weight }, sign) in pod.affinity.as_deref().into_iter().flat_map(preferences) {
            for set in covered(cluster, &[term]) {
                sums.add_set(cluster, set, &term.topology_key, weight * sign);
            }
        }
        let namespace_labels = cluster.namespace_labels(&pod.key.namespace);
        let about_us = |term: &AffinityTerm| term.matches(&pod.key.namespace, namespace_labels, &pod.labels);
        for set in cluster.pod_sets.with_affinity() {
            let Some(theirs) = set.affinity.as_deref() else { continue };
            for term in theirs.required.iter().filter(|term| about_us(term)) {
                sums.add_set(cluster, set, &term.topology_key, HARD_POD_AFFINITY_WEIGHT);
            }
            for (WeightedTerm { term, weight }, sign) in
                preferences(theirs).filter(|(weighted, _)| about_us(&weighted.term))
            {
                sums.add_set(cluster, set, &term.topology_key, weight * sign);
            }
        }
        (!sums.is_empty()).then(|| Box::new(Nearness(sums)) as _)
    }
}

struct Nearness(Sums);

impl Score for Nearness {
    fn score(&self, node: &NodeInfo) -> i64 {
        self.0.0.iter().map(|sums| sums.at(node.id)).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        let (least, most) = (scores.iter().copied().min().unwrap_or(0), scores.iter().copied().max().unwrap_or(0));
        for score in scores {
            let share = if most > least { (*score - least) as f64 / (most - least) as f64 } else { 0.0 };
            *score = (MAX_SCORE as f64 * share) as i64;
        }
    }
}
