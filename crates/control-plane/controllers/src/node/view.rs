//! Nodes as their controllers see them.

use serde::Deserialize;
use windlass_api::taint::Taint;
use windlass_api::{Condition, Meta, condition};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Node {
    pub metadata: Meta,
    pub spec: NodeSpec,
    pub status: NodeStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeSpec {
    #[serde(rename = "podCIDR")]
    pub pod_cidr: String,
    pub unschedulable: bool,
    pub taints: Vec<Taint>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeStatus {
    pub conditions: Vec<Condition>,
}

impl Node {
    /// `True`, `False`, `Unknown`, or nothing when the kubelet has not said yet.
    pub(crate) fn condition(&self, kind: &str) -> Option<&str> {
        condition::status_of(&self.status.conditions, kind)
    }
}
