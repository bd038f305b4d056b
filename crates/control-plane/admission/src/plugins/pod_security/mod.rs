//! PodSecurity: holds pods against the Pod Security Standards, at the levels that their namespace's labels ask for.
//!
//! The mode enforce refuses pods; the mode warn tells the client of pods, and of templates for pods, that go beyond their level.
//! The mode audit is read and checked like the others; there is no audit log yet that it could speak to.
//!
//! Source: upstream `k8s.io/pod-security-admission`.

mod checks;
mod level;
mod namespace;
mod policy;

use async_trait::async_trait;
use serde_json::Value;
use windlass_api::Status;
use windlass_machinery::tree::{items, text};

use self::checks::{Pod, Violation, violations};
pub use self::level::{Level, LevelVersion, Version};
pub use self::policy::Policy;
use super::forbidden;
use crate::chain::Plugin;
use crate::review::{Cluster, Operation, Review};

/// The plugin, with what it holds for namespaces and requests that say nothing of their own.
#[derive(Clone, Debug, Default)]
pub struct PodSecurity {
    /// What counts where a namespace has no label.
    pub defaults: Policy,
    pub exemptions: Exemptions,
}

/// What is not held against any level.
#[derive(Clone, Debug, Default)]
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

    fn has_request(&self, review: &Review<'_>) -> bool {
        self.has_namespace(review.namespace) || Self::contains(&self.usernames, &review.user.name)
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

impl PodSecurity {
    /// The policy of the namespace of a request; `None` when there is no such namespace.
    fn policy(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Option<Policy> {
        let namespace = cluster.object("namespaces", "", review.namespace)?;
        // Labels that cannot be read are refused; those that stood there before this was checked have their strict reading.
        Some(Policy::of(&namespace, self.defaults).0)
    }

    fn validate_pod(&self, review: &Review<'_>, object: &Value, cluster: &dyn Cluster) -> Result<(), Status> {
        if HARMLESS.contains(&review.subresource) || self.exemptions.has_request(review) {
            return Ok(());
        }
        let Some(policy) = self.policy(review, cluster) else {
            return Err(Status::internal(format!("failed to lookup namespace {:?}", review.namespace)));
        };
        let is_update = review.operation == Operation::Update;
        let is_same = is_update && review.old.is_some_and(|old| !changes_containers(&object["spec"], &old["spec"]));
        let pod = Pod::of(object);
        if policy.is_fully_privileged() || is_same || self.exemptions.has_pod(pod) {
            return Ok(());
        }
        let found = violations(policy.enforce, pod);
        if !found.is_empty() {
            return Err(forbidden(review, sentence("violates", policy.enforce, &found)));
        }
        warn(review, policy.warn, pod);
        Ok(())
    }

    fn review_template(&self, review: &Review<'_>, template: &Value, cluster: &dyn Cluster) {
        let pod = Pod::of(template);
        if self.exemptions.has_request(review) || self.exemptions.has_pod(pod) {
            return;
        }
        if let Some(policy) = self.policy(review, cluster) {
            warn(review, policy.warn, pod);
        }
    }
}

fn warn(review: &Review<'_>, level: LevelVersion, pod: Pod<'_>) {
    let found = violations(level, pod);
    if !found.is_empty() {
        review.warnings.warn(sentence("would violate", level, &found));
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
    let is_other = |container: &Value| {
        let before = items(old, "ephemeralContainers").find(|one| text(one, "name") == text(container, "name"));
        before.is_none_or(|before| image(before) != image(container))
    };
    differ("containers") || differ("initContainers") || items(new, "ephemeralContainers").any(is_other)
}

#[cfg(test)]
mod tests;
