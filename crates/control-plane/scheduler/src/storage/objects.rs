//! The storage objects, each reduced to the fields that decide about placement.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use windlass_api::k8s::apimachinery::pkg::apis::meta::v1::LabelSelector;
use windlass_api::labels::Selector;
use windlass_api::node_selector::NodeSelector;
use windlass_api::{Meta, ObjectKey, Quantity, storage_class};

use crate::object::Labels;

pub(crate) const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// A PersistentVolumeClaim.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Claim {
    pub key: ObjectKey,
    pub uid: String,
    pub volume_name: String,
    /// Empty is none.
    pub class: String,
    /// It has its volume, for good.
    pub bound: bool,
    /// Its volume has gone.
    pub lost: bool,
    pub terminating: bool,
    /// Where its volume is being made.
    pub selected_node: Option<String>,
    pub access_modes: Vec<String>,
    pub block: bool,
    pub bytes: i64,
    pub selector: Option<Selector>,
    /// The UID of the pod that it is made for.
    pub owner: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawClaim {
    metadata: Meta,
    spec: RawClaimSpec,
    status: RawPhase,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawClaimSpec {
    volume_name: String,
    storage_class_name: Option<String>,
    access_modes: Vec<String>,
    volume_mode: Option<String>,
    resources: RawResources,
    selector: Option<LabelSelector>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawResources {
    requests: BTreeMap<String, Quantity>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawPhase {
    phase: String,
}

fn bytes_of(amounts: &BTreeMap<String, Quantity>) -> i64 {
    amounts.get("storage").map_or(0, Quantity::units)
}

impl From<RawClaim> for Claim {
    fn from(raw: RawClaim) -> Self {
        let RawClaim { metadata, spec, status } = raw;
        let annotation = |name: &str| metadata.annotations.get(name).cloned();
        Self {
            bound: !spec.volume_name.is_empty() && annotation(BIND_COMPLETED).is_some(),
            class: storage_class::of(&metadata, spec.storage_class_name.as_deref()).unwrap_or_default().to_owned(),
            selected_node: annotation(SELECTED_NODE),
            lost: status.phase == "Lost",
            terminating: metadata.is_deleting(),
            owner: metadata.controller().filter(|owner| owner.kind == "Pod").map(|owner| owner.uid.clone()),
            key: metadata.key(),
            uid: metadata.uid,
            volume_name: spec.volume_name,
            access_modes: spec.access_modes,
            block: spec.volume_mode.as_deref() == Some("Block"),
            bytes: bytes_of(&spec.resources.requests),
            selector: spec.selector.map(|s| Selector::from_structure(Some(&s)).unwrap_or_else(|_| Selector::nothing())),
        }
    }
}

/// A PersistentVolume.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Volume {
    pub name: String,
    pub labels: Labels,
    pub class: String,
    pub available: bool,
    pub terminating: bool,
    /// The claim that it belongs to, or is kept for; with the claim's UID once that is known.
    pub claim: Option<(ObjectKey, String)>,
    pub access_modes: Vec<String>,
    pub block: bool,
    pub bytes: i64,
    pub node_affinity: Option<NodeSelector>,
    /// Driver and handle.
    pub csi: Option<(String, String)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawVolume {
    metadata: Meta,
    spec: RawVolumeSpec,
    status: RawPhase,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawVolumeSpec {
    storage_class_name: String,
    claim_ref: Option<RawClaimRef>,
    access_modes: Vec<String>,
    volume_mode: Option<String>,
    capacity: BTreeMap<String, Quantity>,
    node_affinity: RawNodeAffinity,
    csi: Option<RawCsi>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawClaimRef {
    namespace: String,
    name: String,
    uid: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawNodeAffinity {
    required: Option<NodeSelector>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawCsi {
    driver: String,
    volume_handle: String,
}

impl From<RawVolume> for Volume {
    fn from(raw: RawVolume) -> Self {
        let RawVolume { metadata, spec, status } = raw;
        let class = storage_class::of(&metadata, Some(&spec.storage_class_name)).unwrap_or_default().to_owned();
        Self {
            terminating: metadata.is_deleting(),
            name: metadata.name,
            labels: metadata.labels,
            class,
            available: status.phase == "Available",
            claim: spec.claim_ref.map(|claim| (ObjectKey::new(claim.namespace, claim.name), claim.uid)),
            access_modes: spec.access_modes,
            block: spec.volume_mode.as_deref() == Some("Block"),
            bytes: bytes_of(&spec.capacity),
            node_affinity: spec.node_affinity.required,
            csi: spec.csi.map(|csi| (csi.driver, csi.volume_handle)),
        }
    }
}

impl Volume {
    /// Whether a node can reach it.
    pub(crate) fn is_reachable(&self, node: &str, labels: &Labels) -> bool {
        self.node_affinity.as_ref().is_none_or(|affinity| affinity.matches(node, labels))
    }
}

/// A StorageClass.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Class {
    pub provisioner: String,
    pub waits_for_consumer: bool,
    /// Alternatives, each a list of labels with the values that are allowed; without any, everywhere.
    pub topologies: Vec<Vec<TopologyLabel>>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct TopologyLabel {
    key: String,
    values: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RawClass {
    provisioner: String,
    volume_binding_mode: Option<String>,
    allowed_topologies: Vec<RawTopology>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawTopology {
    match_label_expressions: Vec<TopologyLabel>,
}

impl From<RawClass> for Class {
    fn from(raw: RawClass) -> Self {
        Self {
            provisioner: raw.provisioner,
            waits_for_consumer: raw.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"),
            topologies: raw.allowed_topologies.into_iter().map(|topology| topology.match_label_expressions).collect(),
        }
    }
}

impl Class {
    /// Whether volumes can be made where a node with these labels reaches them.
    pub(crate) fn allows(&self, labels: &Labels) -> bool {
        let has = |label: &TopologyLabel| labels.get(&label.key).is_some_and(|value| label.values.contains(value));
        self.topologies.is_empty() || self.topologies.iter().any(|all| !all.is_empty() && all.iter().all(has))
    }

    /// Whether volumes are made at all.
    pub(crate) fn provisions(&self) -> bool {
        !self.provisioner.is_empty() && self.provisioner != "kubernetes.io/no-provisioner"
    }
}

/// A CSINode: how many volumes of each driver the node can have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CsiNode {
    pub limits: HashMap<String, i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawCsiNode {
    spec: RawCsiNodeSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawCsiNodeSpec {
    drivers: Vec<RawNodeDriver>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawNodeDriver {
    name: String,
    allocatable: RawAllocatable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawAllocatable {
    count: Option<i64>,
}

impl From<RawCsiNode> for CsiNode {
    fn from(raw: RawCsiNode) -> Self {
        let limits = raw.spec.drivers.into_iter().filter_map(|driver| Some((driver.name, driver.allocatable.count?)));
        Self { limits: limits.collect() }
    }
}

/// A CSIDriver.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CsiDriver {
    /// It says how much can be made where.
    pub tells_capacity: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawCsiDriver {
    spec: RawCsiDriverSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawCsiDriverSpec {
    storage_capacity: bool,
}

impl From<RawCsiDriver> for CsiDriver {
    fn from(raw: RawCsiDriver) -> Self {
        Self { tells_capacity: raw.spec.storage_capacity }
    }
}

/// A CSIStorageCapacity: how much can be made of a class for some nodes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Capacity {
    pub class: String,
    pub nodes: Selector,
    pub bytes: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RawCapacity {
    storage_class_name: String,
    node_topology: Option<LabelSelector>,
    capacity: Option<Quantity>,
    maximum_volume_size: Option<Quantity>,
}

impl From<RawCapacity> for Capacity {
    fn from(raw: RawCapacity) -> Self {
        Self {
            class: raw.storage_class_name,
            nodes: Selector::from_structure(raw.node_topology.as_ref()).unwrap_or_else(|_| Selector::nothing()),
            // The size of the largest volume says more than what is left in all.
            bytes: raw.maximum_volume_size.or(raw.capacity).map_or(0, |bytes| bytes.units()),
        }
    }
}
