//! The loop that looks after what the node has left.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use windlass_api::k8s::api::core::v1::{Pod, PodCondition};
use windlass_api::pod::disruption_target;
use windlass_client::{EventType, ObjectReference};
use windlass_cri::{SandboxFilter, SandboxStats};
use windlass_tree::Meter;

use super::decide::{self, Memory, Reclaim, decide};
use super::disk::{self, Disk, Exceeded};
use super::images::{self, Ages};
use super::measure::measure;
use super::rank::{self, Usage};
use super::signals;
use crate::labels;
use crate::options::Signal;
use crate::pod::PodView;
use crate::registry::Ending;
use crate::registry::{Entry, Registry};
use crate::shared::Shared;
use crate::status::{EVICTED, Eviction};

/// Images are looked after so often.
const IMAGES_EVERY: Duration = Duration::from_secs(300);
/// An evicted pod has so long to give back what it had, before somebody else is asked. As upstream's podCleanupTimeout.
const CLEANUP_MAX: Duration = Duration::from_secs(30);
/// A pod that is beyond a limit ends as if the node could not wait.
const LIMIT_GRACE_SECONDS: i64 = 1;

pub(crate) async fn run(shared: Arc<Shared>, registry: Arc<Registry>) {
    let (mut memory, mut ages) = (Memory::default(), Ages::default());
    let interval = shared.options.eviction.monitoring_interval;
    let meter = Meter::new(interval);
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut images_at = Instant::now() + IMAGES_EVERY;
    loop {
        ticks.tick().await;
        if images_at <= Instant::now() {
            images_at += IMAGES_EVERY;
            if let Some(problem) = images::keep_in_bounds(&shared, &mut ages).await {
                shared.recorder.event(&about(&shared), EventType::Warning, "FreeDiskSpaceFailed", problem);
            }
        }
        let reclaim = look(&shared, &mut memory).await;
        let evicted = evict_over_limit(&shared, &registry, &meter).await;
        if !evicted.is_empty() {
            cleaned(evicted).await;
            continue;
        }
        let Some(reclaim) = reclaim else { continue };
        tracing::warn!(resource = decide::resource(reclaim.signal), "attempting to reclaim");
        let text = format!("Attempting to reclaim {}", decide::resource(reclaim.signal));
        shared.recorder.event(&about(&shared), EventType::Warning, "EvictionThresholdMet", text);
        if is_disk(reclaim.signal) {
            cleaned(reclaim_ended(&registry)).await;
            images::free(&shared, &mut ages, None, Duration::ZERO).await;
            if look(&shared, &mut memory).await.is_none_or(|still| !is_disk(still.signal)) {
                continue;
            }
        }
        if let Some(evicted) = evict_one(&shared, &registry, &meter, &reclaim).await {
            cleaned(vec![evicted]).await;
        }
    }
}

/// Has ended pods that the API still has give back their writable layers and logs.
fn reclaim_ended(registry: &Registry) -> Vec<Entry> {
    let ended = |entry: &Entry| {
        let record = entry.record.lock();
        record.finished && !record.observed.containers.is_empty()
    };
    let entries: Vec<Entry> = registry.all().into_iter().filter(ended).collect();
    entries.iter().for_each(|entry| entry.mailbox.reclaim());
    entries
}

/// Waits until pods have given back what they had: until then the node looks as if somebody else had to go.
async fn cleaned(pods: Vec<Entry>) {
    let all = join_all(pods.iter().map(|entry| entry.mailbox.cleaned()));
    if tokio::time::timeout(CLEANUP_MAX, all).await.is_err() {
        tracing::warn!("timed out waiting for pods to be cleaned up");
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

/// What a pod uses of what a signal is about, other than the disk.
fn usage(signal: Signal, stats: &SandboxStats) -> Usage {
    let count = |value: Option<u64>| i64::try_from(value.unwrap_or(0)).unwrap_or(i64::MAX);
    let of = |container: &windlass_cri::ContainerStats| match signal {
        Signal::PidAvailable => count(container.processes),
        _ => count(container.memory.working_set_bytes),
    };
    let containers: BTreeMap<String, i64> =
        stats.containers.iter().map(|container| (container.metadata.name.clone(), of(container))).collect();
    Usage { total: containers.values().sum(), containers }
}

/// The same for a signal about the disk.
fn disk_usage(signal: Signal, disk: &Disk) -> Usage {
    let count = |usage: windlass_tree::Usage| {
        let inodes = matches!(signal, Signal::NodeFsInodesFree | Signal::ImageFsInodesFree);
        i64::try_from(if inodes { usage.inodes } else { usage.bytes }).unwrap_or(i64::MAX)
    };
    let containers = disk.containers.iter().map(|(name, used)| (name.clone(), count(*used))).collect();
    Usage { total: count(disk.total()), containers }
}

/// Pods with what they use of a signal's resource.
async fn usages(
    shared: &Arc<Shared>,
    registry: &Registry,
    meter: &Meter,
    signal: Signal,
) -> windlass_cri::Result<Vec<(Arc<Pod>, Usage)>> {
    let pods = registry.allocated("");
    if is_disk(signal) {
        let measured = measure(shared, registry, meter, pods).await;
        return Ok(measured.into_iter().map(|(pod, disk)| (pod, disk_usage(signal, &disk))).collect());
    }
    let stats = shared.runtime.list_sandbox_stats(SandboxFilter::default()).await?;
    let by_uid: HashMap<&String, &SandboxStats> =
        stats.iter().filter_map(|it| Some((it.labels.get(labels::POD_UID)?, it))).collect();
    let of = |pod: Arc<Pod>| by_uid.get(&pod.uid().to_owned()).map(|stats| (pod.clone(), usage(signal, stats)));
    Ok(pods.into_iter().filter_map(of).collect())
}

/// Ends the pods that take more of the disk than they may.
async fn evict_over_limit(shared: &Arc<Shared>, registry: &Registry, meter: &Meter) -> Vec<Entry> {
    let mut pods = registry.allocated("");
    pods.retain(|pod| disk::is_limited(pod) && !pod.is_critical());
    if pods.is_empty() {
        return Vec::new();
    }
    let measured = measure(shared, registry, meter, pods).await;
    let exceeded = measured.iter().filter_map(|(pod, disk)| Some((pod, disk::exceeded(pod, disk)?)));
    let evict = |(pod, exceeded): (&Arc<Pod>, Exceeded)| {
        let order = Order { signal: exceeded.signal, message: exceeded.message, grace_seconds: LIMIT_GRACE_SECONDS };
        order.carry_out(shared, registry, pod, Vec::new())
    };
    exceeded.filter_map(evict).collect()
}

/// Ends the pod whose end helps most.
async fn evict_one(shared: &Arc<Shared>, registry: &Registry, meter: &Meter, reclaim: &Reclaim) -> Option<Entry> {
    let mut pods = match usages(shared, registry, meter, reclaim.signal).await {
        Ok(pods) => pods,
        Err(error) => {
            tracing::warn!(%error, "nobody can be evicted: the runtime does not tell what pods use");
            return None;
        }
    };
    rank::rank(&mut pods, decide::resource(reclaim.signal));
    let Some((pod, usage)) = pods.first() else {
        tracing::warn!("all pods are critical: nobody can be evicted");
        return None;
    };
    let message = rank::message(pod, usage, reclaim);
    let disruption = disruption_target("TerminationByKubelet", &message, pod.generation());
    let order = Order { signal: decide::name(reclaim.signal), message, grace_seconds: reclaim.grace_seconds };
    order.carry_out(shared, registry, pod, vec![disruption])
}

/// That a pod must go, and why.
struct Order {
    /// As the metric names it.
    signal: &'static str,
    message: String,
    grace_seconds: i64,
}

impl Order {
    fn carry_out(
        self,
        shared: &Shared,
        registry: &Registry,
        pod: &Pod,
        conditions: Vec<PodCondition>,
    ) -> Option<Entry> {
        let Self { signal, message, grace_seconds } = self;
        let entry = registry.get(pod.uid())?;
        tracing::warn!(pod = pod.name(), namespace = pod.namespace(), message, "evicting a pod");
        shared.recorder.event(&pod.reference(), EventType::Warning, EVICTED, message.clone());
        shared.metrics.evictions.with_label_values(&[signal]).inc();
        let eviction = Eviction { reason: EVICTED.to_owned(), message, conditions };
        entry.mailbox.end(Ending { eviction, grace_seconds: Some(grace_seconds), rejected: false });
        Some(entry)
    }
}
