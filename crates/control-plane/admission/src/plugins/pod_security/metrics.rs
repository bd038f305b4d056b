//! What PodSecurity has decided, under upstream's names.

use windlass_telemetry::{CounterFamily, Metrics};

use super::level::{Level, LevelVersion, Version};
use crate::review::{Operation, Review};

/// The minor version whose checks are the newest that are known; a later one is not told apart.
const NEWEST_MINOR: u64 = 37;

pub(super) const ALLOW: &str = "allow";
pub(super) const DENY: &str = "deny";

#[derive(Clone, Debug)]
pub(super) struct Figures {
    evaluations: CounterFamily,
    exemptions: CounterFamily,
    errors: CounterFamily,
}

impl Figures {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let request = ["request_operation", "resource", "subresource"];
        let of_request = |first: &[&'static str]| [first, &request].concat();
        Self {
            evaluations: metrics.counters(
                "pod_security_evaluations_total",
                "Number of policy evaluations that occurred, not counting ignored or exempt requests.",
                &of_request(&["decision", "policy_level", "policy_version", "mode"]),
            ),
            exemptions: metrics.counters(
                "pod_security_exemptions_total",
                "Number of exempt requests, not counting ignored or out of scope requests.",
                &request,
            ),
            errors: metrics.counters(
                "pod_security_errors_total",
                "Number of errors preventing normal evaluation. Non-fatal errors may result in the latest restricted profile being used for evaluation.",
                &of_request(&["fatal"]),
            ),
        }
    }

    pub(super) fn evaluated(&self, review: &Review<'_>, mode: &str, policy: LevelVersion, decision: &str) {
        let version = match policy.version {
            // What is privileged is so in every version.
            _ if policy.level == Level::Privileged => "latest".to_owned(),
            Version::Minor(minor) if minor > NEWEST_MINOR => "future".to_owned(),
            version => version.to_string(),
        };
        let [operation, resource, subresource] = request(review);
        let labels = [decision, policy.level.name(), &version, mode, operation, resource, subresource];
        self.evaluations.with_label_values(&labels).inc();
    }

    pub(super) fn exempted(&self, review: &Review<'_>) {
        self.exemptions.with_label_values(&request(review)).inc();
    }

    /// After a fatal error nothing was evaluated.
    pub(super) fn failed(&self, review: &Review<'_>, is_fatal: bool) {
        let [operation, resource, subresource] = request(review);
        let fatal = if is_fatal { "true" } else { "false" };
        self.errors.with_label_values(&[fatal, operation, resource, subresource]).inc();
    }
}

/// Labels of a request: all three are of few values, whatever a client sends.
fn request<'a>(review: &Review<'a>) -> [&'a str; 3] {
    let operation = if review.operation == Operation::Create { "create" } else { "update" };
    let resource = match (&*review.resource.group, &*review.resource.resource) {
        ("", "pods") => "pod",
        ("", "namespaces") => "namespace",
        _ => "controller",
    };
    [operation, resource, review.subresource]
}
