//! InterPodAffinity: which pods want to be near each other, or apart, in a domain of the topology.
//!
//! Source: `plugins/interpodaffinity`.

use std::collections::HashMap;

use crate::cache::{Cluster, NodeId, NodeInfo, PodSet};
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

/// Sums by topology key and value.
#[derive(Debug, Default)]
struct Sums(HashMap<String, HashMap<String, i64>>);

impl Sums {
    /// What sums up to nothing is forgotten.
    fn change(&mut self, key: &str, value: &str, by: i64) {
        if !self.0.contains_key(key) {
            self.0.insert(key.to_owned(), HashMap::new());
        }
        let Some(values) = self.0.get_mut(key) else { return };
        match values.get_mut(value) {
            Some(sum) if *sum + by == 0 => {
                values.remove(value);
            }
            Some(sum) => *sum += by,
            None if by == 0 => {}
            None => {
                values.insert(value.to_owned(), by);
            }
        }
        if values.is_empty() {
            self.0.remove(key);
        }
    }

    fn change_at(&mut self, key: &str, node: &NodeInfo, by: i64) {
        if let Some(value) = node.label(key) {
            self.change(key, value, by);
        }
    }

    fn get(&self, key: &str, value: &str) -> i64 {
        self.0.get(key).and_then(|values| values.get(value)).copied().unwrap_or(0)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
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
            Event::Storage => false,
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

impl Sums {
    /// Adds `weight` for each pod of a set, where it is.
    fn add_set(&mut self, cluster: &Cluster, set: &PodSet, key: &str, weight: i64) {
        for (id, count) in &set.nodes {
            if let Some(node) = cluster.node(*id) {
                self.change_at(key, node, weight * i64::from(count.all));
            }
        }
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
                self.wanted.change_at(&term.topology_key, node, by);
            }
        }
        for term in &self.own.required_anti {
            if term.matches(&other.key.namespace, labels, &other.labels) {
                self.shunned.change_at(&term.topology_key, node, by);
            }
        }
        let own_labels = self.cluster.namespace_labels(&self.pod.key.namespace);
        for term in other.affinity.iter().flat_map(|affinity| &affinity.required_anti) {
            if term.matches(&self.pod.key.namespace, own_labels, &self.pod.labels) {
                self.shunning.change_at(&term.topology_key, node, by);
            }
        }
    }

    fn wanted_are_near(&self, node: &NodeInfo) -> bool {
        let mut near = true;
        for term in &self.own.required {
            let Some(value) = node.label(&term.topology_key) else { return false };
            near &= self.wanted.get(&term.topology_key, value) > 0;
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
        let near = |key: &str| node.label(key).is_some_and(|value| self.shunned.get(key, value) > 0);
        if self.own.required_anti.iter().any(|term| near(&term.topology_key)) {
            return Err(Rejection::unschedulable("node(s) didn't match pod anti-affinity rules"));
        }
        let unwelcome = |(key, values): (&String, &HashMap<String, i64>)| {
            node.label(key).is_some_and(|value| values.get(value).is_some_and(|count| *count > 0))
        };
        if self.shunning.0.iter().any(unwelcome) {
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
        let of = |(key, values): (&String, &HashMap<String, i64>)| {
            node.label(key).and_then(|value| values.get(value)).copied()
        };
        self.0.0.iter().filter_map(of).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        let (least, most) = (scores.iter().copied().min().unwrap_or(0), scores.iter().copied().max().unwrap_or(0));
        for score in scores {
            let share = if most > least { (*score - least) as f64 / (most - least) as f64 } else { 0.0 };
            *score = (MAX_SCORE as f64 * share) as i64;
        }
    }
}
