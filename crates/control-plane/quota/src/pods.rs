//! What a pod counts as: itself and what it asks for, until it has ended.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use windlass_api::pod::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, is_huge_pages};
use windlass_api::pod::{self, AnyContainer, AnyList, AnyPod, Lists, Options, PodTree, extended};
use windlass_api::time::parse_rfc3339;
use windlass_api::{Quantity, Timestamp};
use windlass_machinery::tree::text;

use crate::Amounts;

const NAMES: [&str; 10] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
];
const BASIC: [&str; 3] = [CPU, MEMORY, EPHEMERAL_STORAGE];
/// When one of these is bounded, every container must say how much of it it wants. Upstream regrets this and adds no further ones.
const MUST_BE_SAID: [&str; 6] = ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

pub(crate) fn is_counted(name: &str) -> bool {
    let requested = name.strip_prefix("requests.");
    NAMES.contains(&name)
        || is_huge_pages(name)
        || requested.is_some_and(|name| is_huge_pages(name) || !extended::is_native(name) || extended::is_charged(name))
}

/// What of a pod counts beside its number in the store.
pub(crate) fn usage(pod: &Value, now: Timestamp) -> Amounts {
    if !is_charged(pod, now) {
        return Amounts::new();
    }
    let pod = PodTree::of(pod);
    let (requests, limits) = (pod::requests(pod, Options::STATUS), pod::limits(pod, Options::STATUS));
    let mut used = compute(requests.iter(), limits.iter());
    used.insert("pods".to_owned(), Quantity::from_units(1));
    used
}

/// A pod that has ended no longer counts, nor does one that should be gone but hangs (its node may be lost).
fn is_charged(pod: &Value, now: Timestamp) -> bool {
    if pod::has_ended(text(&pod["status"], "phase")) {
        return false;
    }
    let metadata = &pod["metadata"];
    let deleted = parse_rfc3339(text(metadata, "deletionTimestamp"));
    let grace = metadata.get("deletionGracePeriodSeconds").and_then(Value::as_i64);
    match (deleted, grace) {
        (Some(deleted), Some(grace)) => now.duration_since(deleted).as_secs() <= grace,
        _ => true,
    }
}

fn amounts_of(list: Option<&Value>) -> impl Iterator<Item = (&str, Quantity)> {
    list.into_iter().flat_map(AnyList::amounts)
}

/// Requests and limits under the names that quotas have for them.
fn compute<'a>(
    requests: impl Iterator<Item = (&'a str, Quantity)>,
    limits: impl Iterator<Item = (&'a str, Quantity)>,
) -> Amounts {
    let mut used = Amounts::new();
    for (name, quantity) in requests {
        let is_basic = BASIC.contains(&name);
        if is_basic || is_huge_pages(name) {
            used.insert(name.to_owned(), quantity);
        }
        if is_basic || is_huge_pages(name) || extended::is_charged(name) {
            used.insert(format!("requests.{name}"), quantity);
        }
    }
    for (name, quantity) in limits {
        if BASIC.contains(&name) {
            used.insert(format!("limits.{name}"), quantity);
        }
    }
    used
}

/// Refuses a pod with containers that leave open what a quota bounds.
pub(crate) fn check_said(pod: &Value, bounded: &[&str]) -> Result<(), String> {
    let tree = PodTree::of(pod);
    if pod::resources::has_pod_level_resources(tree) {
        return Ok(());
    }
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for container in tree.all_containers() {
        let Lists { requests, limits } = AnyContainer::resources(container);
        let said = compute(amounts_of(requests), amounts_of(limits));
        for name in bounded.iter().filter(|name| MUST_BE_SAID.contains(name) && !said.contains_key(**name)) {
            missing.entry(name).or_default().insert(text(container, "name"));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let all: Vec<String> = missing
        .into_iter()
        .map(|(name, containers)| format!("{name} for: {}", containers.into_iter().collect::<Vec<_>>().join(",")))
        .collect();
    Err(format!("must specify {}", all.join("; ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        parse_rfc3339("2026-11-21T06:00:40Z").unwrap()
    }

    fn used(pod: &Value) -> String {
        crate::pretty(&usage(pod, now()))
    }

    #[test]
    fn what_pods_ask_for() {
        let c = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let mut sidecar = c("100m");
        sidecar["restartPolicy"] = json!("Always");
        let pod = json!({"spec": {"containers": [c("1"), c("500m")], "initContainers": [sidecar, c("2")]}});
        assert_eq!(used(&pod), "cpu=2100m,pods=1,requests.cpu=2100m");
        let pod = json!({"spec": {"containers": [{"resources": {"requests": {"example.com/dongle": "2", "hugepages-2Mi": "4Mi"},
            "limits": {"memory": "1Gi", "ephemeral-storage": "1Gi"}}}], "overhead": {"memory": "10Mi"}}});
        assert_eq!(
            used(&pod),
            "hugepages-2Mi=4Mi,limits.ephemeral-storage=1Gi,limits.memory=1034Mi,memory=10Mi,pods=1,\
             requests.example.com/dongle=2,requests.hugepages-2Mi=4Mi,requests.memory=10Mi"
        );
        let pod = json!({"spec": {"resources": {"requests": {"cpu": "3"}}, "containers": [c("1")]}});
        assert_eq!(used(&pod), "cpu=3,pods=1,requests.cpu=3");
    }

    #[test]
    fn resizes() {
        let pod = |reason: &str| {
            json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "4"}}}]},
                "status": {"containerStatuses": [{"name": "c", "allocatedResources": {"cpu": "1"},
                    "resources": {"requests": {"cpu": "2"}}}],
                    "conditions": [{"type": "PodResizePending", "status": "True", "reason": reason}]}})
        };
        assert_eq!(used(&pod("Deferred")), "cpu=4,pods=1,requests.cpu=4");
        let swapped = json!({"spec": {"containers": [
                {"name": "a", "resources": {"requests": {"cpu": "1"}}}, {"name": "b", "resources": {"requests": {"cpu": "2"}}}]},
            "status": {"containerStatuses": [
                {"name": "a", "allocatedResources": {"cpu": "2"}}, {"name": "b", "allocatedResources": {"cpu": "1"}}]}});
        assert_eq!(used(&swapped), "cpu=3,pods=1,requests.cpu=3", "the greatest sum, not the sum of the greatest");
        assert_eq!(used(&pod("Infeasible")), "cpu=2,pods=1,requests.cpu=2");
    }

    #[test]
    fn until_the_end() {
        let pod = |grace: i64| json!({"metadata": {"deletionTimestamp": "2026-11-21T06:00:00Z", "deletionGracePeriodSeconds": grace}});
        assert_eq!(used(&json!({"status": {"phase": "Succeeded"}})), "");
        assert_eq!(used(&pod(60)), "pods=1");
        assert_eq!(used(&pod(30)), "");
    }

    #[test]
    fn what_must_be_said() {
        let pod = json!({"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "1"}}},
            {"name": "b", "resources": {"requests": {"memory": "1"}}}]}});
        assert!(check_said(&pod, &["pods", "requests.ephemeral-storage"]).is_ok());
        assert_eq!(
            check_said(&pod, &["limits.cpu", "memory"]).unwrap_err(),
            "must specify limits.cpu for: b; memory for: a"
        );
    }
}
