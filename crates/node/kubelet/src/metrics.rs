//! What the kubelet counts, under upstream's names.

use std::collections::BTreeMap;
use std::time::Duration;

use windlass_api::k8s::api::core::v1::Pod;
use windlass_telemetry::{Counter, CounterFamily, DURATION_SECONDS, Gauge, GaugeFamily, Histogram, HistogramFamily};

use crate::pod::{ContainerKind, PodView};

pub(crate) struct Metrics {
    pub(crate) started_pods: Counter,
    pub(crate) started_pods_errors: Counter,
    started_containers: CounterFamily,
    started_containers_errors: CounterFamily,
    pod_start_duration: Histogram,
    pod_worker_duration: HistogramFamily,
    pub(crate) evictions: CounterFamily,
    running_pods: Gauge,
    running_containers: GaugeFamily,
    pod_certificates: GaugeFamily,
    /// On a page of their own, `/metrics/probes`, for there are many.
    probes: windlass_telemetry::Metrics,
    probe_total: CounterFamily,
    probe_duration: HistogramFamily,
}

impl Metrics {
    pub(crate) fn new(metrics: &windlass_telemetry::Metrics, node_name: &str) -> Self {
        let probes = windlass_telemetry::Metrics::default();
        let help = "The name of the node; always 1.";
        metrics.gauges("kubelet_node_name", help, &["node"]).with_label_values(&[node_name]).set(1);
        Self {
            started_pods: metrics.counter("kubelet_started_pods_total", "Sandboxes of pods that were made."),
            started_pods_errors: metrics
                .counter("kubelet_started_pods_errors_total", "Sandboxes of pods that could not be made."),
            started_containers: metrics.counters(
                "kubelet_started_containers_total",
                "Containers that were started.",
                &["container_type"],
            ),
            started_containers_errors: metrics.counters(
                "kubelet_started_containers_errors_total",
                "Containers that could not be started, by the reason.",
                &["container_type", "code"],
            ),
            pod_start_duration: metrics.histogram(
                "kubelet_pod_start_duration_seconds",
                "Time from when the kubelet first saw a pod to when it ran.",
                &[0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0],
            ),
            pod_worker_duration: metrics.histograms(
                "kubelet_pod_worker_duration_seconds",
                "Time of one round of work on a pod.",
                &["operation_type"],
                &DURATION_SECONDS,
            ),
            evictions: metrics.counters(
                "kubelet_evictions",
                "Pods that were evicted, by the signal that asked for it.",
                &["eviction_signal"],
            ),
            running_pods: metrics.gauge("kubelet_running_pods", "Pods whose sandbox is ready."),
            running_containers: metrics.gauges(
                "kubelet_running_containers",
                "Containers by their state.",
                &["container_state"],
            ),
            pod_certificates: metrics.gauges(
                "kubelet_podcertificate_states",
                "Gauge vector reporting the number of pod certificate projected volume sources, faceted by signer_name and state.",
                &["signer_name", "state"],
            ),
            probe_total: probes.counters(
                "prober_probe_total",
                "Probes by container and result.",
                &["probe_type", "result", "container", "pod", "namespace", "pod_uid"],
            ),
            probe_duration: probes.histograms(
                "prober_probe_duration_seconds",
                "Time that probes took, by container.",
                &["probe_type", "container", "pod", "namespace"],
                &DURATION_SECONDS,
            ),
            probes,
        }
    }

    pub(crate) fn container_started(&self, kind: ContainerKind) {
        self.started_containers.with_label_values(&[name_of(kind)]).inc();
    }

    pub(crate) fn container_failed(&self, kind: ContainerKind, reason: &'static str) {
        self.started_containers_errors.with_label_values(&[name_of(kind), reason]).inc();
    }

    pub(crate) fn pod_runs_after(&self, time: Duration) {
        self.pod_start_duration.observe(time.as_secs_f64());
    }

    pub(crate) fn worked(&self, operation: &'static str, time: Duration) {
        self.pod_worker_duration.with_label_values(&[operation]).observe(time.as_secs_f64());
    }

    /// What runs now: pods, and containers by state.
    pub(crate) fn set_running<'a>(&self, pods: usize, containers: impl IntoIterator<Item = (&'a str, usize)>) {
        self.running_pods.set(pods as i64);
        for (state, count) in containers {
            self.running_containers.with_label_values(&[state]).set(count as i64);
        }
    }

    /// How many certificates of pods there are of each signer, by their state. Signers that no pod asks any more are left out.
    pub(crate) fn set_pod_certificates(&self, counts: &BTreeMap<(String, &'static str), i64>) {
        self.pod_certificates.reset();
        for ((signer, state), count) in counts {
            self.pod_certificates.with_label_values(&[signer.as_str(), *state]).set(*count);
        }
    }

    pub(crate) fn probed(&self, pod: &Pod, container: &str, kind: &str, result: &str, time: Duration) {
        let (namespace, name) = (pod.namespace(), pod.name());
        self.probe_total.with_label_values(&[kind, result, container, name, namespace, pod.uid()]).inc();
        self.probe_duration.with_label_values(&[kind, container, name, namespace]).observe(time.as_secs_f64());
    }

    /// The pod is no more.
    pub(crate) fn forget_probes(&self, pod: &Pod, container: &str, kind: &str) {
        let (namespace, name) = (pod.namespace(), pod.name());
        for result in ["successful", "failed", "unknown"] {
            let labels = [kind, result, container, name, namespace, pod.uid()];
            // Not every result has come up.
            let _ = self.probe_total.remove_label_values(&labels);
        }
        let _ = self.probe_duration.remove_label_values(&[kind, container, name, namespace]);
    }

    pub(crate) fn probes_text(&self) -> Vec<u8> {
        self.probes.text().1
    }
}

fn name_of(kind: ContainerKind) -> &'static str {
    match kind {
        ContainerKind::Init => "init_container",
        ContainerKind::App => "container",
        ContainerKind::Ephemeral => "ephemeral_container",
    }
}
