//! What goes wrong with cgroups, and the two steps that all of them are made of.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub(crate) enum CgroupError {
    #[error("cannot make cgroup {path}")]
    Make { path: PathBuf, source: io::Error },
    #[error("cannot write {value:?} to {path}")]
    Write { path: PathBuf, value: String, source: io::Error },
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot remove cgroup {path}")]
    Remove { path: PathBuf, source: io::Error },
    #[error("cannot set the device policy of cgroup {path}")]
    Devices { path: PathBuf, source: io::Error },
    #[error("processes of cgroup {path} do not end: {pids:?}")]
    Unkillable { path: String, pids: Vec<i32> },
}

pub(super) type Result<T, E = CgroupError> = std::result::Result<T, E>;

pub(super) fn write(path: PathBuf, value: &str) -> Result<()> {
    let written = OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(value.as_bytes()));
    written.map_err(|source| CgroupError::Write { path, value: value.to_owned(), source })
}

pub(super) fn make_directory(path: &Path) -> Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result.map_err(|source| CgroupError::Make { path: path.to_owned(), source }),
    }
}

impl CgroupError {
    pub(super) fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Make { source, .. }
            | Self::Write { source, .. }
            | Self::Read { source, .. }
            | Self::Remove { source, .. }
            | Self::Devices { source, .. } => Some(source),
            Self::Unkillable { .. } => None,
        }
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.io().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
    }
}
