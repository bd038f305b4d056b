//! What the proxy counts, under upstream's names (pkg/proxy/metrics). The values are plain; whoever serves metrics reads them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// All are cumulative except those that say "now".
#[derive(Debug, Default)]
pub struct Metrics {
    /// `kubeproxy_sync_proxy_rules_duration_seconds`
    pub sync_duration: Histogram,
    /// `kubeproxy_sync_full_proxy_rules_duration_seconds`: rounds in which the kernel's table was read.
    pub sync_full_duration: Histogram,
    /// `kubeproxy_sync_partial_proxy_rules_duration_seconds`: all others.
    pub sync_partial_duration: Histogram,
    /// `kubeproxy_sync_proxy_rules_last_timestamp_seconds`, now, in milliseconds since the epoch.
    pub sync_last_timestamp_milliseconds: AtomicU64,
    /// `kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds`, now, in milliseconds since the epoch.
    pub sync_last_queued_timestamp_milliseconds: AtomicU64,
    /// `kubeproxy_sync_proxy_rules_endpoint_changes_total`
    pub endpoint_changes: AtomicU64,
    /// `kubeproxy_sync_proxy_rules_endpoint_changes_pending`, now.
    pub endpoint_changes_pending: AtomicU64,
    /// `kubeproxy_sync_proxy_rules_service_changes_total`
    pub service_changes: AtomicU64,
    /// `kubeproxy_sync_proxy_rules_service_changes_pending`, now.
    pub service_changes_pending: AtomicU64,
    /// `kubeproxy_sync_proxy_rules_nftables_sync_failures_total`
    pub sync_failures: AtomicU64,
    /// `kubeproxy_conntrack_reconciler_deleted_entries_total`
    pub conntrack_deleted_entries: AtomicU64,
    /// `kubeproxy_conntrack_reconciler_sync_duration_seconds`
    pub conntrack_duration: Histogram,
}

/// Buckets of upstream's sync histograms: from a millisecond, each twice the last.
const BUCKETS: usize = 15;
const FIRST_BUCKET: Duration = Duration::from_millis(1);

#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    count: AtomicU64,
    sum_microseconds: AtomicU64,
}

impl Histogram {
    pub fn observe(&self, duration: Duration) {
        let bound = |bucket: usize| FIRST_BUCKET * (1 << bucket);
        if let Some(bucket) = (0..BUCKETS).find(|bucket| duration <= bound(*bucket)) {
            self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum_microseconds.fetch_add(duration.as_micros() as u64, Ordering::Relaxed);
    }

    /// (upper bound in seconds, observations up to it) for each bucket but the infinite one.
    pub fn cumulative(&self) -> Vec<(f64, u64)> {
        let mut total = 0;
        let counts = self.buckets.iter().enumerate();
        counts
            .map(|(bucket, count)| {
                total += count.load(Ordering::Relaxed);
                ((FIRST_BUCKET * (1 << bucket)).as_secs_f64(), total)
            })
            .collect()
    }

    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub fn sum_seconds(&self) -> f64 {
        Duration::from_micros(self.sum_microseconds.load(Ordering::Relaxed)).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_fall_into_buckets() {
        let histogram = Histogram::default();
        for milliseconds in [1, 2, 3, 100_000] {
            histogram.observe(Duration::from_millis(milliseconds));
        }
        assert_eq!(histogram.cumulative()[..3], [(0.001, 1), (0.002, 2), (0.004, 3)]);
        assert_eq!(histogram.cumulative().last(), Some(&(16.384, 3)));
        assert_eq!((histogram.count(), histogram.sum_seconds()), (4, 100.006));
    }
}
