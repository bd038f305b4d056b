//! Topology spread constraints: how evenly pods are to be spread over zones, nodes or other domains.

use serde::Deserialize;
use windlass_api::k8s::apimachinery::pkg::apis::meta::v1::LabelSelector;
use windlass_api::labels::Selector;

use super::Labels;
use super::affinity::demand;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpreadConstraint {
    pub max_skew: i64,
    pub topology_key: String,
    pub selector: Selector,
    pub min_domains: i64,
    /// DoNotSchedule; else ScheduleAnyway, which only moves scores.
    pub hard: bool,
    pub honor_node_affinity: bool,
    pub honor_node_taints: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RawConstraint {
    max_skew: i64,
    topology_key: String,
    when_unsatisfiable: String,
    label_selector: Option<LabelSelector>,
    min_domains: Option<i64>,
    node_affinity_policy: Option<String>,
    node_taints_policy: Option<String>,
    match_label_keys: Vec<String>,
}

impl RawConstraint {
    /// `labels` are those of the pod that has the constraint.
    pub(crate) fn parse(self, labels: &Labels) -> SpreadConstraint {
        let mut label_selector = self.label_selector;
        if let Some(selector) = &mut label_selector {
            demand(selector, &self.match_label_keys, labels, "In");
        }
        SpreadConstraint {
            max_skew: self.max_skew,
            topology_key: self.topology_key,
            selector: Selector::from_structure(label_selector.as_ref()).unwrap_or_else(|_| Selector::nothing()),
            min_domains: self.min_domains.unwrap_or(1),
            hard: self.when_unsatisfiable != "ScheduleAnyway",
            honor_node_affinity: self.node_affinity_policy.as_deref() != Some("Ignore"),
            honor_node_taints: self.node_taints_policy.as_deref() == Some("Honor"),
        }
    }
}
