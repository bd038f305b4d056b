//! The wire form of the pod's fields that decide about placement; [`super::pod::Pod`] is made of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use windlass_api::node_selector::{NodeSelector, Term};
use windlass_api::taint::Toleration;
use windlass_api::{Condition, OwnerReference, Quantity};

use super::Labels;
use super::affinity::RawAffinity;
use super::spread::RawConstraint;
use super::volume::RawVolume;

type Amounts = BTreeMap<String, Quantity>;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawPod {
    pub metadata: Metadata,
    pub spec: Spec,
    pub status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub generation: i64,
    pub deletion_timestamp: Option<String>,
    pub labels: Labels,
    pub owner_references: Vec<OwnerReference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    pub node_name: String,
    pub scheduler_name: String,
    pub priority: Option<i32>,
    pub preemption_policy: Option<String>,
    pub node_selector: Labels,
    pub affinity: Option<Affinity>,
    pub tolerations: Vec<Toleration>,
    pub topology_spread_constraints: Vec<RawConstraint>,
    pub scheduling_gates: Vec<Gate>,
    pub containers: Vec<Container>,
    pub init_containers: Vec<Container>,
    pub overhead: Option<Amounts>,
    pub resources: Option<Requirements>,
    pub volumes: Vec<RawVolume>,
    pub host_network: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Affinity {
    pub node_affinity: Option<NodeAffinity>,
    pub pod_affinity: Option<RawAffinity>,
    pub pod_anti_affinity: Option<RawAffinity>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Option<NodeSelector>,
    #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution")]
    pub preferred: Vec<PreferredTerm>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct PreferredTerm {
    pub weight: i64,
    pub preference: Term,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Gate {
    pub name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Container {
    pub name: String,
    pub image: String,
    pub resources: Requirements,
    pub ports: Vec<Port>,
    pub restart_policy: Option<String>,
}

/// Limits are no matter of placement.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Requirements {
    pub requests: Option<Amounts>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Port {
    pub host_port: u16,
    #[serde(rename = "hostIP")]
    pub host_ip: String,
    pub protocol: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Status {
    pub phase: String,
    pub nominated_node_name: String,
    pub start_time: Option<String>,
    pub conditions: Vec<Condition>,
    pub container_statuses: Vec<ContainerStatus>,
    pub init_container_statuses: Vec<ContainerStatus>,
    pub allocated_resources: Option<Amounts>,
    pub resources: Option<Requirements>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerStatus {
    pub name: String,
    pub allocated_resources: Option<Amounts>,
    pub resources: Option<Requirements>,
}
