//! The end of a pod's volumes, also of pods that nobody remembers.
//!
//! The mount table says what is mounted, not our memory: after a restart, a crash or a kill it is the same. What containers
//! wrote to emptyDirs is removed; below a mounted file system nothing is ever removed, and a directory that should be empty
//! and is not stays.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use windlass_tree::Mount;

use crate::layout::{Layout, Plugin, is_file_name};
use crate::mounts;

#[derive(Debug, thiserror::Error)]
pub enum TearDownError {
    #[error("failed to {action} {path:?}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{0:?} is no pod's UID")]
    Uid(String),
    #[error("the volumes of a pod are in {0:?}, which is not empty though nothing is mounted there: remove it by hand")]
    NotEmpty(PathBuf),
}

/// Unmounts and removes all volumes of a pod whose containers are gone. Idempotent.
pub(crate) fn tear_down(layout: &Layout, uid: &str) -> Result<(), TearDownError> {
    if !is_file_name(uid) {
        return Err(TearDownError::Uid(uid.to_owned()));
    }
    let pod = layout.pod(uid);
    let mounted = mounts::mounted_below(&pod).map_err(failed("read the mounts of", &pod))?;
    for mount in &mounted {
        mounts::detach(&mount.point).map_err(failed("unmount", &mount.point))?;
    }
    remove(&layout.sub_paths(uid))?;
    for plugin in list(&layout.volumes(uid))? {
        for volume in list(&plugin)? {
            remove_volume(&plugin, &volume)?;
        }
        remove_empty(&plugin)?;
    }
    remove_empty(&layout.volumes(uid))?;
    remove(&pod.join("plugins"))?;
    release_devices(layout, &mounted)
}

/// Removes what else the pod's directory holds, and the directory.
pub(crate) fn remove_pod_directory(layout: &Layout, uid: &str) -> Result<(), TearDownError> {
    tear_down(layout, uid)?;
    remove(&layout.pod(uid))
}

/// The UIDs of all pods that have a directory.
pub(crate) fn pods(layout: &Layout) -> Result<Vec<String>, TearDownError> {
    let names = list(&layout.pods())?.into_iter();
    Ok(names.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
}

fn remove_volume(plugin: &Path, volume: &Path) -> Result<(), TearDownError> {
    if plugin.file_name() == Some(Plugin::Local.directory().as_ref()) {
        // Only its mount was ours; what it held is not.
        return remove_empty(volume);
    }
    remove(volume)
}

/// Unmounts block devices of local volumes that no pod has mounted any more. `ended` are the mounts that just went.
fn release_devices(layout: &Layout, ended: &[Mount]) -> Result<(), TearDownError> {
    let devices = layout.local_device("");
    let pods = layout.pods();
    let read = |base: &Path| mounts::mounted_below(base).map_err(failed("read the mounts of", base));
    for device in read(&devices)? {
        let was_used = ended.iter().any(|mount| mount.device == device.device);
        if was_used && !read(&pods)?.iter().any(|mount| mount.device == device.device) {
            mounts::detach(&device.point).map_err(failed("unmount", &device.point))?;
            remove_empty(&device.point)?;
        }
    }
    Ok(())
}

fn list(directory: &Path) -> Result<Vec<PathBuf>, TearDownError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(failed("read", directory)(error)),
    };
    entries.map(|entry| Ok(entry.map_err(failed("read", directory))?.path())).collect()
}

fn remove(path: &Path) -> Result<(), TearDownError> {
    windlass_tree::remove_path(path).map_err(|error| failed("remove", path)(error.into()))
}

fn remove_empty(path: &Path) -> Result<(), TearDownError> {
    match std::fs::remove_dir(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Err(TearDownError::NotEmpty(path.to_owned())),
        Err(error) => Err(failed("remove", path)(error)),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TearDownError {
    move |source| TearDownError::Io { action, path: path.to_owned(), source }
}
