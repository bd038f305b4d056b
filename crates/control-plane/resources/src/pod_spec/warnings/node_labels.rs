//! Labels of nodes that should be used no longer.

use serde_json::Value;
use windlass_api::names;
use windlass_machinery::tree::{items, text};

use super::found::Found;

/// The labels, and what is to be said of them.
const OLD_LABELS: [(&str, &str); 8] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    ("scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead"),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
];

/// What is to be said of a label of nodes.
pub(crate) fn old_label(key: &str) -> Option<&'static str> {
    OLD_LABELS.iter().find(|(label, _)| *label == key).map(|(_, what)| *what)
}

/// Of a term that selects nodes: its keys, and its values where nothing else looks at them.
pub(super) fn of_node_selector_term(found: &mut Found, term: &Value, path: &str, checks_values: bool) {
    for (index, expression) in items(term, "matchExpressions").enumerate() {
        let (key, path) = (text(expression, "key"), format!("{path}.matchExpressions[{index}]"));
        if let Some(what) = old_label(key) {
            found.say(format!("{path}.key: {key} is {what}"));
        }
        let values = items(expression, "values").filter_map(Value::as_str).enumerate();
        for (index, value) in values.filter(|_| checks_values) {
            for problem in names::label_value(value) {
                found.say(format!("{path}.values[{index}]: {value} is invalid, {problem}"));
            }
        }
    }
}
