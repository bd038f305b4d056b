//! What policies have changed, under upstream's names.

use std::time::Duration;

use windlass_telemetry::{CounterFamily, HistogramFamily, Metrics};

#[derive(Clone, Debug)]
pub(super) struct Figures {
    checks: CounterFamily,
    seconds: HistogramFamily,
}

impl Figures {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let labels = ["policy", "policy_binding", "error_type"];
        Self {
            checks: metrics.counters(
                "apiserver_mutating_admission_policy_check_total",
                "Mutation admission policy check total, labeled by policy and further identified by binding.",
                &labels,
            ),
            seconds: metrics.histograms(
                "apiserver_mutating_admission_policy_check_duration_seconds",
                "Mutation admission latency for individual mutation expressions in seconds, labeled by policy and binding.",
                &labels,
                &[0.000_000_5, 0.001, 0.01, 0.1, 1.0],
            ),
        }
    }

    /// Counts a mutation, which may have failed.
    pub(super) fn observe(&self, policy: &str, binding: &str, elapsed: Duration, error: Option<&str>) {
        let error_type = match error {
            None => "no_error",
            Some(why) if why.starts_with("compilation") => "compile_error",
            Some(why) if why.starts_with("validation failed due to running out of cost budget") => "out_of_budget",
            Some(_) => "invalid_error",
        };
        let labels = [policy, binding, error_type];
        self.checks.with_label_values(&labels).inc();
        self.seconds.with_label_values(&labels).observe(elapsed.as_secs_f64());
    }
}
