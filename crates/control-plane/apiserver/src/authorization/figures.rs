//! What is measured of authorizers, under upstream's names.

use std::time::Duration;

use windlass_telemetry::{Counter, CounterFamily, HistogramFamily, Metrics};

/// As Prometheus' client for Go has them by default.
const SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const OF_CONDITIONS: [f64; 7] = [0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25];

/// The metrics of all authorizers.
#[derive(Clone)]
pub(super) struct Figures {
    decisions: CounterFamily,
    evaluations: CounterFamily,
    durations: HistogramFamily,
    fail_open: CounterFamily,
    condition_seconds: HistogramFamily,
    condition_errors: CounterFamily,
    condition_exclusions: CounterFamily,
}

/// The decisions of one authorizer that ended the question.
pub(super) struct Decisions {
    pub allowed: Counter,
    pub denied: Counter,
}

impl Figures {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let (of_authorizer, of_webhook) = (["type", "name"], ["name", "result"]);
        Self {
            decisions: metrics.counters(
                "apiserver_authorization_decisions_total",
                "Decisions that ended a question, by authorizer and decision.",
                &["type", "name", "decision"],
            ),
            evaluations: metrics.counters(
                "apiserver_authorization_webhook_evaluations_total",
                "Round-trips to authorization webhooks.",
                &of_webhook,
            ),
            durations: metrics.histograms(
                "apiserver_authorization_webhook_duration_seconds",
                "How long authorization webhooks took to answer, in seconds.",
                &of_webhook,
                &SECONDS,
            ),
            fail_open: metrics.counters(
                "apiserver_authorization_webhook_evaluations_fail_open_total",
                "Questions that a webhook did not answer, and the next authorizer was asked.",
                &of_webhook,
            ),
            condition_seconds: metrics.histograms(
                "apiserver_authorization_match_condition_evaluation_seconds",
                "How long the match conditions of webhooks took, in seconds.",
                &of_authorizer,
                &OF_CONDITIONS,
            ),
            condition_errors: metrics.counters(
                "apiserver_authorization_match_condition_evaluation_errors_total",
                "Match conditions of webhooks that could not be evaluated.",
                &of_authorizer,
            ),
            condition_exclusions: metrics.counters(
                "apiserver_authorization_match_condition_exclusions_total",
                "Questions that a webhook was not asked because a match condition was false.",
                &of_authorizer,
            ),
        }
    }

    pub(super) fn decisions(&self, of: &str, name: &str) -> Decisions {
        let of = |decision| self.decisions.with_label_values(&[of, name, decision]);
        Decisions { allowed: of("allowed"), denied: of("denied") }
    }

    pub(super) fn asked(&self, webhook: &str, result: &str, took: Duration) {
        self.evaluations.with_label_values(&[webhook, result]).inc();
        self.durations.with_label_values(&[webhook, result]).observe(took.as_secs_f64());
    }

    pub(super) fn failed_open(&self, webhook: &str, result: &str) {
        self.fail_open.with_label_values(&[webhook, result]).inc();
    }

    pub(super) fn matched(&self, webhook: &str, result: &Result<bool, String>, took: Duration) {
        let labels = ["Webhook", webhook];
        self.condition_seconds.with_label_values(&labels).observe(took.as_secs_f64());
        match result {
            Ok(true) => {}
            Ok(false) => self.condition_exclusions.with_label_values(&labels).inc(),
            Err(_) => self.condition_errors.with_label_values(&labels).inc(),
        }
    }
}
