//! What the next step of a DaemonSet is, and what its status says. Pure functions.
//!
//! First every node gets the pods it should have; only when nothing is missing does an update go on. Source:
//! <https://kubernetes.io/docs/tasks/manage-daemon/update-daemon-set/>.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use windlass_api::{Meta, Timestamp};

use super::placement::{Fit, Placement, is_updated, target_node};
use super::view::DaemonSet;
use crate::node::view::Node;
use crate::pods::Pod;

/// What there is to decide about.
pub(super) struct Snapshot<'a> {
    set: &'a DaemonSet,
    hash: &'a str,
    /// How the set stands to each node.
    fits: BTreeMap<&'a str, Fit>,
    /// The set's pods by their nodes, the oldest that has been scheduled first.
    pods: BTreeMap<&'a str, Vec<&'a Pod>>,
    now: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Nodes that get a pod.
    pub create: Vec<String>,
    pub delete: Vec<Meta>,
    /// Pods that have ended: nodes with the pods that are to be replaced, unless that has been done very lately.
    pub ended: Vec<Ended>,
}

#[derive(Debug)]
pub(super) struct Ended {
    pub node: String,
    pub pod: Meta,
    pub failed: bool,
}

impl<'a> Snapshot<'a> {
    pub(super) fn new(set: &'a DaemonSet, hash: &'a str, nodes: &'a [Node], pods: &'a [Pod], now: Timestamp) -> Self {
        let placement = Placement::of(set);
        let fits = nodes.iter().map(|node| (node.metadata.name.as_str(), placement.fit(node))).collect();
        let mut by_node: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
        // A pod that has ended and is going is of no concern any more.
        for pod in pods.iter().filter(|pod| !(pod.has_ended() && pod.metadata.is_deleting())) {
            if let Some(node) = target_node(pod) {
                by_node.entry(node).or_default().push(pod);
            }
        }
        let rank = |pod: &&Pod| {
            let meta = &pod.metadata;
            (pod.spec.node_name.is_empty(), meta.creation_timestamp.clone(), meta.name.clone())
        };
        by_node.values_mut().for_each(|pods| pods.sort_by_cached_key(rank));
        Self { set, hash, fits, pods: by_node, now }
    }

    fn of_node(&self, node: &str) -> &[&'a Pod] {
        self.pods.get(node).map_or(&[], Vec::as_slice)
    }

    fn is_available(&self, pod: &Pod) -> bool {
        pod.is_available(self.set.spec.min_ready_seconds, self.now)
    }

    fn desired(&self) -> i64 {
        self.fits.values().map(|fit| i64::from(*fit == Fit::Run)).sum()
    }

    /// The pods that nodes lack or have too many of.
    pub(super) fn manage(&self) -> Plan {
        let mut plan = Plan::default();
        for (&node, &fit) in &self.fits {
            let pods = self.of_node(node);
            if fit == Fit::Run && pods.is_empty() {
                plan.create.push(node.to_owned());
            } else if fit == Fit::Leave {
                plan.delete.extend(staying(pods).map(|pod| pod.metadata.clone()));
            } else {
                self.manage_node(node, fit, pods, &mut plan);
            }
        }
        // Nobody else removes a pod that waits for a node which is gone.
        for (_, pods) in self.pods.iter().filter(|(node, _)| !self.fits.contains_key(*node)) {
            let waiting = staying(pods).filter(|pod| pod.spec.node_name.is_empty());
            plan.delete.extend(waiting.map(|pod| pod.metadata.clone()));
        }
        plan
    }

    fn manage_node(&self, node: &str, fit: Fit, pods: &[&Pod], plan: &mut Plan) {
        let (ended, running): (Vec<&Pod>, Vec<&Pod>) = staying(pods).partition(|pod| pod.has_ended());
        plan.ended.extend(ended.into_iter().map(|pod| Ended {
            node: node.to_owned(),
            pod: pod.metadata.clone(),
            failed: pod.status.phase == "Failed",
        }));
        if self.set.max_surge(1) == 0 {
            plan.delete.extend(running.iter().skip(1).map(|pod| pod.metadata.clone()));
            return;
        }
        if running.is_empty() && fit == Fit::Run {
            plan.create.push(node.to_owned());
        }
        if running.len() > 1 {
            plan.delete.extend(self.surplus(&running));
        }
    }

    /// While pods surge a node may have an old pod that is ready and a new one that is not available yet; nothing more.
    fn surplus(&self, running: &[&Pod]) -> Vec<Meta> {
        let is_new = |pod: &&&Pod| is_updated(self.set, pod, self.hash);
        let new = running.iter().find(is_new);
        let old = running.iter().find(|pod| !is_new(pod));
        let is_kept = |pod: &&&Pod| [new, old].into_iter().flatten().any(|kept| kept.metadata.uid == pod.metadata.uid);
        let mut surplus: Vec<Meta> =
            running.iter().filter(|pod| !is_kept(pod)).map(|pod| pod.metadata.clone()).collect();
        if let (Some(new), Some(old)) = (new, old)
            && (!old.is_ready() || self.is_available(new))
        {
            surplus.push(old.metadata.clone());
        }
        surplus
    }

    /// The next pods of an update.
    pub(super) fn roll(&self) -> Plan {
        let desired = self.desired();
        let nodes: Vec<(&str, &[&Pod])> = self.pods.iter().map(|(node, pods)| (*node, pods.as_slice())).collect();
        let bare = self.fits.iter().filter(|(node, fit)| **fit == Fit::Run && !self.pods.contains_key(*node)).count();
        match (self.set.rolls(), self.set.max_surge(desired)) {
            (false, _) => Plan::default(),
            (true, 0) => self.replace(&nodes, bare, self.set.max_unavailable(desired)),
            (true, surge) => self.surge(&nodes, desired, surge),
        }
    }

    /// Gives up old pods where one is not available anyway, and as many more as may be unavailable.
    fn replace(&self, nodes: &[(&str, &[&Pod])], bare: usize, max_unavailable: i64) -> Plan {
        let (mut unavailable, mut delete, mut candidates) = (bare, Vec::new(), Vec::new());
        for (_, pods) in nodes {
            match self.generations(pods) {
                Some((Some(new), None)) => unavailable += usize::from(!self.is_available(new)),
                Some((None, Some(old))) if self.is_available(old) => candidates.push(old.metadata.clone()),
                Some((None, Some(old))) => {
                    delete.push(old.metadata.clone());
                    unavailable += 1;
                }
                _ => unavailable += 1,
            }
        }
        let may = usize::try_from(max_unavailable).unwrap_or(0).saturating_sub(unavailable);
        delete.extend(candidates.into_iter().take(may));
        Plan { delete, ..Plan::default() }
    }

    /// Adds new pods beside old ones, and gives up old ones whose new ones are available.
    fn surge(&self, nodes: &[(&str, &[&Pod])], desired: i64, max_surge: i64) -> Plan {
        let (mut surging, mut available) = (0, 0);
        let (mut plan, mut candidates, mut misplaced) = (Plan::default(), Vec::new(), Vec::new());
        for &(node, pods) in nodes {
            let Some((new, old)) = self.generations(pods) else {
                surging += 1;
                continue;
            };
            available += i64::from(old.or(new).is_some_and(|pod| self.is_available(pod)));
            let runs = self.fits.get(node) == Some(&Fit::Run);
            match (old, new) {
                (None, _) => {}
                (Some(old), Some(new)) if self.is_available(new) => plan.delete.push(old.metadata.clone()),
                (Some(_), Some(_)) => surging += 1,
                (Some(old), None) if self.is_available(old) && runs => candidates.push(node.to_owned()),
                (Some(old), None) if self.is_available(old) => misplaced.push(old.metadata.clone()),
                (Some(_), None) if runs => plan.create.push(node.to_owned()),
                (Some(old), None) => plan.delete.push(old.metadata.clone()),
            }
        }
        // What runs where it should not goes only when that leaves enough elsewhere.
        plan.delete.extend(misplaced.into_iter().take(usize::try_from(available - desired).unwrap_or(0)));
        plan.create.extend(candidates.into_iter().take(usize::try_from(max_surge - surging).unwrap_or(0)));
        plan
    }

    /// The new and the old pod of a node; `None` when there is more than one of either.
    fn generations<'p>(&self, pods: &[&'p Pod]) -> Option<(Option<&'p Pod>, Option<&'p Pod>)> {
        let (new, old): (Vec<&Pod>, Vec<&Pod>) = staying(pods).partition(|pod| is_updated(self.set, pod, self.hash));
        (new.len() <= 1 && old.len() <= 1).then(|| (new.first().copied(), old.first().copied()))
    }

    pub(super) fn status(&self) -> Value {
        let (mut current, mut ready, mut available, mut updated, mut misscheduled) = (0, 0, 0, 0, 0);
        for (&node, &fit) in &self.fits {
            let Some(pod) = self.of_node(node).first() else { continue };
            if fit != Fit::Run {
                misscheduled += 1;
                continue;
            }
            current += 1;
            ready += i64::from(pod.is_ready());
            available += i64::from(self.is_available(pod));
            updated += i64::from(is_updated(self.set, pod, self.hash));
        }
        let desired = self.desired();
        json!({
            "observedGeneration": self.set.metadata.generation,
            "desiredNumberScheduled": desired,
            "currentNumberScheduled": current,
            "numberMisscheduled": misscheduled,
            "numberReady": ready,
            "numberAvailable": available,
            "numberUnavailable": desired - available,
            "updatedNumberScheduled": updated,
        })
    }
}

fn staying<'p>(pods: &[&'p Pod]) -> impl Iterator<Item = &'p Pod> {
    pods.iter().copied().filter(|pod| !pod.metadata.is_deleting())
}

#[cfg(test)]
mod tests {
    use windlass_api::time::parse_rfc3339;
    use windlass_api::well_known::label::CONTROLLER_REVISION_HASH;

    use super::*;

    fn set(rolling: &Value) -> DaemonSet {
        let kind = if rolling.is_null() { "OnDelete" } else { "RollingUpdate" };
        serde_json::from_value(json!({"spec": {"updateStrategy": {
            "type": kind, "rollingUpdate": if rolling.is_null() { json!({}) } else { rolling.clone() }}}}))
        .unwrap()
    }

    fn nodes(count: usize) -> Vec<Node> {
        let node = |index| serde_json::from_value(json!({"metadata": {"name": format!("n{index}")}})).unwrap();
        (1..=count).map(node).collect()
    }

    /// `NAME NODE HASH STATE`
    fn pods(all: &[&str]) -> Vec<Pod> {
        let pod = |text: &&str| {
            let [name, node, hash, state] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
            let phase = if matches!(state, "Failed" | "Succeeded") { state } else { "Running" };
            let ready = if state == "Ready" { "True" } else { "False" };
            serde_json::from_value(json!({
                "metadata": {"name": name, "uid": name, "labels": {CONTROLLER_REVISION_HASH: hash},
                    "deletionTimestamp": (state == "Going").then_some("2026-11-21T06:00:00Z")},
                "spec": {"nodeName": node},
                "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}}))
            .unwrap()
        };
        all.iter().map(pod).collect()
    }

    fn describe(plan: &Plan) -> Vec<String> {
        let created = plan.create.iter().map(|node| format!("+{node}"));
        let deleted = plan.delete.iter().map(|pod| format!("-{}", pod.name));
        let ended = plan.ended.iter().map(|ended| format!("!{}", ended.pod.name));
        let mut all: Vec<String> = created.chain(deleted).chain(ended).collect();
        all.sort();
        all
    }

    fn now() -> Timestamp {
        parse_rfc3339("2026-11-21T06:00:00Z").unwrap()
    }

    #[test]
    fn a_pod_on_every_node() {
        let surge = json!({"maxUnavailable": 0, "maxSurge": 1});
        let plain = json!({"maxUnavailable": 1});
        let cases: [(&Value, &[&str], &[&str]); 9] = [
            (&plain, &[], &["+n1", "+n2"]),
            (&plain, &["a n1 new Ready"], &["+n2"]),
            (&plain, &["a n1 new Ready", "b n1 new Ready", "c n2 old Ready"], &["-b"]),
            (&plain, &["a n1 new Failed", "b n2 new Succeeded"], &["!a", "!b"]),
            (&plain, &["a n1 new Going", "b n2 new Ready"], &[]),
            (&surge, &["a n1 new Going", "b n2 new Ready"], &["+n1"]),
            (&surge, &["a n1 old Ready", "b n1 new Starting", "c n2 new Ready"], &[]),
            (&surge, &["a n1 old Ready", "b n1 new Ready", "c n2 new Ready"], &["-a"]),
            (&surge, &["a n1 old Starting", "b n1 new Starting", "c n2 new Ready"], &["-a"]),
        ];
        for (rolling, present, expected) in cases {
            let (set, nodes, pods) = (set(rolling), nodes(2), pods(present));
            let plan = Snapshot::new(&set, "new", &nodes, &pods, now()).manage();
            assert_eq!(describe(&plan), expected, "{rolling} {present:?}");
        }
    }

    #[test]
    fn updates() {
        let surge = json!({"maxUnavailable": 0, "maxSurge": 1});
        let plain = json!({"maxUnavailable": 1});
        let cases: [(&Value, &[&str], &[&str]); 8] = [
            (&plain, &["a n1 old Ready", "b n2 old Ready"], &["-a"]),
            (&plain, &["a n1 new Starting", "b n2 old Ready"], &[]),
            (&plain, &["a n1 new Ready", "b n2 old Ready"], &["-b"]),
            (&plain, &["a n1 old Starting", "b n2 old Ready"], &["-a"]),
            (&plain, &["a n1 old Going", "b n2 old Ready"], &[]),
            (&Value::Null, &["a n1 old Ready", "b n2 old Ready"], &[]),
            (&surge, &["a n1 old Ready", "b n2 old Ready"], &["+n1"]),
            (&surge, &["a n1 old Ready", "b n1 new Starting", "c n2 old Ready"], &[]),
        ];
        for (rolling, present, expected) in cases {
            let (set, nodes, pods) = (set(rolling), nodes(2), pods(present));
            let plan = Snapshot::new(&set, "new", &nodes, &pods, now()).roll();
            assert_eq!(describe(&plan), expected, "{rolling} {present:?}");
        }
    }

    #[test]
    fn a_pod_for_a_node_that_is_gone() {
        let (set, nodes) = (set(&json!({})), nodes(1));
        let mut pods = pods(&["a n1 new Ready", "b  new Starting"]);
        let field = json!({"key": "metadata.name", "operator": "In", "values": ["n9"]});
        let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchFields": [field]}]}}});
        pods[1].spec.affinity = serde_json::from_value(affinity).unwrap();
        assert_eq!(describe(&Snapshot::new(&set, "new", &nodes, &pods, now()).manage()), ["-b"]);
    }

    #[test]
    fn counts() {
        let (set, nodes) = (set(&json!({})), nodes(3));
        let pods = pods(&["a n1 new Ready", "b n2 old Starting"]);
        let status = Snapshot::new(&set, "new", &nodes, &pods, now()).status();
        let expected = json!({"observedGeneration": 0, "desiredNumberScheduled": 3, "currentNumberScheduled": 2,
            "numberMisscheduled": 0, "numberReady": 1, "numberAvailable": 1, "numberUnavailable": 2,
            "updatedNumberScheduled": 1});
        assert_eq!(status, expected);
    }
}
