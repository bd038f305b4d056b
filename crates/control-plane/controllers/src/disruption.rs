//! A PodDisruptionBudget's status says how many of its pods may be evicted now.
//!
//! The eviction subresource takes from `disruptionsAllowed` and notes the pod in `disruptedPods`; such a pod no longer counts as healthy,
//! until it goes, or has been noted for so long that it evidently stays. When the figures cannot be had, none may be evicted.
//!
//! Source: upstream `pkg/controller/disruption`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_api::condition::{self, FALSE, TRUE};
use windlass_api::labels::Selector;
use windlass_api::pod::DISRUPTION_TARGET;
use windlass_api::resource::{
    DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS,
};
use windlass_api::time::{Clock, parse_rfc3339, rfc3339};
use windlass_api::{Meta, ObjectKey, OwnerReference, Status, Timestamp};
use windlass_client::{
    ApiResource, Change, Client, EventType, Informer, ObjectReference, Outcome, Recorder, STATUS, WorkQueue,
};

use crate::context::Context;
use crate::int_or_percent::int_or_percent;
use crate::pods::Pod;
use crate::write::modify;

const NAME: &str = "disruption-controller";
const WORKERS: usize = 2;
/// An evicted pod that is still there after this time, and not even being deleted, will stay.
const DELETION_TIMEOUT: Duration = Duration::from_secs(120);
/// A pod that was to be disrupted and is not being deleted after this time is no longer said to be.
const STALE_TARGET: Duration = Duration::from_secs(120);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Work {
    Budget(ObjectKey),
    /// A pod that is said to be disrupted.
    Target(ObjectKey),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Budget {
    metadata: Meta,
    spec: Spec,
    status: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    min_available: Option<Value>,
    max_unavailable: Option<Value>,
    selector: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Scaled {
    metadata: Meta,
    spec: ScaledSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ScaledSpec {
    replicas: Option<i64>,
}

struct Controller {
    client: Client,
    recorder: Recorder,
    budgets: Arc<Informer>,
    pods: Arc<Informer>,
    deployments: Arc<Informer>,
    replica_sets: Arc<Informer>,
    replication_controllers: Arc<Informer>,
    stateful_sets: Arc<Informer>,
    clock: Clock,
}

pub(crate) async fn run(context: Context) {
    let client = context.client(NAME);
    let controller = Controller {
        recorder: context.recorder(&client, "controllermanager"),
        client,
        budgets: context.informer(&POD_DISRUPTION_BUDGETS),
        pods: context.informer(&PODS),
        deployments: context.informer(&DEPLOYMENTS),
        replica_sets: context.informer(&REPLICA_SETS),
        replication_controllers: context.informer(&REPLICATION_CONTROLLERS),
        stateful_sets: context.informer(&STATEFUL_SETS),
        clock: context.clock,
    };
    let owners = [
        &controller.deployments,
        &controller.replica_sets,
        &controller.replication_controllers,
        &controller.stateful_sets,
    ];
    for informer in owners.into_iter().chain([&controller.budgets, &controller.pods]) {
        informer.synced().await;
    }
    let queue = WorkQueue::new();
    let changed = queue.clone();
    controller.budgets.subscribe(move |change| changed.add(Work::Budget(change.object().key.clone())));
    let (changed, budgets) = (queue.clone(), controller.budgets.clone());
    controller.pods.subscribe(move |change| wake_by_pod(&budgets, &changed, change));
    for owner in owners {
        let (changed, budgets) = (queue.clone(), controller.budgets.clone());
        owner.subscribe(move |change| {
            let replicas = |object: &Option<windlass_client::Object>| {
                object.as_ref().and_then(|object| object.decode::<Scaled>().ok()).map(|owner| owner.spec.replicas)
            };
            if replicas(&change.old) != replicas(&change.new) {
                let all = budgets.list(&change.object().key.namespace);
                all.into_iter().for_each(|budget| changed.add(Work::Budget(budget.key)));
            }
        });
    }
    let sync = async |work: Work| match work {
        Work::Budget(key) => controller.sync(&key).await,
        Work::Target(key) => controller.reset_target(&key).await,
    };
    queue.run(NAME, WORKERS, sync).await;
}

fn wake_by_pod(budgets: &Informer, queue: &WorkQueue<Work>, change: &Change) {
    let read = |object: &Option<windlass_client::Object>| object.as_ref().and_then(|o| o.decode::<Pod>().ok());
    let (old, new) = (read(&change.old), read(&change.new));
    for object in budgets.list(&change.object().key.namespace) {
        let Ok(budget) = object.decode::<Budget>() else { continue };
        let Ok(selector) = crate::selector_of_structure(&budget.spec.selector) else { continue };
        if [&old, &new].into_iter().flatten().any(|pod| selector.matches(&pod.metadata.labels)) {
            queue.add(Work::Budget(object.key));
        }
    }
    if new.is_some_and(|pod| target_since(&pod).is_some()) {
        queue.add(Work::Target(change.object().key.clone()));
    }
}

impl Controller {
    async fn sync(&self, key: &ObjectKey) -> Result<Outcome, Status> {
        let Some(budget) = self.budgets.read::<Budget>(key) else { return Ok(Outcome::Done) };
        let reference = ObjectReference {
            api_version: "policy/v1".to_owned(),
            kind: "PodDisruptionBudget".to_owned(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            uid: budget.metadata.uid.clone(),
            ..ObjectReference::default()
        };
        let pods = self.pods_of(&budget)?;
        if pods.is_empty() {
            self.recorder.event(&reference, EventType::Normal, "NoPods", "No matching pods found");
        }
        let now = self.clock.now();
        let (status, again) = match self.expected(&budget.spec, &pods).await {
            Ok(expected) => {
                let noted = disrupted(&budget.status, &pods, now);
                let again = noted.values().map(|since| time_left(*since, DELETION_TIMEOUT, now)).min();
                (status_of(&budget, expected, &pods, &noted, now), again)
            }
            Err(problem) => {
                let message = format!("Failed to calculate the number of expected pods: {problem}");
                self.recorder.event(&reference, EventType::Warning, "CalculateExpectedPodCountFailed", message);
                (failed(&budget, &problem, now), None)
            }
        };
        if !crate::status::is_up_to_date(&budget.status, &status) {
            let patch = json!({"metadata": {"uid": budget.metadata.uid}, "status": status});
            modify(&self.client, &self.budgets, &POD_DISRUPTION_BUDGETS, key, STATUS, &patch).await?;
        }
        Ok(again.map_or(Outcome::Done, Outcome::Again))
    }

    fn pods_of(&self, budget: &Budget) -> Result<Vec<Pod>, Status> {
        let selector: Selector = crate::selector_of_structure(&budget.spec.selector)?;
        let all = self.pods.list(&budget.metadata.namespace).into_iter().filter_map(|o| o.decode::<Pod>().ok());
        Ok(all.filter(|pod| selector.matches(&pod.metadata.labels)).collect())
    }

    /// How many pods there should be, and how many of them healthy.
    async fn expected(&self, spec: &Spec, pods: &[Pod]) -> Result<Expected, String> {
        let by_number = spec.max_unavailable.is_none() && spec.min_available.as_ref().is_none_or(Value::is_number);
        let scale = if by_number { i64::try_from(pods.len()).unwrap_or(i64::MAX) } else { self.scale_of(pods).await? };
        Ok(expected(spec, scale))
    }

    /// The sum of what the pods' controllers want. Pods without a controller are not in it.
    async fn scale_of(&self, pods: &[Pod]) -> Result<i64, String> {
        let mut scales: BTreeMap<String, i64> = BTreeMap::new();
        for pod in pods {
            let Some(owner) = pod.metadata.controller() else { continue };
            if scales.contains_key(&owner.uid) {
                continue;
            }
            match self.scale(owner, &pod.metadata.namespace).await {
                Some((uid, scale)) => scales.insert(uid, scale),
                None => return Err(format!("found no controllers for pod {:?}", pod.metadata.name)),
            };
        }
        Ok(scales.values().fold(0, |sum: i64, scale| sum.saturating_add(*scale)))
    }

    /// The controller that decides how many pods there are, by its UID, and how many it wants.
    async fn scale(&self, owner: &OwnerReference, namespace: &str) -> Option<(String, i64)> {
        let key = ObjectKey::new(namespace, owner.name.clone());
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        let informer = match (group, owner.kind.as_str()) {
            ("apps" | "extensions", "ReplicaSet") => &self.replica_sets,
            ("apps" | "extensions", "Deployment") => &self.deployments,
            ("apps", "StatefulSet") => &self.stateful_sets,
            ("", "ReplicationController") => &self.replication_controllers,
            _ => return self.scale_subresource(owner, group, &key).await,
        };
        let found = informer.read::<Scaled>(&key).filter(|found| found.metadata.uid == owner.uid)?;
        // A ReplicaSet of a Deployment counts as that: while pods are rolled over there are two, but it wants its pods once.
        if owner.kind == "ReplicaSet"
            && let Some(above) = found.metadata.controller().filter(|above| above.kind == "Deployment")
        {
            let key = ObjectKey::new(namespace, above.name.clone());
            let deployment = self.deployments.read::<Scaled>(&key).filter(|found| found.metadata.uid == above.uid)?;
            return Some((deployment.metadata.uid, deployment.spec.replicas.unwrap_or(1)));
        }
        Some((found.metadata.uid, found.spec.replicas.unwrap_or(1)))
    }

    /// Any other controller may say its scale by the subresource of this name.
    async fn scale_subresource(&self, owner: &OwnerReference, group: &str, key: &ObjectKey) -> Option<(String, i64)> {
        let resources = self.client.resources().await.ok()?;
        let is_kind = |found: &&ApiResource| found.kind == owner.kind && found.resource.group == group;
        let resource = &resources.iter().find(is_kind)?.resource;
        let mut request = windlass_client::Request::new(windlass_client::Verb::Get, resource);
        request = request.namespace(key.namespace.as_str()).name(key.name.as_str()).subresource("scale");
        let windlass_client::Reply::Object(object) = self.client.call(request).await.ok()? else { return None };
        let scale = object.decode::<Scaled>().ok().filter(|scale| scale.metadata.uid == owner.uid)?;
        Some((scale.metadata.uid, scale.spec.replicas.unwrap_or(0)))
    }

    /// Takes back that a pod is to be disrupted, when nobody went on to delete it.
    async fn reset_target(&self, key: &ObjectKey) -> Result<Outcome, Status> {
        let Some(pod) = self.pods.read::<Pod>(key) else { return Ok(Outcome::Done) };
        let Some(since) = target_since(&pod) else { return Ok(Outcome::Done) };
        let now = self.clock.now();
        let left = time_left(since, STALE_TARGET, now);
        if !left.is_zero() {
            return Ok(Outcome::Again(left));
        }
        let Some(current) = self.pods.read::<Value>(key) else { return Ok(Outcome::Done) };
        let mut conditions = condition::list(&current["status"]).to_vec();
        condition::set(&mut conditions, json!({"type": DISRUPTION_TARGET, "status": FALSE}), now);
        let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": conditions}});
        modify(&self.client, &self.pods, &PODS, key, STATUS, &patch).await?;
        Ok(Outcome::Done)
    }
}

/// Since when a pod is said to be disrupted that is neither going nor has ended. What a kubelet says is never stale.
fn target_since(pod: &Pod) -> Option<Timestamp> {
    let target = pod.condition(DISRUPTION_TARGET).filter(|c| c.is_true() && c.reason != "TerminationByKubelet")?;
    let since = target.since()?;
    pod.is_active().then_some(since)
}

fn time_left(since: Timestamp, limit: Duration, now: Timestamp) -> Duration {
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    limit.saturating_sub(passed)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Expected {
    pods: i64,
    healthy: i64,
}

fn expected(spec: &Spec, scale: i64) -> Expected {
    let healthy = match (&spec.max_unavailable, &spec.min_available) {
        (Some(most), _) => scale.saturating_sub(int_or_percent(most, scale, true)).max(0),
        (None, Some(least)) => int_or_percent(least, scale, true),
        (None, None) => 0,
    };
    let pods = if spec.max_unavailable.is_none() && spec.min_available.is_none() { 0 } else { scale };
    Expected { pods, healthy }
}

/// The pods that were evicted and are not yet being deleted, since when.
fn disrupted(status: &Value, pods: &[Pod], now: Timestamp) -> BTreeMap<String, Timestamp> {
    let noted = |pod: &Pod| parse_rfc3339(status["disruptedPods"].get(&pod.metadata.name)?.as_str()?);
    pods.iter()
        .filter(|pod| !pod.metadata.is_deleting())
        .filter_map(|pod| Some((pod.metadata.name.clone(), noted(pod)?)))
        .filter(|(_, since)| !time_left(*since, DELETION_TIMEOUT, now).is_zero())
        .collect()
}

fn status_of(
    budget: &Budget,
    expected: Expected,
    pods: &[Pod],
    noted: &BTreeMap<String, Timestamp>,
    now: Timestamp,
) -> Value {
    let counts = |pod: &&Pod| !pod.metadata.is_deleting() && !noted.contains_key(&pod.metadata.name) && pod.is_ready();
    let healthy = i64::try_from(pods.iter().filter(counts).count()).unwrap_or(i64::MAX);
    // Without any pods nothing may be disrupted: the first ones may come before they are counted.
    let allowed = if expected.pods <= 0 { 0 } else { healthy.saturating_sub(expected.healthy).max(0) };
    let reason = if allowed > 0 { "SufficientPods" } else { "InsufficientPods" };
    let mut evicted: BTreeMap<String, Value> =
        noted.iter().map(|(name, since)| (name.clone(), json!(rfc3339(*since)))).collect();
    // What is noted no longer is taken away by name, for this is a merge patch.
    for gone in budget.status["disruptedPods"].as_object().into_iter().flatten().map(|(name, _)| name) {
        evicted.entry(gone.clone()).or_insert(Value::Null);
    }
    let mut status = json!({
        "currentHealthy": healthy,
        "desiredHealthy": expected.healthy,
        "expectedPods": expected.pods,
        "disruptionsAllowed": allowed,
        "observedGeneration": budget.metadata.generation,
        "conditions": conditions(budget, allowed > 0, reason, "", now),
    });
    if !evicted.is_empty() && json!(evicted) != budget.status["disruptedPods"] {
        status["disruptedPods"] = json!(evicted);
    }
    status
}

/// What is said when the figures cannot be had.
fn failed(budget: &Budget, problem: &str, now: Timestamp) -> Value {
    json!({"disruptionsAllowed": 0, "conditions": conditions(budget, false, "SyncFailed", problem, now)})
}

fn conditions(budget: &Budget, allowed: bool, reason: &str, message: &str, now: Timestamp) -> Value {
    const KIND: &str = "DisruptionAllowed";
    let mut all = condition::list(&budget.status).to_vec();
    let wanted = json!({
        "type": KIND, "status": if allowed { TRUE } else { FALSE }, "reason": reason, "message": message,
        "observedGeneration": budget.metadata.generation});
    condition::set(&mut all, wanted, now);
    json!(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        parse_rfc3339("2026-11-21T06:10:00Z").unwrap()
    }

    fn pod(name: &str, ready: bool) -> Pod {
        let status = if ready { "True" } else { "False" };
        let pod = json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": status}]}});
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn how_many_should_be_healthy() {
        let spec = |min: Value, max: Value| -> Spec {
            serde_json::from_value(json!({"minAvailable": min, "maxUnavailable": max})).unwrap()
        };
        let cases = [
            (spec(json!(2), Value::Null), 3, (3, 2)),
            (spec(json!("50%"), Value::Null), 3, (3, 2)),
            (spec(Value::Null, json!(1)), 3, (3, 2)),
            (spec(Value::Null, json!("34%")), 3, (3, 1)),
            (spec(Value::Null, json!(5)), 3, (3, 0)),
            (spec(Value::Null, Value::Null), 3, (0, 0)),
        ];
        for (spec, scale, (pods, healthy)) in cases {
            assert_eq!(expected(&spec, scale), Expected { pods, healthy }, "{spec:?}");
        }
    }

    #[test]
    fn figures() {
        let budget: Budget = serde_json::from_value(json!({"metadata": {"generation": 2}, "status": {
            "disruptedPods": {"b": "2026-11-21T06:09:00Z", "c": "2026-11-21T06:01:00Z", "gone": "2026-11-21T06:09:00Z"}}}))
        .unwrap();
        let pods = [pod("a", true), pod("b", true), pod("c", true), pod("d", false)];
        let noted = disrupted(&budget.status, &pods, now());
        assert_eq!(noted.keys().collect::<Vec<_>>(), ["b"]);
        let status = status_of(&budget, Expected { pods: 4, healthy: 1 }, &pods, &noted, now());
        let expected = json!({"currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 4, "disruptionsAllowed": 1,
            "observedGeneration": 2, "disruptedPods": {"b": "2026-11-21T06:09:00Z", "c": null, "gone": null},
            "conditions": [{"type": "DisruptionAllowed", "status": "True", "reason": "SufficientPods", "message": "",
                "lastTransitionTime": "2026-11-21T06:10:00Z", "observedGeneration": 2}]});
        assert_eq!(status, expected);
        let none = status_of(&budget, Expected { pods: 0, healthy: 0 }, &[], &BTreeMap::new(), now());
        assert_eq!(
            (&none["disruptionsAllowed"], &none["conditions"][0]["reason"]),
            (&json!(0), &json!("InsufficientPods"))
        );
    }

    #[test]
    fn said_to_be_disrupted() {
        let with = |reason: &str, phase: &str| -> Pod {
            serde_json::from_value(
                json!({"status": {"phase": phase, "conditions": [{"type": DISRUPTION_TARGET, "status": "True",
                "reason": reason, "lastTransitionTime": "2026-11-21T06:09:00Z"}]}}),
            )
            .unwrap()
        };
        assert!(target_since(&with("EvictionByEvictionAPI", "Running")).is_some());
        assert!(target_since(&with("TerminationByKubelet", "Running")).is_none());
        assert!(target_since(&with("EvictionByEvictionAPI", "Failed")).is_none());
    }
}
