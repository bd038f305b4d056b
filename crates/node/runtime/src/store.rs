//! What must survive the daemon: a small JSON file for each sandbox and container, replaced as a whole.
//!
//! The files are not synchronized with the disk: they matter within one boot, and a crash of the machine ends everything that
//! they describe. A file that cannot be read after that belongs to something that is only to be cleaned up.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use windlass_cri::{ContainerConfig, ContainerUser, SandboxConfig};
use windlass_tree::{Loss, replace};

use crate::cgroup::devices::DevicePolicy;
use crate::launch::spec::ContainerLaunch;

const FILE: &str = "state.json";

#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot encode the state for {path}")]
    Encode { path: PathBuf, source: serde_json::Error },
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SandboxState {
    pub(crate) id: String,
    pub(crate) config: SandboxConfig,
    pub(crate) runtime_handler: String,
    pub(crate) created_at: i64,
    /// The boot in which it was made: its namespaces are gone in the next.
    pub(crate) boot_id: String,
    pub(crate) ips: Vec<String>,
    /// False until everything is in place, and again when it was stopped or has died.
    pub(crate) ready: bool,
    /// The network is or may have been asked for, and was not given back.
    pub(crate) networked: bool,
    /// The topmost cgroup that had to be made because the kubelet had not.
    pub(crate) made_cgroup: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ContainerFile {
    pub(crate) id: String,
    pub(crate) sandbox_id: String,
    pub(crate) config: ContainerConfig,
    pub(crate) image_id: String,
    pub(crate) image_ref: String,
    /// Directories of the image, the lowest first.
    pub(crate) layers: Vec<PathBuf>,
    /// The same of each image that is mounted as a volume, in the order of the mounts.
    pub(crate) image_mounts: Vec<Vec<PathBuf>>,
    pub(crate) log_path: String,
    pub(crate) stop_signal: i32,
    pub(crate) user: ContainerUser,
    pub(crate) launch: ContainerLaunch,
    pub(crate) devices: DevicePolicy,
    pub(crate) created_at: i64,
    pub(crate) boot_id: String,
    /// 0 until it was started.
    pub(crate) started_at: i64,
    pub(crate) exit: Option<Exit>,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exit {
    pub(crate) code: i32,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) finished_at: i64,
}

/// Replaces the state in `directory`. Blocks for a few system calls on the local disk.
pub(crate) fn save(directory: &Path, state: &impl Serialize) -> Result<(), StoreError> {
    let path = directory.join(FILE);
    let text = serde_json::to_vec(state).map_err(|source| StoreError::Encode { path: path.clone(), source })?;
    // It holds environments of containers, and with them secrets.
    replace(&path, &text, 0o600, Loss::Bearable).map_err(|source| StoreError::Write { path: path.clone(), source })
}

/// The state in each directory below `parent`, or `None` for what has none that can be read.
pub(crate) fn load_all<T: DeserializeOwned>(parent: &Path) -> io::Result<Vec<(PathBuf, Option<T>)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(parent)? {
        let directory = entry?.path();
        // One that cannot be read now may be whole, and what it is about may run: only what is not there, or no state, has none.
        let state = match std::fs::read(directory.join(FILE)) {
            Ok(text) => serde_json::from_slice(&text).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        all.push((directory, state));
    }
    Ok(all)
}

/// Removes a directory with everything in it. Succeeds when there is none.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    Ok(windlass_tree::remove_path(directory)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_replaced_and_broken_ones_are_seen() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        let mut state = SandboxState { id: "a".to_owned(), ..SandboxState::default() };
        save(&root.path().join("a"), &state).unwrap();
        state.ready = true;
        save(&root.path().join("a"), &state).unwrap();
        std::fs::write(root.path().join("b").join(FILE), "{\"id\": ").unwrap();

        let mut all = load_all::<SandboxState>(root.path()).unwrap();
        all.sort_by(|left, right| left.0.cmp(&right.0));
        assert!(all[0].1.as_ref().is_some_and(|state| state.ready && state.id == "a"));
        assert!(all[1].1.is_none());
        remove(&root.path().join("b")).unwrap();
        remove(&root.path().join("b")).unwrap();
    }
}
