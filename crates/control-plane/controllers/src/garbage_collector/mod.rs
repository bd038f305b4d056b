//! Objects whose owners are gone go too; owners that wait for their dependents are released when these are gone or orphaned.
//!
//! The graph of owners and dependents is not kept separately: every resource's informer has an index of its objects by their
//! owners' UIDs ([`graph`]). A key is worked on when something about it may have to be done:
//!
//! - an object with owners appears or changes, and one of the owners is not in the caches;
//! - an owner goes: each of its dependents;
//! - an object that is being deleted has the finalizer `foregroundDeletion` or `orphan`.
//!
//! Caches only suggest work. Before anything is deleted, object and owners are read from the API.
//! Source of the rules: <https://kubernetes.io/docs/concepts/architecture/garbage-collection/>.

mod graph;

use std::sync::Arc;

use serde_json::json;
use windlass_api::meta::PartialObject;
use windlass_api::well_known::finalizer;
use windlass_api::{Meta, OwnerReference, Status};
use windlass_client::{
    Client, DeleteOptions, EventType, OBJECT, ObjectReference, Outcome, Preconditions, Propagation, Recorder, WorkQueue,
};

use crate::context::Context;
use graph::{Graph, Node, Scope};

const NAME: &str = "generic-garbage-collector";
const WORKERS: usize = 20;

struct Controller {
    client: Client,
    graph: Arc<Graph>,
    recorder: Recorder,
}

pub(crate) async fn run(context: Context) {
    let client = context.client(NAME);
    let queue = WorkQueue::new();
    let graph = Arc::new(Graph::new(context.informers.clone(), queue.clone()));
    let recorder = context.recorder(&client, "garbage-collector-controller");
    let controller = Controller { client: client.clone(), graph: graph.clone(), recorder };
    tokio::join!(graph.follow_resources(&client), queue.run(NAME, WORKERS, async |node| controller.sync(node).await));
}

/// What an object's owners are to it.
#[derive(Debug, Default)]
struct Owners {
    /// They exist.
    solid: Vec<OwnerReference>,
    /// They are gone, or cannot own this object.
    dangling: Vec<OwnerReference>,
    /// They wait until this object is gone.
    waiting: Vec<OwnerReference>,
}

/// What becomes of an object.
#[derive(Debug, PartialEq)]
enum Decision {
    Keep,
    /// Take these owners off; others are left.
    Release(Vec<String>),
    Delete(Propagation),
}

/// Decides by an object's finalizers and owners, and whether it has dependents itself.
fn decide(meta: &Meta, owners: &Owners, has_dependents: bool) -> Decision {
    let has = |name: &str| meta.finalizers.iter().any(|finalizer| finalizer == name);
    let gone = || owners.dangling.iter().chain(&owners.waiting).map(|owner| owner.uid.clone()).collect::<Vec<_>>();
    if !owners.solid.is_empty() {
        return if gone().is_empty() { Decision::Keep } else { Decision::Release(gone()) };
    }
    if owners.dangling.is_empty() && owners.waiting.is_empty() {
        return Decision::Keep;
    }
    if !owners.waiting.is_empty() && has_dependents {
        return Decision::Delete(Propagation::Foreground);
    }
    Decision::Delete(if has(finalizer::ORPHAN) {
        Propagation::Orphan
    } else if has(finalizer::FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    })
}

impl Controller {
    async fn sync(&self, node: Node) -> Result<Outcome, Status> {
        let meta = match self.client.get(&node.resource, &node.key).await {
            Ok(object) => object.decode::<PartialObject>()?.metadata,
            Err(status) if status.is_not_found() => return Ok(Outcome::Done),
            Err(status) => return Err(status),
        };
        if meta.is_deleting() {
            if meta.finalizers.iter().any(|f| f == finalizer::ORPHAN) {
                return self.orphan_dependents(&node, &meta).await;
            }
            if meta.finalizers.iter().any(|f| f == finalizer::FOREGROUND) {
                return self.wait_for_dependents(&node, &meta).await;
            }
            return Ok(Outcome::Done);
        }
        if meta.owner_references.is_empty() {
            return Ok(Outcome::Done);
        }
        let owners = self.classify(&node, &meta).await?;
        self.report_owners_elsewhere(&node, &meta, &owners);
        let has_dependents = !self.graph.dependents(&meta.uid).is_empty();
        match decide(&meta, &owners, has_dependents) {
            Decision::Keep => {}
            Decision::Release(uids) => self.release(&node, &meta, &uids).await?,
            Decision::Delete(policy) => {
                if policy == Propagation::Foreground && !owners.waiting.is_empty() {
                    self.break_cycle(&node, &meta).await?;
                }
                self.delete(&node, &meta, policy).await?;
            }
        }
        Ok(Outcome::Done)
    }

    async fn classify(&self, node: &Node, meta: &Meta) -> Result<Owners, Status> {
        let mut owners = Owners::default();
        for reference in &meta.owner_references {
            let Some((resource, scope)) = self.graph.resource_of(reference) else {
                if self.graph.has_gone(&reference.uid) {
                    owners.dangling.push(reference.clone());
                    continue;
                }
                // Its kind is not served now, but may be again: never delete for want of knowledge.
                self.graph.wait_for_kind_of(reference, node);
                owners.solid.push(reference.clone());
                continue;
            };
            if scope == Scope::Namespaced && meta.namespace.is_empty() {
                owners.solid.push(reference.clone());
                continue;
            }
            let key = scope.key(&meta.namespace, &reference.name);
            match self.client.get(&resource, &key).await {
                Ok(object) => {
                    let owner = object.decode::<PartialObject>()?.metadata;
                    if owner.uid != reference.uid {
                        owners.dangling.push(reference.clone());
                    } else if owner.is_deleting() && owner.finalizers.iter().any(|f| f == finalizer::FOREGROUND) {
                        owners.waiting.push(reference.clone());
                    } else {
                        owners.solid.push(reference.clone());
                    }
                }
                Err(status) if status.is_not_found() => owners.dangling.push(reference.clone()),
                Err(status) => return Err(status),
            }
        }
        Ok(owners)
    }

    /// Says of owners that live in another namespace that they cannot own the object: people look for why it went, or why it stays.
    fn report_owners_elsewhere(&self, node: &Node, meta: &Meta, owners: &Owners) {
        let namespaced =
            |owner: &&OwnerReference| matches!(self.graph.resource_of(owner), Some((_, Scope::Namespaced)));
        let of_cluster_scoped = owners.solid.iter().filter(|_| meta.namespace.is_empty());
        for owner in owners.dangling.iter().chain(of_cluster_scoped).filter(namespaced) {
            if !self.graph.is_elsewhere(owner, &meta.namespace) {
                continue;
            }
            let about = ObjectReference {
                api_version: node.resource.group_version().to_string(),
                kind: self.graph.kind_of(&node.resource).unwrap_or_default(),
                namespace: meta.namespace.clone(),
                name: meta.name.clone(),
                uid: meta.uid.clone(),
                ..ObjectReference::default()
            };
            let message = format!(
                "ownerRef [{}/{}, namespace: {}, name: {}, uid: {}] does not exist in namespace {:?}",
                owner.api_version, owner.kind, meta.namespace, owner.name, owner.uid, meta.namespace
            );
            self.recorder.event(&about, EventType::Warning, "OwnerRefInvalidNamespace", message);
        }
    }

    /// Deletes an object, provided that it is still the one that was looked at.
    async fn delete(&self, node: &Node, meta: &Meta, policy: Propagation) -> Result<(), Status> {
        tracing::debug!(kind = %node.resource, object = %node.key, ?policy, "deleting an object whose owners are gone");
        let preconditions =
            Preconditions { uid: Some(meta.uid.clone()), resource_version: Some(meta.resource_version.clone()) };
        let options = DeleteOptions { preconditions: Some(preconditions), ..DeleteOptions::default() };
        unless_gone(self.client.delete(&node.resource, &node.key, &options.propagation(policy)).await)
    }

    async fn release(&self, node: &Node, meta: &Meta, uids: &[String]) -> Result<(), Status> {
        let left: Vec<&OwnerReference> =
            meta.owner_references.iter().filter(|owner| !uids.contains(&owner.uid)).collect();
        self.patch(node, meta, json!({"ownerReferences": left})).await
    }

    /// An object that is to be deleted in the foreground, and whose dependent is being deleted in the foreground already, would
    /// wait for itself: nothing waits for it any more.
    async fn break_cycle(&self, node: &Node, meta: &Meta) -> Result<(), Status> {
        let is_waiting = |meta: &Meta| meta.is_deleting() && meta.finalizers.iter().any(|f| f == finalizer::FOREGROUND);
        if !self.graph.dependents(&meta.uid).iter().any(|(_, dependent)| is_waiting(dependent)) {
            return Ok(());
        }
        let unblocked: Vec<OwnerReference> = meta
            .owner_references
            .iter()
            .map(|owner| OwnerReference { block_owner_deletion: Some(false), ..owner.clone() })
            .collect();
        let mut current = meta.clone();
        current.resource_version.clear();
        self.patch(node, &current, json!({"ownerReferences": unblocked})).await
    }

    /// Takes the object off its dependents' owners, then lets it go.
    async fn orphan_dependents(&self, node: &Node, meta: &Meta) -> Result<Outcome, Status> {
        for (dependent, dependent_meta) in self.graph.dependents(&meta.uid) {
            self.release(&dependent, &dependent_meta, std::slice::from_ref(&meta.uid)).await?;
        }
        self.remove_finalizer(node, meta, finalizer::ORPHAN).await?;
        Ok(Outcome::Done)
    }

    /// Deletes the dependents; when none is left that blocks, the object may go.
    async fn wait_for_dependents(&self, node: &Node, meta: &Meta) -> Result<Outcome, Status> {
        let dependents = self.graph.dependents(&meta.uid);
        let blocks = |dependent: &Meta| {
            let mut owners = dependent.owner_references.iter();
            owners.any(|owner| owner.uid == meta.uid && owner.block_owner_deletion == Some(true))
        };
        if !dependents.iter().any(|(_, dependent)| blocks(dependent)) {
            self.remove_finalizer(node, meta, finalizer::FOREGROUND).await?;
            return Ok(Outcome::Done);
        }
        for (dependent, dependent_meta) in dependents {
            if !dependent_meta.is_deleting() {
                self.graph.enqueue(dependent);
            }
        }
        Ok(Outcome::Done)
    }

    async fn remove_finalizer(&self, node: &Node, meta: &Meta, name: &str) -> Result<(), Status> {
        let left: Vec<&String> = meta.finalizers.iter().filter(|finalizer| *finalizer != name).collect();
        self.patch(node, meta, json!({"finalizers": left})).await
    }

    /// Changes an object's metadata, provided that it is still the one that was looked at.
    async fn patch(&self, node: &Node, meta: &Meta, change: serde_json::Value) -> Result<(), Status> {
        let mut metadata = change;
        metadata["uid"] = json!(meta.uid);
        if !meta.resource_version.is_empty() {
            metadata["resourceVersion"] = json!(meta.resource_version);
        }
        let patch = json!({"metadata": metadata});
        unless_gone(self.client.patch(&node.resource, &node.key, OBJECT, &patch).await)
    }
}

fn unless_gone<T>(result: Result<T, Status>) -> Result<(), Status> {
    match result {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(uid: &str) -> OwnerReference {
        OwnerReference { uid: uid.to_owned(), ..OwnerReference::default() }
    }

    fn with_finalizer(name: &str) -> Meta {
        Meta { finalizers: vec![name.to_owned()], ..Meta::default() }
    }

    #[test]
    fn decisions() {
        let plain = Meta::default();
        let of = |solid: &[&str], dangling: &[&str], waiting: &[&str]| {
            let owners = |uids: &[&str]| uids.iter().map(|uid| owner(uid)).collect();
            Owners { solid: owners(solid), dangling: owners(dangling), waiting: owners(waiting) }
        };
        assert_eq!(decide(&plain, &of(&["a"], &[], &[]), false), Decision::Keep);
        assert_eq!(decide(&plain, &of(&["a"], &["b"], &["c"]), true), Decision::Release(vec!["b".into(), "c".into()]));
        assert_eq!(decide(&plain, &of(&[], &["b"], &[]), true), Decision::Delete(Propagation::Background));
        assert_eq!(decide(&plain, &of(&[], &[], &["c"]), false), Decision::Delete(Propagation::Background));
        assert_eq!(decide(&plain, &of(&[], &[], &["c"]), true), Decision::Delete(Propagation::Foreground));
        let orphaning = with_finalizer("orphan");
        assert_eq!(decide(&orphaning, &of(&[], &["b"], &[]), true), Decision::Delete(Propagation::Orphan));
        let foreground = with_finalizer("foregroundDeletion");
        assert_eq!(decide(&foreground, &of(&[], &["b"], &[]), false), Decision::Delete(Propagation::Foreground));
    }
}
