//! Whether a container that has ended is started again: the pod's policy, the container's own, and its rules.

use windlass_api::k8s::api::core::v1::{Container, ContainerRestartRule, Pod};

use crate::observe::{ContainerView, Observed, State};
use crate::pod::PodView;

/// What a rule of a container asks for.
const RESTART: &str = "Restart";
const RESTART_ALL: &str = "RestartAllContainers";

fn matching(rules: &[ContainerRestartRule], exit_code: i32) -> Option<&ContainerRestartRule> {
    rules.iter().find(|rule| {
        rule.exit_codes.as_ref().is_some_and(|codes| {
            let listed = codes.values.as_deref().unwrap_or_default().contains(&exit_code);
            match codes.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                _ => false,
            }
        })
    })
}

fn by_policy(policy: &str, exit_code: i32) -> bool {
    match policy {
        "Never" => false,
        "OnFailure" => exit_code != 0,
        _ => true,
    }
}

/// Whether a container that has returned `exit_code` is to run again: its rules come first, then its own policy, then the pod's.
pub(crate) fn after_exit(container: &Container, pod_policy: &str, exit_code: i32) -> bool {
    if let Some(own) = container.restart_policy.as_deref() {
        let rules = container.restart_policy_rules.as_deref().unwrap_or_default();
        if let Some(rule) = matching(rules, exit_code) {
            return matches!(rule.action.as_str(), RESTART | RESTART_ALL);
        }
        return by_policy(own, exit_code);
    }
    by_policy(pod_policy, exit_code)
}

/// Whether a container that is killed while it runs comes again: there is no exit code for the rules to look at.
pub(crate) fn after_kill(container: &Container, pod_policy: &str) -> bool {
    container.restart_policy.as_deref().unwrap_or(pod_policy) != "Never"
}

/// Whether a container should run and does not.
pub(crate) fn should_start(container: &Container, pod: &Pod, observed: &Observed) -> bool {
    if pod.is_deleting() {
        return false;
    }
    match observed.latest(&container.name) {
        None => true,
        Some(ContainerView { state: State::Running, .. }) => false,
        Some(ContainerView { state: State::Unknown | State::Created, .. }) => true,
        Some(ContainerView { state: State::Exited, exit_code, .. }) => {
            after_exit(container, pod.restart_policy(), *exit_code)
        }
    }
}

#[cfg(test)]
mod tests {
    use windlass_api::k8s::api::core::v1::ContainerRestartRuleOnExitCodes;

    use super::*;

    fn rule(action: &str, operator: &str, values: &[i32]) -> ContainerRestartRule {
        ContainerRestartRule {
            action: action.to_owned(),
            exit_codes: Some(ContainerRestartRuleOnExitCodes {
                operator: operator.to_owned(),
                values: Some(values.to_vec()),
            }),
        }
    }

    #[test]
    fn rules_come_before_policies() {
        let plain = Container::default();
        let own = |policy: &str, rules: Vec<ContainerRestartRule>| Container {
            restart_policy: Some(policy.to_owned()),
            restart_policy_rules: Some(rules),
            ..Container::default()
        };
        let cases = [
            (plain.clone(), "Always", 0, true),
            (plain.clone(), "OnFailure", 0, false),
            (plain.clone(), "OnFailure", 1, true),
            (plain, "Never", 1, false),
            (own("Never", vec![]), "Always", 1, false),
            (own("Always", vec![]), "Never", 0, true),
            (own("Never", vec![rule("Restart", "In", &[42])]), "Never", 42, true),
            (own("Never", vec![rule("Restart", "In", &[42])]), "Never", 1, false),
            (own("Never", vec![rule("Restart", "NotIn", &[42])]), "Never", 1, true),
            (own("Never", vec![rule("RestartAllContainers", "In", &[7])]), "Never", 7, true),
        ];
        for (container, policy, exit_code, expected) in cases {
            assert_eq!(after_exit(&container, policy, exit_code), expected, "{container:?} {policy} {exit_code}");
        }
    }
}
