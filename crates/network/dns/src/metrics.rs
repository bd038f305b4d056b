//! What the server counts, under CoreDNS' names, which dashboards know.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use windlass_telemetry::{Counter, CounterFamily, Gauge, Histogram, exponential};

/// The labels `server` and `zone`, which CoreDNS has on everything.
const SERVER: [&str; 2] = ["dns://:53", "."];

#[derive(Debug)]
pub(crate) struct Metrics {
    requests: CounterFamily,
    responses: CounterFamily,
    pub(crate) duration: Histogram,
    pub(crate) cache_hits: Counter,
    pub(crate) cache_misses: Counter,
    pub(crate) cache_entries: Gauge,
    /// Questions that went to an upstream and came back.
    pub(crate) upstream_duration: Histogram,
    pub(crate) forwards_rejected: Counter,
    pub(crate) upstream_failures: Counter,
    /// Questions of ours that came back to us: an upstream asks this server.
    pub(crate) loops: Counter,
}

impl Metrics {
    pub(crate) fn new(metrics: &windlass_telemetry::Metrics) -> Self {
        let buckets = exponential(0.00025, 2.0, 16);
        let counter = |name, help| metrics.counters(name, help, &["server", "zone"]).with_label_values(&SERVER);
        let duration =
            |name, help| metrics.histograms(name, help, &["server", "zone"], &buckets).with_label_values(&SERVER);
        Self {
            requests: metrics.counters(
                "coredns_dns_requests_total",
                "Questions by protocol and type.",
                &["server", "zone", "proto", "type"],
            ),
            responses: metrics.counters(
                "coredns_dns_responses_total",
                "Answers by their code.",
                &["server", "zone", "rcode"],
            ),
            duration: duration("coredns_dns_request_duration_seconds", "Time from a question to its answer."),
            cache_hits: counter("coredns_cache_hits_total", "Questions for upstreams that the cache answered."),
            cache_misses: counter(
                "coredns_cache_misses_total",
                "Questions for upstreams that the cache could not answer.",
            ),
            cache_entries: metrics
                .gauges("coredns_cache_entries", "Answers in the cache.", &["server", "zone"])
                .with_label_values(&SERVER),
            upstream_duration: metrics.histogram(
                "coredns_proxy_request_duration_seconds",
                "Time that upstreams took to answer.",
                &buckets,
            ),
            forwards_rejected: counter(
                "coredns_forward_max_concurrent_rejects_total",
                "Questions that were refused because too many waited for upstreams.",
            ),
            upstream_failures: metrics.counter(
                "windlass_dns_upstream_failures_total",
                "Questions to upstreams that failed or took too long.",
            ),
            loops: metrics.counter("windlass_dns_loops_total", "Questions to upstreams that came back to this server."),
        }
    }

    pub(crate) fn request(&self, tcp: bool, kind: Option<RecordType>) {
        let protocol = if tcp { "tcp" } else { "udp" };
        // CoreDNS counts rare types together.
        let kind = match kind {
            Some(RecordType::A) => "A",
            Some(RecordType::AAAA) => "AAAA",
            Some(RecordType::SRV) => "SRV",
            Some(RecordType::PTR) => "PTR",
            Some(RecordType::CNAME) => "CNAME",
            Some(RecordType::TXT) => "TXT",
            Some(RecordType::NS) => "NS",
            _ => "other",
        };
        self.requests.with_label_values(&[SERVER[0], SERVER[1], protocol, kind]).inc();
    }

    pub(crate) fn response(&self, code: ResponseCode) {
        let code = match code {
            ResponseCode::NoError => "NOERROR",
            ResponseCode::NXDomain => "NXDOMAIN",
            ResponseCode::ServFail => "SERVFAIL",
            ResponseCode::Refused => "REFUSED",
            ResponseCode::FormErr => "FORMERR",
            ResponseCode::NotImp => "NOTIMP",
            _ => "other",
        };
        self.responses.with_label_values(&[SERVER[0], SERVER[1], code]).inc();
    }
}
