//! PodSecurity: holds pods against the Pod Security Standards, at the levels that their namespace's labels ask for.
//!
//! The mode enforce refuses pods; the mode warn tells the client of pods, and of templates for pods, that go beyond their level.
//! The mode audit annotates the request in the audit log.
//!
//! Source: upstream `k8s.io/pod-security-admission`.

mod checks;
mod configuration;
mod level;
mod metrics;
mod namespace;
mod policy;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use windlass_api::Status;
use windlass_machinery::tree::{by_name, items, text};
use windlass_telemetry::Metrics;

use self::checks::{Pod, Violation, violations};
pub use self::configuration::Configuration;
pub(crate) use self::configuration::{GROUP, KIND, Written};
use self::level::{Level, LevelVersion};
use self::metrics::{ALLOW, DENY, Figures};
use self::policy::Policy;
use crate::chain::Plugin;
use crate::review::{Cluster, Operation, Review};

/// The plugin.
#[derive(Clone, Debug)]
pub struct PodSecurity {
    defaults: Policy,
    exemptions: Exemptions,
    figures: Figures,
}

/// What is not held against any level.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Exemptions {
    pub usernames: Vec<String>,
    pub runtime_classes: Vec<String>,
    pub namespaces: Vec<String>,
}

impl Exemptions {
    fn contains(list: &[String], name: &str) -> bool {
        !name.is_empty() && list.iter().any(|exempt| exempt == name)
    }

    fn has_namespace(&self, name: &str) -> bool {
        Self::contains(&self.namespaces, name)
    }

    /// What exempts a request, as the audit log names it.
    fn of_request(&self, review: &Review<'_>) -> Option<&'static str> {
        if self.has_namespace(review.namespace) {
            return Some("namespace");
        }
        Self::contains(&self.usernames, &review.user.name).then_some("user")
    }

    fn has_pod(&self, pod: Pod<'_>) -> bool {
        Self::contains(&self.runtime_classes, text(pod.spec, "runtimeClassName"))
    }
}

/// Subresources of pods that do not change what a pod may do.
const HARMLESS: [&str; 8] = ["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"];

#[async_trait]
impl Plugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    async fn validate(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let Some(object) = review.object.as_deref() else { return Ok(()) };
        if !matches!(review.operation, Operation::Create | Operation::Update) {
            return Ok(());
        }
        match (&*review.resource.group, &*review.resource.resource) {
            ("", "namespaces") => self.validate_namespace(review, object, cluster),
            ("", "pods") => self.validate_pod(review, object, cluster),
            (group, resource) => {
                let template = template_of(group, resource).and_then(|path| object.pointer(path));
                if let Some(template) = template.filter(|_| review.subresource.is_empty()) {
                    self.review_template(review, template, cluster);
                }
                Ok(())
            }
        }
    }
}

/// Where a workload has the template of its pods.
fn template_of(group: &str, resource: &str) -> Option<&'static str> {
    match (group, resource) {
        ("", "podtemplates") => Some("/template"),
        ("", "replicationcontrollers")
        | ("apps", "replicasets" | "deployments" | "statefulsets" | "daemonsets")
        | ("batch", "jobs") => Some("/spec/template"),
        ("batch", "cronjobs") => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    }
}

impl Default for PodSecurity {
    fn default() -> Self {
        Self::new(Configuration::default(), &Metrics::default())
    }
}

impl PodSecurity {
    /// What it decides is counted in `metrics`.
    pub fn new(configuration: Configuration, metrics: &Metrics) -> Self {
        let Configuration { defaults, exemptions } = configuration;
        Self { defaults, exemptions, figures: Figures::new(metrics) }
    }

    /// The policy of the namespace of a request, and whether it could be read; `None` when there is no such namespace.
    fn policy(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Option<(Policy, bool)> {
        let Some(namespace) = cluster.object("namespaces", "", review.namespace) else {
            self.figures.failed(review, true);
            return None;
        };
        // Labels that cannot be read are refused; those that stood there before this was checked have their strict reading.
        let (policy, errors) = Policy::of(&namespace, self.defaults);
        Some((policy, errors.is_empty()))
    }

    fn is_exempt(&self, review: &Review<'_>) -> bool {
        let exempt = self.exemptions.of_request(review);
        if let Some(by) = exempt {
            self.figures.exempted(review);
            annotate(review, "exempt", || by.to_owned());
        }
        exempt.is_some()
    }

    fn validate_pod(&self, review: &Review<'_>, object: &Value, cluster: &dyn Cluster) -> Result<(), Status> {
        if HARMLESS.contains(&review.subresource) || self.is_exempt(review) {
            return Ok(());
        }
        let Some((policy, is_read)) = self.policy(review, cluster) else {
            return Err(Status::internal(format!("failed to lookup namespace {:?}", review.namespace)));
        };
        if is_read && policy.is_fully_privileged() {
            self.figures.evaluated(review, "enforce", policy.enforce, ALLOW);
            annotate(review, "enforce-policy", || policy.enforce.to_string());
            return Ok(());
        }
        let is_update = review.operation == Operation::Update;
        if is_update && review.old.is_some_and(|old| !changes_containers(&object["spec"], &old["spec"])) {
            return Ok(());
        }
        let pod = Pod::of(object);
        if self.is_evaluated(review, pod, is_read) {
            annotate(review, "enforce-policy", || policy.enforce.to_string());
            let found = violations(policy.enforce, pod);
            let decision = if found.is_empty() { ALLOW } else { DENY };
            self.figures.evaluated(review, "enforce", policy.enforce, decision);
            self.audit(review, policy.audit, pod);
            if !found.is_empty() {
                return Err(review.forbidden(sentence("violates", policy.enforce, &found)));
            }
            self.warn(review, policy.warn, pod);
        }
        Ok(())
    }

    /// Whether a pod is held against levels: its runtime class may exempt it.
    fn is_evaluated(&self, review: &Review<'_>, pod: Pod<'_>, is_read: bool) -> bool {
        if self.exemptions.has_pod(pod) {
            self.figures.exempted(review);
            annotate(review, "exempt", || "runtimeClass".to_owned());
            return false;
        }
        if !is_read {
            self.figures.failed(review, false);
            annotate(review, "error", || "Failed to parse policy: the labels of the namespace are invalid".to_owned());
        }
        true
    }

    fn audit(&self, review: &Review<'_>, level: LevelVersion, pod: Pod<'_>) {
        let found = violations(level, pod);
        if !found.is_empty() {
            self.figures.evaluated(review, "audit", level, DENY);
            annotate(review, "audit-violations", || sentence("would violate", level, &found));
        }
    }

    fn warn(&self, review: &Review<'_>, level: LevelVersion, pod: Pod<'_>) {
        let found = violations(level, pod);
        if !found.is_empty() {
            self.figures.evaluated(review, "warn", level, DENY);
            review.warnings.warn(sentence("would violate", level, &found));
        }
    }

    fn review_template(&self, review: &Review<'_>, template: &Value, cluster: &dyn Cluster) {
        if self.is_exempt(review) {
            return;
        }
        let Some((policy, is_read)) = self.policy(review, cluster) else { return };
        let pod = Pod::of(template);
        let is_silent = [policy.audit, policy.warn].iter().all(|mode| mode.level == Level::Privileged);
        if !(is_read && is_silent) && self.is_evaluated(review, pod, is_read) {
            self.audit(review, policy.audit, pod);
            self.warn(review, policy.warn, pod);
        }
    }
}

/// Annotates the request, if anybody keeps an audit log.
fn annotate(review: &Review<'_>, key: &str, value: impl FnOnce() -> String) {
    if let Some(audit) = review.warnings.audit() {
        audit.annotate(&format!("pod-security.kubernetes.io/{key}"), value());
    }
}

fn sentence(verb: &str, level: LevelVersion, found: &[Violation]) -> String {
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    format!("{verb} PodSecurity \"{level}\": {}", found.join(", "))
}

/// Whether an update brings other containers or images. Nothing else that checks look at can change.
fn changes_containers(new: &Value, old: &Value) -> bool {
    let image = |container: &Value| text(container, "image").to_owned();
    let differ = |list: &str| items(new, list).map(image).ne(items(old, list).map(image));
    let before = by_name(old, "ephemeralContainers");
    let is_other =
        |container: &Value| before.get(text(container, "name")).is_none_or(|before| image(before) != image(container));
    differ("containers") || differ("initContainers") || items(new, "ephemeralContainers").any(is_other)
}

#[cfg(test)]
mod tests;
