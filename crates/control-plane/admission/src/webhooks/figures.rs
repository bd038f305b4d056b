//! What webhooks have done and how long they took, under upstream's names. Names of webhooks are labels: administrators choose them.

use std::time::Duration;

use windlass_telemetry::{CounterFamily, HistogramFamily, Metrics};

use super::denial::Denial;
use crate::review::Operation;

const SECONDS: [f64; 8] = [0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0];
/// Codes beyond this are counted as this one.
const CODE_MAX: u16 = 600;

#[derive(Clone, Debug)]
pub(crate) struct Figures {
    durations: HistogramFamily,
    requests: CounterFamily,
    rejections: CounterFamily,
    fail_open: CounterFamily,
    exclusions: CounterFamily,
}

/// The question whose end is counted.
pub(super) struct Asked<'a> {
    pub webhook: &'a str,
    /// `admit` or `validating`, as upstream.
    pub step: &'a str,
    pub operation: Operation,
    pub elapsed: Duration,
}

impl Figures {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            durations: metrics.histograms(
                "apiserver_admission_webhook_admission_duration_seconds",
                "Admission webhook latency histogram in seconds, identified by name and broken out for each operation and API resource and type (validate or admit).",
                &["name", "type", "operation", "rejected"],
                &SECONDS,
            ),
            requests: metrics.counters(
                "apiserver_admission_webhook_request_total",
                "Admission webhook request total, identified by name and broken out for each admission type (validating or admit) and operation. Additional labels specify whether the request was rejected or not and an HTTP status code. Codes greater than 600 are truncated to 600, to keep the metrics cardinality bounded.",
                &["name", "type", "operation", "code", "rejected"],
            ),
            rejections: metrics.counters(
                "apiserver_admission_webhook_rejection_count",
                "Admission webhook rejection count, identified by name and broken out for each admission type (validating or admit) and operation. Additional labels specify an error type (calling_webhook_error or apiserver_internal_error if an error occurred; no_error otherwise) and optionally a non-zero rejection code if the webhook rejects the request with an HTTP status code (honored by the apiserver when the code is greater or equal to 400). Codes greater than 600 are truncated to 600, to keep the metrics cardinality bounded.",
                &["name", "type", "operation", "error_type", "rejection_code"],
            ),
            fail_open: metrics.counters(
                "apiserver_admission_webhook_fail_open_count",
                "Admission webhook fail open count, identified by name and broken out for each admission type (validating or admit).",
                &["name", "type"],
            ),
            exclusions: metrics.counters(
                "apiserver_admission_match_condition_exclusions_total",
                "Admission match condition evaluation exclusions count, identified by name of resource containing the match condition and broken out for each kind containing matchConditions (webhook or policy), operation and admission type (validate or admit).",
                &["name", "kind", "type", "operation"],
            ),
        }
    }

    /// Counts a question, and how it ended.
    pub(super) fn asked(&self, asked: &Asked<'_>, denial: Option<&Denial>, fails_open: bool) {
        let Asked { webhook, step, elapsed, .. } = *asked;
        let operation = asked.operation.name();
        let (code, error) = match denial {
            None => (200, None),
            Some(Denial::Rejected(status)) => (status.code, Some("no_error")),
            Some(Denial::Uncalled { code, .. }) => (*code, (!fails_open).then_some("calling_webhook_error")),
            Some(Denial::Unusable(_)) => (0, Some("apiserver_internal_error")),
        };
        let code = code.min(CODE_MAX).to_string();
        let rejected = if error.is_some() { "true" } else { "false" };
        self.durations.with_label_values(&[webhook, step, operation, rejected]).observe(elapsed.as_secs_f64());
        self.requests.with_label_values(&[webhook, step, operation, &code, rejected]).inc();
        if let Some(error) = error {
            self.rejections.with_label_values(&[webhook, step, operation, error, &code]).inc();
        }
    }

    pub(super) fn failed_open(&self, webhook: &str, step: &str) {
        self.fail_open.with_label_values(&[webhook, step]).inc();
    }

    pub(super) fn excluded(&self, webhook: &str, step: &str, operation: Operation) {
        self.exclusions.with_label_values(&[webhook, "webhook", step, operation.name()]).inc();
    }
}
