//! Claims and volumes as these controllers see them.

use serde::Deserialize;
use serde_json::Value;
use windlass_api::{Meta, storage_class};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Claim {
    pub metadata: Meta,
    pub spec: ClaimSpec,
    pub status: ClaimStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ClaimSpec {
    pub access_modes: Vec<String>,
    pub resources: Value,
    pub selector: Value,
    pub storage_class_name: Option<String>,
    pub volume_mode: Option<String>,
    pub volume_name: String,
    pub volume_attributes_class_name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ClaimStatus {
    pub phase: String,
    pub access_modes: Vec<String>,
    pub capacity: Value,
    pub current_volume_attributes_class_name: Option<String>,
    pub modify_volume_status: ModifyVolumeStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ModifyVolumeStatus {
    pub target_volume_attributes_class_name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Volume {
    pub metadata: Meta,
    pub spec: VolumeSpec,
    pub status: VolumeStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct VolumeSpec {
    pub access_modes: Vec<String>,
    pub capacity: Value,
    pub claim_ref: Option<ClaimRef>,
    pub host_path: Option<Value>,
    pub persistent_volume_reclaim_policy: String,
    pub storage_class_name: String,
    pub volume_mode: Option<String>,
    pub volume_attributes_class_name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct ClaimRef {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct VolumeStatus {
    pub phase: String,
    pub message: String,
}

impl Claim {
    pub(super) fn class(&self) -> &str {
        storage_class::of(&self.metadata, self.spec.storage_class_name.as_deref()).unwrap_or_default()
    }
}

impl Volume {
    pub(super) fn class(&self) -> &str {
        storage_class::of(&self.metadata, Some(&self.spec.storage_class_name)).unwrap_or_default()
    }

    /// Whether it is meant for this claim, by us or by whoever made it.
    pub(super) fn is_for(&self, claim: &Meta) -> bool {
        self.spec.claim_ref.as_ref().is_some_and(|reference| {
            reference.namespace == claim.namespace
                && reference.name == claim.name
                && (reference.uid.is_empty() || reference.uid == claim.uid)
        })
    }
}
