//! The quality-of-service class of a pod, and what follows from it.

use windlass_api::k8s::api::core::v1::{Container, Pod};
use windlass_api::pod::resources::MEMORY;
use windlass_api::pod::{AnyList, QosClass, qos_class};

use super::view::PodView;

/// The class that the API server has set, else the one that the specification comes to.
pub(crate) fn class_of(pod: &Pod) -> QosClass {
    let said = pod.pod_status().qos_class.as_deref().and_then(QosClass::named);
    said.unwrap_or_else(|| qos_class(pod))
}

/// How readily the kernel kills a container when memory runs out.
pub(crate) fn oom_score_adj(pod: &Pod, container: &Container, node_memory_bytes: i64) -> i64 {
    const GUARANTEED: i64 = -997;
    const BEST_EFFORT: i64 = 1000;
    if pod.pod_spec().priority.is_some_and(|priority| priority >= 2_000_001_000) {
        return GUARANTEED;
    }
    match class_of(pod) {
        QosClass::Guaranteed => GUARANTEED,
        QosClass::BestEffort => BEST_EFFORT,
        QosClass::Burstable => {
            let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
            let request = requests.and_then(|requests| requests.amount(MEMORY)).unwrap_or_default().units();
            let score = 1000 - (1000 * i128::from(request) / i128::from(node_memory_bytes.max(1))) as i64;
            score.clamp(1000 + GUARANTEED, BEST_EFFORT - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn oom_scores() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {}, "spec": {"containers": [
            {"name": "c", "resources": {"requests": {"memory": "1Gi"}}}]}}))
        .unwrap();
        let container = &pod.app_containers()[0];
        assert_eq!(oom_score_adj(&pod, container, 4 << 30), 750);
        assert_eq!(oom_score_adj(&pod, container, 1 << 30), 3);
    }
}
