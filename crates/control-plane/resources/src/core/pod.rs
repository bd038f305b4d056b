//! Pod: containers that share a network and volumes, on one node.

use serde_json::{Value, json};
use windlass_machinery::tree::{child, keep, put, text};

use super::pod_spec::set_pod_defaults;
use crate::{Moment, Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "Pod", "pods")
        .short_names(&["po"])
        .categories(&["all"])
        .subresources(&[
            Subresource::Attach,
            Subresource::Binding,
            Subresource::EphemeralContainers,
            Subresource::Eviction,
            Subresource::Exec,
            Subresource::Log,
            Subresource::PortForward,
            Subresource::Proxy,
            Subresource::Resize,
            Subresource::Status,
        ])
        .counts_generations()
        .deletes_gracefully()
        .selectable(&[
            ("spec.nodeName", "/spec/nodeName"),
            ("spec.restartPolicy", "/spec/restartPolicy"),
            ("spec.schedulerName", "/spec/schedulerName"),
            ("spec.serviceAccountName", "/spec/serviceAccountName"),
            ("status.phase", "/status/phase"),
            ("status.podIP", "/status/podIP"),
            ("status.nominatedNodeName", "/status/nominatedNodeName"),
        ])
        .selectable_or("spec.hostNetwork", "/spec/hostNetwork", "false")
        .strategy(Pod)
}

struct Pod;

impl Strategy for Pod {
    fn set_defaults(&self, object: &mut Value) {
        set_pod_defaults(object);
    }

    fn prepare_create(&self, object: &mut Value, _moment: Moment) {
        let class = quality_of_service(&object["spec"]);
        let status = child(object, "status");
        put(status, "phase", "Pending");
        put(status, "qosClass", class);
        if object.pointer("/spec/schedulingGates/0").is_some() {
            let condition = json!({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates", "lastProbeTime": null, "lastTransitionTime": null});
            put(child(object, "status"), "conditions", json!([condition]));
        }
    }

    fn prepare_status(&self, object: &mut Value, old: &Value, _moment: Moment) {
        // The class follows from the specification, and the kubelet need not say it.
        let status = child(object, "status");
        if text(status, "qosClass").is_empty() {
            keep(status, &old["status"], "qosClass");
        }
    }

    fn deletion_grace_seconds(&self, object: &Value, asked: Option<i64>) -> i64 {
        let of_pod = object.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
        let grace = asked.unwrap_or(of_pod);
        let grace = if grace < 0 { 1 } else { grace };
        let unassigned = text(&object["spec"], "nodeName").is_empty();
        let finished = matches!(text(&object["status"], "phase"), "Failed" | "Succeeded");
        // Nobody has to wait for a pod that runs nowhere.
        if unassigned || finished { 0 } else { grace }
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}

/// How the node treats the pod when memory is short: by what its containers ask for and may use of CPU and memory.
pub(crate) fn quality_of_service(spec: &Value) -> &'static str {
    let containers = ["containers", "initContainers"];
    let all = containers.iter().flat_map(|list| windlass_machinery::tree::items(spec, list));
    let (mut any, mut guaranteed) = (false, true);
    for container in all {
        let resources = &container["resources"];
        for name in ["cpu", "memory"] {
            let quantity = |kind: &str| {
                let text = resources.get(kind).and_then(|list| list.get(name)).and_then(Value::as_str)?;
                text.parse::<windlass_api::Quantity>().ok().filter(|q| !q.is_zero())
            };
            let (request, limit) = (quantity("requests"), quantity("limits"));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let spec = |resources: &[Value]| {
            let containers: Vec<Value> = resources.iter().map(|r| json!({"resources": r})).collect();
            json!({"containers": containers})
        };
        let full = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1Gi"}});
        assert_eq!(quality_of_service(&spec(&[json!({})])), "BestEffort");
        assert_eq!(quality_of_service(&spec(std::slice::from_ref(&full))), "Guaranteed");
        assert_eq!(quality_of_service(&spec(&[full, json!({})])), "Burstable");
        assert_eq!(quality_of_service(&spec(&[json!({"requests": {"cpu": "1"}})])), "Burstable");
    }
}
