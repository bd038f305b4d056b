//! The quality-of-service class: how the node treats a pod when it runs short.
//!
//! Source: `pkg/apis/core/helper/qos/qos.go`, whose cases the test has.

use super::resources::{CPU, MEMORY, has_pod_level_resources};
use super::view::{AnyContainer, AnyList, AnyPod, Lists};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QosClass {
    /// Nothing asks for CPU or memory, nor is limited in it.
    BestEffort,
    Burstable,
    /// Everything is limited in both, and asks for all that it may use.
    Guaranteed,
}

impl QosClass {
    pub fn name(self) -> &'static str {
        match self {
            Self::BestEffort => "BestEffort",
            Self::Burstable => "Burstable",
            Self::Guaranteed => "Guaranteed",
        }
    }

    /// The class of a name; `None` for any other text, such as that of a status that does not say yet.
    pub fn named(text: &str) -> Option<Self> {
        [Self::BestEffort, Self::Burstable, Self::Guaranteed].into_iter().find(|class| class.name() == text)
    }
}

/// The class that the specification comes to: of the pod as a whole if it has resources of its own, else of its containers.
pub fn qos_class<'a>(pod: impl AnyPod<'a>) -> QosClass {
    if has_pod_level_resources(pod) {
        return class_of(pod.resources());
    }
    let mut classes = pod.all_containers().map(|container| class_of(container.resources()));
    let first = classes.next().unwrap_or(QosClass::BestEffort);
    if classes.all(|class| class == first) { first } else { QosClass::Burstable }
}

fn class_of<L: AnyList>(lists: Lists<'_, L>) -> QosClass {
    let of = |name: &str| {
        let amount = |list: Option<&L>| list.and_then(|list| list.amount(name)).unwrap_or_default();
        let (request, limit) = (amount(lists.requests), amount(lists.limits));
        match request == limit {
            false => QosClass::Burstable,
            true if request.is_zero() => QosClass::BestEffort,
            true => QosClass::Guaranteed,
        }
    };
    match (of(CPU), of(MEMORY)) {
        (cpu, memory) if cpu == memory => cpu,
        _ => QosClass::Burstable,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::pod::PodTree;

    fn lists(requests: &Value, limits: &Value) -> Value {
        json!({"resources": {"requests": requests, "limits": limits}})
    }

    fn both(cpu: &str, memory: &str) -> Value {
        json!({"cpu": cpu, "memory": memory})
    }

    #[test]
    fn of_containers() {
        let full = || lists(&both("100m", "100Mi"), &both("100m", "100Mi"));
        let none = || lists(&json!({}), &json!({}));
        let requesting = || lists(&both("100m", "100Mi"), &json!({}));
        let (cpu, memory) = (json!({"cpu": "100m"}), json!({"memory": "100Mi"}));
        let cases = [
            ("one that is limited in all it requests", vec![full()], QosClass::Guaranteed),
            ("two of that kind", vec![full(), full()], QosClass::Guaranteed),
            ("nothing said", vec![none(), none()], QosClass::BestEffort),
            ("no containers", vec![], QosClass::BestEffort),
            ("zero is nothing", vec![lists(&both("0", "0"), &both("0", "0"))], QosClass::BestEffort),
            (
                "other resources do not matter",
                vec![lists(&json!({"example.com/a": "1"}), &json!({}))],
                QosClass::BestEffort,
            ),
            ("only one of two", vec![full(), none()], QosClass::Burstable),
            ("nothing beside requests", vec![none(), requesting()], QosClass::Burstable),
            ("requests without limits", vec![requesting()], QosClass::Burstable),
            ("limits without requests", vec![lists(&json!({}), &both("100m", "100Mi"))], QosClass::Burstable),
            ("limits above requests", vec![lists(&both("100m", "100Mi"), &both("200m", "100Mi"))], QosClass::Burstable),
            ("CPU alone", vec![lists(&cpu, &cpu)], QosClass::Burstable),
            ("memory alone", vec![lists(&memory, &memory)], QosClass::Burstable),
            (
                "equal however they are written",
                vec![lists(&both("0.1", "1Ki"), &both("100m", "1024"))],
                QosClass::Guaranteed,
            ),
            ("a zero among what is limited", vec![lists(&both("0", "1Mi"), &both("0", "1Mi"))], QosClass::Burstable),
        ];
        for (why, all, expected) in cases {
            for list in ["containers", "initContainers"] {
                let spec = json!({ list: all });
                assert_eq!(qos_class(PodTree::of_spec(&spec)), expected, "{why} ({list})");
            }
        }
        let mixed = json!({"containers": [full()], "initContainers": [none()]});
        assert_eq!(qos_class(PodTree::of_spec(&mixed)), QosClass::Burstable);
    }

    #[test]
    fn of_the_pod_as_a_whole() {
        let container = || lists(&both("1", "1Gi"), &json!({}));
        // what the pod says of itself, the class
        let cases = [
            (json!({"requests": both("1", "1Gi"), "limits": both("1", "1Gi")}), QosClass::Guaranteed),
            (json!({"requests": both("1", "1Gi"), "limits": both("2", "1Gi")}), QosClass::Burstable),
            (json!({"requests": {"cpu": "1"}}), QosClass::Burstable),
            (json!({"requests": {"hugepages-2Mi": "2Mi"}, "limits": {"hugepages-2Mi": "2Mi"}}), QosClass::BestEffort),
            // Nothing that counts for a whole pod: the containers decide.
            (json!({}), QosClass::Burstable),
            (json!({"requests": {}, "limits": {}}), QosClass::Burstable),
            (json!({"requests": {"ephemeral-storage": "1Gi"}}), QosClass::Burstable),
        ];
        for (own, expected) in cases {
            let spec = json!({"containers": [container()], "resources": own});
            assert_eq!(qos_class(PodTree::of_spec(&spec)), expected, "{own}");
        }
    }

    #[test]
    fn names() {
        for class in [QosClass::BestEffort, QosClass::Burstable, QosClass::Guaranteed] {
            assert_eq!(QosClass::named(class.name()), Some(class));
        }
        assert_eq!(QosClass::named(""), None);
    }
}
