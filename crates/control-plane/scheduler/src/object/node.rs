//! Nodes.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use windlass_api::Quantity;
use windlass_api::taint::Taint;

use super::{Labels, Resources};

/// A node as the scheduler sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Node {
    pub name: String,
    pub(crate) labels: Labels,
    pub(crate) unschedulable: bool,
    pub(crate) taints: Vec<Taint>,
    pub(crate) allocatable: Resources,
    pub(crate) pods_max: i64,
    /// Images that are there: their size in bytes by each of their names.
    pub(crate) images: HashMap<String, i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawNode {
    metadata: RawMetadata,
    spec: RawSpec,
    status: RawStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawMetadata {
    name: String,
    labels: Labels,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawSpec {
    unschedulable: bool,
    taints: Vec<Taint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawStatus {
    allocatable: BTreeMap<String, Quantity>,
    images: Vec<RawImage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawImage {
    names: Vec<String>,
    size_bytes: i64,
}

impl From<RawNode> for Node {
    fn from(raw: RawNode) -> Self {
        let images =
            raw.status.images.into_iter().flat_map(|image| image.names.into_iter().map(move |n| (n, image.size_bytes)));
        Self {
            name: raw.metadata.name,
            labels: raw.metadata.labels,
            unschedulable: raw.spec.unschedulable,
            taints: raw.spec.taints,
            pods_max: raw.status.allocatable.get("pods").map_or(0, Quantity::units),
            allocatable: Resources::from_list(&raw.status.allocatable),
            images: images.collect(),
        }
    }
}
