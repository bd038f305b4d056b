//! Scopes: which objects a quota is about.

use serde_json::Value;
use windlass_api::pod::{PodTree, QosClass, qos_class};
use windlass_machinery::tree::{items, text};

/// One condition of a quota on the objects that it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    pub(crate) name: String,
    operator: String,
    values: Vec<String>,
}

/// The scopes of a quota's spec, all of which an object must be in.
pub fn scopes_of(spec: &Value) -> Vec<Scope> {
    let plain = items(spec, "scopes").filter_map(Value::as_str);
    let plain = plain.map(|name| Scope { name: name.to_owned(), operator: "Exists".to_owned(), values: Vec::new() });
    let selected = items(&spec["scopeSelector"], "matchExpressions").map(|expression| Scope {
        name: text(expression, "scopeName").to_owned(),
        operator: text(expression, "operator").to_owned(),
        values: items(expression, "values").filter_map(Value::as_str).map(str::to_owned).collect(),
    });
    plain.chain(selected).collect()
}

impl Scope {
    fn admits(&self, class: Option<&str>) -> bool {
        let is_listed = class.is_some_and(|class| self.values.iter().any(|value| value == class));
        match self.operator.as_str() {
            "In" => is_listed,
            "NotIn" => !is_listed,
            "Exists" => class.is_some(),
            "DoesNotExist" => class.is_none(),
            _ => false,
        }
    }

    pub(crate) fn has_pod(&self, pod: &Value) -> bool {
        let spec = &pod["spec"];
        match self.name.as_str() {
            "Terminating" => is_terminating(pod),
            "NotTerminating" => !is_terminating(pod),
            "BestEffort" => is_best_effort(pod),
            "NotBestEffort" => !is_best_effort(pod),
            "PriorityClass" => self.admits(Some(text(spec, "priorityClassName")).filter(|name| !name.is_empty())),
            "CrossNamespacePodAffinity" => looks_across_namespaces(&spec["affinity"]),
            _ => false,
        }
    }

    pub(crate) fn has_claim(&self, claim: &Value) -> bool {
        if self.name != "VolumeAttributesClass" {
            return false;
        }
        let (spec, status) = (&claim["spec"], &claim["status"]);
        let names = [
            text(spec, "volumeAttributesClassName"),
            text(status, "currentVolumeAttributesClassName"),
            text(&status["modifyVolumeStatus"], "targetVolumeAttributesClassName"),
        ];
        let mut names = names.into_iter().filter(|name| !name.is_empty()).peekable();
        if names.peek().is_none() {
            return self.admits(None);
        }
        names.any(|name| self.admits(Some(name)))
    }
}

/// Whether the pod has a time by which it ends.
pub(crate) fn is_terminating(pod: &Value) -> bool {
    pod["spec"].get("activeDeadlineSeconds").and_then(Value::as_i64).is_some_and(|seconds| seconds >= 0)
}

/// By the class that the status has, else by the one that the specification comes to.
fn is_best_effort(pod: &Value) -> bool {
    let said = QosClass::named(text(&pod["status"], "qosClass"));
    said.unwrap_or_else(|| qos_class(PodTree::of(pod))) == QosClass::BestEffort
}

fn looks_across_namespaces(affinity: &Value) -> bool {
    let is_across = |term: &Value| {
        items(term, "namespaces").next().is_some() || term.get("namespaceSelector").is_some_and(|s| !s.is_null())
    };
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let kind = &affinity[kind];
        items(kind, "requiredDuringSchedulingIgnoredDuringExecution").any(is_across)
            || items(kind, "preferredDuringSchedulingIgnoredDuringExecution")
                .any(|weighted| is_across(&weighted["podAffinityTerm"]))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_in_scopes() {
        let plain = json!({"spec": {"containers": [{}]}});
        let busy = json!({"spec": {"activeDeadlineSeconds": 5, "priorityClassName": "high",
            "containers": [{"resources": {"limits": {"cpu": "1"}}}],
            "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"namespaces": ["a"]}]}}}});
        let scope = |name: &str, operator: &str, values: Value| {
            let spec = json!({"scopeSelector": {"matchExpressions": [
                {"scopeName": name, "operator": operator, "values": values}]}});
            scopes_of(&spec).remove(0)
        };
        let cases = [
            (scope("Terminating", "Exists", json!([])), false, true),
            (scope("NotTerminating", "Exists", json!([])), true, false),
            (scope("BestEffort", "Exists", json!([])), true, false),
            (scope("NotBestEffort", "Exists", json!([])), false, true),
            (scope("PriorityClass", "Exists", json!([])), false, true),
            (scope("PriorityClass", "DoesNotExist", json!([])), true, false),
            (scope("PriorityClass", "In", json!(["high", "low"])), false, true),
            (scope("PriorityClass", "NotIn", json!(["high"])), true, false),
            (scope("CrossNamespacePodAffinity", "Exists", json!([])), false, true),
            (scope("VolumeAttributesClass", "Exists", json!([])), false, false),
        ];
        for (scope, has_plain, has_busy) in cases {
            assert_eq!((scope.has_pod(&plain), scope.has_pod(&busy)), (has_plain, has_busy), "{scope:?}");
        }
        assert_eq!(scopes_of(&json!({"scopes": ["BestEffort"]})), [scope("BestEffort", "Exists", json!([]))]);
    }

    #[test]
    fn claims_in_scopes() {
        let scope = |operator: &str, values: &[&str]| Scope {
            name: "VolumeAttributesClass".to_owned(),
            operator: operator.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let claim = json!({"spec": {"volumeAttributesClassName": "gold"},
            "status": {"currentVolumeAttributesClassName": "silver"}});
        assert!(scope("In", &["silver"]).has_claim(&claim) && scope("Exists", &[]).has_claim(&claim));
        assert!(!scope("In", &["lead"]).has_claim(&claim) && scope("DoesNotExist", &[]).has_claim(&json!({})));
    }
}
