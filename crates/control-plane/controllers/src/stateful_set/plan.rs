//! What the next step of a StatefulSet is. Pure functions.
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/>.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use windlass_api::Timestamp;
use windlass_api::well_known::label::CONTROLLER_REVISION_HASH;

use super::view::{StatefulSet, ordinal_of};
use crate::pods::Pod;

/// Pods that one step creates at most, and deletes at most: what a set wants is a number that a user writes.
const BURST: usize = 500;

/// The names of the revision that the set comes from and of the one that it goes to.
pub(super) struct Revisions<'a> {
    pub current: &'a str,
    pub update: &'a str,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Create { ordinal: i64, revision: String },
    Delete { pod: String },
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub actions: Vec<Action>,
}

pub(super) fn revision_of(pod: &Pod) -> &str {
    pod.metadata.labels.get(CONTROLLER_REVISION_HASH).map_or("", String::as_str)
}

/// Which revision a pod that is missing gets: the old one below the partition, or as long as the rollout has not come to it.
fn revision_for<'a>(set: &StatefulSet, revisions: &Revisions<'a>, ordinal: i64) -> &'a str {
    let stays = set.spec.ordinals.start.saturating_add(set.partition().unwrap_or(set.status.current_replicas));
    let of_current =
        set.rolls() && ordinal < stays && (set.partition().is_some() || revisions.current != revisions.update);
    if of_current { revisions.current } else { revisions.update }
}

/// What is seen of a set.
struct Observed<'a> {
    set: &'a StatefulSet,
    revisions: &'a Revisions<'a>,
    by_ordinal: BTreeMap<i64, &'a Pod>,
    now: Timestamp,
}

/// Decides the next step: pods that are missing or have ended come first, then those that are too many, then those that are of
/// another revision. A set that is not parallel does one thing at a time and waits until it has worked.
///
/// A step creates [`BURST`] pods at most, and deletes as many at most; the changes of these pods wake the next sync.
pub(super) fn plan(set: &StatefulSet, revisions: &Revisions<'_>, pods: &[Pod], now: Timestamp) -> Plan {
    let by_ordinal = pods.iter().filter_map(|pod| Some((ordinal_of(&set.metadata.name, &pod.metadata.name)?, pod)));
    let observed = Observed { set, revisions, by_ordinal: by_ordinal.collect(), now };
    let (mut actions, blocks) = observed.fill();
    if !blocks {
        let (surplus, blocks) = observed.shrink();
        actions.extend(surplus);
        if !blocks && actions.is_empty() && set.rolls() {
            actions = observed.roll();
        }
    }
    Plan { actions }
}

impl Observed<'_> {
    fn is_healthy(&self, pod: &Pod) -> bool {
        pod.is_active() && pod.status.phase == "Running" && pod.is_available(self.set.spec.min_ready_seconds, self.now)
    }

    /// Creates what is missing and gives up what has ended; says whether everything else waits for it. Each turn of the loop meets
    /// one of the pods or plans an action, so their number bounds it, and not the number of ordinals.
    fn fill(&self) -> (Vec<Action>, bool) {
        let mut actions = Vec::new();
        for ordinal in self.set.ordinals() {
            match self.by_ordinal.get(&ordinal) {
                None => {
                    let revision = revision_for(self.set, self.revisions, ordinal).to_owned();
                    actions.push(Action::Create { ordinal, revision });
                }
                Some(pod) if pod.has_ended() && !pod.metadata.is_deleting() => actions.push(delete(pod)),
                Some(pod) if self.is_healthy(pod) => continue,
                Some(_) => {}
            }
            if !self.set.is_parallel() {
                return (actions, true);
            }
            if actions.len() >= BURST {
                break;
            }
        }
        (actions, false)
    }

    /// Gives up the pods whose ordinals are not wanted, the last first; says whether everything else waits for it.
    fn shrink(&self) -> (Vec<Action>, bool) {
        let ordinals = self.set.ordinals();
        let condemned = self.by_ordinal.iter().rev().filter(|(ordinal, _)| !ordinals.contains(ordinal));
        let condemned: Vec<&Pod> = condemned.map(|(_, pod)| *pod).collect();
        let staying = condemned.iter().filter(|pod| !pod.metadata.is_deleting());
        if self.set.is_parallel() {
            return (staying.take(BURST).map(|pod| delete(pod)).collect(), false);
        }
        let Some(last) = condemned.first() else { return (Vec::new(), false) };
        // The first that is not healthy may go first; the others wait for it.
        let unhealthy = condemned.iter().rfind(|pod| !self.is_healthy(pod));
        let may_go =
            !last.metadata.is_deleting() && unhealthy.is_none_or(|other| other.metadata.uid == last.metadata.uid);
        (may_go.then(|| delete(last)).into_iter().collect(), true)
    }

    /// Gives up pods of another revision, the last first, while no more than `maxUnavailable` are missing. Those of a parallel set
    /// that are not available anyway cost nothing.
    fn roll(&self) -> Vec<Action> {
        let ordinals = self.set.ordinals();
        let in_range = || self.by_ordinal.range(ordinals.clone()).rev();
        let unavailable = in_range().filter(|(_, pod)| !self.is_healthy(pod)).count();
        let budget = usize::try_from(self.set.max_unavailable()).unwrap_or(usize::MAX).saturating_sub(unavailable);
        let first = self.set.first_updated();
        let old = in_range()
            .filter(|(ordinal, pod)| **ordinal >= first && revision_of(pod) != self.revisions.update)
            .map(|(_, pod)| *pod)
            .filter(|pod| !pod.metadata.is_deleting());
        if !self.set.is_parallel() {
            return old.take(budget.min(BURST)).map(delete).collect();
        }
        let (available, broken): (Vec<&Pod>, Vec<&Pod>) = old.partition(|pod| self.is_healthy(pod));
        broken.into_iter().chain(available.into_iter().take(budget)).take(BURST).map(delete).collect()
    }
}

fn delete(pod: &Pod) -> Action {
    Action::Delete { pod: pod.metadata.name.clone() }
}

/// The status that the set's pods give it, as a merge patch.
pub(super) fn status_of(set: &StatefulSet, revisions: &Revisions<'_>, pods: &[Pod], now: Timestamp) -> Value {
    let count = |keep: &dyn Fn(&&Pod) -> bool| pods.iter().filter(|pod| keep(pod)).count();
    let is_of = |pod: &Pod, revision: &str| !pod.metadata.is_deleting() && revision_of(pod) == revision;
    let updated = count(&|pod| is_of(pod, revisions.update));
    let ready = count(&|pod| pod.status.phase == "Running" && pod.is_ready());
    let wanted = usize::try_from(set.replicas()).unwrap_or(0);
    let mut current_revision = revisions.current;
    let mut current = count(&|pod| is_of(pod, revisions.current));
    // When the last pod has been rolled over, the new revision is the current one.
    if set.rolls() && updated == wanted && ready == wanted && pods.len() == wanted {
        (current_revision, current) = (revisions.update, updated);
    }
    json!({
        "observedGeneration": set.metadata.generation,
        "replicas": pods.len(),
        "readyReplicas": ready,
        "availableReplicas": count(&|pod| {
            pod.status.phase == "Running" && pod.is_available(set.spec.min_ready_seconds, now)
        }),
        "currentReplicas": current,
        "updatedReplicas": updated,
        "currentRevision": current_revision,
        "updateRevision": revisions.update,
        "collisionCount": set.status.collision_count.unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use windlass_api::time::parse_rfc3339;

    use super::*;

    const REVISIONS: Revisions<'static> = Revisions { current: "web-old", update: "web-new" };

    fn set(replicas: i64, extra: &Value) -> StatefulSet {
        let mut set =
            json!({"metadata": {"name": "web"}, "spec": {"replicas": replicas}, "status": {"currentReplicas": 2}});
        for (name, value) in extra.as_object().unwrap() {
            set["spec"][name] = value.clone();
        }
        serde_json::from_value(set).unwrap()
    }

    fn pod(ordinal: i64, revision: &str, ready: bool) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": format!("web-{ordinal}"), "uid": ordinal.to_string(), "labels": {CONTROLLER_REVISION_HASH: revision}},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}}))
        .unwrap()
    }

    fn step(set: &StatefulSet, pods: &[Pod]) -> Vec<String> {
        let plan = plan(set, &REVISIONS, pods, parse_rfc3339("2026-11-21T06:00:00Z").unwrap());
        let name = |action: &Action| match action {
            Action::Create { ordinal, revision } => format!("+{ordinal} {revision}"),
            Action::Delete { pod } => format!("-{pod}"),
        };
        plan.actions.iter().map(name).collect()
    }

    #[test]
    fn one_after_the_other() {
        let ordered = set(3, &json!({}));
        assert_eq!(step(&ordered, &[]), ["+0 web-old"]);
        assert_eq!(step(&ordered, &[pod(0, "web-old", false)]), Vec::<String>::new());
        assert_eq!(step(&ordered, &[pod(0, "web-old", true)]), ["+1 web-old"]);
        assert_eq!(step(&ordered, &[pod(0, "web-old", true), pod(1, "web-old", true)]), ["+2 web-new"]);
        assert_eq!(step(&set(3, &json!({"podManagementPolicy": "Parallel"})), &[]).len(), 3);
        assert_eq!(step(&set(2, &json!({"ordinals": {"start": 5}})), &[]), ["+5 web-old"]);
    }

    #[test]
    fn from_the_last_to_the_first() {
        let pods: Vec<Pod> = (0..3).map(|ordinal| pod(ordinal, "web-new", true)).collect();
        assert_eq!(step(&set(1, &json!({})), &pods), ["-web-2"]);
        let old: Vec<Pod> = (0..3).map(|ordinal| pod(ordinal, "web-old", true)).collect();
        assert_eq!(step(&set(3, &json!({})), &old), ["-web-2"]);
        let partition = json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}});
        let half = [pod(0, "web-old", true), pod(1, "web-old", true), pod(2, "web-new", true)];
        assert_eq!(step(&set(3, &partition), &half), Vec::<String>::new());
        assert_eq!(step(&set(3, &json!({})), &half), ["-web-1"]);
        let waiting = [pod(0, "web-old", true), pod(1, "web-old", true), pod(2, "web-new", false)];
        assert_eq!(step(&set(3, &json!({})), &waiting), Vec::<String>::new());
        assert_eq!(step(&set(3, &json!({"updateStrategy": {"type": "OnDelete"}})), &old), Vec::<String>::new());
    }

    #[test]
    fn max_unavailable_bounds_a_rollout() {
        let rolling = |policy: &str, count: i64, max: Value| {
            set(
                count,
                &json!({"podManagementPolicy": policy, "updateStrategy": {
                "type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": max}}}),
            )
        };
        let old = |count: i64| (0..count).map(|ordinal| pod(ordinal, "web-old", true)).collect::<Vec<Pod>>();
        assert_eq!(step(&rolling("OrderedReady", 4, json!(2)), &old(4)), ["-web-3", "-web-2"]);
        assert_eq!(step(&rolling("OrderedReady", 4, json!("10%")), &old(4)), ["-web-3"]);
        let mut some = old(4);
        some[0] = pod(0, "web-old", false);
        some[1] = pod(1, "web-new", false);
        assert_eq!(step(&rolling("OrderedReady", 4, json!(3)), &some), Vec::<String>::new());
        // What is broken goes whatever the budget, and is part of it.
        assert_eq!(step(&rolling("Parallel", 4, json!(1)), &some), ["-web-0"]);
        assert_eq!(step(&rolling("Parallel", 4, json!(3)), &some), ["-web-0", "-web-3"]);
        assert_eq!(step(&rolling("Parallel", 4, json!("100%")), &old(4)).len(), 4);
    }

    #[test]
    fn a_step_is_bounded_whatever_a_user_writes() {
        let huge = i64::from(i32::MAX);
        let parallel = json!({"podManagementPolicy": "Parallel", "ordinals": {"start": huge},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": huge, "maxUnavailable": "100%"}}});
        let ordered = json!({"ordinals": {"start": huge},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": huge, "maxUnavailable": huge}}});
        let first = format!("+{huge} web-old");
        let steps = step(&set(huge, &parallel), &[]);
        assert_eq!((steps.len(), steps[0].as_str()), (BURST, first.as_str()));
        assert_eq!(step(&set(huge, &ordered), &[]), [first]);
        // The pods that are there are stepped over.
        let there: Vec<Pod> = (0..700).map(|index| pod(huge + index, "web-old", true)).collect();
        assert_eq!(step(&set(huge, &parallel), &there)[0], format!("+{} web-old", huge + 700));
        assert_eq!(step(&set(huge, &ordered), &there), [format!("+{} web-old", huge + 700)]);
        // Scaling down and moving the ordinals delete as few at a time.
        assert_eq!(step(&set(0, &parallel), &there).len(), BURST);
        assert_eq!(step(&set(0, &ordered), &there).len(), 1);
        let moved = step(&set(huge, &json!({"podManagementPolicy": "Parallel"})), &there);
        assert_eq!(moved.iter().filter(|step| step.starts_with('-')).count(), BURST);
        assert_eq!(moved.len(), 2 * BURST);
        // Updates too, and numbers that no 32 bits hold.
        let all = json!({"podManagementPolicy": "Parallel", "ordinals": {"start": huge}, "updateStrategy": {
            "type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": "100%"}}});
        assert_eq!(step(&set(700, &all), &there).len(), BURST);
        for (replicas, start) in [(i64::MAX, i64::MAX), (i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (-1, 0)] {
            let extreme = json!({"podManagementPolicy": "Parallel", "ordinals": {"start": start}, "updateStrategy": {
                "type": "RollingUpdate", "rollingUpdate": {"partition": i64::MAX, "maxUnavailable": i64::MAX}}});
            assert!(step(&set(replicas, &extreme), &there).len() <= 2 * BURST);
        }
    }

    #[test]
    fn the_last_pod_completes_a_rollout() {
        let pods: Vec<Pod> = (0..2).map(|ordinal| pod(ordinal, "web-new", true)).collect();
        let now = parse_rfc3339("2026-11-21T06:00:00Z").unwrap();
        let status = status_of(&set(2, &json!({})), &REVISIONS, &pods, now);
        assert_eq!((&status["currentRevision"], &status["currentReplicas"]), (&json!("web-new"), &json!(2)));
        let status = status_of(&set(3, &json!({})), &REVISIONS, &pods, now);
        assert_eq!((&status["currentRevision"], &status["updatedReplicas"]), (&json!("web-old"), &json!(2)));
    }
}
