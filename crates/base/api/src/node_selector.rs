//! Which nodes a pod or a volume can be on: the terms of node affinity.
//!
//! Terms are alternatives, the requirements of a term all apply, and a term without any selects nothing. An expression that
//! cannot be understood matches no node. Source: component-helpers `scheduling/corev1/nodeaffinity`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm};
use serde::Deserialize;

/// The one field of nodes that can be selected by.
const NAME_FIELD: &str = "metadata.name";

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelector {
    pub node_selector_terms: Vec<Term>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Term {
    pub match_expressions: Vec<Requirement>,
    pub match_fields: Vec<Requirement>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Requirement {
    pub key: String,
    pub operator: String,
    pub values: Vec<String>,
}

impl NodeSelector {
    pub fn matches(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        self.node_selector_terms.iter().any(|term| term.matches(name, labels))
    }

    /// The only nodes that can match, when every term names its nodes.
    pub fn names(&self) -> Option<Vec<&str>> {
        let mut all = Vec::new();
        for term in &self.node_selector_terms {
            let of_name =
                |field: &&Requirement| field.key == NAME_FIELD && field.operator == "In" && field.values.len() == 1;
            let mut names: Vec<&str> =
                term.match_fields.iter().filter(of_name).map(|field| field.values[0].as_str()).collect();
            names.dedup();
            match names.as_slice() {
                [name] => all.push(*name),
                // Two different names exclude each other.
                [_, _, ..] => {}
                [] => return None,
            }
        }
        Some(all)
    }
}

impl Term {
    pub fn matches(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        if self.match_expressions.is_empty() && self.match_fields.is_empty() {
            return false;
        }
        let field = |key: &str| (key == NAME_FIELD).then_some(name);
        let label = |key: &str| labels.get(key).map(String::as_str);
        self.match_fields.iter().all(|requirement| requirement.matches(field(&requirement.key)))
            && self.match_expressions.iter().all(|requirement| requirement.matches(label(&requirement.key)))
    }
}

impl Requirement {
    fn matches(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|v| v == value);
        let numbers = || Some((value?.parse::<i64>().ok()?, self.values.first()?.parse::<i64>().ok()?));
        match self.operator.as_str() {
            "In" => value.is_some_and(listed),
            "NotIn" => !value.is_some_and(listed),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" => numbers().is_some_and(|(value, bound)| value > bound),
            "Lt" => numbers().is_some_and(|(value, bound)| value < bound),
            _ => false,
        }
    }
}

impl From<&NodeSelectorTerm> for Term {
    fn from(term: &NodeSelectorTerm) -> Self {
        let read = |requirements: &Option<Vec<NodeSelectorRequirement>>| {
            requirements.iter().flatten().map(Requirement::from).collect()
        };
        Self { match_expressions: read(&term.match_expressions), match_fields: read(&term.match_fields) }
    }
}

impl From<&NodeSelectorRequirement> for Requirement {
    fn from(requirement: &NodeSelectorRequirement) -> Self {
        let NodeSelectorRequirement { key, operator, values } = requirement.clone();
        Self { key, operator, values: values.unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms() {
        let labels: BTreeMap<String, String> =
            [("zone", "a"), ("size", "8")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let cases = [
            (r#"[]"#, false),
            (r#"[{}]"#, false),
            (r#"[{"matchExpressions":[{"key":"zone","operator":"In","values":["a","b"]}]}]"#, true),
            (r#"[{"matchExpressions":[{"key":"zone","operator":"NotIn","values":["a"]}]}]"#, false),
            (r#"[{"matchExpressions":[{"key":"none","operator":"NotIn","values":["a"]}]}]"#, true),
            (r#"[{"matchExpressions":[{"key":"size","operator":"Gt","values":["7"]}]}]"#, true),
            (r#"[{"matchExpressions":[{"key":"size","operator":"Lt","values":["8"]}]}]"#, false),
            (r#"[{"matchExpressions":[{"key":"zone","operator":"Gt","values":["8"]}]}]"#, false),
            (r#"[{"matchExpressions":[{"key":"zone","operator":"Near","values":["a"]}]}]"#, false),
            (r#"[{"matchFields":[{"key":"metadata.name","operator":"In","values":["n"]}]}]"#, true),
            (
                r#"[{"matchFields":[{"key":"metadata.name","operator":"In","values":["m"]}]}, {"matchExpressions":[{"key":"zone","operator":"Exists"}]}]"#,
                true,
            ),
            (
                r#"[{"matchFields":[{"key":"metadata.name","operator":"In","values":["n"]}],"matchExpressions":[{"key":"zone","operator":"DoesNotExist"}]}]"#,
                false,
            ),
        ];
        for (terms, expected) in cases {
            let selector: NodeSelector = serde_json::from_str(&format!("{{\"nodeSelectorTerms\":{terms}}}")).unwrap();
            assert_eq!(selector.matches("n", &labels), expected, "{terms}");
        }
    }

    #[test]
    fn names() {
        let named = |name: &str| {
            format!(r#"{{"matchFields":[{{"key":"metadata.name","operator":"In","values":["{name}"]}}]}}"#)
        };
        let read = |terms: String| -> NodeSelector {
            serde_json::from_str(&format!("{{\"nodeSelectorTerms\":[{terms}]}}")).unwrap()
        };
        assert_eq!(read([named("a"), named("b")].join(",")).names(), Some(vec!["a", "b"]));
        let other = r#"{"matchExpressions":[{"key":"zone","operator":"Exists"}]}"#;
        assert_eq!(read([named("a").as_str(), other].join(",")).names(), None);
    }
}
