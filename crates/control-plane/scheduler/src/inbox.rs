//! What has changed: keys, each at most once, until the scheduler reads them.
//!
//! The inbox holds no objects, so that it is bounded by the number of objects that there are, and what is read for a key is
//! never older than the change that put it here.

use std::collections::HashSet;

use parking_lot::Mutex;
use tokio::sync::Notify;
use windlass_api::ObjectKey;

/// The kinds of objects that bear on placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Node,
    Pod,
    Namespace,
    Service,
    PodDisruptionBudget,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
    CsiNode,
    CsiDriver,
    CsiStorageCapacity,
}

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    keys: Mutex<Keys>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Keys {
    known: HashSet<(Kind, ObjectKey)>,
    order: Vec<(Kind, ObjectKey)>,
}

impl Inbox {
    pub(crate) fn put(&self, kind: Kind, key: &ObjectKey) {
        let mut keys = self.keys.lock();
        let entry = (kind, key.clone());
        if keys.known.insert(entry.clone()) {
            keys.order.push(entry);
            drop(keys);
            self.changed.notify_one();
        }
    }

    /// Everything that has changed, in the order in which it first did.
    pub(crate) fn take(&self) -> Vec<(Kind, ObjectKey)> {
        let mut keys = self.keys.lock();
        keys.known.clear();
        std::mem::take(&mut keys.order)
    }

    /// Waits until there is something to take.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}
