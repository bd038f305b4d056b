//! The checks of the Pod Security Standards, one file each or for a small family.
//!
//! A check belongs to a level and has a rule for each version that changed it. Which rules count for a pod is up to the level
//! and the version that its namespace names; a restricted check may stand in for a baseline one.
//!
//! Source: upstream `k8s.io/pod-security-admission/policy`.

mod app_armor;
mod capabilities;
mod host_handlers;
mod host_namespaces;
mod host_ports;
mod privileges;
mod proc_mount;
mod run_as;
mod se_linux;
mod seccomp;
mod sysctls;
mod volumes;
mod wording;

use std::fmt;

use serde_json::Value;

use super::level::{Level, LevelVersion, Version};

/// A pod, or a template for pods, as checks see it.
#[derive(Clone, Copy)]
pub(super) struct Pod<'a> {
    pub metadata: &'a Value,
    pub spec: &'a Value,
}

impl<'a> Pod<'a> {
    /// Of a pod, or of the template of one: both have these two fields.
    pub(super) fn of(object: &'a Value) -> Self {
        Self { metadata: &object["metadata"], spec: &object["spec"] }
    }

    /// All containers, in the order in which messages name them.
    fn containers(self) -> impl Iterator<Item = &'a Value> {
        let lists = ["initContainers", "containers", "ephemeralContainers"];
        lists.into_iter().filter_map(move |list| self.spec.get(list)?.as_array()).flatten()
    }

    /// The names of the containers that are so.
    fn containers_that(self, are_so: impl Fn(&Value) -> bool) -> Vec<&'a str> {
        self.containers().filter(|container| are_so(container)).map(name).collect()
    }

    fn is_windows(self) -> bool {
        self.spec["os"]["name"] == "windows"
    }

    /// Whether the pod's root is nobody on the host.
    fn has_own_users(self) -> bool {
        self.spec["hostUsers"] == false
    }
}

fn name(object: &Value) -> &str {
    object["name"].as_str().unwrap_or_default()
}

/// A field that is there.
fn given<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    object.get(field).filter(|value| !value.is_null())
}

/// What a pod does that its level forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub reason: String,
    /// Where and how; for a person.
    pub detail: String,
}

impl Violation {
    fn new(reason: &str, detail: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), detail: detail.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.detail)
    }
}

type Rule = fn(Pod<'_>) -> Option<Violation>;

/// One check.
struct Check {
    id: &'static str,
    /// The minor version that a rule is in force from, oldest first.
    rules: &'static [(u64, Rule)],
    /// The baseline check that this restricted one stands in for.
    replaces: Option<&'static str>,
}

impl Check {
    const fn new(id: &'static str, rules: &'static [(u64, Rule)]) -> Self {
        Self { id, rules, replaces: None }
    }

    const fn instead_of(self, replaced: &'static str) -> Self {
        Self { replaces: Some(replaced), ..self }
    }

    fn rule(&self, version: Version) -> Option<Rule> {
        let in_force = self.rules.iter().rev().find(|(since, _)| Version::Minor(*since) <= version);
        in_force.map(|(_, rule)| *rule)
    }
}

/// In the order in which messages name them: by identifier.
const BASELINE: &[Check] = &[
    app_armor::PROFILE,
    capabilities::BASELINE,
    host_namespaces::NAMESPACES,
    volumes::HOST_PATHS,
    host_ports::PORTS,
    host_handlers::HANDLERS,
    privileges::PRIVILEGED,
    proc_mount::BASELINE,
    se_linux::OPTIONS,
    seccomp::BASELINE,
    sysctls::SYSCTLS,
    privileges::WINDOWS_HOST_PROCESS,
];

const RESTRICTED: &[Check] = &[
    privileges::ESCALATION,
    capabilities::RESTRICTED,
    proc_mount::RESTRICTED,
    volumes::RESTRICTED,
    run_as::NON_ROOT,
    run_as::USER,
    seccomp::RESTRICTED,
];

/// Everything that a pod does beyond a level.
pub(super) fn violations(of: LevelVersion, pod: Pod<'_>) -> Vec<Violation> {
    let (baseline, restricted) = match of.level {
        Level::Privileged => return Vec::new(),
        Level::Baseline => (BASELINE, &[][..]),
        Level::Restricted => (BASELINE, RESTRICTED),
    };
    let is_replaced =
        |id: &str| restricted.iter().any(|check| check.replaces == Some(id) && check.rule(of.version).is_some());
    let checks = baseline.iter().filter(|check| !is_replaced(check.id)).chain(restricted);
    checks.filter_map(|check| check.rule(of.version)).filter_map(|rule| rule(pod)).collect()
}

#[cfg(test)]
mod tests;
