//! What the server counts, under CoreDNS' names, which dashboards know. The values are plain; whoever serves metrics reads them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

/// All are cumulative except those that say "now".
#[derive(Debug, Default)]
pub struct Metrics {
    /// `coredns_dns_requests_total{proto="udp"}`
    pub requests_udp: AtomicU64,
    /// `coredns_dns_requests_total{proto="tcp"}`
    pub requests_tcp: AtomicU64,
    /// `coredns_dns_requests_total` by `type`, in the order of [`TYPES`].
    pub requests_by_type: [AtomicU64; TYPES.len()],
    /// `coredns_dns_responses_total` by `rcode`, in the order of [`RESPONSE_CODES`].
    pub responses_by_code: [AtomicU64; RESPONSE_CODES.len()],
    /// `coredns_dns_request_duration_seconds`
    pub duration: Histogram,
    /// `coredns_cache_hits_total`
    pub cache_hits: AtomicU64,
    /// `coredns_cache_misses_total`
    pub cache_misses: AtomicU64,
    /// `coredns_cache_entries`, now.
    pub cache_entries: AtomicU64,
    /// `coredns_proxy_request_duration_seconds`: questions that went to an upstream and came back.
    pub upstream_duration: Histogram,
    /// `coredns_forward_max_concurrent_rejects_total`
    pub forwards_rejected: AtomicU64,
    /// Questions to upstreams that failed or took too long.
    pub upstream_failures: AtomicU64,
    /// Questions of ours that came back to us: an upstream asks this server.
    pub loops: AtomicU64,
}

/// The values of the label `type`. The last stands for all others.
pub const TYPES: [&str; 8] = ["A", "AAAA", "SRV", "PTR", "CNAME", "TXT", "NS", "other"];
/// The values of the label `rcode`. The last stands for all others.
pub const RESPONSE_CODES: [&str; 7] = ["NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP", "other"];

impl Metrics {
    pub(crate) fn request(&self, tcp: bool, kind: Option<RecordType>) {
        let protocol = if tcp { &self.requests_tcp } else { &self.requests_udp };
        protocol.fetch_add(1, Ordering::Relaxed);
        let position = match kind {
            Some(RecordType::A) => 0,
            Some(RecordType::AAAA) => 1,
            Some(RecordType::SRV) => 2,
            Some(RecordType::PTR) => 3,
            Some(RecordType::CNAME) => 4,
            Some(RecordType::TXT) => 5,
            Some(RecordType::NS) => 6,
            _ => 7,
        };
        self.requests_by_type[position].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn response(&self, code: ResponseCode) {
        let position = match code {
            ResponseCode::NoError => 0,
            ResponseCode::NXDomain => 1,
            ResponseCode::ServFail => 2,
            ResponseCode::Refused => 3,
            ResponseCode::FormErr => 4,
            ResponseCode::NotImp => 5,
            _ => 6,
        };
        self.responses_by_code[position].fetch_add(1, Ordering::Relaxed);
    }
}

/// CoreDNS' buckets: from a quarter of a millisecond, each twice the last.
const BUCKETS: usize = 16;
const FIRST_BUCKET: Duration = Duration::from_micros(250);

#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    count: AtomicU64,
    sum_microseconds: AtomicU64,
}

impl Histogram {
    pub fn observe(&self, duration: Duration) {
        if let Some(bucket) = (0..BUCKETS).find(|bucket| duration <= FIRST_BUCKET * (1 << bucket)) {
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
