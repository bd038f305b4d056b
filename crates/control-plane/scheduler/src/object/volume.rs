//! A pod's volumes, as far as they decide where it can run.

use serde::Deserialize;

/// A volume of a pod that ties it to a claim, or to a disk that not every pod can share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Volume {
    /// A claim in the pod's namespace.
    Claim {
        name: String,
        ephemeral: bool,
    },
    Disk(Disk),
}

/// A disk that is named in the pod itself (`VolumeRestrictions`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    /// A GCE persistent disk, which can be shared when all use it read-only.
    Gce {
        name: String,
        read_only: bool,
    },
    /// An AWS volume, which cannot be shared.
    Aws {
        id: String,
    },
    Iscsi {
        iqn: String,
        read_only: bool,
    },
    Rbd {
        monitors: Vec<String>,
        pool: String,
        image: String,
        read_only: bool,
    },
}

impl Disk {
    /// Whether two pods on one node cannot both have their disk.
    pub(crate) fn conflicts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gce { name, read_only }, Self::Gce { name: n, read_only: r }) => name == n && !(*read_only && *r),
            (Self::Aws { id }, Self::Aws { id: i }) => id == i,
            (Self::Iscsi { iqn, read_only }, Self::Iscsi { iqn: i, read_only: r }) => iqn == i && !(*read_only && *r),
            (
                Self::Rbd { monitors, pool, image, read_only },
                Self::Rbd { monitors: m, pool: p, image: i, read_only: r },
            ) => monitors.iter().any(|a| m.contains(a)) && pool == p && image == i && !(*read_only && *r),
            _ => false,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RawVolume {
    name: String,
    persistent_volume_claim: Option<RawClaim>,
    ephemeral: Option<serde::de::IgnoredAny>,
    gce_persistent_disk: Option<RawDisk>,
    aws_elastic_block_store: Option<RawDisk>,
    iscsi: Option<RawDisk>,
    rbd: Option<RawDisk>,
    image: Option<RawImage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawClaim {
    claim_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawImage {
    reference: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawDisk {
    #[serde(rename = "pdName")]
    pd_name: String,
    #[serde(rename = "volumeID")]
    volume_id: String,
    iqn: String,
    monitors: Vec<String>,
    pool: String,
    image: String,
    #[serde(rename = "readOnly")]
    read_only: bool,
}

impl RawVolume {
    pub(crate) fn image(&self) -> Option<&str> {
        self.image.as_ref().map(|image| image.reference.as_str())
    }

    pub(crate) fn parse(self, pod: &str) -> Option<Volume> {
        if let Some(claim) = self.persistent_volume_claim {
            return Some(Volume::Claim { name: claim.claim_name, ephemeral: false });
        }
        if self.ephemeral.is_some() {
            return Some(Volume::Claim { name: format!("{pod}-{}", self.name), ephemeral: true });
        }
        let disk = if let Some(disk) = self.gce_persistent_disk {
            Disk::Gce { name: disk.pd_name, read_only: disk.read_only }
        } else if let Some(disk) = self.aws_elastic_block_store {
            Disk::Aws { id: disk.volume_id }
        } else if let Some(disk) = self.iscsi {
            Disk::Iscsi { iqn: disk.iqn, read_only: disk.read_only }
        } else if let Some(disk) = self.rbd {
            Disk::Rbd { monitors: disk.monitors, pool: disk.pool, image: disk.image, read_only: disk.read_only }
        } else {
            return None;
        };
        Some(Volume::Disk(disk))
    }
}
