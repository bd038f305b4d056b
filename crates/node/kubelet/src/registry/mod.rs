//! Which pods this node has, and how to reach their workers.
//!
//! - [`mailbox`]: what a worker is told from outside
//! - [`record`]: what others see of it

mod mailbox;
mod record;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use windlass_api::k8s::api::core::v1::Pod;

pub(crate) use self::mailbox::{Ending, Mail, Mailbox};
pub(crate) use self::record::Record;
use crate::pod::PodView;

/// One pod: its worker's mailbox, and what the worker last saw and wanted.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) record: Arc<Mutex<Record>>,
}

/// Pods by UID. Bounded by what is scheduled to the node.
#[derive(Default)]
pub(crate) struct Registry {
    entries: Mutex<HashMap<String, Entry>>,
    removed: Notify,
}

impl Registry {
    pub(crate) fn get(&self, uid: &str) -> Option<Entry> {
        self.entries.lock().get(uid).cloned()
    }

    pub(crate) fn insert(&self, uid: &str, entry: Entry) {
        self.entries.lock().insert(uid.to_owned(), entry);
    }

    pub(crate) fn remove(&self, uid: &str) {
        self.entries.lock().remove(uid);
        self.removed.notify_one();
    }

    /// Waits until a pod has gone for good, for the one who starts static pods.
    pub(crate) async fn removed(&self) {
        self.removed.notified().await;
    }

    pub(crate) fn all(&self) -> Vec<Entry> {
        self.entries.lock().values().cloned().collect()
    }

    pub(crate) fn pods(&self) -> Vec<Arc<Pod>> {
        self.entries.lock().values().map(|entry| entry.mailbox.pod()).collect()
    }

    /// Pods that take room of the node, with what is allocated to them.
    pub(crate) fn allocated(&self, but: &str) -> Vec<Arc<Pod>> {
        let counts = |entry: &Entry| {
            let record = entry.record.lock();
            let mail = entry.mailbox.peek();
            let is_other = mail.pod.uid() != but && !record.finished && !mail.pod.is_terminal();
            let pod = record.allocated.clone().unwrap_or(mail.pod);
            (is_other && mail.ending.is_none()).then_some(pod)
        };
        self.all().iter().filter_map(counts).collect()
    }

    pub(crate) fn by_name(&self, namespace: &str, name: &str) -> Option<Entry> {
        let entries = self.entries.lock();
        let mut named = entries.values().filter(|entry| {
            let pod = entry.mailbox.pod();
            pod.namespace() == namespace && pod.name() == name
        });
        // Of two pods with one name, the one that is not going.
        let mut found: Option<&Entry> = None;
        for entry in named.by_ref() {
            if found.is_none() || !entry.mailbox.pod().is_deleting() {
                found = Some(entry);
            }
        }
        found.cloned()
    }

    pub(crate) fn wake(&self, uid: &str) {
        if let Some(entry) = self.get(uid) {
            entry.mailbox.wake();
        }
    }

    pub(crate) fn wake_all(&self) {
        self.all().iter().for_each(|entry| entry.mailbox.wake());
    }

    pub(crate) fn inputs_changed(&self, uid: &str) {
        if let Some(entry) = self.get(uid) {
            entry.mailbox.inputs_changed();
        }
    }
}
