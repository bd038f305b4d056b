//! What the scheduler does beside deciding: bindings, conditions, preemptions, events. All of it is I/O, and runs as tasks.
//!
//! Only so many tasks run at once; when they are too many, no further pod is tried. Patches of one pod's status follow one another,
//! and of those that wait only the last is written.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use tokio::task::JoinSet;
use tokio::time::Instant;
use windlass_api::time::Clock;
use windlass_api::{ObjectKey, Status, Timestamp};
use windlass_client::{Client, Informer};

use crate::core::{Binding, Waiting};
use crate::event_log::{EventLog, Occurrence};
use crate::metrics::Metrics;
use crate::object::Pod;
use crate::status::{StatusPatch, preempt};

/// Tasks at once. Many bindings together become one write of the store.
const TASKS_MAX: usize = 256;
/// How long victims' going may take to be seen.
const SEEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Bindings that wait for something outside, such as volumes, are beside these.
const SLOW_TASKS_MAX: usize = 4096;

pub(crate) struct Executor {
    pub client: Client,
    pub clock: Clock,
    pub events: EventLog,
    pub metrics: Metrics,
    pods: Arc<Informer>,
    tasks: JoinSet<Done>,
    /// How many of them are bindings that wait for something outside.
    slow: usize,
    /// Pods whose status is being written, with what is to be written next.
    writing: HashMap<ObjectKey, Option<StatusPatch>>,
}

/// What a task has come to.
pub(crate) enum Done {
    Bound {
        binding: Box<Binding>,
        result: Result<(), Status>,
        began: Instant,
        slow: bool,
    },
    Patched(ObjectKey),
    /// The pods that had to go for this one have been told.
    Preempted(ObjectKey),
}

impl Executor {
    pub(crate) fn new(client: Client, clock: Clock, events: EventLog, metrics: Metrics, pods: Arc<Informer>) -> Self {
        Self { client, clock, events, metrics, pods, tasks: JoinSet::new(), slow: 0, writing: HashMap::new() }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.tasks.len().saturating_sub(self.slow) >= TASKS_MAX || self.slow >= SLOW_TASKS_MAX
    }

    /// The next task that ends; never, when none runs.
    pub(crate) async fn done(&mut self) -> Done {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(done)) => {
                    if let Done::Bound { slow: true, .. } = done {
                        self.slow -= 1;
                    }
                    return done;
                }
                Some(Err(error)) => tracing::error!(%error, "a task of the scheduler ended badly"),
                None => std::future::pending().await,
            }
        }
    }

    pub(crate) fn bind(&mut self, binding: Binding, began: Instant) {
        self.metrics.underway.inc();
        let slow = binding.profile.pre_bind.iter().any(|plugin| plugin.concerns(&binding.attempt.pod));
        self.slow += usize::from(slow);
        self.tasks.spawn(async move {
            let result = caught(write_binding(&binding)).await;
            Done::Bound { binding: Box::new(binding), result, began, slow }
        });
    }

    /// Tells that a pod waits, and sends those away that it needs to go.
    pub(crate) fn wait(&mut self, waiting: Waiting) {
        let Waiting { pod, profile, message, nominate, victims, superseded } = waiting;
        self.say_waiting(&pod, &profile, "Unschedulable", &message, nominate.as_deref());
        for other in superseded {
            self.patch(StatusPatch::not_nominated(&other));
        }
        if victims.is_empty() {
            return;
        }
        let (client, events, now) = (self.client.clone(), self.events.clone(), self.clock.now());
        let pods = self.pods.clone();
        self.tasks.spawn(async move {
            let each = victims.iter().map(|victim| send_away(&client, &events, &pod, victim, &profile, now));
            let revisions = futures::future::join_all(each).await;
            // The pod's next try must see that they are going, or it would send them away again.
            let seen = pods.reached(revisions.into_iter().flatten().max().unwrap_or(0));
            let _ = tokio::time::timeout(SEEN_TIMEOUT, seen).await;
            Done::Preempted(pod.key.clone())
        });
    }

    pub(crate) fn say_waiting(
        &mut self,
        pod: &Pod,
        profile: &str,
        reason: &str,
        message: &str,
        nominate: Option<&str>,
    ) {
        tracing::debug!(pod = %pod.key, reason, message, "no node for the pod");
        self.events.record(Occurrence {
            regarding: pod.reference(),
            related: None,
            kind: "Warning",
            reason: "FailedScheduling",
            action: "Scheduling",
            note: message.to_owned(),
            controller: profile.to_owned(),
        });
        if let Some(patch) = StatusPatch::waiting(pod, reason, message, nominate, self.clock.now()) {
            self.patch(patch);
        }
    }

    fn patch(&mut self, patch: StatusPatch) {
        let key = patch.key.clone();
        if let Some(next) = self.writing.get_mut(&key) {
            *next = Some(patch);
            return;
        }
        self.writing.insert(key.clone(), None);
        let client = self.client.clone();
        self.tasks.spawn(async move {
            if let Err(error) = caught(patch.write(&client)).await {
                tracing::warn!(pod = %key, %error, "the pod's status cannot be written");
            }
            Done::Patched(key)
        });
    }

    /// A patch is written: the next one for the same pod can be.
    pub(crate) fn patched(&mut self, key: &ObjectKey) {
        if let Some(Some(next)) = self.writing.remove(key) {
            self.patch(next);
        }
    }

    pub(crate) fn say_bound(&self, binding: &Binding) {
        let pod = &binding.attempt.pod;
        tracing::debug!(pod = %pod.key, node = binding.node, attempts = binding.attempt.number, "bound");
        self.events.record(Occurrence {
            regarding: pod.reference(),
            related: None,
            kind: "Normal",
            reason: "Scheduled",
            action: "Binding",
            note: format!("Successfully assigned {} to {}", pod.key, binding.node),
            controller: binding.profile.name.clone(),
        });
    }
}

/// Runs what a task does. Its panic is a failure like others: the task has to say what it has come to, or its pod would hang for ever.
async fn caught<T>(work: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(Status::internal("a task of the scheduler panicked")))
}

async fn write_binding(binding: &Binding) -> Result<(), Status> {
    let (pod, profile) = (&binding.attempt.pod, &binding.profile);
    for plugin in profile.pre_bind.iter().filter(|plugin| plugin.concerns(pod)) {
        plugin.pre_bind(pod, &binding.node).await?;
    }
    profile.bind.bind(pod, &binding.node).await?;
    profile.post_bind.iter().for_each(|plugin| plugin.post_bind(pod, &binding.node));
    Ok(())
}

async fn send_away(
    client: &Client,
    events: &EventLog,
    pod: &Arc<Pod>,
    victim: &Pod,
    profile: &str,
    now: Timestamp,
) -> Option<u64> {
    match caught(preempt(client, victim, profile, now)).await {
        Ok(Some(revision)) => {
            events.record(Occurrence {
                regarding: victim.reference(),
                related: Some(pod.reference()),
                kind: "Normal",
                reason: "Preempted",
                action: "Preempting",
                note: format!("Preempted by pod {} on node {}", pod.uid, victim.node_name),
                controller: profile.to_owned(),
            });
            Some(revision)
        }
        Ok(None) => None,
        Err(error) => {
            tracing::warn!(pod = %victim.key, %error, "the pod cannot be preempted");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let failed = caught::<()>(async { panic!("on purpose") }).await;
        assert_eq!(failed.unwrap_err().code, 500);
    }
}
