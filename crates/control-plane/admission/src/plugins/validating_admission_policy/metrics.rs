//! What policies have decided, under upstream's names.

use windlass_telemetry::{CounterFamily, HistogramFamily, Metrics};

use super::evaluator::{Decision, Evaluation};

#[derive(Clone, Debug)]
pub(super) struct Figures {
    checks: CounterFamily,
    seconds: HistogramFamily,
}

impl Figures {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let labels = ["policy", "policy_binding", "error_type", "enforcement_action"];
        Self {
            checks: metrics.counters(
                "apiserver_validating_admission_policy_check_total",
                "Validation admission policy check total, labeled by policy and further identified by binding and enforcement action taken.",
                &labels,
            ),
            seconds: metrics.histograms(
                "apiserver_validating_admission_policy_check_duration_seconds",
                "Validation admission latency for individual validation expressions in seconds, labeled by policy and further including binding and enforcement action taken.",
                &labels,
                &[0.000_000_5, 0.001, 0.01, 0.1, 1.0],
            ),
        }
    }

    pub(super) fn observe(&self, policy: &str, binding: &str, action: &str, decision: &Decision) {
        let labels = [policy, binding, error_type(decision), action];
        self.checks.with_label_values(&labels).inc();
        self.seconds.with_label_values(&labels).observe(decision.elapsed.as_secs_f64());
    }
}

/// The kind of a decision, told by its message as upstream does.
fn error_type(decision: &Decision) -> &'static str {
    match &*decision.message {
        _ if decision.evaluation == Evaluation::Admit => "no_error",
        message if message.starts_with("compilation") => "compile_error",
        message if message.starts_with("validation failed due to running out of cost budget") => "out_of_budget",
        _ => "invalid_error",
    }
}
