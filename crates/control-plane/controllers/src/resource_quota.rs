//! The status of a ResourceQuota says what is bounded and how much of it is used.
//!
//! Admission adds to what is used when it lets an object in; what is given back is counted here, when an object that a quota counts
//! changes or goes. Only the resources that some quota names are watched. A pod that hangs after its deletion stops to count without
//! any change, so every quota is counted again now and then.
//!
//! An informer may be behind the charges in a quota that it counts for, and its count would give them back. So it only tells that a
//! quota is wrong; what is written is a count of what the API server lists after the quota was read, and only if nothing was charged
//! since.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use windlass_api::resource::{CUSTOM_RESOURCE_DEFINITIONS, RESOURCE_QUOTAS};
use windlass_api::time::Clock;
use windlass_api::{GroupResource, GroupVersionResource, ObjectKey, Status, Timestamp};
use windlass_client::{Change, Client, Informer, Informers, Object, Options, Outcome, STATUS, WorkQueue};
use windlass_quota::{Amounts, Evaluator, amounts, counted_by, scopes_of, to_value};

use crate::context::Context;
use crate::write::modify;

const NAME: &str = "resourcequota-controller";
const WORKERS: usize = 5;
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
    observed: Mutex<BTreeMap<GroupResource, Arc<Observed>>>,
}

/// A resource that some quota counts.
struct Observed {
    resource: GroupVersionResource,
    evaluator: Evaluator,
    informer: Arc<Informer>,
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
        let spec = |object: &Object| object.decode::<Quota>().map(|quota| quota.spec).ok();
        if change.old.as_ref().is_none_or(|old| spec(old) != spec(new)) {
            queue.add(new.key.clone());
        }
    });
    // What a quota names may have come, or gone.
    let (quotas, queue) = (controller.quotas.clone(), controller.queue.clone());
    context.informer(&CUSTOM_RESOURCE_DEFINITIONS).subscribe(move |_| {
        let counts_kinds = |quota: &Object| {
            let spec = quota.decode::<Quota>().map(|quota| quota.spec).unwrap_or_default();
            amounts(spec.get("hard")).keys().any(|name| name.starts_with("count/"))
        };
        quotas.list("").into_iter().filter(counts_kinds).for_each(|quota| queue.add(quota.key));
    });
    controller.quotas.synced().await;
    let queue = controller.queue.clone();
    queue.run(NAME, WORKERS, async |key| controller.sync(key).await).await;
}

impl Controller {
    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let mut informers_may_be_right = true;
        loop {
            let Some(object) = self.quotas.get(&key) else { return Ok(Outcome::Done) };
            let quota: Quota = object.decode()?;
            let evaluators: Vec<Evaluator> =
                amounts(quota.spec.get("hard")).keys().filter_map(|name| counted_by(name)).collect();
            let (mut counted, mut again) = (BTreeMap::new(), COUNT_AGAIN);
            for evaluator in evaluators {
                match self.observe(&evaluator).await? {
                    Some(observed) => _ = counted.insert(evaluator.resource(), observed),
                    None => again = LOOK_FOR_RESOURCE,
                }
            }
            let informed = counted.values().map(|observed| (observed, observed.informer.list(&key.namespace)));
            if informers_may_be_right && self.status_patch(&quota, informed).is_none() {
                return Ok(Outcome::Again(again));
            }
            let mut listed = Vec::new();
            for observed in counted.values() {
                let list = self.client.list(&observed.resource, &key.namespace, Options::default()).await?;
                listed.push((observed, list.items));
            }
            let Some(status) = self.status_patch(&quota, listed) else { return Ok(Outcome::Again(again)) };
            let is_charged = amounts(quota.status.get("hard")) == amounts(quota.spec.get("hard"));
            let patch = json!({"metadata": {"resourceVersion": object.revision.to_string()}, "status": status});
            let written = modify(&self.client, &self.quotas, &RESOURCE_QUOTAS, &key, STATUS, &patch).await?;
            // One that is gone may be in the cache for a while yet, and there is nothing more to count.
            if is_charged || written.is_none() {
                return Ok(Outcome::Again(again));
            }
            // Admission charges what the status bounds. So what came since the list was charged for none of the bounds that are new.
            informers_may_be_right = false;
        }
    }

    /// What of the status has to change when these are the objects.
    fn status_patch<'a>(
        &self,
        quota: &Quota,
        objects: impl IntoIterator<Item = (&'a Arc<Observed>, Vec<Object>)>,
    ) -> Option<Value> {
        let (mut used, now) = (amounts(quota.status.get("used")), self.clock.now());
        for (observed, objects) in objects {
            let objects = objects.into_iter().filter_map(|object| object.decode::<Value>().ok());
            used.extend(count(&quota.spec, &observed.evaluator, objects, now));
        }
        patch_to(quota, used)
    }

    /// The objects that an evaluator counts, which from now on wake the quotas of their namespaces. `None` while they are not served.
    async fn observe(&self, evaluator: &Evaluator) -> Result<Option<Arc<Observed>>, Status> {
        let name = evaluator.resource();
        let known = self.observed.lock().get(&name).filter(|known| known.informer.is_running()).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let served = self.client.resources().await?;
        let watchable = served.into_iter().find(|candidate| {
            candidate.namespaced && candidate.has_verb("watch") && candidate.resource.group_resource() == name
        });
        let Some(found) = watchable else { return Ok(None) };
        let informer = self.informers.of(&found.resource);
        informer.synced().await;
        let new = Arc::new(Observed { resource: found.resource, evaluator: evaluator.clone(), informer });
        let before = self.observed.lock().insert(name, new.clone());
        if before.is_none_or(|before| !Arc::ptr_eq(&before.informer, &new.informer)) {
            let (quotas, queue, clock, evaluator) =
                (self.quotas.clone(), self.queue.clone(), self.clock, evaluator.clone());
            new.informer.subscribe(move |change| {
                let waiting = quotas.list(&change.object().key.namespace);
                if !waiting.is_empty() && matters(&evaluator, change, clock.now()) {
                    waiting.into_iter().for_each(|quota| queue.add(quota.key));
                }
            });
        }
        Ok(Some(new))
    }
}

/// Whether a change makes an object count for something else than before. What is new was charged when it came.
fn matters(evaluator: &Evaluator, change: &Change, now: Timestamp) -> bool {
    let Some(old) = &change.old else { return false };
    let Some(new) = &change.new else { return true };
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
fn patch_to(quota: &Quota, mut used: Amounts) -> Option<Value> {
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
    fn a_patch_names_only_what_differs() {
        let quota = Quota {
            spec: json!({"hard": {"pods": "5"}}),
            status: json!({"hard": {"pods": "5", "secrets": "1"}, "used": {"pods": "1"}}),
        };
        let used = |n: &str| amounts(Some(&json!({"pods": n, "secrets": "3"})));
        let expected = json!({"hard": {"pods": "5", "secrets": null}, "used": {"pods": "2"}});
        assert_eq!(patch_to(&quota, used("2")), Some(expected));
        let right = Quota { status: json!({"hard": {"pods": "5"}, "used": {"pods": "2"}}), ..quota };
        assert_eq!(patch_to(&right, used("2")), None);
        let empty = Quota { spec: json!({}), status: Value::Null };
        assert_eq!(patch_to(&empty, Amounts::new()), Some(json!({"hard": {}, "used": {}})));
    }
}
