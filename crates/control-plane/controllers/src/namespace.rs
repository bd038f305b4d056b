//! A namespace that is being deleted is emptied, and then released.
//!
//! Pods go first, so that what they use outlives them; then everything else. What is left (pods within their grace, objects with
//! finalizers) is waited for: each object of the namespace that goes wakes the controller. The namespace's conditions say what it
//! waits for, in upstream's words.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use windlass_api::condition;
use windlass_api::meta::PartialObject;
use windlass_api::resource::{NAMESPACES, PODS};
use windlass_api::time::Clock;
use windlass_api::well_known::finalizer;
use windlass_api::{GroupVersionResource, Meta, ObjectKey, Status, Timestamp};
use windlass_client::{
    ApiResource, Client, DeleteOptions, Informer, Informers, Options, Outcome, Propagation, STATUS, WorkQueue,
};

use crate::context::Context;
use crate::write::modify;

const NAME: &str = "namespace-controller";
const WORKERS: usize = 10;
/// When nothing wakes the controller, it looks again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Namespace {
    metadata: Meta,
    spec: NamespaceSpec,
    status: NamespaceStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NamespaceSpec {
    finalizers: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NamespaceStatus {
    conditions: Vec<Value>,
}

/// What is still in a namespace after an attempt to empty it.
#[derive(Debug, Default, PartialEq)]
struct Remains {
    /// Objects of each resource, `pods` or `deployments.apps`.
    objects: BTreeMap<String, usize>,
    /// Objects that wait for each finalizer.
    finalizers: BTreeMap<String, usize>,
    /// Why resources could not be emptied.
    failures: Vec<String>,
    /// Which resources there are could not all be learned.
    undiscovered: Option<String>,
}

impl Remains {
    fn is_nothing(&self) -> bool {
        self.objects.is_empty() && self.failures.is_empty() && self.undiscovered.is_none()
    }
}

struct Controller {
    client: Client,
    informers: Arc<Informers>,
    clock: Clock,
    queue: WorkQueue<ObjectKey>,
    /// Namespaces that wait until objects are gone.
    waiting: Arc<Mutex<HashSet<String>>>,
    /// Resources whose deletions wake the namespaces that wait.
    observed: Mutex<HashMap<GroupVersionResource, Arc<Informer>>>,
}

pub(crate) async fn run(context: Context) {
    let controller = Controller {
        client: context.client(NAME),
        informers: context.informers.clone(),
        clock: context.clock,
        queue: WorkQueue::new(),
        waiting: Arc::default(),
        observed: Mutex::default(),
    };
    let queue = controller.queue.clone();
    context.informer(&NAMESPACES).subscribe(move |change| {
        if let Some(namespace) = change.new.as_ref().and_then(|object| object.decode::<PartialObject>().ok())
            && namespace.metadata.is_deleting()
        {
            queue.add(namespace.metadata.key());
        }
    });
    let queue = controller.queue.clone();
    queue.run(NAME, WORKERS, async |key| controller.sync(key).await).await;
}

impl Controller {
    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let namespace: Namespace = match self.client.get(&NAMESPACES, &key).await {
            Ok(object) => object.decode()?,
            Err(status) if status.is_not_found() => return Ok(self.forget(&key)),
            Err(status) => return Err(status),
        };
        if !namespace.metadata.is_deleting() || namespace.spec.finalizers.is_empty() {
            return Ok(self.forget(&key));
        }
        self.waiting.lock().insert(key.name.clone());
        let remains = self.empty(&key.name).await?;
        self.report(&namespace, &remains).await?;
        if !remains.is_nothing() {
            return Ok(Outcome::Again(LOOK_AGAIN));
        }
        let left: Vec<&String> = namespace.spec.finalizers.iter().filter(|f| *f != finalizer::KUBERNETES).collect();
        let released = json!({
            "metadata": {"name": key.name, "uid": namespace.metadata.uid},
            "spec": {"finalizers": left},
        });
        match self.client.update(&NAMESPACES, &key, "finalize", &released).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(self.forget(&key)),
        }
    }

    fn forget(&self, key: &ObjectKey) -> Outcome {
        self.waiting.lock().remove(&key.name);
        Outcome::Done
    }

    /// Deletes what is in the namespace and says what remains.
    async fn empty(&self, namespace: &str) -> Result<Remains, Status> {
        let found = self.client.discover().await?;
        let resources = &found.resources;
        let deletable =
            |resource: &&ApiResource| resource.namespaced && resource.has_verb("list") && resource.has_verb("delete");
        let (pods, others): (Vec<_>, Vec<_>) =
            resources.iter().filter(deletable).partition(|resource| resource.resource == PODS);
        // What is known is deleted all the same.
        let undiscovered = found.failure().map(|why| undiscovered(found.stale.len(), &why));
        let mut remains = Remains { undiscovered, ..Remains::default() };
        for resource in pods {
            self.empty_of(resource, namespace, &mut remains).await;
        }
        if !remains.objects.is_empty() || !remains.failures.is_empty() {
            return Ok(remains);
        }
        for resource in others {
            self.empty_of(resource, namespace, &mut remains).await;
        }
        Ok(remains)
    }

    async fn empty_of(&self, resource: &ApiResource, namespace: &str, remains: &mut Remains) {
        self.observe(&resource.resource);
        if let Err(status) = self.try_empty_of(resource, namespace, remains).await {
            remains.failures.push(status.to_string());
        }
    }

    async fn try_empty_of(&self, resource: &ApiResource, namespace: &str, remains: &mut Remains) -> Result<(), Status> {
        let options = DeleteOptions::default().propagation(Propagation::Background);
        let found = self.client.list(&resource.resource, namespace, Options::default()).await?;
        if found.items.is_empty() {
            return Ok(());
        }
        if resource.has_verb("deletecollection") {
            self.client.delete_collection(&resource.resource, namespace, Options::default(), &options).await?;
        } else {
            for object in &found.items {
                match self.client.delete(&resource.resource, &object.key, &options).await {
                    Err(status) if !status.is_not_found() => return Err(status),
                    _ => {}
                }
            }
        }
        let left = self.client.list(&resource.resource, namespace, Options::default()).await?;
        if left.items.is_empty() {
            return Ok(());
        }
        // Upstream writes the dot for the core group as well.
        let name = format!("{}.{}", resource.resource.resource, resource.resource.group);
        remains.objects.insert(name, left.items.len());
        for object in left.items {
            for finalizer in object.decode::<PartialObject>()?.metadata.finalizers {
                *remains.finalizers.entry(finalizer).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Lets objects of this resource wake the namespaces that wait when they go.
    fn observe(&self, resource: &GroupVersionResource) {
        let informer = self.informers.of(resource);
        let known = self.observed.lock().insert(resource.clone(), informer.clone());
        if known.is_some_and(|known| Arc::ptr_eq(&known, &informer)) {
            return;
        }
        let (queue, waiting) = (self.queue.clone(), self.waiting.clone());
        informer.subscribe(move |change| {
            let namespace = &change.object().key.namespace;
            if change.new.is_none() && waiting.lock().contains(namespace) {
                queue.add(ObjectKey::new("", namespace.clone()));
            }
        });
    }

    async fn report(&self, namespace: &Namespace, remains: &Remains) -> Result<(), Status> {
        // Most namespaces are empty at the first attempt, and then nobody would see the conditions.
        if remains.is_nothing() && namespace.status.conditions.is_empty() {
            return Ok(());
        }
        let conditions = conditions(&namespace.status.conditions, remains, self.clock.now());
        if conditions == namespace.status.conditions {
            return Ok(());
        }
        let patch = json!({"status": {"conditions": conditions}});
        let namespaces = self.informers.of(&NAMESPACES);
        modify(&self.client, &namespaces, &NAMESPACES, &namespace.metadata.key(), STATUS, &patch).await.map(drop)
    }
}

/// What the condition says when so many groups could not be discovered.
fn undiscovered(count: usize, why: &str) -> String {
    format!("Discovery failed for some groups, {count} failing: {why}")
}

/// Returns `pods. has 1 resource instances, jobs.batch has 2 resource instances`.
fn counted(counts: &BTreeMap<String, usize>, join: &str) -> String {
    let parts: Vec<String> =
        counts.iter().map(|(name, count)| format!("{name} {join} {count} resource instances")).collect();
    parts.join(", ")
}

/// The conditions of a namespace that is being deleted; those of other types stay. A transition's time is kept when the status
/// stays the same.
fn conditions(old: &[Value], remains: &Remains, now: Timestamp) -> Vec<Value> {
    let failures = (!remains.failures.is_empty()).then(|| {
        format!(
            "Failed to delete all resource types, {} remaining: {}",
            remains.failures.len(),
            remains.failures.join(", ")
        )
    });
    let objects = (!remains.objects.is_empty())
        .then(|| format!("Some resources are remaining: {}", counted(&remains.objects, "has")));
    let finalizers = (!remains.finalizers.is_empty()).then(|| {
        format!("Some content in the namespace has finalizers remaining: {}", counted(&remains.finalizers, "in"))
    });
    let wanted: [(&str, Option<String>, &str, &str, &str); 5] = [
        (
            "NamespaceDeletionDiscoveryFailure",
            remains.undiscovered.clone(),
            "DiscoveryFailed",
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            None,
            "GroupVersionParsingFailed",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            failures,
            "ContentDeletionFailed",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        (
            "NamespaceContentRemaining",
            objects,
            "SomeResourcesRemain",
            "ContentRemoved",
            "All content successfully removed",
        ),
        (
            "NamespaceFinalizersRemaining",
            finalizers,
            "SomeFinalizersRemain",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        ),
    ];
    let mut all = old.to_vec();
    for (kind, problem, bad_reason, good_reason, good_message) in wanted {
        let status = if problem.is_some() { "True" } else { "False" };
        let reason = if problem.is_some() { bad_reason } else { good_reason };
        let message = problem.unwrap_or_else(|| good_message.to_owned());
        let wanted = json!({"type": kind, "status": status, "reason": reason, "message": message});
        condition::set(&mut all, wanted, now);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_say_what_remains() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut remains = Remains::default();
        remains.objects.insert("pods.".to_owned(), 2);
        remains.finalizers.insert("example.com/f".to_owned(), 1);
        let first = conditions(&[], &remains, at(1));
        assert_eq!(first.len(), 5);
        assert_eq!(first[3]["message"], "Some resources are remaining: pods. has 2 resource instances");
        assert_eq!(
            first[4]["message"],
            "Some content in the namespace has finalizers remaining: example.com/f in 1 resource instances"
        );
        assert_eq!(conditions(&first, &remains, at(2)), first);
        let unknown = Remains { undiscovered: Some(undiscovered(1, "why")), ..Remains::default() };
        assert!(!unknown.is_nothing());
        let unknown = conditions(&[], &unknown, at(1));
        assert_eq!((&unknown[0]["status"], &unknown[0]["reason"]), (&json!("True"), &json!("DiscoveryFailed")));
        assert_eq!(unknown[0]["message"], "Discovery failed for some groups, 1 failing: why");
        let emptied = conditions(&first, &Remains::default(), at(2));
        assert_eq!(emptied[3]["lastTransitionTime"], "1970-01-01T00:00:02Z");
        assert_eq!(emptied[0]["lastTransitionTime"], "1970-01-01T00:00:01Z");
    }
}
