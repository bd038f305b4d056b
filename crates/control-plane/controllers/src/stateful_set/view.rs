//! StatefulSets as the controller sees them.

use serde::Deserialize;
use serde_json::Value;
use windlass_api::Meta;
use windlass_api::labels::Selector;

use crate::int_or_percent::int_or_percent;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, from = "RawStatefulSet")]
pub(super) struct StatefulSet {
    pub metadata: Meta,
    pub spec: Spec,
    pub status: StatusView,
    pub raw_status: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawStatefulSet {
    metadata: Meta,
    spec: Spec,
    status: Value,
}

impl From<RawStatefulSet> for StatefulSet {
    fn from(raw: RawStatefulSet) -> Self {
        let status = serde_json::from_value(raw.status.clone()).unwrap_or_default();
        Self { metadata: raw.metadata, spec: raw.spec, status, raw_status: raw.status }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    pub replicas: Option<i64>,
    pub selector: Value,
    pub template: Value,
    pub service_name: String,
    pub pod_management_policy: String,
    pub update_strategy: UpdateStrategy,
    pub volume_claim_templates: Vec<Value>,
    pub revision_history_limit: Option<i64>,
    pub min_ready_seconds: i64,
    pub ordinals: Ordinals,
    pub persistent_volume_claim_retention_policy: Retention,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UpdateStrategy {
    #[serde(rename = "type")]
    pub kind: String,
    pub rolling_update: Option<RollingUpdate>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RollingUpdate {
    pub partition: Option<i64>,
    pub max_unavailable: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ordinals {
    pub start: i64,
}

/// What happens to storage: `Retain` (or nothing) or `Delete`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Retention {
    pub when_deleted: String,
    pub when_scaled: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct StatusView {
    pub current_replicas: i64,
    pub current_revision: String,
    pub update_revision: String,
    pub collision_count: Option<i64>,
}

impl StatefulSet {
    pub(super) fn replicas(&self) -> i64 {
        self.spec.replicas.unwrap_or(1).max(0)
    }

    pub(super) fn selector(&self) -> Selector {
        crate::selector_of_structure(&self.spec.selector).unwrap_or_else(|_| Selector::nothing())
    }

    /// The ordinals that the set wants pods for. There may be billions: nothing may go through all of them.
    pub(super) fn ordinals(&self) -> std::ops::Range<i64> {
        let start = self.spec.ordinals.start;
        start..start.saturating_add(self.replicas())
    }

    /// The first of the ordinals that an update touches.
    pub(super) fn first_updated(&self) -> i64 {
        self.spec.ordinals.start.saturating_add(self.partition().unwrap_or(0))
    }

    /// How many pods an update may make unavailable; never none.
    pub(super) fn max_unavailable(&self) -> i64 {
        let rolling = self.spec.update_strategy.rolling_update.as_ref();
        rolling.map_or(1, |rolling| int_or_percent(&rolling.max_unavailable, self.replicas(), false)).max(1)
    }

    pub(super) fn is_parallel(&self) -> bool {
        self.spec.pod_management_policy == "Parallel"
    }

    pub(super) fn rolls(&self) -> bool {
        self.spec.update_strategy.kind != "OnDelete"
    }

    pub(super) fn partition(&self) -> Option<i64> {
        self.spec.update_strategy.rolling_update.as_ref().and_then(|rolling| rolling.partition)
    }

    pub(super) fn history_limit(&self) -> usize {
        usize::try_from(self.spec.revision_history_limit.unwrap_or(10)).unwrap_or(0)
    }
}

/// The number at the end of a pod's name, when the rest is the set's.
pub(super) fn ordinal_of(set: &str, pod: &str) -> Option<i64> {
    pod.strip_prefix(set)?.strip_prefix('-').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals() {
        for (pod, expected) in [
            ("web-0", Some(0)),
            ("web-12", Some(12)),
            ("web-x", None),
            ("other-1", None),
            ("web-", None),
            ("web-a-1", None),
        ] {
            assert_eq!(ordinal_of("web", pod), expected, "{pod}");
        }
    }
}
