//! Namespaces: their labels are checked, and who enforces more is told of pods that are there already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use windlass_api::Status;
use windlass_machinery::tree::{items, text};

use super::PodSecurity;
use super::checks::{Pod, violations};
use super::level::{Level, LevelVersion};
use super::policy::{AUDIT, ENFORCE, Policy, WARN};
use crate::review::{Cluster, Operation, Review};

/// More pods than this are not looked at when a namespace enforces more.
const PODS_MAX: usize = 3000;

impl PodSecurity {
    pub(super) fn validate_namespace(
        &self,
        review: &Review<'_>,
        namespace: &Value,
        cluster: &dyn Cluster,
    ) -> Result<(), Status> {
        if !review.subresource.is_empty() {
            return Ok(());
        }
        let name = text(&namespace["metadata"], "name");
        let (policy, errors) = Policy::of(namespace, self.defaults);
        let old = review.old.filter(|_| review.operation == Operation::Update);
        let old = old.map(|old| Policy::of(old, self.defaults));
        // What stood there wrong before does not hinder other changes.
        if !errors.is_empty() && old.as_ref().is_none_or(|(_, before)| *before != errors) {
            return Err(Status::invalid(&review.kind.group, &review.kind.kind, name, &errors));
        }
        if old.as_ref().is_some_and(|(old, _)| !is_tightened(old.enforce, policy.enforce)) {
            return Ok(());
        }
        if self.exemptions.has_namespace(name) {
            self.warn_of_exemption(review, namespace, &policy);
        } else if old.is_some() {
            self.warn_of_pods(review, name, policy.enforce, cluster);
        }
        Ok(())
    }

    fn warn_of_exemption(&self, review: &Review<'_>, namespace: &Value, policy: &Policy) {
        if policy.is_fully_privileged() || policy.is_equivalent(&self.defaults) {
            return;
        }
        let labels = &namespace["metadata"]["labels"];
        let modes = [("enforce", policy.enforce, ENFORCE), ("audit", policy.audit, AUDIT), ("warn", policy.warn, WARN)];
        let stated = modes.into_iter().filter(|(_, mode, keys)| {
            mode.level != Level::Privileged && keys.iter().any(|key| labels.get(key).is_some())
        });
        let stated: Vec<String> = stated.map(|(name, mode, _)| format!("{name}={mode}")).collect();
        review.warnings.warn(format!(
            "namespace {:?} is exempt from Pod Security, and the policy ({}) will be ignored",
            text(&namespace["metadata"], "name"),
            stated.join(", ")
        ));
    }

    /// Upstream also stops after a second; here the pods lie in memory, and the bound on their number is enough.
    fn warn_of_pods(&self, review: &Review<'_>, namespace: &str, enforce: LevelVersion, cluster: &dyn Cluster) {
        let pods = self.in_order_of_interest(cluster.objects("pods", namespace));
        if pods.len() > PODS_MAX {
            review.warnings.warn(format!(
                "new PodSecurity enforce level only checked against the first {PODS_MAX} of {} existing pods",
                pods.len()
            ));
        }
        // The pods for each set of reasons; the first by name stands for the others.
        let mut bad: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for pod in pods.iter().take(PODS_MAX) {
            let reasons: Vec<String> =
                violations(enforce, Pod::of(pod)).into_iter().map(|found| found.reason).collect();
            if !reasons.is_empty() {
                bad.entry(reasons.join(", ")).or_default().insert(text(&pod["metadata"], "name"));
            }
        }
        if !bad.is_empty() {
            review.warnings.warn(format!(
                "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level \"{enforce}\""
            ));
        }
        let mut lines: Vec<String> = bad.iter().map(|(reasons, pods)| line(pods, reasons)).collect();
        lines.sort();
        lines.into_iter().for_each(|line| review.warnings.warn(line));
    }

    /// Pods of a controller are alike: one of each comes first, the others after everything else.
    fn in_order_of_interest(&self, pods: Vec<Arc<Value>>) -> Vec<Arc<Value>> {
        let mut controllers = BTreeSet::new();
        let counted = pods.into_iter().filter(|pod| !self.exemptions.has_pod(Pod::of(pod)));
        let (mut first, others): (Vec<_>, Vec<_>) = counted.partition(|pod| {
            let owner = items(&pod["metadata"], "ownerReferences").find(|owner| owner["controller"] == true);
            owner.is_none_or(|owner| controllers.insert(text(owner, "uid").to_owned()))
        });
        first.extend(others);
        first
    }
}

/// Whether pods that were allowed may now be refused.
fn is_tightened(old: LevelVersion, new: LevelVersion) -> bool {
    new.level != Level::Privileged && new != old && (new.version != old.version || new.level > old.level)
}

fn line(pods: &BTreeSet<&str>, reasons: &str) -> String {
    let first = pods.first().copied().unwrap_or_default();
    match pods.len() {
        1 => format!("{first}: {reasons}"),
        2 => format!("{first} (and 1 other pod): {reasons}"),
        count => format!("{first} (and {} other pods): {reasons}", count - 1),
    }
}
