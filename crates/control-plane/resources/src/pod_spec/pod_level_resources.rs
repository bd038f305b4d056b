//! Resources of a pod as a whole: what its author did not say of them follows from the containers.
//!
//! Source: upstream `pkg/api/pod/util.go` (DefaultPodLevelResources) and component-helpers `resource`.

use std::collections::BTreeMap;

use serde_json::Value;
use windlass_api::Quantity;
use windlass_api::pod::resources::{container_limits, container_requests, is_huge_pages, is_pod_level};
use windlass_api::pod::{Options, PodTree, Total};
use windlass_machinery::tree::{child, items, set};

use crate::quantities::quantity;

/// Fills in requests and limits of a pod that has some of its own.
pub(crate) fn set_pod_level_resources(spec: &mut Value) {
    if !["requests", "limits"].iter().any(|list| !of_pod(spec, list).is_empty()) {
        return;
    }
    let limits = owned(&container_limits(PodTree::of_spec(spec), Options::SPEC));
    for (name, limit) in &limits {
        if is_pod_level(name) && is_huge_pages(name) && !of_pod(spec, "requests").contains_key(name) {
            fill(spec, "limits", name, *limit);
        }
    }
    for (name, request) in owned(&container_requests(PodTree::of_spec(spec), Options::SPEC)) {
        if is_pod_level(&name) && !is_huge_pages(&name) {
            fill(spec, "requests", &name, request);
        }
    }
    for (name, limit) in of_pod(spec, "limits") {
        if is_pod_level(&name) {
            fill(spec, "requests", &name, limit);
        }
    }
    // A limit follows only if every container has one, and never falls below what the pod asks for.
    for (name, request) in of_pod(spec, "requests") {
        if is_pod_level(&name) && all_have_limit(spec, &name) {
            let limit = limits.get(&name).copied().unwrap_or(Quantity::ZERO);
            fill(spec, "limits", &name, limit.max(request));
        }
    }
}

fn of_pod(spec: &Value, list: &str) -> BTreeMap<String, Quantity> {
    quantities(&spec["resources"], list)
}

fn quantities(resources: &Value, list: &str) -> BTreeMap<String, Quantity> {
    let list = resources.get(list);
    let names = list.and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name);
    names.filter_map(|name| Some((name.clone(), quantity(list, name)?))).collect()
}

fn fill(spec: &mut Value, list: &str, name: &str, quantity: Quantity) {
    set(child(child(spec, "resources"), list), name, quantity.to_string());
}

fn all_have_limit(spec: &Value, name: &str) -> bool {
    let mut containers = ["containers", "initContainers", "ephemeralContainers"].iter().flat_map(|l| items(spec, l));
    containers.all(|c| c.pointer("/resources/limits").is_some_and(|limits| limits.get(name).is_some()))
}

/// What the containers come to, free of the specification, which is about to change.
fn owned(total: &Total<'_>) -> BTreeMap<String, Quantity> {
    total.iter().map(|(name, quantity)| (name.to_owned(), quantity)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_follows_from_the_containers() {
        let container = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let mut spec = json!({"resources": {"limits": {"memory": "1Gi"}}, "containers": [container("1"), container("2")],
            "initContainers": [container("5")]});
        set_pod_level_resources(&mut spec);
        assert_eq!(spec["resources"], json!({"limits": {"memory": "1Gi"}, "requests": {"cpu": "5", "memory": "1Gi"}}));
        let mut untouched = json!({"containers": [container("1")]});
        set_pod_level_resources(&mut untouched);
        assert_eq!(untouched, json!({"containers": [container("1")]}));
    }
}
