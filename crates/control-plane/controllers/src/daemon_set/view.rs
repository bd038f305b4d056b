//! DaemonSets as the controller sees them.

use serde::Deserialize;
use serde_json::Value;
use windlass_api::Meta;
use windlass_api::labels::Selector;

use crate::int_or_percent::int_or_percent;

/// Where upstream's first versions counted templates; pods of that time carry the count and not the hash.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DaemonSet {
    pub metadata: Meta,
    pub spec: Spec,
    pub status: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    pub selector: Value,
    pub template: Value,
    pub update_strategy: UpdateStrategy,
    pub min_ready_seconds: i64,
    pub revision_history_limit: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UpdateStrategy {
    #[serde(rename = "type")]
    pub kind: String,
    pub rolling_update: RollingUpdate,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RollingUpdate {
    pub max_unavailable: Value,
    pub max_surge: Value,
}

impl DaemonSet {
    pub(super) fn selector(&self) -> Selector {
        crate::selector_of_structure(&self.spec.selector).unwrap_or_else(|_| Selector::nothing())
    }

    pub(super) fn rolls(&self) -> bool {
        self.spec.update_strategy.kind != "OnDelete"
    }

    /// How many nodes may have an old pod and a new one at the same time, when `nodes` should have one.
    pub(super) fn max_surge(&self, nodes: i64) -> i64 {
        if self.rolls() { int_or_percent(&self.spec.update_strategy.rolling_update.max_surge, nodes, true) } else { 0 }
    }

    /// How many nodes may be without an available pod, when `nodes` should have one. Never 0 unless pods may surge, for then no
    /// update could go on.
    pub(super) fn max_unavailable(&self, nodes: i64) -> i64 {
        let count = int_or_percent(&self.spec.update_strategy.rolling_update.max_unavailable, nodes, true);
        if count == 0 && nodes > 0 && self.max_surge(nodes) == 0 { 1 } else { count }
    }

    pub(super) fn template_generation(&self) -> Option<i64> {
        self.metadata.annotations.get(TEMPLATE_GENERATION)?.parse().ok()
    }

    pub(super) fn history_limit(&self) -> usize {
        usize::try_from(self.spec.revision_history_limit.unwrap_or(10)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bounds() {
        let rolling = |value: Value| -> DaemonSet {
            serde_json::from_value(
                json!({"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": value}}}),
            )
            .unwrap()
        };
        for (value, expected) in [
            (json!({"maxUnavailable": 1}), (1, 0)),
            (json!({"maxUnavailable": "25%"}), (3, 0)),
            (json!({"maxUnavailable": 0, "maxSurge": "10%"}), (0, 1)),
            (json!({"maxUnavailable": 0, "maxSurge": 0}), (1, 0)),
        ] {
            let set = rolling(value.clone());
            assert_eq!((set.max_unavailable(10), set.max_surge(10)), expected, "{value}");
        }
        let on_delete: DaemonSet =
            serde_json::from_value(json!({"spec": {"updateStrategy": {"type": "OnDelete"}}})).unwrap();
        assert!(!on_delete.rolls());
    }
}
