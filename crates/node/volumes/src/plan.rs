//! What each volume of a pod comes to: a pure function from the pod, its claims and the node to plans.
//!
//! A plan names the plugin's work completely; the executors ([`crate::Volumes`]) carry it out, any number of times.

use std::path::{Path, PathBuf};

use windlass_api::Quantity;
use windlass_api::k8s::api::core::v1::{
    ConfigMapProjection, DownwardAPIVolumeFile, EmptyDirVolumeSource, HostPathVolumeSource, KeyToPath,
    PersistentVolume, PersistentVolumeSpec, Pod, ProjectedVolumeSource, SecretProjection, Volume, VolumeProjection,
};
use windlass_api::k8s::apimachinery::pkg::apis::meta::v1::LabelSelector;
use windlass_api::pod::resources::{MEMORY, declared_limit};

use crate::downward::Amounts;
use crate::layout::{Plugin, is_file_name};
use crate::pod;

/// The API server's default; pods that come from files may lack it.
const MODE_DEFAULT: i32 = 0o644;
const TOKEN_SECONDS_DEFAULT: i64 = 3600;
const HUGE_PAGES: &str = "HugePages";

/// What a volume comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// An empty directory that lives as long as the pod.
    EmptyDir(Medium),
    /// Files with contents from the API, always mounted read-only.
    Files(Files),
    /// A path of the node as it is.
    HostPath { path: PathBuf, kind: HostPathKind, read_only: bool },
    /// A directory or block device of the node, mounted for the pod.
    Local(Local),
    /// A block device of the node, handed to containers as it is.
    BlockDevice { path: PathBuf, read_only: bool },
    /// An image's file system: the runtime mounts it.
    Image { reference: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Medium {
    Disk,
    /// tmpfs with room for that many bytes; 0 leaves it to the kernel (half of the memory).
    Memory {
        size_bytes: u64,
    },
    HugePages {
        page_bytes: u64,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Files {
    pub plugin: Plugin,
    pub sources: Vec<Projection>,
    pub default_mode: u32,
    /// On tmpfs of that size, so that secrets do not reach the disk.
    pub memory_bytes: Option<u64>,
}

/// One source of a volume's files.
#[derive(Clone, Debug, PartialEq)]
pub enum Projection {
    ConfigMap { name: String, items: Vec<Item>, optional: bool },
    Secret { name: String, items: Vec<Item>, optional: bool },
    Downward(Vec<DownwardAPIVolumeFile>),
    Token { audience: Option<String>, expiration_seconds: i64, path: String },
    TrustBundle { bundle: TrustBundle, path: String, optional: bool },
    Certificate(PodCertificate),
}

/// A key and a certificate for it, which the kubelet has asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodCertificate {
    pub source: CertificateSource,
    /// The key and then the chain, in one file; none of the paths is there when it is not wanted.
    pub bundle_path: Option<String>,
    pub key_path: Option<String>,
    pub chain_path: Option<String>,
}

/// Which `podCertificate` of a pod: each has a key and a certificate of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateSource {
    pub volume: String,
    /// The place in the volume's list of sources.
    pub index: usize,
}

/// Which key becomes which file; no items are all keys, under their own names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub key: String,
    pub path: String,
    pub mode: Option<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TrustBundle {
    Name(String),
    /// All bundles of a signer that the selector matches; `None` matches none.
    Signer {
        name: String,
        selector: Option<LabelSelector>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPathKind {
    Unset,
    DirectoryOrCreate,
    Directory,
    FileOrCreate,
    File,
    Socket,
    CharDevice,
    BlockDevice,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The PersistentVolume's name, which the mount is named after.
    pub name: String,
    pub source: PathBuf,
    /// For a block device; empty is ext4.
    pub fs_type: String,
    pub mount_options: Vec<String>,
    pub read_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("volume {0:?} has no name that can be a directory's")]
    Name(String),
    #[error("volume {name:?} is of a type that this node has no plugin for: {kind}")]
    Unsupported { name: String, kind: String },
    #[error("unknown storage medium {0:?}")]
    Medium(String),
    #[error("medium {0}: hugePages storage requested, but there is no resource request for huge pages")]
    NoHugePages(String),
    #[error("medium: {0} can't be used if container requests multiple huge page sizes")]
    HugePageSizes(String),
    #[error("{0} is an invalid volume type")]
    HostPathKind(String),
    #[error("invalid HostPath `{0}`: must not contain '..'")]
    HostPath(String),
    #[error("local volume source is nil or local path is not set")]
    LocalPath,
    #[error("volume {name} has volumeMode {mode}, but is specified in {used_in}")]
    VolumeMode { name: String, mode: String, used_in: &'static str },
    #[error("ClusterTrustBundle projection requires either name or signerName to be set")]
    TrustBundle,
    #[error("the claim of volume {0:?} has not been looked up")]
    Claim(String),
}

/// What a plan takes from the node.
#[derive(Clone, Debug, Default)]
pub struct NodeFacts {
    /// What pods can have of the node, by resource name.
    pub allocatable: Amounts,
}

/// The claim that a volume refers to, if it does, and whether the pod asks for it read-only. Generic ephemeral volumes have a
/// claim named after pod and volume.
pub fn claim(pod: &Pod, volume: &Volume) -> Option<(String, bool)> {
    if let Some(claim) = &volume.persistent_volume_claim {
        return Some((claim.claim_name.clone(), claim.read_only.unwrap_or(false)));
    }
    volume.ephemeral.as_ref().map(|_| (format!("{}-{}", pod::name(pod), volume.name), false))
}

/// Plans one volume. `bound` is the PersistentVolume behind its [`claim`].
pub fn plan(pod: &Pod, volume: &Volume, bound: Option<&PersistentVolume>, node: &NodeFacts) -> Result<Plan, PlanError> {
    if !is_file_name(&volume.name) {
        return Err(PlanError::Name(volume.name.clone()));
    }
    if let Some((_, read_only)) = claim(pod, volume) {
        let bound = bound.ok_or_else(|| PlanError::Claim(volume.name.clone()))?;
        return persistent(pod, &volume.name, bound, read_only);
    }
    if let Some(source) = &volume.empty_dir {
        return Ok(Plan::EmptyDir(medium(pod, source, node)?));
    }
    if let Some(source) = &volume.host_path {
        return host_path(source, false);
    }
    if let Some(source) = &volume.image {
        return Ok(Plan::Image { reference: source.reference.clone().unwrap_or_default() });
    }
    let memory = || Some(memory_bytes(pod, None, node));
    if let Some(source) = &volume.config_map {
        let optional = source.optional.unwrap_or(false);
        let projection = Projection::ConfigMap { name: source.name.clone(), items: items(&source.items), optional };
        // On disk: the memory of a tmpfs could not be charged to the pod.
        return Ok(files(Plugin::ConfigMap, vec![projection], source.default_mode, None));
    }
    if let Some(source) = &volume.secret {
        let name = source.secret_name.clone().unwrap_or_default();
        let optional = source.optional.unwrap_or(false);
        let projection = Projection::Secret { name, items: items(&source.items), optional };
        return Ok(files(Plugin::Secret, vec![projection], source.default_mode, memory()));
    }
    if let Some(source) = &volume.downward_api {
        let projection = Projection::Downward(source.items.clone().unwrap_or_default());
        return Ok(files(Plugin::DownwardApi, vec![projection], source.default_mode, memory()));
    }
    if let Some(source) = &volume.projected {
        return Ok(files(Plugin::Projected, projections(&volume.name, source)?, source.default_mode, memory()));
    }
    Err(PlanError::Unsupported { name: volume.name.clone(), kind: kind_of(volume) })
}

fn files(plugin: Plugin, sources: Vec<Projection>, mode: Option<i32>, memory_bytes: Option<u64>) -> Plan {
    Plan::Files(Files { plugin, sources, default_mode: bits(mode.unwrap_or(MODE_DEFAULT)), memory_bytes })
}

fn bits(mode: i32) -> u32 {
    mode.cast_unsigned() & 0o777
}

fn items(items: &Option<Vec<KeyToPath>>) -> Vec<Item> {
    let item = |item: &KeyToPath| Item { key: item.key.clone(), path: item.path.clone(), mode: item.mode.map(bits) };
    items.iter().flatten().map(item).collect()
}

fn projections(volume: &str, source: &ProjectedVolumeSource) -> Result<Vec<Projection>, PlanError> {
    let sources = source.sources.iter().flatten().enumerate();
    sources.map(|(index, projection)| one_projection(volume, index, projection)).collect()
}

fn one_projection(volume: &str, index: usize, projection: &VolumeProjection) -> Result<Projection, PlanError> {
    if let Some(ConfigMapProjection { items: list, name, optional }) = &projection.config_map {
        let optional = optional.unwrap_or(false);
        return Ok(Projection::ConfigMap { name: name.clone(), items: items(list), optional });
    }
    if let Some(SecretProjection { items: list, name, optional }) = &projection.secret {
        let optional = optional.unwrap_or(false);
        return Ok(Projection::Secret { name: name.clone(), items: items(list), optional });
    }
    if let Some(source) = &projection.downward_api {
        return Ok(Projection::Downward(source.items.clone().unwrap_or_default()));
    }
    if let Some(source) = &projection.service_account_token {
        return Ok(Projection::Token {
            audience: source.audience.clone().filter(|audience| !audience.is_empty()),
            expiration_seconds: source.expiration_seconds.unwrap_or(TOKEN_SECONDS_DEFAULT),
            path: source.path.clone(),
        });
    }
    if let Some(source) = &projection.cluster_trust_bundle {
        let bundle = match (&source.name, &source.signer_name) {
            (Some(name), _) => TrustBundle::Name(name.clone()),
            (None, Some(name)) => TrustBundle::Signer { name: name.clone(), selector: source.label_selector.clone() },
            (None, None) => return Err(PlanError::TrustBundle),
        };
        let optional = source.optional.unwrap_or(false);
        return Ok(Projection::TrustBundle { bundle, path: source.path.clone(), optional });
    }
    if let Some(source) = &projection.pod_certificate {
        let path = |path: &Option<String>| path.clone().filter(|path| !path.is_empty());
        return Ok(Projection::Certificate(PodCertificate {
            source: CertificateSource { volume: volume.to_owned(), index },
            bundle_path: path(&source.credential_bundle_path),
            key_path: path(&source.key_path),
            chain_path: path(&source.certificate_chain_path),
        }));
    }
    Err(PlanError::Unsupported { name: volume.to_owned(), kind: "projected (an empty projection)".to_owned() })
}

fn medium(pod: &Pod, source: &EmptyDirVolumeSource, node: &NodeFacts) -> Result<Medium, PlanError> {
    match source.medium.as_deref().unwrap_or_default() {
        "" => Ok(Medium::Disk),
        "Memory" => {
            let limit = source.size_limit.as_ref().and_then(|limit| limit.0.parse().ok());
            Ok(Medium::Memory { size_bytes: memory_bytes(pod, limit, node) })
        }
        medium => match medium.strip_prefix(HUGE_PAGES) {
            Some(size) => Ok(Medium::HugePages { page_bytes: page_bytes(pod, medium, size)? }),
            None => Err(PlanError::Medium(medium.to_owned())),
        },
    }
}

/// The smallest of what the node, the pod and the volume allow. As upstream's calculateEmptyDirMemorySize.
fn memory_bytes(pod: &Pod, limit: Option<Quantity>, node: &NodeFacts) -> u64 {
    let mut size = node.allocatable.get("memory").map_or(0, Quantity::units);
    for limit in [declared_limit(pod, MEMORY), limit].into_iter().flatten().map(|limit| limit.units()) {
        if limit > 0 && limit <= size {
            size = limit;
        }
    }
    u64::try_from(size).unwrap_or(0)
}

/// The page size that the medium names, which some container must request; without a name the only one requested.
fn page_bytes(pod: &Pod, medium: &str, size: &str) -> Result<u64, PlanError> {
    let wanted = match size.strip_prefix('-') {
        None if size.is_empty() => None,
        Some(size) => Some(size.parse::<Quantity>().map_err(|_| PlanError::Medium(medium.to_owned()))?),
        None => return Err(PlanError::Medium(medium.to_owned())),
    };
    let spec = pod::spec(pod);
    let lists = spec.into_iter().flat_map(|spec| {
        let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        spec.resources.iter().chain(containers.filter_map(|container| container.resources.as_ref()))
    });
    let names = lists.flat_map(|resources| resources.requests.iter().flatten()).map(|(name, _)| name);
    let requested = names.filter_map(|name| name.strip_prefix("hugepages-")?.parse::<Quantity>().ok());
    let mut found: Option<Quantity> = None;
    for size in requested {
        match (wanted, found) {
            (Some(wanted), _) if size != wanted => {}
            (None, Some(other)) if other != size => return Err(PlanError::HugePageSizes(medium.to_owned())),
            _ => found = Some(size),
        }
    }
    let bytes = found.map(|size| size.units()).filter(|bytes| *bytes > 0);
    bytes.and_then(|bytes| u64::try_from(bytes).ok()).ok_or_else(|| PlanError::NoHugePages(medium.to_owned()))
}

fn host_path(source: &HostPathVolumeSource, read_only: bool) -> Result<Plan, PlanError> {
    if source.path.split('/').any(|part| part == "..") {
        return Err(PlanError::HostPath(source.path.clone()));
    }
    let kind = match source.type_.as_deref().unwrap_or_default() {
        "" => HostPathKind::Unset,
        "DirectoryOrCreate" => HostPathKind::DirectoryOrCreate,
        "Directory" => HostPathKind::Directory,
        "FileOrCreate" => HostPathKind::FileOrCreate,
        "File" => HostPathKind::File,
        "Socket" => HostPathKind::Socket,
        "CharDevice" => HostPathKind::CharDevice,
        "BlockDevice" => HostPathKind::BlockDevice,
        other => return Err(PlanError::HostPathKind(other.to_owned())),
    };
    Ok(Plan::HostPath { path: PathBuf::from(&source.path), kind, read_only })
}

fn persistent(pod: &Pod, volume: &str, bound: &PersistentVolume, read_only: bool) -> Result<Plan, PlanError> {
    let empty = PersistentVolumeSpec::default();
    let spec = bound.spec.as_ref().unwrap_or(&empty);
    let name = bound.metadata.name.clone().unwrap_or_default();
    if !is_file_name(&name) {
        return Err(PlanError::Name(name));
    }
    let mode = spec.volume_mode.as_deref().unwrap_or("Filesystem");
    let (mounted, devices) = pod::used_volumes(pod);
    let wrong = |used_in| PlanError::VolumeMode { name: volume.to_owned(), mode: mode.to_owned(), used_in };
    if mounted.contains(volume) && mode != "Filesystem" {
        return Err(wrong("volumeMounts"));
    }
    if devices.contains(volume) && mode != "Block" {
        return Err(wrong("volumeDevices"));
    }
    if let Some(source) = &spec.host_path {
        return host_path(source, read_only);
    }
    let Some(source) = &spec.local else {
        return Err(PlanError::Unsupported { name: volume.to_owned(), kind: kind_of_persistent(spec) });
    };
    if source.path.is_empty() || !Path::new(&source.path).is_absolute() {
        return Err(PlanError::LocalPath);
    }
    if mode == "Block" {
        return Ok(Plan::BlockDevice { path: PathBuf::from(&source.path), read_only });
    }
    Ok(Plan::Local(Local {
        name,
        source: PathBuf::from(&source.path),
        fs_type: source.fs_type.clone().unwrap_or_default(),
        mount_options: spec.mount_options.clone().unwrap_or_default(),
        read_only,
    }))
}

/// The name of a volume's type, for the message that there is no plugin for it.
fn kind_of(volume: &Volume) -> String {
    let kinds = [
        ("csi", volume.csi.is_some()),
        ("nfs", volume.nfs.is_some()),
        ("iscsi", volume.iscsi.is_some()),
        ("fc", volume.fc.is_some()),
        ("flexVolume", volume.flex_volume.is_some()),
        ("gitRepo", volume.git_repo.is_some()),
    ];
    let known = kinds.iter().find(|(_, present)| *present).map(|(kind, _)| *kind);
    known.unwrap_or("one that upstream has removed").to_owned()
}

fn kind_of_persistent(spec: &PersistentVolumeSpec) -> String {
    let kinds = [
        ("csi", spec.csi.is_some()),
        ("nfs", spec.nfs.is_some()),
        ("iscsi", spec.iscsi.is_some()),
        ("fc", spec.fc.is_some()),
        ("flexVolume", spec.flex_volume.is_some()),
    ];
    let known = kinds.iter().find(|(_, present)| *present).map(|(kind, _)| *kind);
    known.unwrap_or("one that upstream has removed").to_owned()
}

#[cfg(test)]
mod tests;
