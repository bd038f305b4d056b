//! The loop that looks after what the node has left.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use windlass_api::k8s::api::core::v1::{Pod, PodCondition};
use windlass_client::{EventType, ObjectReference};
use windlass_cri::{SandboxFilter, SandboxStats};

use super::decide::{self, Memory, Reclaim, decide};
use super::images::{self, Ages};
use super::rank::{self, Usage};
use super::signals;
use crate::labels;
use crate::options::Signal;
use crate::pod::PodView;
use crate::registry::Registry;
use crate::shared::Shared;
use crate::status::Eviction;
use crate::sync::Ending;

/// As often as upstream.
const LOOK: Duration = Duration::from_secs(10);
/// Images are looked after on every so many looks: five minutes.
const IMAGES_EVERY: u32 = 30;

pub(crate) async fn run(shared: Arc<Shared>, registry: Arc<Registry>) {
    let (mut memory, mut ages) = (Memory::default(), Ages::default());
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for count in 0_u32.. {
        ticks.tick().await;
        if count % IMAGES_EVERY == IMAGES_EVERY - 1
            && let Some(problem) = images::keep_in_bounds(&shared, &mut ages).await
        {
            shared.recorder.event(&about(&shared), EventType::Warning, "FreeDiskSpaceFailed", problem);
        }
        let Some(reclaim) = look(&shared, &mut memory).await else { continue };
        tracing::warn!(resource = decide::resource(reclaim.signal), "attempting to reclaim");
        let text = format!("Attempting to reclaim {}", decide::resource(reclaim.signal));
        shared.recorder.event(&about(&shared), EventType::Warning, "EvictionThresholdMet", text);
        if is_disk(reclaim.signal) {
            images::free(&shared, &mut ages, None, Duration::ZERO).await;
            if look(&shared, &mut memory).await.is_none_or(|still| !is_disk(still.signal)) {
                continue;
            }
        }
        evict_one(&shared, &registry, &reclaim).await;
    }
}

fn about(shared: &Shared) -> ObjectReference {
    let name = shared.options.node_name.clone();
    ObjectReference { kind: "Node".to_owned(), uid: name.clone(), name, ..ObjectReference::default() }
}

fn is_disk(signal: Signal) -> bool {
    !matches!(signal, Signal::MemoryAvailable | Signal::PidAvailable)
}

/// Reads, sets the pressures, and says what must be won back.
async fn look(shared: &Arc<Shared>, memory: &mut Memory) -> Option<Reclaim> {
    let reader = shared.clone();
    let observations = tokio::task::spawn_blocking(move || signals::read(&reader.options)).await.ok()?;
    let (pressure, reclaim) = decide(&shared.options.eviction, &observations, memory, shared.clock.now());
    shared.node.set_pressure(pressure);
    reclaim
}

/// What a pod uses of what a signal is about.
fn usage(signal: Signal, stats: Option<&SandboxStats>) -> Usage {
    let count = |value: Option<u64>| i64::try_from(value.unwrap_or(0)).unwrap_or(i64::MAX);
    let Some(stats) = stats else { return Usage::default() };
    let of = |container: &windlass_cri::ContainerStats| match signal {
        Signal::MemoryAvailable => count(container.memory.working_set_bytes),
        Signal::PidAvailable => count(container.processes),
        Signal::NodeFsAvailable | Signal::ImageFsAvailable => {
            count(container.writable_layer.as_ref().map(|it| it.used_bytes))
        }
        Signal::NodeFsInodesFree | Signal::ImageFsInodesFree => {
            count(container.writable_layer.as_ref().map(|it| it.inodes_used))
        }
    };
    let containers: BTreeMap<String, i64> =
        stats.containers.iter().map(|container| (container.metadata.name.clone(), of(container))).collect();
    Usage { total: containers.values().sum(), containers }
}

/// Ends the pod whose end helps most.
async fn evict_one(shared: &Arc<Shared>, registry: &Registry, reclaim: &Reclaim) {
    let stats = match shared.runtime.list_sandbox_stats(SandboxFilter::default()).await {
        Ok(stats) => stats,
        Err(error) => {
            tracing::warn!(%error, "nobody can be evicted: the runtime does not tell what pods use");
            return;
        }
    };
    let by_uid: HashMap<String, SandboxStats> =
        stats.into_iter().filter_map(|it| Some((it.labels.get(labels::POD_UID)?.clone(), it))).collect();
    let mut pods: Vec<(Arc<Pod>, Usage)> = registry
        .allocated("")
        .into_iter()
        .filter(|pod| by_uid.contains_key(pod.uid()))
        .map(|pod| {
            let usage = usage(reclaim.signal, by_uid.get(pod.uid()));
            (pod, usage)
        })
        .collect();
    rank::rank(&mut pods, decide::resource(reclaim.signal));
    let Some((pod, usage)) = pods.first() else {
        tracing::warn!("all pods are critical: nobody can be evicted");
        return;
    };
    let message = rank::message(pod, usage, reclaim);
    tracing::warn!(pod = pod.name(), namespace = pod.namespace(), message, "evicting a pod");
    shared.recorder.event(&pod.reference(), EventType::Warning, "Evicted", message.clone());
    let disruption = PodCondition {
        type_: "DisruptionTarget".to_owned(),
        status: "True".to_owned(),
        reason: Some("TerminationByKubelet".to_owned()),
        message: Some(message.clone()),
        observed_generation: Some(pod.generation()).filter(|generation| *generation > 0),
        ..PodCondition::default()
    };
    let eviction = Eviction { reason: "Evicted".to_owned(), message, conditions: vec![disruption] };
    shared.metrics.evictions.with_label_values(&[decide::name(reclaim.signal)]).inc();
    if let Some(entry) = registry.get(pod.uid()) {
        entry.mailbox.end(Ending { eviction, grace_seconds: Some(reclaim.grace_seconds), rejected: false });
    }
}
