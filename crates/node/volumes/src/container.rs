//! What a container mounts: its volumeMounts as the CRI wants them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use windlass_api::k8s::api::core::v1::VolumeMount;
use windlass_cri::{ImageSpec, Mount, MountPropagation};

use crate::Mounted;
use crate::expansion::{TooLong, expand_all};
use crate::sub_path;

/// Why a container cannot have its volumes. Reasons on the node's side are in the log: they could tell a stranger about the
/// node's files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    #[error("cannot find volume {volume:?} to mount into container {container:?}")]
    NoVolume { volume: String, container: String },
    #[error("missing value for {0}")]
    MissingVariables(String),
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error("error SubPath `{0}` must not be an absolute path")]
    AbsoluteSubPath(String),
    #[error("unable to provision SubPath `{0}`: must not contain '..'")]
    SubPathBackstep(String),
    #[error("failed to prepare subPath for volumeMount {mount:?} of container {container:?}")]
    SubPath { mount: String, container: String },
    #[error("invalid MountPropagation mode: {0:?}")]
    Propagation(String),
    #[error("volume {0:?} requested recursive read-only mode, but it is not read-only")]
    RecursiveNotReadOnly(String),
    #[error(
        "volume {name:?} requested recursive read-only mode, but it is not compatible with propagation {propagation:?}"
    )]
    RecursivePropagation { name: String, propagation: String },
    #[error("volume {0:?} requested recursive read-only mode, but it is not supported by the runtime")]
    RecursiveUnsupported(String),
    #[error("unknown recursive read-only mode {0:?}")]
    RecursiveMode(String),
}

/// One mount, decided; a part of a volume still has to be made ready.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decided {
    pub(crate) mount: Mount,
    pub(crate) sub_path: Option<SubPath>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubPath {
    pub(crate) volume: PathBuf,
    /// What the volume is called below `volume-subpaths`.
    pub(crate) volume_name: String,
    pub(crate) path: String,
    pub(crate) index: usize,
}

/// Decides every mount of a container. `variables` is its environment.
pub(crate) fn decide(
    container: &str,
    mounts: &[VolumeMount],
    volumes: &BTreeMap<String, Mounted>,
    variables: &BTreeMap<String, String>,
    recursive_read_only: bool,
) -> Result<Vec<Decided>, MountError> {
    let decide = |(index, mount)| one(container, index, mount, volumes, variables, recursive_read_only);
    mounts.iter().enumerate().map(decide).collect()
}

fn one(
    container: &str,
    index: usize,
    mount: &VolumeMount,
    volumes: &BTreeMap<String, Mounted>,
    variables: &BTreeMap<String, String>,
    recursive_read_only: bool,
) -> Result<Decided, MountError> {
    let missing = || MountError::NoVolume { volume: mount.name.clone(), container: container.to_owned() };
    let volume = volumes.get(&mount.name).ok_or_else(missing)?;
    let part = part(mount, variables)?;
    let mut decided = Mount {
        container_path: absolute(&mount.mount_path),
        readonly: mount.read_only.unwrap_or(false),
        recursive_read_only: recursive(mount, recursive_read_only)?,
        propagation: propagation(mount)?,
        ..Mount::default()
    };
    let mut sub_path = None;
    match volume {
        Mounted::Image { reference } => {
            decided.image = Some(ImageSpec::new(reference));
            decided.image_sub_path = part;
            decided.readonly = true;
        }
        Mounted::Path { path, read_only, name } => {
            decided.readonly |= read_only;
            decided.host_path = path.display().to_string();
            if !part.is_empty() {
                sub_path = Some(SubPath { volume: path.clone(), volume_name: name.clone(), path: part, index });
            }
        }
        Mounted::Device { .. } => return Err(missing()),
    }
    Ok(Decided { mount: decided, sub_path })
}

/// The part of the volume that is meant; empty for all of it.
fn part(mount: &VolumeMount, variables: &BTreeMap<String, String>) -> Result<String, MountError> {
    let part = match mount.sub_path_expr.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => expand_all(text, variables)?
            .map_err(|missing| MountError::MissingVariables(missing.into_iter().collect::<Vec<_>>().join(", ")))?,
        None => mount.sub_path.clone().unwrap_or_default(),
    };
    if sub_path::is_absolute(&part) {
        return Err(MountError::AbsoluteSubPath(part));
    }
    if part.split('/').any(|component| component == "..") {
        return Err(MountError::SubPathBackstep(part));
    }
    Ok(part)
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn propagation(mount: &VolumeMount) -> Result<MountPropagation, MountError> {
    match mount.mount_propagation.as_deref() {
        None | Some("None") => Ok(MountPropagation::Private),
        Some("HostToContainer") => Ok(MountPropagation::HostToContainer),
        Some("Bidirectional") => Ok(MountPropagation::Bidirectional),
        Some(other) => Err(MountError::Propagation(other.to_owned())),
    }
}

fn recursive(mount: &VolumeMount, supported: bool) -> Result<bool, MountError> {
    let mode = match mount.recursive_read_only.as_deref() {
        None | Some("Disabled") => return Ok(false),
        Some(mode) => mode,
    };
    let name = || mount.name.clone();
    if !mount.read_only.unwrap_or(false) {
        return Err(MountError::RecursiveNotReadOnly(name()));
    }
    if let Some(propagation) = mount.mount_propagation.as_deref().filter(|mode| *mode != "None") {
        return Err(MountError::RecursivePropagation { name: name(), propagation: propagation.to_owned() });
    }
    match mode {
        "IfPossible" => Ok(supported),
        "Enabled" if supported => Ok(true),
        "Enabled" => Err(MountError::RecursiveUnsupported(name())),
        other => Err(MountError::RecursiveMode(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn decided(mount: Value, supported: bool) -> Result<Decided, String> {
        let mut full = json!({"name": "v", "mountPath": "/data"});
        full.as_object_mut().unwrap().extend(mount.as_object().unwrap().clone());
        let mount: VolumeMount = serde_json::from_value(full).unwrap();
        let path = |read_only| Mounted::Path { path: "/pods/v".into(), read_only, name: "pv".into() };
        let volumes = [
            ("v".to_owned(), path(false)),
            ("files".to_owned(), path(true)),
            ("image".to_owned(), Mounted::Image { reference: "r".into() }),
            ("device".to_owned(), Mounted::Device { path: "/dev/x".into(), read_only: false }),
        ];
        let variables = [("POD".to_owned(), "web-0".to_owned()), ("UP".to_owned(), "..".to_owned())].into();
        decide("c", &[mount], &volumes.into(), &variables, supported)
            .map(|mut all| all.remove(0))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn whole_volumes() {
        let plain = decided(json!({}), false).unwrap();
        assert_eq!((plain.mount.host_path.as_str(), plain.mount.container_path.as_str()), ("/pods/v", "/data"));
        assert!(!plain.mount.readonly && plain.sub_path.is_none());
        assert!(decided(json!({"readOnly": true}), false).unwrap().mount.readonly);
        assert!(decided(json!({"name": "files"}), false).unwrap().mount.readonly);
        assert_eq!(decided(json!({"mountPath": "rel"}), false).unwrap().mount.container_path, "/rel");
        let image = decided(json!({"name": "image", "subPath": "a"}), false).unwrap().mount;
        assert_eq!((image.image.unwrap().image, image.image_sub_path, image.readonly), ("r".into(), "a".into(), true));
        let missing = "cannot find volume \"none\" to mount into container \"c\"";
        assert_eq!(decided(json!({"name": "none"}), false).unwrap_err(), missing);
        assert!(decided(json!({"name": "device"}), false).is_err());
    }

    #[test]
    fn parts_of_volumes() {
        let part = |mount: Value| decided(mount, false).map(|decided| decided.sub_path.map(|sub_path| sub_path.path));
        assert_eq!(part(json!({"subPath": "a/b"})), Ok(Some("a/b".into())));
        assert_eq!(part(json!({"subPathExpr": "logs/$(POD)"})), Ok(Some("logs/web-0".into())));
        assert_eq!(part(json!({"subPath": ""})), Ok(None));
        assert_eq!(part(json!({"subPathExpr": "$(NO)/$(ALSO)"})).unwrap_err(), "missing value for ALSO, NO");
        assert_eq!(part(json!({"subPath": "/a"})).unwrap_err(), "error SubPath `/a` must not be an absolute path");
        let backstep = "unable to provision SubPath `a/..`: must not contain '..'";
        assert_eq!(part(json!({"subPathExpr": "a/$(UP)"})).unwrap_err(), backstep);
    }

    #[test]
    fn propagation_and_recursion() {
        let mode = |text: &str| decided(json!({"mountPropagation": text}), false).map(|d| d.mount.propagation);
        assert_eq!(mode("None"), Ok(MountPropagation::Private));
        assert_eq!(mode("HostToContainer"), Ok(MountPropagation::HostToContainer));
        assert_eq!(mode("Bidirectional"), Ok(MountPropagation::Bidirectional));
        assert_eq!(mode("Sideways").unwrap_err(), "invalid MountPropagation mode: \"Sideways\"");
        let recursive = |mode: &str, supported| {
            decided(json!({"readOnly": true, "recursiveReadOnly": mode}), supported)
                .map(|d| d.mount.recursive_read_only)
        };
        assert_eq!(recursive("Disabled", true), Ok(false));
        assert_eq!((recursive("IfPossible", true), recursive("IfPossible", false)), (Ok(true), Ok(false)));
        assert_eq!(recursive("Enabled", true), Ok(true));
        assert!(recursive("Enabled", false).unwrap_err().ends_with("but it is not supported by the runtime"));
        assert!(recursive("Perhaps", true).unwrap_err().starts_with("unknown recursive read-only mode"));
        let writable = decided(json!({"recursiveReadOnly": "Enabled"}), true).unwrap_err();
        assert!(writable.ends_with("but it is not read-only"));
        let both = json!({"readOnly": true, "recursiveReadOnly": "Enabled", "mountPropagation": "HostToContainer"});
        assert!(decided(both, true).unwrap_err().ends_with("not compatible with propagation \"HostToContainer\""));
    }
}
