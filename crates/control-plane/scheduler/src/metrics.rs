//! What is measured, under the names of upstream's kube-scheduler.

use std::time::Duration;

use windlass_telemetry::{Counter, CounterFamily, Gauge, GaugeFamily, Histogram, HistogramFamily, exponential};

use crate::cache::Cluster;
use crate::queue::Queue;

#[derive(Clone)]
pub(crate) struct Metrics {
    attempts: CounterFamily,
    attempt_seconds: HistogramFamily,
    algorithm_seconds: Histogram,
    pub preemption_attempts: Counter,
    pub preemption_victims: Histogram,
    pending: GaugeFamily,
    cache_size: GaugeFamily,
    scheduling_attempts: Histogram,
    sli_seconds: HistogramFamily,
    incoming: CounterFamily,
    pub underway: Gauge,
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Scheduled,
    Unschedulable,
    Error,
}

impl Metrics {
    pub(crate) fn new(metrics: &windlass_telemetry::Metrics) -> Self {
        let attempt_buckets = exponential(0.001, 2.0, 15);
        Self {
            attempts: metrics.counters(
                "scheduler_schedule_attempts_total",
                "Number of attempts to schedule pods, by the result.",
                &["profile", "result"],
            ),
            attempt_seconds: metrics.histograms(
                "scheduler_scheduling_attempt_duration_seconds",
                "Scheduling attempt latency in seconds (scheduling algorithm + binding)",
                &["profile", "result"],
                &attempt_buckets,
            ),
            algorithm_seconds: metrics.histogram(
                "scheduler_scheduling_algorithm_duration_seconds",
                "Scheduling algorithm latency in seconds",
                &attempt_buckets,
            ),
            preemption_attempts: metrics
                .counter("scheduler_preemption_attempts_total", "Total preemption attempts in the cluster till now"),
            preemption_victims: metrics.histogram(
                "scheduler_preemption_victims",
                "Number of selected preemption victims",
                &exponential(1.0, 2.0, 7),
            ),
            pending: metrics.gauges("scheduler_pending_pods", "Number of pending pods, by the queue type.", &["queue"]),
            cache_size: metrics.gauges(
                "scheduler_cache_size",
                "Number of nodes, pods, and assumed (bound) pods in the scheduler cache.",
                &["type"],
            ),
            scheduling_attempts: metrics.histogram(
                "scheduler_pod_scheduling_attempts",
                "Number of attempts to successfully schedule a pod.",
                &exponential(1.0, 2.0, 5),
            ),
            sli_seconds: metrics.histograms(
                "scheduler_pod_scheduling_sli_duration_seconds",
                "E2e latency for a pod being scheduled, from the time the pod enters the scheduling queue.",
                &["attempts"],
                &exponential(0.01, 2.0, 20),
            ),
            incoming: metrics.counters(
                "scheduler_queue_incoming_pods_total",
                "Number of pods added to scheduling queues by event and queue type.",
                &["event", "queue"],
            ),
            underway: metrics
                .gauges(
                    "scheduler_goroutines",
                    "Number of running goroutines split by the work they do.",
                    &["operation"],
                )
                .with_label_values(&["binding"]),
        }
    }

    pub(crate) fn attempted(&self, profile: &str, outcome: Outcome, took: Duration) {
        let result = match outcome {
            Outcome::Scheduled => "scheduled",
            Outcome::Unschedulable => "unschedulable",
            Outcome::Error => "error",
        };
        self.attempts.with_label_values(&[profile, result]).inc();
        self.attempt_seconds.with_label_values(&[profile, result]).observe(took.as_secs_f64());
    }

    pub(crate) fn decided(&self, took: Duration) {
        self.algorithm_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn scheduled(&self, attempts: u32, since_first_seen: Duration) {
        self.scheduling_attempts.observe(f64::from(attempts));
        let label = if attempts >= 15 { "15+".to_owned() } else { attempts.to_string() };
        self.sli_seconds.with_label_values(&[label.as_str()]).observe(since_first_seen.as_secs_f64());
    }

    pub(crate) fn incoming(&self, event: &str, pods: usize) {
        if pods > 0 {
            self.incoming.with_label_values(&[event, "active"]).inc_by(pods as u64);
        }
    }

    /// Shows how full queue and cache are.
    pub(crate) fn show(&self, queue: &Queue, cluster: &Cluster) {
        let set = |family: &GaugeFamily, label: &str, count: usize| {
            family.with_label_values(&[label]).set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        let lengths = queue.lengths();
        set(&self.pending, "active", lengths.active);
        set(&self.pending, "backoff", lengths.back_off);
        set(&self.pending, "unschedulable", lengths.unschedulable);
        set(&self.pending, "gated", lengths.gated);
        set(&self.cache_size, "nodes", cluster.node_count());
        set(&self.cache_size, "pods", cluster.pod_count());
        set(&self.cache_size, "assumed_pods", cluster.assumed_count());
    }
}
