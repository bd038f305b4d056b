//! DefaultPreemption: makes room for a pod by sending away others of lower priority.
//!
//! For each node where others are in the way, it is asked which pods would have to go: all of lower priority are thought away, and as
//! many as possible are brought back, the important ones first, and those whose disruption budget is used up before all
//! others. Of the nodes, the one that loses least is taken. Source: `framework/preemption`, `plugins/defaultpreemption`.

use std::cmp::Reverse;
use std::sync::Arc;

use windlass_api::{ObjectKey, Timestamp};

use crate::cache::{Cluster, NodeInfo, Nominator};
use crate::framework::{Diagnosis, Plugin, PostFilter, PostFiltered, PreparedFilter, Rejection, check, fit_message};
use crate::object::Pod;

/// How many candidates are compared: this share of the possible nodes, and at least [`CANDIDATES_MIN`].
const CANDIDATES_PERCENT: usize = 10;
const CANDIDATES_MIN: usize = 100;

pub(super) struct DefaultPreemption;

impl Plugin for DefaultPreemption {
    fn name(&self) -> &'static str {
        "DefaultPreemption"
    }
}

/// A node, and who would have to leave it; the most important first.
#[derive(Debug)]
struct Candidate {
    node: String,
    victims: Vec<Arc<Pod>>,
    budget_violations: usize,
}

impl PostFilter for DefaultPreemption {
    fn post_filter(
        &self,
        cluster: &Cluster,
        nominator: &Nominator,
        pod: &Pod,
        filters: &mut [PreparedFilter<'_>],
        diagnosis: &Diagnosis,
        random: u64,
    ) -> PostFiltered {
        let outcome = |message: String, nominate: Option<String>, victims: Vec<ObjectKey>| PostFiltered {
            message: format!("preemption: {message}"),
            nominate,
            victims,
        };
        if let Err(reason) = may_preempt(cluster, nominator, pod, diagnosis) {
            return outcome(reason.to_owned(), None, Vec::new());
        }
        let mut possible: Vec<&NodeInfo> = diagnosis
            .rejections
            .iter()
            .filter(|(_, rejection)| rejection.preemption_may_help)
            .filter_map(|(id, _)| cluster.node(*id))
            .collect();
        let wanted = (possible.len() * CANDIDATES_PERCENT / 100).max(CANDIDATES_MIN);
        if !possible.is_empty() {
            // From somewhere in the middle, so that it is not always the same nodes that lose pods.
            let offset = usize::try_from(random).unwrap_or(0) % possible.len();
            possible.rotate_left(offset);
        }
        let mut candidates = Vec::new();
        let mut rejections = Vec::new();
        for node in possible {
            match victims_on(cluster, nominator, pod, filters, node) {
                Ok(candidate) => candidates.push(candidate),
                Err(rejection) => rejections.push(rejection),
            }
            if candidates.len() >= wanted {
                break;
            }
        }
        match candidates.into_iter().min_by_key(cost) {
            Some(best) => {
                let (node, count) = (best.node, best.victims.len());
                let message = format!("found a potential placement for pod on node {node}, preempting {count} victims");
                outcome(message, Some(node), best.victims.iter().map(|victim| victim.key.clone()).collect())
            }
            None => {
                let message =
                    fit_message(cluster.node_count(), rejections.iter(), "Preemption is not helpful for scheduling");
                outcome(message, Some(String::new()), Vec::new())
            }
        }
    }
}

/// Whether the pod may send others away at all.
fn may_preempt(cluster: &Cluster, nominator: &Nominator, pod: &Pod, diagnosis: &Diagnosis) -> Result<(), &'static str> {
    if pod.wishes().never_preempts {
        return Err("not eligible due to preemptionPolicy=Never.");
    }
    let nominated = nominator.node_of(&pod.key).unwrap_or(pod.nominated_node());
    let Some(nominated) = cluster.node_named(nominated) else { return Ok(()) };
    let hopeless =
        diagnosis.rejections.iter().any(|(id, rejection)| *id == nominated.id && !rejection.preemption_may_help);
    let leaving = |other: &Arc<Pod>| other.priority < pod.priority && other.terminating && other.preempted;
    if !hopeless && nominated.pods.iter().any(leaving) {
        return Err("not eligible due to a terminating pod on the nominated node.");
    }
    Ok(())
}

/// Smaller is better: fewest violated budgets, least important victim, smallest sum of priorities, fewest victims, and the
/// latest start of the most important ones.
fn cost(candidate: &Candidate) -> (usize, i32, i64, usize, Reverse<Option<Timestamp>>) {
    let highest = candidate.victims.first().map_or(i32::MIN, |victim| victim.priority);
    // Shifted, so that a few pods of negative priority are not better than one.
    let sum = candidate.victims.iter().map(|victim| i64::from(victim.priority) + (1 << 31)).sum();
    let of_highest = candidate.victims.iter().filter(|victim| victim.priority == highest);
    let earliest = of_highest.filter_map(|victim| victim.started).min();
    (candidate.budget_violations, highest, sum, candidate.victims.len(), Reverse(earliest))
}

/// The most important first: by priority, then by how long they have run.
fn by_importance(victims: &mut [Arc<Pod>]) {
    victims.sort_by_key(|victim| (Reverse(victim.priority), victim.started.unwrap_or(Timestamp::MAX)));
}

/// Splits into those whose disruption budget does not allow their going, and the rest.
fn by_budget(cluster: &Cluster, victims: Vec<Arc<Pod>>) -> (Vec<Arc<Pod>>, Vec<Arc<Pod>>) {
    let mut left: Vec<_> = cluster.surroundings.budgets.iter().map(|(key, b)| (key, b, b.allowed)).collect();
    let mut violates = |pod: &Arc<Pod>| {
        if pod.labels.is_empty() {
            return false;
        }
        for (key, budget, left) in &mut left {
            let concerned = key.namespace == pod.key.namespace
                && budget.selector.matches(pod.labels.as_ref())
                && !budget.disrupted.contains(&pod.key.name);
            if concerned {
                *left -= 1;
                if *left < 0 {
                    return true;
                }
            }
        }
        false
    };
    victims.into_iter().partition(|victim| violates(victim))
}

/// The fewest pods that must leave the node.
fn victims_on(
    cluster: &Cluster,
    nominator: &Nominator,
    pod: &Pod,
    filters: &mut [PreparedFilter<'_>],
    node: &NodeInfo,
) -> Result<Candidate, Rejection> {
    let mut possible: Vec<Arc<Pod>> = node.pods.iter().filter(|other| other.priority < pod.priority).cloned().collect();
    if possible.is_empty() {
        return Err(Rejection::unresolvable("No preemption victims found for incoming pod"));
    }
    let mut trial = node.clone();
    let think_away = |trial: &mut NodeInfo, filters: &mut [PreparedFilter<'_>], victim: &Arc<Pod>| {
        trial.remove(&victim.uid);
        filters.iter_mut().for_each(|prepared| prepared.filter.remove_pod(victim, node));
    };
    let bring_back = |trial: &mut NodeInfo, filters: &mut [PreparedFilter<'_>], victim: &Arc<Pod>| {
        trial.add(victim.clone());
        filters.iter_mut().for_each(|prepared| prepared.filter.add_pod(victim, node));
    };
    possible.iter().for_each(|victim| think_away(&mut trial, filters, victim));
    if let Err((_, rejection)) = check(filters, nominator, pod, &trial) {
        possible.iter().for_each(|victim| bring_back(&mut trial, filters, victim));
        return Err(rejection);
    }
    by_importance(&mut possible);
    let (violating, others) = by_budget(cluster, possible);
    let mut victims = Vec::new();
    let mut budget_violations = 0;
    let protected = violating.len();
    for (n, victim) in violating.into_iter().chain(others).enumerate() {
        bring_back(&mut trial, filters, &victim);
        if check(filters, nominator, pod, &trial).is_err() {
            think_away(&mut trial, filters, &victim);
            budget_violations += usize::from(n < protected);
            victims.push(victim);
        }
    }
    // The filters are used for the next node: they must think of this one as it is.
    victims.iter().for_each(|victim| bring_back(&mut trial, filters, victim));
    by_importance(&mut victims);
    if victims.is_empty() {
        return Err(Rejection::unresolvable("No preemption victims found for incoming pod"));
    }
    Ok(Candidate { node: node.name().to_owned(), victims, budget_violations })
}
