//! Which changes wake the controllers of pods.

use serde::de::DeserializeOwned;
use windlass_api::ObjectKey;
use windlass_api::labels::Selector;
use windlass_client::{Change, Informer, WorkQueue};

use crate::owners::{Owned, OwnerKind};
use crate::pods::Pod;

/// Queues an owner when it changes, when one of its pods changes, and when a pod without a controller appears or changes that the
/// owner's selector matches.
pub(crate) fn wake_by_pods<T: DeserializeOwned>(
    owners: &std::sync::Arc<Informer>,
    pods: &Informer,
    queue: &WorkQueue<ObjectKey>,
    kind: OwnerKind,
    selector: impl Fn(&T) -> Selector + Send + Sync + 'static,
) {
    let changed = queue.clone();
    owners.subscribe(move |change| changed.add(change.object().key.clone()));
    wake_by_pods_alone(owners, pods, queue, kind, selector);
}

/// Queues an owner as [`wake_by_pods`] does, but not when it changes itself.
pub(crate) fn wake_by_pods_alone<T: DeserializeOwned>(
    owners: &std::sync::Arc<Informer>,
    pods: &Informer,
    queue: &WorkQueue<ObjectKey>,
    kind: OwnerKind,
    selector: impl Fn(&T) -> Selector + Send + Sync + 'static,
) {
    let (queue, owners) = (queue.clone(), owners.clone());
    pods.subscribe(move |change| {
        for key in owners_of(change, kind) {
            queue.add(key);
        }
        let orphan = change.new.as_ref().and_then(|object| object.decode::<Pod>().ok());
        let Some(orphan) = orphan.filter(|pod| pod.meta().controller().is_none() && !pod.meta().is_deleting()) else {
            return;
        };
        for owner in owners.list(&orphan.metadata.namespace) {
            if owner.decode::<T>().is_ok_and(|owner| selector(&owner).matches(&orphan.metadata.labels)) {
                queue.add(owner.key);
            }
        }
    });
}

/// The owners of this kind that an object had before and has after a change.
pub(crate) fn owners_of(change: &Change, kind: OwnerKind) -> Vec<ObjectKey> {
    let key = |object: &Option<windlass_client::Object>| {
        let object = object.as_ref()?.decode::<windlass_api::meta::PartialObject>().ok()?;
        kind.owner_key(&object.metadata)
    };
    let (old, new) = (key(&change.old), key(&change.new));
    if old == new { new.into_iter().collect() } else { old.into_iter().chain(new).collect() }
}
