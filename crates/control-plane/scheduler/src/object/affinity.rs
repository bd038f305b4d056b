//! Inter-pod affinity: which other pods a pod wants near it, or far.

use serde::Deserialize;
use windlass_api::k8s::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use windlass_api::labels::Selector;

use super::Labels;

/// A pod's affinity and anti-affinity, with selectors ready to be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodAffinity {
    pub required: Vec<AffinityTerm>,
    pub required_anti: Vec<AffinityTerm>,
    pub preferred: Vec<WeightedTerm>,
    pub preferred_anti: Vec<WeightedTerm>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AffinityTerm {
    pub namespaces: Vec<String>,
    pub namespace_selector: Selector,
    pub selector: Selector,
    pub topology_key: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WeightedTerm {
    pub term: AffinityTerm,
    pub weight: i64,
}

impl PodAffinity {
    pub(crate) fn is_empty(&self) -> bool {
        self.required.is_empty()
            && self.required_anti.is_empty()
            && self.preferred.is_empty()
            && self.preferred_anti.is_empty()
    }
}

impl AffinityTerm {
    /// Whether the term is about pods with `labels` in a namespace that has `namespace_labels`.
    pub(crate) fn matches(&self, namespace: &str, namespace_labels: &Labels, labels: &Labels) -> bool {
        self.covers(namespace, namespace_labels) && self.selector.matches(labels)
    }

    pub(crate) fn covers(&self, namespace: &str, namespace_labels: &Labels) -> bool {
        self.namespaces.iter().any(|n| n == namespace) || self.namespace_selector.matches(namespace_labels)
    }
}

/// `spec.affinity.podAffinity` or `podAntiAffinity`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Vec<RawTerm>,
    #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution")]
    pub preferred: Vec<RawWeighted>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RawTerm {
    label_selector: Option<LabelSelector>,
    namespaces: Vec<String>,
    namespace_selector: Option<LabelSelector>,
    topology_key: String,
    match_label_keys: Vec<String>,
    mismatch_label_keys: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RawWeighted {
    weight: i64,
    pod_affinity_term: RawTerm,
}

impl RawTerm {
    /// `namespace` and `labels` are those of the pod that has the term. A selector that cannot be read selects nothing.
    fn parse(self, namespace: &str, labels: &Labels) -> AffinityTerm {
        let mut namespaces = self.namespaces;
        if namespaces.is_empty() && self.namespace_selector.is_none() {
            namespaces.push(namespace.to_owned());
        }
        let mut label_selector = self.label_selector;
        if let Some(selector) = &mut label_selector {
            demand(selector, &self.match_label_keys, labels, "In");
            demand(selector, &self.mismatch_label_keys, labels, "NotIn");
        }
        let read = |selector: Option<&LabelSelector>| {
            Selector::from_structure(selector).unwrap_or_else(|_| Selector::nothing())
        };
        AffinityTerm {
            namespaces,
            namespace_selector: read(self.namespace_selector.as_ref()),
            selector: read(label_selector.as_ref()),
            topology_key: self.topology_key,
        }
    }
}

/// Makes a selector also demand (or exclude) the values that `labels` has for `keys`.
pub(crate) fn demand(selector: &mut LabelSelector, keys: &[String], labels: &Labels, operator: &str) {
    for key in keys {
        if let Some(value) = labels.get(key) {
            selector.match_expressions.get_or_insert_default().push(LabelSelectorRequirement {
                key: key.clone(),
                operator: operator.to_owned(),
                values: Some(vec![value.clone()]),
            });
        }
    }
}

pub(crate) fn parse(
    affinity: Option<RawAffinity>,
    anti: Option<RawAffinity>,
    namespace: &str,
    labels: &Labels,
) -> Option<PodAffinity> {
    let required =
        |terms: Vec<RawTerm>| terms.into_iter().map(|term| term.parse(namespace, labels)).collect::<Vec<_>>();
    let preferred = |terms: Vec<RawWeighted>| {
        let weighted = |term: RawWeighted| WeightedTerm {
            weight: term.weight,
            term: term.pod_affinity_term.parse(namespace, labels),
        };
        terms.into_iter().map(weighted).collect::<Vec<_>>()
    };
    let (affinity, anti) = (affinity.unwrap_or_default(), anti.unwrap_or_default());
    let parsed = PodAffinity {
        required: required(affinity.required),
        required_anti: required(anti.required),
        preferred: preferred(affinity.preferred),
        preferred_anti: preferred(anti.preferred),
    };
    (!parsed.is_empty()).then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn whom_a_term_is_about() {
        let own = labels(&[("app", "web"), ("hash", "1")]);
        let read = |text: &str| serde_json::from_str::<RawTerm>(text).unwrap().parse("ns", &own);
        let web = r#""labelSelector":{"matchLabels":{"app":"web"}}"#;
        // term, namespace of the other pod, its labels, matches
        let cases = [
            (format!("{{{web}}}"), "ns", labels(&[("app", "web")]), true),
            (format!("{{{web}}}"), "other", labels(&[("app", "web")]), false),
            (format!("{{{web},\"namespaces\":[\"other\"]}}"), "other", labels(&[("app", "web")]), true),
            (format!("{{{web},\"namespaceSelector\":{{}}}}"), "other", labels(&[("app", "web")]), true),
            (
                format!("{{{web},\"namespaceSelector\":{{\"matchLabels\":{{\"team\":\"x\"}}}}}}"),
                "other",
                labels(&[("app", "web")]),
                false,
            ),
            (format!("{{{web},\"matchLabelKeys\":[\"hash\"]}}"), "ns", labels(&[("app", "web"), ("hash", "2")]), false),
            (
                format!("{{{web},\"mismatchLabelKeys\":[\"hash\"]}}"),
                "ns",
                labels(&[("app", "web"), ("hash", "2")]),
                true,
            ),
            ("{}".to_owned(), "ns", labels(&[("app", "web")]), false),
        ];
        for (text, namespace, other, expected) in cases {
            assert_eq!(read(&text).matches(namespace, &Labels::new(), &other), expected, "{text} {namespace}");
        }
    }
}
