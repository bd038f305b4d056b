//! Node selectors: which nodes an affinity is for. Pure; an expression that cannot be understood matches no node.

use serde::Deserialize;
use windlass_api::Meta;

/// Where a pod may be scheduled; only the part that must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Affinity {
    pub node_affinity: Option<NodeAffinity>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct NodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Option<NodeSelector>,
}

/// Matches a node that one of the terms matches.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeSelector {
    pub node_selector_terms: Vec<Term>,
}

/// Matches a node when all requirements do; one without any matches none.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Term {
    pub match_expressions: Vec<Requirement>,
    pub match_fields: Vec<Requirement>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Requirement {
    pub key: String,
    pub operator: String,
    pub values: Vec<String>,
}

/// The one field of nodes that can be selected by.
const NAME_FIELD: &str = "metadata.name";

impl Affinity {
    pub(crate) fn required(&self) -> Option<&NodeSelector> {
        self.node_affinity.as_ref()?.required.as_ref()
    }
}

impl NodeSelector {
    pub(crate) fn matches(&self, node: &Meta) -> bool {
        self.node_selector_terms.iter().any(|term| term.matches(node))
    }

    /// The only node that it can match by name, as DaemonSets write it.
    pub(crate) fn node_name(&self) -> Option<&str> {
        let fields = self.node_selector_terms.iter().flat_map(|term| &term.match_fields);
        let mut named = fields.filter(|field| field.key == NAME_FIELD && field.operator == "In");
        match named.next()?.values.as_slice() {
            [name] => Some(name),
            _ => None,
        }
    }
}

impl Term {
    fn matches(&self, node: &Meta) -> bool {
        let label = |wanted: &Requirement| wanted.matches(node.labels.get(&wanted.key).map(String::as_str));
        let field = |wanted: &Requirement| wanted.key == NAME_FIELD && wanted.matches(Some(&node.name));
        let is_empty = self.match_expressions.is_empty() && self.match_fields.is_empty();
        !is_empty && self.match_expressions.iter().all(label) && self.match_fields.iter().all(field)
    }
}

impl Requirement {
    fn matches(&self, value: Option<&str>) -> bool {
        let is_listed = || value.is_some_and(|value| self.values.iter().any(|wanted| wanted == value));
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        let bound = || self.values.first().and_then(|bound| bound.parse::<i64>().ok());
        match self.operator.as_str() {
            "In" => is_listed(),
            "NotIn" => !is_listed(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" => number().zip(bound()).is_some_and(|(number, bound)| number > bound),
            "Lt" => number().zip(bound()).is_some_and(|(number, bound)| number < bound),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn terms() {
        let node: Meta =
            serde_json::from_value(json!({"name": "n1", "labels": {"color": "blue", "cores": "8"}})).unwrap();
        let expression = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (term, expected) in [
            (expression("color", "In", json!(["red", "blue"])), true),
            (expression("color", "NotIn", json!(["blue"])), false),
            (expression("shape", "NotIn", json!(["round"])), true),
            (expression("color", "Exists", json!([])), true),
            (expression("color", "DoesNotExist", json!([])), false),
            (expression("cores", "Gt", json!(["4"])), true),
            (expression("cores", "Lt", json!(["4"])), false),
            (expression("color", "Gt", json!(["4"])), false),
            (expression("color", "Near", json!(["blue"])), false),
            (json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}), true),
            (json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}), false),
            (json!({}), false),
        ] {
            let selector: NodeSelector = serde_json::from_value(json!({"nodeSelectorTerms": [term]})).unwrap();
            assert_eq!(selector.matches(&node), expected, "{term}");
        }
    }
}
