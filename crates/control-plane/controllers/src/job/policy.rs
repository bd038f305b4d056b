//! What a job's policies make of pods that failed and of indexes that succeeded. Pure functions.

use super::indexes::Indexes;
use super::view::{FailurePolicy, FailureRule, Job, OnExitCodes, SuccessPolicy};
use crate::pods::{ContainerStatus, Pod};

/// What a failed pod means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Count,
    Ignore,
    FailIndex,
    /// With the message of the condition.
    FailJob(String),
}

impl Failure {
    pub(super) fn of(job: &Job, pod: &Pod) -> Self {
        job.spec.pod_failure_policy.as_ref().map_or(Self::Count, |policy| policy.judge(pod))
    }

    pub(super) fn counts(&self) -> bool {
        *self != Self::Ignore
    }
}

impl FailurePolicy {
    /// The first rule that matches decides.
    fn judge(&self, pod: &Pod) -> Failure {
        for (position, rule) in self.rules.iter().enumerate() {
            let Some(matched) = rule.matched(pod) else { continue };
            return match rule.action.as_str() {
                "Ignore" => Failure::Ignore,
                "FailIndex" => Failure::FailIndex,
                "FailJob" => Failure::FailJob(format!("{matched} matching FailJob rule at index {position}")),
                "Count" => Failure::Count,
                _ => continue,
            };
        }
        Failure::Count
    }
}

impl FailureRule {
    /// What of the pod the rule matches, in words.
    fn matched(&self, pod: &Pod) -> Option<String> {
        let name = pod.metadata.key();
        if let Some(wanted) = &self.on_exit_codes {
            let all = pod.status.container_statuses.iter().chain(&pod.status.init_container_statuses);
            let (container, code) = all.filter_map(|status| wanted.matched(status)).next()?;
            return Some(format!("Container {container} for pod {name} failed with exit code {code}"));
        }
        let is_wanted = |kind: &str, status: &str| {
            self.on_pod_conditions.iter().any(|wanted| wanted.kind == kind && wanted.status == status)
        };
        let condition = pod.status.conditions.iter().find(|condition| is_wanted(&condition.kind, &condition.status))?;
        Some(format!("Pod {name} has condition {}", condition.kind))
    }
}

impl OnExitCodes {
    fn matched<'s>(&self, status: &'s ContainerStatus) -> Option<(&'s str, i64)> {
        let code = status.state.terminated.as_ref()?.exit_code;
        let is_meant = self.container_name.as_ref().is_none_or(|name| *name == status.name);
        let matches = match self.operator.as_str() {
            "In" => self.values.contains(&code),
            "NotIn" => !self.values.contains(&code),
            _ => false,
        };
        (is_meant && code != 0 && matches).then_some((status.name.as_str(), code))
    }
}

impl SuccessPolicy {
    /// The message of the rule that is fulfilled.
    pub(super) fn met(&self, succeeded: &Indexes, completions: i64) -> Option<String> {
        if succeeded.is_empty() {
            return None;
        }
        let is_met = |rule: &super::view::SuccessRule| match (&rule.succeeded_indexes, rule.succeeded_count) {
            (Some(text), count) => {
                let required = Indexes::parse(text, completions);
                let present = required.overlap(succeeded);
                !required.is_empty() && (present == required.total() || count.is_some_and(|count| present >= count))
            }
            (None, Some(count)) => succeeded.total() >= count,
            (None, None) => false,
        };
        self.rules.iter().position(is_met).map(|position| format!("Matched rules at index {position}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judge(rules: &Value, container: &str, exit_code: i64) -> Failure {
        let job: Job = serde_json::from_value(json!({"spec": {"podFailurePolicy": {"rules": rules}}})).unwrap();
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns"},
            "status": {"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True"}],
                "containerStatuses": [{"name": container, "state": {"terminated": {"exitCode": exit_code}}}]}}))
        .unwrap();
        Failure::of(&job, &pod)
    }

    #[test]
    fn failures() {
        let codes = |action: &str, operator: &str| json!([{"action": action, "onExitCodes": {"containerName": "main", "operator": operator, "values": [3, 42]}}]);
        let job = "Container main for pod ns/p failed with exit code 42 matching FailJob rule at index 0";
        assert_eq!(judge(&codes("FailJob", "In"), "main", 42), Failure::FailJob(job.to_owned()));
        assert_eq!(judge(&codes("Ignore", "In"), "main", 1), Failure::Count);
        assert_eq!(judge(&codes("Ignore", "NotIn"), "main", 1), Failure::Ignore);
        assert_eq!(judge(&codes("Ignore", "NotIn"), "main", 0), Failure::Count);
        assert_eq!(judge(&codes("FailIndex", "In"), "other", 42), Failure::Count);
        let condition =
            json!([{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]);
        assert_eq!(judge(&condition, "main", 1), Failure::Ignore);
        assert_eq!(judge(&json!([]), "main", 1), Failure::Count);
    }

    #[test]
    fn successes() {
        for (rules, succeeded, expected) in [
            (json!([{"succeededIndexes": "0-2"}]), "0,1", None),
            (json!([{"succeededIndexes": "0-2"}]), "0-3", Some("Matched rules at index 0")),
            (json!([{"succeededIndexes": "0-2", "succeededCount": 1}]), "2,4", Some("Matched rules at index 0")),
            (json!([{"succeededIndexes": "9"}, {"succeededCount": 2}]), "2,4", Some("Matched rules at index 1")),
            (json!([{"succeededCount": 0}]), "", None),
        ] {
            let policy: SuccessPolicy = serde_json::from_value(json!({"rules": rules})).unwrap();
            let met = policy.met(&Indexes::parse(succeeded, 10), 10);
            assert_eq!(met.as_deref(), expected, "{rules} {succeeded}");
        }
    }
}
