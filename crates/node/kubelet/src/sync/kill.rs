//! Ending containers: preStop, the grace period, and the order in which sidecars follow the app containers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::Instant;
use windlass_api::k8s::api::core::v1::{Container, Pod};
use windlass_client::EventType;
use windlass_cri::Error;

use super::hooks;
use crate::observe::{ContainerView, Observed};
use crate::plan::KillReason;
use crate::pod::{PodView, is_sidecar};
use crate::shared::Shared;

/// Not even a pod that is forced away is killed without a moment to end.
const GRACE_MIN_SECONDS: i64 = 2;

/// How one container is to end.
pub(super) struct KillOrder<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) message: &'a str,
    pub(super) reason: KillReason,
    /// Instead of what the pod says.
    pub(super) grace_seconds: Option<i64>,
}

fn grace(pod: &Pod, container: Option<&Container>, order: &KillOrder<'_>) -> i64 {
    if let Some(seconds) = order.grace_seconds.or(pod.metadata.deletion_grace_period_seconds) {
        return seconds;
    }
    let probe = match order.reason {
        KillReason::Liveness => container.and_then(|container| container.liveness_probe.as_ref()),
        KillReason::Startup => container.and_then(|container| container.startup_probe.as_ref()),
        KillReason::Unknown | KillReason::Changed => None,
    };
    let own = probe.and_then(|probe| probe.termination_grace_period_seconds);
    own.or(pod.pod_spec().termination_grace_period_seconds).unwrap_or(GRACE_MIN_SECONDS)
}

/// Ends one container: preStop, then its turn, then the stop signal and the rest of the grace period.
pub(super) async fn container(
    shared: &Shared,
    pod: &Pod,
    order: &KillOrder<'_>,
    turn: Option<&Turns>,
) -> Result<(), Error> {
    let spec = pod.container(order.name).map(|(_, container)| container);
    let grace = grace(pod, spec.as_deref(), order);
    let message = match order.message {
        "" => format!("Stopping container {}", order.name),
        message => message.to_owned(),
    };
    let about = pod.container_reference(order.name);
    shared.recorder.event(&about, EventType::Normal, "Killing", message);
    let began = Instant::now();
    let budget = Duration::from_secs(u64::try_from(grace.max(0)).unwrap_or_default());
    if let Some(container) = spec.as_deref().filter(|_| grace > 0) {
        pre_stop(shared, pod, container, order.id, budget).await;
    }
    if let Some(turn) = turn.filter(|_| grace > 0) {
        let left = budget.saturating_sub(began.elapsed());
        let _ = tokio::time::timeout(left, turn.wait(order.name)).await;
    }
    let least = Duration::from_secs(GRACE_MIN_SECONDS.unsigned_abs());
    let left = budget.saturating_sub(began.elapsed()).max(least);
    tracing::debug!(
        pod = pod.name(),
        namespace = pod.namespace(),
        container = order.name,
        grace_seconds = left.as_secs(),
        "killing container with a grace period"
    );
    match shared.runtime.stop_container(order.id, left).await {
        Err(error) if !error.is_not_found() => return Err(error),
        _ => {}
    }
    if let Some(turn) = turn {
        turn.ended(order.name);
    }
    Ok(())
}

async fn pre_stop(shared: &Shared, pod: &Pod, container: &Container, id: &str, budget: Duration) {
    let Some(handler) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref()) else { return };
    let pod_ip = pod.pod_status().pod_ip.clone().unwrap_or_default();
    let pod_ip = if pod_ip.is_empty() {
        shared.status.wanted(&pod.key()).and_then(|it| it.pod_ip).unwrap_or_default()
    } else {
        pod_ip
    };
    let agent = format!("kube-lifecycle/{}", short_version(&shared.options.version));
    let running = hooks::run(&*shared.runtime, container, id, &pod_ip, &agent, handler);
    match tokio::time::timeout(budget, running).await {
        Ok(Ok(())) => {}
        Ok(Err(message)) => {
            tracing::info!(
                pod = pod.name(),
                namespace = pod.namespace(),
                container = container.name,
                message,
                "preStop hook failed"
            );
            // What the hook printed may be secret.
            let about = pod.container_reference(&container.name);
            shared.recorder.event(&about, EventType::Warning, "FailedPreStopHook", "PreStopHook failed");
        }
        Err(_) => tracing::info!(
            pod = pod.name(),
            namespace = pod.namespace(),
            container = container.name,
            "preStop hook did not complete in grace period"
        ),
    }
}

/// `1.37` of `v1.37.1`.
pub(super) fn short_version(version: &str) -> String {
    version.trim_start_matches('v').split('.').take(2).collect::<Vec<_>>().join(".")
}

/// Who waits for whom: sidecars end after all app containers, and in the reverse of their order.
pub(super) struct Turns {
    before: HashMap<String, Vec<String>>,
    ended: watch::Sender<Vec<String>>,
}

impl Turns {
    pub(super) fn new(pod: &Pod, running: &[&ContainerView]) -> Self {
        let is_running = |name: &&String| running.iter().any(|view| view.name == **name);
        let mut later: Vec<String> = pod.app_containers().iter().map(|container| container.name.clone()).collect();
        let mut before = HashMap::new();
        for container in pod.init_containers().iter().rev().filter(is_sidecar) {
            before.insert(container.name.clone(), later.iter().filter(is_running).cloned().collect());
            later.push(container.name.clone());
        }
        Self { before, ended: watch::Sender::new(Vec::new()) }
    }

    async fn wait(&self, name: &str) {
        let Some(before) = self.before.get(name) else { return };
        let mut ended = self.ended.subscribe();
        // The sender is in `self`.
        let _ = ended.wait_for(|ended| before.iter().all(|name| ended.contains(name))).await;
    }

    fn ended(&self, name: &str) {
        self.ended.send_modify(|ended| ended.push(name.to_owned()));
    }
}

/// Ends everything of a pod that runs, and its sandboxes.
pub(super) async fn pod(
    shared: &Arc<Shared>,
    pod: &Pod,
    observed: &Observed,
    grace_seconds: Option<i64>,
) -> Result<(), Error> {
    let running: Vec<&ContainerView> = observed.running().collect();
    let turns = Turns::new(pod, &running);
    let kill = running.iter().map(|view| {
        let order =
            KillOrder { id: &view.id, name: &view.name, message: "", reason: KillReason::Unknown, grace_seconds };
        let turns = &turns;
        async move { container(shared, pod, &order, Some(turns)).await }
    });
    let results = join_all(kill).await;
    for sandbox in &observed.sandboxes {
        shared.runtime.stop_sandbox(&sandbox.id).await?;
    }
    results.into_iter().collect()
}
