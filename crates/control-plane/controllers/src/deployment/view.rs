//! Deployments and ReplicaSets as the controller sees them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_api::labels::Selector;
use windlass_api::{Condition, Meta, condition};

use crate::int_or_percent::int_or_percent;
use crate::owners::Owned;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, from = "RawDeployment")]
pub(super) struct Deployment {
    pub metadata: Meta,
    pub spec: DeploymentSpec,
    pub status: DeploymentStatus,
    pub raw_status: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawDeployment {
    metadata: Meta,
    spec: DeploymentSpec,
    status: Value,
}

impl From<RawDeployment> for Deployment {
    fn from(raw: RawDeployment) -> Self {
        let status = serde_json::from_value(raw.status.clone()).unwrap_or_default();
        Self { metadata: raw.metadata, spec: raw.spec, status, raw_status: raw.status }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DeploymentSpec {
    pub replicas: Option<i64>,
    pub selector: Value,
    pub template: Value,
    pub strategy: Strategy,
    pub min_ready_seconds: i64,
    pub revision_history_limit: Option<i64>,
    pub paused: bool,
    pub progress_deadline_seconds: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Strategy {
    #[serde(rename = "type")]
    pub kind: String,
    pub rolling_update: RollingUpdate,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RollingUpdate {
    pub max_surge: Value,
    pub max_unavailable: Value,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DeploymentStatus {
    pub observed_generation: i64,
    pub replicas: i64,
    pub updated_replicas: i64,
    pub ready_replicas: i64,
    pub available_replicas: i64,
    pub unavailable_replicas: i64,
    pub terminating_replicas: Option<i64>,
    pub collision_count: Option<i64>,
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReplicaSet {
    pub metadata: Meta,
    pub spec: ReplicaSetSpec,
    pub status: ReplicaSetStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ReplicaSetSpec {
    pub replicas: Option<i64>,
    pub min_ready_seconds: i64,
    pub template: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ReplicaSetStatus {
    pub replicas: i64,
    pub ready_replicas: i64,
    pub available_replicas: i64,
    pub terminating_replicas: Option<i64>,
    pub observed_generation: i64,
    pub conditions: Vec<Condition>,
}

impl Owned for ReplicaSet {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl ReplicaSet {
    pub(super) fn replicas(&self) -> i64 {
        self.spec.replicas.unwrap_or(1)
    }

    pub(super) fn annotation_number(&self, name: &str) -> Option<i64> {
        self.metadata.annotations.get(name)?.parse().ok()
    }

    /// Sorts from old to young.
    pub(super) fn age_key(&self) -> (Option<&str>, &str) {
        (self.metadata.creation_timestamp.as_deref(), &self.metadata.name)
    }
}

impl Deployment {
    pub(super) fn replicas(&self) -> i64 {
        self.spec.replicas.unwrap_or(1)
    }

    pub(super) fn selector(&self) -> Selector {
        crate::selector_of_structure(&self.spec.selector).unwrap_or_else(|_| Selector::nothing())
    }

    pub(super) fn recreates(&self) -> bool {
        self.spec.strategy.kind == "Recreate"
    }

    /// How many pods may be there beyond the wanted number, and how many may be missing; never both none.
    fn bounds(&self) -> (i64, i64) {
        let rolling = &self.spec.strategy.rolling_update;
        let surge = int_or_percent(&rolling.max_surge, self.replicas(), true);
        let unavailable = int_or_percent(&rolling.max_unavailable, self.replicas(), false);
        if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
    }

    pub(super) fn max_surge(&self) -> i64 {
        if self.recreates() { 0 } else { self.bounds().0 }
    }

    pub(super) fn max_unavailable(&self) -> i64 {
        if self.recreates() || self.replicas() == 0 { 0 } else { self.bounds().1.min(self.replicas()) }
    }

    /// `None` when there is none; the greatest number stands for none.
    pub(super) fn progress_deadline(&self) -> Option<i64> {
        self.spec.progress_deadline_seconds.filter(|&seconds| seconds != i64::from(i32::MAX))
    }

    pub(super) fn condition(&self, kind: &str) -> Option<&Condition> {
        condition::find(&self.status.conditions, kind)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(replicas: i64, surge: &Value, unavailable: &Value) -> Deployment {
        serde_json::from_value(json!({"spec": {"replicas": replicas, "strategy": {
            "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}}}))
        .unwrap()
    }

    #[test]
    fn bounds() {
        for (replicas, surge, unavailable, expected) in [
            (10, json!("25%"), json!("25%"), (3, 2)),
            (1, json!("25%"), json!("25%"), (1, 0)),
            (4, json!(0), json!("10%"), (0, 1)),
            (4, json!(2), json!(1), (2, 1)),
            (3, json!("0%"), json!("0%"), (0, 1)),
        ] {
            let deployment = deployment(replicas, &surge, &unavailable);
            assert_eq!(
                (deployment.max_surge(), deployment.max_unavailable()),
                expected,
                "{replicas} {surge} {unavailable}"
            );
        }
        assert_eq!(deployment(0, &json!(1), &json!(1)).max_unavailable(), 0);
    }
}
