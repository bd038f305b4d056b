//! The plugins' executors: each makes what its plan says, any number of times. They block.

pub(crate) mod empty_dir;
pub(crate) mod files;
pub(crate) mod host_path;
pub(crate) mod local;

use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::atomic_writer::WriteError;

/// What pods may not look into: the directories above their volumes.
const PRIVATE: u32 = 0o750;

/// Why a volume could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    #[error("failed to {action} {path:?}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Write(WriteError),
    #[error("path {0:?} does not exist")]
    Missing(PathBuf),
    #[error("hostPath type check failed: {path} is not a {expected}, it's a {found}")]
    HostPathKind { path: String, expected: &'static str, found: &'static str },
    #[error("hostPath type check failed, {path} is not a {expected}, unable to determine its type: {reason}")]
    HostPathUnknown { path: String, expected: &'static str, reason: String },
    #[error("only directory and block device are supported")]
    LocalKind,
    #[error("mount option {0:?} is not known")]
    MountOption(String),
    #[error("local: failed to mount device {device:?} (fstype: {fs_type}), is it formatted?")]
    Device { device: PathBuf, fs_type: String, source: io::Error },
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SetUpError {
    move |source| SetUpError::Io { action, path: path.to_owned(), source }
}

/// Makes a directory, and those above it, for root alone.
fn make_private_dirs(path: &Path) -> Result<(), SetUpError> {
    std::fs::DirBuilder::new().recursive(true).mode(PRIVATE).create(path).map_err(failed("make", path))
}

/// Makes a directory that containers see, with exactly this mode.
fn make_dir(path: &Path, mode: u32) -> Result<(), SetUpError> {
    if let Some(parent) = path.parent() {
        make_private_dirs(parent)?;
    }
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("make", path)(error)),
        _ => {}
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed("set the mode of", path))
}

fn is_mount_point(path: &Path) -> Result<bool, SetUpError> {
    match windlass_tree::is_mount_point(path) {
        Err(rustix::io::Errno::NOENT) => Ok(false),
        other => other.map_err(|error| failed("look at", path)(error.into())),
    }
}
