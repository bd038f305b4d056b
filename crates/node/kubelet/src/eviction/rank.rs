//! Which pod goes first, and what it is told. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_api::Quantity;
use windlass_api::k8s::api::core::v1::Pod;
use windlass_api::pod::{AnyList, Options, requests};

use super::decide::{Reclaim, resource};
use crate::pod::PodView;

/// What a pod uses of the resource that has run out, in all and by container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) total: i64,
    pub(super) containers: BTreeMap<String, i64>,
}

/// Pods that may be evicted, the first to go first: those that use more than they asked for, of those the least important, of those
/// the one that is furthest above its request.
pub(super) fn rank(pods: &mut Vec<(Arc<Pod>, Usage)>, name: &str) {
    pods.retain(|(pod, _)| !pod.is_critical());
    let request = |pod: &Pod| requests(pod, Options::SPEC).amount(name).units();
    pods.sort_by_cached_key(|(pod, usage)| {
        let above = usage.total - request(pod);
        (above <= 0, pod.pod_spec().priority.unwrap_or(0), std::cmp::Reverse(above))
    });
}

/// Why the pod is evicted, as its status says it.
pub(super) fn message(pod: &Pod, usage: &Usage, reclaim: &Reclaim) -> String {
    let name = resource(reclaim.signal);
    let mut text = format!(
        "The node was low on resource: {name}. Threshold quantity: {}, available: {}. ",
        reclaim.threshold, reclaim.available
    );
    if !matches!(name, "memory" | "ephemeral-storage") {
        return text;
    }
    for container in pod.app_containers().iter().chain(pod.init_containers()) {
        let Some(used) = usage.containers.get(&container.name) else { continue };
        let own = container.resources.as_ref().and_then(|own| own.requests.as_ref());
        let request = own.and_then(|own| own.amount(name)).unwrap_or_default();
        if *used > request.units() {
            let used = Quantity::from_bytes(*used);
            text.push_str(&format!(
                "Container {} was using {used}, request is {request}, has larger consumption of {name}. ",
                container.name
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::options::Signal;

    fn pod(name: &str, priority: i32, request: &str) -> Arc<Pod> {
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"priority": priority, "containers": [
                {"name": "c", "resources": {"requests": {"memory": request}}}]}}))
            .unwrap(),
        )
    }

    #[test]
    fn the_greediest_of_the_least_important_goes_first() {
        let usage = |total: i64| Usage { total, containers: BTreeMap::from([("c".to_owned(), total)]) };
        let mut pods = vec![
            (pod("modest", 0, "100"), usage(50)),
            (pod("important", 10, "0"), usage(1000)),
            (pod("greedy", 0, "100"), usage(900)),
            (pod("greedier", 0, "0"), usage(900)),
            (pod("critical", 2_000_000_000, "0"), usage(9000)),
        ];
        rank(&mut pods, "memory");
        let names: Vec<&str> = pods.iter().map(|(pod, _)| pod.name()).collect();
        assert_eq!(names, ["greedier", "greedy", "important", "modest"]);
        let reclaim = Reclaim {
            signal: Signal::MemoryAvailable,
            grace_seconds: 1,
            threshold: Quantity::from_bytes(100 << 20),
            available: Quantity::from_bytes(50 << 20),
        };
        assert_eq!(
            message(&pod("p", 0, "1Mi"), &usage(2 << 20), &reclaim),
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container c was using 2Mi, \
             request is 1Mi, has larger consumption of memory. "
        );
    }
}
