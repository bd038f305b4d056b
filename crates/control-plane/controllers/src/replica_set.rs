//! A ReplicaSet, or a ReplicationController, has as many pods as it wants.
//!
//! Both kinds are the same but for their selector and their names ([`Flavor`]). A sync ends only when the cache shows what it wrote,
//! so the next one never counts a pod twice or not at all.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_api::labels::Selector;
use windlass_api::resource::{PODS, REPLICA_SETS, REPLICATION_CONTROLLERS};
use windlass_api::time::Clock;
use windlass_api::{GroupVersionResource, Meta, ObjectKey, Status, Timestamp};
use windlass_client::{Client, Informer, Outcome, STATUS, WorkQueue};

use crate::context::Context;
use crate::owners::{Claimant, OwnerKind, controlled, index_by_controller};
use crate::pod_control::{PodControl, pod_of, reference, slow_start};
use crate::pods::{Pod, sort_for_deletion, until_available};
use crate::waking::wake_by_pods;
use crate::write::modify;

const WORKERS: usize = 5;
/// Pods that one sync creates or deletes at most.
const BURST: usize = 500;

/// What tells the two kinds apart.
#[derive(Debug)]
struct Flavor {
    kind: OwnerKind,
    resource: &'static GroupVersionResource,
    controller: &'static str,
    selector: fn(&Value) -> Result<Selector, Status>,
}

static REPLICA_SET: Flavor = Flavor {
    kind: OwnerKind { api_version: "apps/v1", kind: "ReplicaSet" },
    resource: &REPLICA_SETS,
    controller: "replicaset-controller",
    selector: crate::selector_of_structure,
};

static REPLICATION_CONTROLLER: Flavor = Flavor {
    kind: OwnerKind { api_version: "v1", kind: "ReplicationController" },
    resource: &REPLICATION_CONTROLLERS,
    controller: "replication-controller",
    selector: crate::selector_of_map,
};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ReplicaSet {
    metadata: Meta,
    spec: Spec,
    status: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    replicas: Option<i64>,
    min_ready_seconds: i64,
    selector: Value,
    template: Value,
}

impl Spec {
    fn replicas(&self) -> usize {
        usize::try_from(self.replicas.unwrap_or(1)).unwrap_or(0)
    }
}

struct Controller {
    flavor: &'static Flavor,
    client: Client,
    pod_control: PodControl,
    sets: Arc<Informer>,
    pods: Arc<Informer>,
    clock: Clock,
}

pub(crate) async fn run_replica_sets(context: Context) {
    run(context, &REPLICA_SET).await;
}

pub(crate) async fn run_replication_controllers(context: Context) {
    run(context, &REPLICATION_CONTROLLER).await;
}

async fn run(context: Context, flavor: &'static Flavor) {
    let client = context.client(flavor.controller);
    let controller = Controller {
        flavor,
        client: client.clone(),
        pod_control: PodControl { recorder: context.recorder(&client, flavor.controller), client },
        sets: context.informer(flavor.resource),
        pods: context.informer(&PODS),
        clock: context.clock,
    };
    index_by_controller(&controller.pods);
    index_by_controller(&controller.sets);
    let queue = WorkQueue::new();
    wake_by_pods(&controller.sets, &controller.pods, &queue, flavor.kind, |set: &ReplicaSet| {
        (flavor.selector)(&set.spec.selector).unwrap_or_else(|_| Selector::nothing())
    });
    controller.sets.synced().await;
    controller.pods.synced().await;
    queue.run(flavor.controller, WORKERS, async |key| controller.sync(key).await).await;
}

impl Controller {
    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let Some(set) = self.sets.read::<ReplicaSet>(&key) else { return Ok(Outcome::Done) };
        let selector = (self.flavor.selector)(&set.spec.selector)?;
        let claimant = Claimant {
            client: &self.client,
            kind: self.flavor.kind,
            resource: self.flavor.resource,
            owner: &set.metadata,
            selector: &selector,
        };
        let pods: Vec<Pod> = claimant.claim(&self.pods, &PODS).await?;
        let (terminating, pods): (Vec<Pod>, Vec<Pod>) = pods.into_iter().partition(Pod::is_terminating);
        let active: Vec<Pod> = pods.into_iter().filter(Pod::is_active).collect();
        let managed = if set.metadata.is_deleting() { Ok(()) } else { self.manage(&set, active.clone()).await };
        let now = self.clock.now();
        self.report(&set, &status_of(&set, &active, terminating.len(), managed.as_ref().err(), now)).await?;
        managed?;
        let wait = until_available(&active, set.spec.min_ready_seconds, now);
        Ok(wait.map_or(Outcome::Done, Outcome::Again))
    }

    /// Creates the pods that are missing, or deletes those that are too many.
    async fn manage(&self, set: &ReplicaSet, mut active: Vec<Pod>) -> Result<(), Status> {
        let wanted = set.spec.replicas();
        let about = reference(self.flavor.kind, &set.metadata);
        if active.len() < wanted {
            let pod = pod_of(&set.spec.template, self.flavor.kind.controller_of(&set.metadata))?;
            let missing = (wanted - active.len()).min(BURST);
            let create = async |_| {
                let created = self.pod_control.create(&about, &pod).await?;
                self.pods.reached(created.revision).await;
                Ok(())
            };
            return match slow_start(missing, create).await.1 {
                Err(status) if status.is_namespace_terminating() => Ok(()),
                result => result,
            };
        }
        let excess = (active.len() - wanted).min(BURST);
        if excess == 0 {
            return Ok(());
        }
        let crowds = self.crowds(set);
        let crowd = |pod: &Pod| crowds.get(&pod.spec.node_name).copied().unwrap_or(0);
        sort_for_deletion(&mut active, crowd, self.clock.now());
        let deletions = active[..excess].iter().map(|pod| self.pod_control.delete(&about, &self.pods, &pod.metadata));
        futures::future::join_all(deletions).await.into_iter().collect()
    }

    /// How many pods of the same controller's sets are on each node.
    fn crowds(&self, set: &ReplicaSet) -> HashMap<String, usize> {
        let siblings = match set.metadata.controller() {
            Some(owner) => controlled::<crate::owners::AnyOwned>(&self.sets, &owner.uid),
            None => Vec::new(),
        };
        let uids = siblings.iter().map(|sibling| sibling.metadata.uid.as_str());
        let mut crowds = HashMap::new();
        for uid in uids.chain(siblings.is_empty().then_some(set.metadata.uid.as_str())) {
            for pod in controlled::<Pod>(&self.pods, uid).into_iter().filter(Pod::is_active) {
                *crowds.entry(pod.spec.node_name).or_default() += 1;
            }
        }
        crowds
    }

    async fn report(&self, set: &ReplicaSet, status: &Value) -> Result<(), Status> {
        if crate::status::is_up_to_date(&set.status, status) {
            return Ok(());
        }
        let patch = json!({"metadata": {"uid": set.metadata.uid}, "status": status});
        modify(&self.client, &self.sets, self.flavor.resource, &set.metadata.key(), STATUS, &patch).await.map(drop)
    }
}

/// The status that the set's pods give it.
fn status_of(set: &ReplicaSet, active: &[Pod], terminating: usize, failure: Option<&Status>, now: Timestamp) -> Value {
    let template_labels = set.spec.template["metadata"]["labels"].as_object();
    let fully_labeled = active.iter().filter(|pod| {
        let mut wanted = template_labels.into_iter().flatten();
        wanted.all(|(key, value)| pod.metadata.labels.get(key).map(String::as_str) == value.as_str())
    });
    let is_available = |pod: &&Pod| pod.is_available(set.spec.min_ready_seconds, now);
    let mut status = json!({
        "replicas": active.len(),
        "fullyLabeledReplicas": fully_labeled.count(),
        "readyReplicas": active.iter().filter(|pod| pod.is_ready()).count(),
        "availableReplicas": active.iter().filter(is_available).count(),
        "observedGeneration": set.metadata.generation,
    });
    if set.spec.selector.get("matchLabels").is_some() || set.spec.selector.get("matchExpressions").is_some() {
        status["terminatingReplicas"] = json!(terminating);
    }
    let failing = failure.map(|failure| {
        let reason = if active.len() < set.spec.replicas() { "FailedCreate" } else { "FailedDelete" };
        (reason, failure.message.as_str())
    });
    let old = windlass_api::condition::list(&set.status);
    status["conditions"] = crate::status::with_condition(old, "ReplicaFailure", failing, now);
    status
}

#[cfg(test)]
mod tests {
    use windlass_api::time::parse_rfc3339;

    use super::*;

    #[test]
    fn what_the_pods_give() {
        let set: ReplicaSet = serde_json::from_value(json!({
            "metadata": {"generation": 3},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b", "c": "d"}}}},
        }))
        .unwrap();
        let pod = |labels: Value, ready: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"labels": labels}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}))
            .unwrap()
        };
        let active = [pod(json!({"a": "b", "c": "d"}), "True"), pod(json!({"a": "b"}), "False")];
        let now = parse_rfc3339("2026-11-21T06:00:00Z").unwrap();
        let status = status_of(&set, &active, 1, None, now);
        let expected = json!({"replicas": 2, "fullyLabeledReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
            "terminatingReplicas": 1, "observedGeneration": 3, "conditions": null});
        assert_eq!(status, expected);
        let failed = status_of(&set, &active[..1], 0, Some(&Status::internal("quota")), now);
        assert_eq!(failed["conditions"][0]["reason"], "FailedCreate");
        assert_eq!(failed["conditions"][0]["status"], "True");
    }
}
