//! What the proxy counts, under upstream's names (pkg/proxy/metrics).

use windlass_telemetry::{Counter, Gauge, Histogram, exponential};

#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) sync_duration: Histogram,
    /// Rounds in which the kernel's table was read.
    pub(crate) sync_full_duration: Histogram,
    /// All others.
    pub(crate) sync_partial_duration: Histogram,
    pub(crate) sync_last_timestamp: Gauge,
    pub(crate) sync_last_queued_timestamp: Gauge,
    pub(crate) endpoint_changes: Counter,
    pub(crate) endpoint_changes_pending: Gauge,
    pub(crate) service_changes: Counter,
    pub(crate) service_changes_pending: Gauge,
    pub(crate) sync_failures: Counter,
    pub(crate) conntrack_deleted_entries: Counter,
    pub(crate) conntrack_duration: Histogram,
}

impl Metrics {
    pub(crate) fn new(metrics: &windlass_telemetry::Metrics) -> Self {
        let duration = |name, help| metrics.histogram(name, help, &exponential(0.001, 2.0, 15));
        Self {
            sync_duration: duration(
                "kubeproxy_sync_proxy_rules_duration_seconds",
                "Time that a round of programming Services took.",
            ),
            sync_full_duration: duration(
                "kubeproxy_sync_full_proxy_rules_duration_seconds",
                "Time of the rounds that read the kernel's rules.",
            ),
            sync_partial_duration: duration(
                "kubeproxy_sync_partial_proxy_rules_duration_seconds",
                "Time of the rounds that sent only what had changed.",
            ),
            sync_last_timestamp: metrics.gauge(
                "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
                "When Services were programmed successfully for the last time.",
            ),
            sync_last_queued_timestamp: metrics.gauge(
                "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
                "When a change of Services was seen for the last time.",
            ),
            endpoint_changes: metrics.counter(
                "kubeproxy_sync_proxy_rules_endpoint_changes_total",
                "Changes of EndpointSlices that were seen.",
            ),
            endpoint_changes_pending: metrics.gauge(
                "kubeproxy_sync_proxy_rules_endpoint_changes_pending",
                "Changes of EndpointSlices that are not programmed yet.",
            ),
            service_changes: metrics
                .counter("kubeproxy_sync_proxy_rules_service_changes_total", "Changes of Services that were seen."),
            service_changes_pending: metrics.gauge(
                "kubeproxy_sync_proxy_rules_service_changes_pending",
                "Changes of Services that are not programmed yet.",
            ),
            sync_failures: metrics
                .counter("kubeproxy_sync_proxy_rules_nftables_sync_failures_total", "Rounds that the kernel refused."),
            conntrack_deleted_entries: metrics.counter(
                "kubeproxy_conntrack_reconciler_deleted_entries_total",
                "Flows that were forgotten because their endpoint has gone.",
            ),
            conntrack_duration: duration(
                "kubeproxy_conntrack_reconciler_sync_duration_seconds",
                "Time that it took to look for such flows.",
            ),
        }
    }
}
