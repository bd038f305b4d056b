//! The one writer of pod statuses. Workers say what they want written; the newest wish of a pod replaces older ones that have not
//! been written yet, and is compared with what the API holds, so that nothing is written twice.
//!
//! A terminal phase is held back until nothing of the pod can run any more. A pod that is being deleted and has been cleaned up is
//! deleted for good here, after its last status, and only if it is still the same pod.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use windlass_api::k8s::api::core::v1::{Pod, PodStatus};
use windlass_api::pod::DISRUPTION_TARGET;
use windlass_api::resource::PODS;
use windlass_api::{ObjectKey, Status};
use windlass_client::{Client, DeleteOptions, Informer, Outcome, PatchType, STATUS, WorkQueue};

use super::{conditions, patch};
use crate::pod::{PodView, phase};

/// Writes at the same time.
const WRITERS: usize = 4;
/// How often a pod that others hold with finalizers is looked at again, as a safety net.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

/// What a worker wants the API to say.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) pod: Arc<Pod>,
    pub(crate) status: PodStatus,
    /// Nothing of the pod runs, nor will.
    pub(crate) finished: bool,
    /// Everything of the pod is gone from the node: it may go from the API.
    pub(crate) cleaned: bool,
}

struct Entry {
    wanted: Wanted,
    /// What was written last, for as long as the informer has not seen it.
    written: Option<(u64, PodStatus)>,
}

pub(crate) struct StatusWriter {
    client: Client,
    pods: Arc<Informer>,
    entries: Mutex<HashMap<ObjectKey, Entry>>,
    queue: WorkQueue<ObjectKey>,
}

impl StatusWriter {
    pub(crate) fn new(client: Client, pods: Arc<Informer>) -> Self {
        Self { client, pods, entries: Mutex::default(), queue: WorkQueue::new() }
    }

    /// Replaces what is wanted for a pod.
    pub(crate) fn set(&self, wanted: Wanted) {
        let key = wanted.pod.key();
        {
            let mut entries = self.entries.lock();
            match entries.get_mut(&key) {
                Some(entry) if entry.wanted.pod.uid() == wanted.pod.uid() => entry.wanted = wanted,
                _ => {
                    entries.insert(key.clone(), Entry { wanted, written: None });
                }
            }
        }
        self.queue.add(key);
    }

    /// Looks at a pod again: the API has changed it.
    pub(crate) fn wake(&self, key: ObjectKey) {
        if self.entries.lock().contains_key(&key) {
            self.queue.add(key);
        }
    }

    pub(crate) fn forget(&self, key: &ObjectKey, uid: &str) {
        let mut entries = self.entries.lock();
        if entries.get(key).is_some_and(|entry| entry.wanted.pod.uid() == uid) {
            entries.remove(key);
        }
    }

    /// The API has a pod no more. A static pod lives on, and soon there is another that stands for it.
    fn lost(&self, key: &ObjectKey, pod: &Pod) {
        if !pod.is_static() {
            self.forget(key, pod.uid());
        }
    }

    /// The status that is wanted for a pod at present.
    pub(crate) fn wanted(&self, key: &ObjectKey) -> Option<PodStatus> {
        self.entries.lock().get(key).map(|entry| entry.wanted.status.clone())
    }

    pub(crate) async fn run(&self) {
        self.queue.run("kubelet-status", WRITERS, |key| self.write(key)).await;
    }

    async fn write(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let Some(wanted) = self.entries.lock().get(&key).map(|entry| entry.wanted.clone()) else {
            return Ok(Outcome::Done);
        };
        let Some(object) = self.pods.get(&key) else {
            self.lost(&key, &wanted.pod);
            return Ok(Outcome::Done);
        };
        let current: Pod = object.decode()?;
        let stands_for = if current.is_mirror() { wanted.pod.is_static() } else { current.uid() == wanted.pod.uid() };
        if !stands_for {
            self.lost(&key, &wanted.pod);
            return Ok(Outcome::Done);
        }
        let written = {
            let entries = self.entries.lock();
            entries.get(&key).and_then(|entry| entry.written.clone())
        };
        let known = match written {
            Some((revision, status)) if revision > object.revision => status,
            _ => current.pod_status().clone(),
        };
        let merged = merge(&known, &wanted);
        if let Some(patch) = patch::diff(current.uid(), &known, &merged)
            && !self.patch(&key, &wanted, &patch).await?
        {
            return Ok(Outcome::Done);
        }
        if wanted.cleaned && current.is_deleting() && !current.is_mirror() {
            let options = DeleteOptions::of_uid(current.uid()).grace_seconds(0);
            match self.client.delete(&PODS, &key, &options).await {
                Ok(_) => tracing::debug!(pod = key.name, namespace = key.namespace, "pod fully terminated and removed"),
                Err(status) if status.says_gone() => {}
                Err(status) => return Err(status),
            }
            return Ok(Outcome::Again(LOOK_AGAIN));
        }
        Ok(Outcome::Done)
    }

    /// Returns whether the pod is still there.
    async fn patch(&self, key: &ObjectKey, wanted: &Wanted, patch: &serde_json::Value) -> Result<bool, Status> {
        match self.client.patch_as(PatchType::Strategic, &PODS, key, STATUS, patch).await {
            Ok(object) => {
                let now: Pod = object.decode()?;
                let mut entries = self.entries.lock();
                if let Some(entry) = entries.get_mut(key).filter(|it| it.wanted.pod.uid() == wanted.pod.uid()) {
                    entry.written = Some((object.revision, now.status.unwrap_or_default()));
                }
                Ok(true)
            }
            Err(status) if status.is_not_found() => {
                self.lost(key, &wanted.pod);
                Ok(false)
            }
            // Another pod has the name now; the informer will say so.
            Err(status) if status.is_of_other_uid() => Ok(false),
            Err(status) => Err(status),
        }
    }
}

/// What may be written of what is wanted.
fn merge(known: &PodStatus, wanted: &Wanted) -> PodStatus {
    let mut status = wanted.status.clone();
    let before = known.phase.as_deref().unwrap_or(phase::PENDING);
    let becomes_terminal =
        !phase::is_terminal(before) && phase::is_terminal(status.phase.as_deref().unwrap_or_default());
    if becomes_terminal && !wanted.finished {
        status.phase.clone_from(&known.phase);
        status.reason.clone_from(&known.reason);
        status.message.clone_from(&known.message);
    }
    let may_disrupt = becomes_terminal && wanted.finished;
    if !may_disrupt && let Some(list) = &mut status.conditions {
        let known = conditions::find(known, DISRUPTION_TARGET);
        list.retain(|condition| condition.type_ != DISRUPTION_TARGET);
        list.extend(known.cloned());
    }
    status
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_terminal_phase_waits_until_nothing_runs() {
        let known: PodStatus = serde_json::from_value(json!({"phase": "Running"})).unwrap();
        let wanted = |finished| Wanted {
            pod: Arc::default(),
            status: serde_json::from_value(json!({"phase": "Failed", "reason": "Evicted", "conditions": [
                {"type": "DisruptionTarget", "status": "True"}]}))
            .unwrap(),
            finished,
            cleaned: false,
        };
        let held = merge(&known, &wanted(false));
        assert_eq!((held.phase.as_deref(), held.reason), (Some("Running"), None));
        assert!(held.conditions.unwrap().is_empty());
        let free = merge(&known, &wanted(true));
        assert_eq!(free.phase.as_deref(), Some("Failed"));
        assert_eq!(free.conditions.unwrap().len(), 1);
    }
}
