//! Resources of a pod as a whole: what its author did not say of them follows from the containers.
//!
//! Source: upstream `pkg/api/pod/util.go` (DefaultPodLevelResources) and component-helpers `resource`.

use std::collections::BTreeMap;

use serde_json::Value;
use windlass_api::Quantity;
use windlass_machinery::tree::{child, items, set, text};

use crate::quantities::quantity;

/// Fills in requests and limits of a pod that has some of its own.
pub(crate) fn set_pod_level_resources(spec: &mut Value) {
    if !["requests", "limits"].iter().any(|list| !of_pod(spec, list).is_empty()) {
        return;
    }
    let limits = aggregate(spec, "limits");
    for (name, limit) in &limits {
        if is_supported(name) && is_huge_pages(name) && !of_pod(spec, "requests").contains_key(name) {
            fill(spec, "limits", name, *limit);
        }
    }
    for (name, request) in aggregate(spec, "requests") {
        if is_supported(&name) && !is_huge_pages(&name) {
            fill(spec, "requests", &name, request);
        }
    }
    for (name, limit) in of_pod(spec, "limits") {
        if is_supported(&name) {
            fill(spec, "requests", &name, limit);
        }
    }
    // A limit follows only if every container has one, and never falls below what the pod asks for.
    for (name, request) in of_pod(spec, "requests") {
        if is_supported(&name) && all_have_limit(spec, &name) {
            let limit = limits.get(&name).copied().unwrap_or(Quantity::ZERO);
            fill(spec, "limits", &name, limit.max(request));
        }
    }
}

pub(crate) fn is_huge_pages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// What a pod as a whole may ask for.
pub(crate) fn is_supported(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || is_huge_pages(name)
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

/// What all containers need at once: those that run together add up, and an init container counts while it runs beside the
/// sidecars that were started before it.
pub(crate) fn aggregate(spec: &Value, list: &str) -> BTreeMap<String, Quantity> {
    let mut sum = BTreeMap::new();
    for container in items(spec, "containers") {
        add(&mut sum, &quantities(&container["resources"], list));
    }
    let (mut sidecars, mut peak) = (BTreeMap::new(), BTreeMap::new());
    for container in items(spec, "initContainers") {
        let mut own = quantities(&container["resources"], list);
        if text(container, "restartPolicy") == "Always" {
            add(&mut sum, &own);
            add(&mut sidecars, &own);
            own = sidecars.clone();
        } else {
            add(&mut own, &sidecars);
        }
        raise(&mut peak, &own);
    }
    raise(&mut sum, &peak);
    sum
}

fn add(to: &mut BTreeMap<String, Quantity>, more: &BTreeMap<String, Quantity>) {
    for (name, quantity) in more {
        to.entry(name.clone()).and_modify(|sum| *sum += *quantity).or_insert(*quantity);
    }
}

fn raise(to: &mut BTreeMap<String, Quantity>, other: &BTreeMap<String, Quantity>) {
    for (name, quantity) in other {
        let entry = to.entry(name.clone()).or_insert(*quantity);
        *entry = (*entry).max(*quantity);
    }
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
