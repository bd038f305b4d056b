//! The quality-of-service class of a pod, and what follows from it.

use windlass_api::Quantity;
use windlass_api::k8s::api::core::v1::{Container, Pod, ResourceRequirements};

use super::resources::{self, CPU, MEMORY};
use super::view::PodView;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum QosClass {
    BestEffort,
    Burstable,
    Guaranteed,
}

impl QosClass {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BestEffort => "BestEffort",
            Self::Burstable => "Burstable",
            Self::Guaranteed => "Guaranteed",
        }
    }

    /// The class that the API server has set, else the one that the specification comes to.
    pub(crate) fn of(pod: &Pod) -> Self {
        match pod.pod_status().qos_class.as_deref() {
            Some("BestEffort") => Self::BestEffort,
            Some("Burstable") => Self::Burstable,
            Some("Guaranteed") => Self::Guaranteed,
            _ => Self::computed(pod),
        }
    }

    fn computed(pod: &Pod) -> Self {
        if let Some(own) = pod.pod_spec().resources.as_ref() {
            return Self::judge(&[Some(own)]);
        }
        let all = pod.app_containers().iter().chain(pod.init_containers());
        let all: Vec<Option<&ResourceRequirements>> = all.map(|container| container.resources.as_ref()).collect();
        Self::judge(&all)
    }

    fn judge(all: &[Option<&ResourceRequirements>]) -> Self {
        let positive = |amounts: resources::Amounts| {
            let mut amounts = amounts;
            amounts.retain(|name, amount| matches!(name.as_str(), CPU | MEMORY) && *amount > Quantity::ZERO);
            amounts
        };
        let (mut guaranteed, mut any) = (true, false);
        for one in all {
            let (requests, limits) = (positive(resources::requests(*one)), positive(resources::limits(*one)));
            any |= !requests.is_empty() || !limits.is_empty();
            guaranteed &= limits.len() == 2 && requests == limits;
        }
        match (any, guaranteed) {
            (false, _) => Self::BestEffort,
            (true, true) => Self::Guaranteed,
            (true, false) => Self::Burstable,
        }
    }

    /// How readily the kernel kills a container when memory runs out.
    pub(crate) fn oom_score_adj(pod: &Pod, container: &Container, node_memory_bytes: i64) -> i64 {
        const GUARANTEED: i64 = -997;
        const BEST_EFFORT: i64 = 1000;
        if pod.pod_spec().priority.is_some_and(|priority| priority >= 2_000_001_000) {
            return GUARANTEED;
        }
        match Self::of(pod) {
            Self::Guaranteed => GUARANTEED,
            Self::BestEffort => BEST_EFFORT,
            Self::Burstable => {
                let request = resources::requests(container.resources.as_ref()).get(MEMORY).map_or(0, Quantity::units);
                let score = 1000 - (1000 * i128::from(request) / i128::from(node_memory_bytes.max(1))) as i64;
                score.clamp(1000 + GUARANTEED, BEST_EFFORT - 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn classes() {
        let full = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
        let half = json!({"requests": {"cpu": "1"}});
        let cases = [
            (vec![json!({})], QosClass::BestEffort),
            (vec![full.clone()], QosClass::Guaranteed),
            (vec![full, json!({})], QosClass::Burstable),
            (vec![half], QosClass::Burstable),
            (vec![json!({"limits": {"cpu": "0"}})], QosClass::BestEffort),
        ];
        for (all, expected) in cases {
            let containers: Vec<_> = all.iter().map(|it| json!({"name": "c", "resources": it})).collect();
            let pod: Pod = serde_json::from_value(json!({"metadata": {}, "spec": {"containers": containers}})).unwrap();
            assert_eq!(QosClass::of(&pod), expected, "{all:?}");
        }
    }

    #[test]
    fn oom_scores() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {}, "spec": {"containers": [
            {"name": "c", "resources": {"requests": {"memory": "1Gi"}}}]}}))
        .unwrap();
        let container = &pod.app_containers()[0];
        assert_eq!(QosClass::oom_score_adj(&pod, container, 4 << 30), 750);
        assert_eq!(QosClass::oom_score_adj(&pod, container, 1 << 30), 3);
    }
}
