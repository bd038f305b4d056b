//! The status of a ResourceQuota says what is bounded and how much of it is used.
//!
//! Admission adds to what is used; here it is counted anew, whenever an object that a quota counts appears, changes or goes, and some
//! time after a charge, which may have been for an object that was never written. Only the resources that some quota names are
//! watched. A pod that hangs after its deletion stops to count without any change, so every quota is counted again now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use windlass_api::resource::RESOURCE_QUOTAS;
use windlass_api::time::Clock;
use windlass_api::{GroupResource, ObjectKey, Status, Timestamp};
use windlass_client::{Change, Client, Informer, Informers, Outcome, STATUS, WorkQueue};
use windlass_quota::{Amounts, Evaluator, amounts, resource_counted_by, scopes_of, to_value};

use crate::context::Context;
use crate::write::modify;

const NAME: &str = "resourcequota-controller";
const WORKERS: usize = 5;
/// By then the object of a charge is in the store, or never will be.
const SETTLED: Duration = Duration::from_secs(5);
const COUNT_AGAIN: Duration = Duration::from_secs(300);
/// A quota may name a resource that is not served yet.
const LOOK_FOR_RESOURCE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Quota {
    spec: Value,
    status: Value,
}

struct Controller {
    client: Client,
    informers: Arc<Informers>,
    quotas: Arc<Informer>,
    clock: Clock,
    queue: WorkQueue<ObjectKey>,
    /// The resources whose changes wake quotas.
    observed: Mutex<BTreeMap<GroupResource, Arc<Informer>>>,
}

pub(crate) async fn run(context: Context) {
    let controller = Controller {
        client: context.client(NAME),
        informers: context.informers.clone(),
        quotas: context.informer(&RESOURCE_QUOTAS),
        clock: context.clock,
        queue: WorkQueue::new(),
        observed: Mutex::default(),
    };
    let queue = controller.queue.clone();
    controller.quotas.subscribe(move |change| {
        let Some(new) = &change.new else { return };
        let spec = |object: &windlass_client::Object| object.decode::<Quota>().map(|quota| quota.spec).ok();
        if change.old.as_ref().is_some_and(|old| spec(old) == spec(new)) {
            queue.add_after(new.key.clone(), SETTLED);
        } else {
            queue.add(new.key.clone());
        }
    });
    controller.quotas.synced().await;
    let queue = controller.queue.clone();
    queue.run(NAME, WORKERS, async |key| controller.sync(key).await).await;
}

impl Controller {
    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let Some(quota) = self.quotas.read::<Quota>(&key) else { return Ok(Outcome::Done) };
        let resources: BTreeSet<GroupResource> =
            amounts(quota.spec.get("hard")).keys().filter_map(|name| resource_counted_by(name)).collect();
        let (mut used, mut again) = (amounts(quota.status.get("used")), COUNT_AGAIN);
        let now = self.clock.now();
        for resource in &resources {
            let Some(informer) = self.observe(resource).await? else {
                again = LOOK_FOR_RESOURCE;
                continue;
            };
            let objects = informer.list(&key.namespace).into_iter().filter_map(|object| object.decode::<Value>().ok());
            used.extend(count(&quota.spec, &Evaluator::of(resource), objects, now));
        }
        if let Some(status) = status_of(&quota, used) {
            let patch = json!({"status": status});
            modify(&self.client, &self.quotas, &RESOURCE_QUOTAS, &key, STATUS, &patch).await?;
        }
        Ok(Outcome::Again(again))
    }

    /// The objects of a resource, which from now on wake the quotas of their namespaces. `None` while it is not served.
    async fn observe(&self, resource: &GroupResource) -> Result<Option<Arc<Informer>>, Status> {
        let known = self.observed.lock().get(resource).cloned();
        if let Some(informer) = known {
            return Ok(Some(informer));
        }
        let served = self.client.resources().await?;
        let watchable = served.into_iter().find(|candidate| {
            candidate.namespaced && candidate.has_verb("watch") && candidate.resource.group_resource() == *resource
        });
        let Some(found) = watchable else { return Ok(None) };
        let informer = self.informers.of(&found.resource);
        informer.synced().await;
        let is_new = {
            let mut observed = self.observed.lock();
            observed.insert(resource.clone(), informer.clone()).is_none()
        };
        if is_new {
            let (quotas, queue, evaluator) = (self.quotas.clone(), self.queue.clone(), Evaluator::of(resource));
            let clock = self.clock;
            informer.subscribe(move |change| {
                let waiting = quotas.list(&change.object().key.namespace);
                if !waiting.is_empty() && matters(&evaluator, change, clock.now()) {
                    waiting.into_iter().for_each(|quota| queue.add(quota.key));
                }
            });
        }
        Ok(Some(informer))
    }
}

/// Whether a change makes an object count for something else than before.
fn matters(evaluator: &Evaluator, change: &Change, now: Timestamp) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return true };
    if matches!(evaluator, Evaluator::Objects(_)) {
        return false;
    }
    match (old.decode::<Value>(), new.decode::<Value>()) {
        (Ok(old), Ok(new)) => old["spec"] != new["spec"] || evaluator.usage(&old, now) != evaluator.usage(&new, now),
        _ => true,
    }
}

/// How much the objects of one resource use of what the quota bounds.
fn count(spec: &Value, evaluator: &Evaluator, objects: impl Iterator<Item = Value>, now: Timestamp) -> Amounts {
    let hard = amounts(spec.get("hard"));
    let scopes = scopes_of(spec);
    let mut total: Amounts =
        hard.into_keys().filter(|name| evaluator.counts(name)).map(|name| (name, Default::default())).collect();
    for object in objects.filter(|object| evaluator.is_in_scope(&scopes, object)) {
        for (name, quantity) in evaluator.usage(&object, now) {
            total.entry(name).and_modify(|sum| *sum += quantity);
        }
    }
    total
}

/// The fields of the status that have to change, as a merge patch; `None` when it is right.
fn status_of(quota: &Quota, mut used: Amounts) -> Option<Value> {
    let hard = amounts(quota.spec.get("hard"));
    used.retain(|name, _| hard.contains_key(name));
    let is_right = |field: &str, wanted: &Amounts| {
        quota.status.get(field).is_some_and(|list| !list.is_null()) && amounts(quota.status.get(field)) == *wanted
    };
    if is_right("hard", &hard) && is_right("used", &used) {
        return None;
    }
    let patch = |field: &str, wanted: &Amounts| {
        let mut list = to_value(wanted);
        for old in amounts(quota.status.get(field)).into_keys().filter(|name| !wanted.contains_key(name)) {
            list[old] = Value::Null;
        }
        list
    };
    Some(json!({"hard": patch("hard", &hard), "used": patch("used", &used)}))
}

#[cfg(test)]
mod tests {
    use windlass_quota::pretty;

    use super::*;

    #[test]
    fn counts_what_is_in_scope() {
        let pod = |cpu: &str| json!({"spec": {"containers": [{"resources": {"requests": {"cpu": cpu}}}]}});
        let pods = || [pod("1"), pod("500m"), json!({"spec": {"containers": [{}]}})].into_iter();
        let count = |spec: Value| pretty(&count(&spec, &Evaluator::Pods, pods(), Timestamp::MIN));
        assert_eq!(
            count(json!({"hard": {"pods": "5", "requests.cpu": "2", "secrets": "1"}})),
            "pods=3,requests.cpu=1500m"
        );
        assert_eq!(count(json!({"hard": {"pods": "5"}, "scopes": ["BestEffort"]})), "pods=1");
        assert_eq!(count(json!({"hard": {"memory": "5"}})), "memory=0");
    }

    #[test]
    fn what_changes() {
        let quota = Quota {
            spec: json!({"hard": {"pods": "5"}}),
            status: json!({"hard": {"pods": "5", "secrets": "1"}, "used": {"pods": "1"}}),
        };
        let used = |n: &str| amounts(Some(&json!({"pods": n, "secrets": "3"})));
        let expected = json!({"hard": {"pods": "5", "secrets": null}, "used": {"pods": "2"}});
        assert_eq!(status_of(&quota, used("2")), Some(expected));
        let right = Quota { status: json!({"hard": {"pods": "5"}, "used": {"pods": "2"}}), ..quota };
        assert_eq!(status_of(&right, used("2")), None);
        let empty = Quota { spec: json!({}), status: Value::Null };
        assert_eq!(status_of(&empty, Amounts::new()), Some(json!({"hard": {}, "used": {}})));
    }
}
