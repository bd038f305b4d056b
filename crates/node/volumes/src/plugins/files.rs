//! Volumes of files from the API: a directory, on tmpfs where its contents are secret, and what the atomic writer makes in it.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use windlass_api::k8s::api::core::v1::Pod;

use super::{SetUpError, failed, is_mount_point, make_dir};
use crate::layout::Layout;
use crate::ownership::{self, Ownership};
use crate::payload::Payload;
use crate::plan::Files;
use crate::{atomic_writer, mounts, pod};

/// Containers mount these volumes read-only, whatever the mode says.
const OPEN_TO_ALL: u32 = 0o777;
const NESTED: u32 = 0o755;

pub(crate) fn set_up(
    layout: &Layout,
    owner: &Pod,
    name: &str,
    files: &Files,
    payload: &Payload,
    now: Timestamp,
) -> Result<PathBuf, SetUpError> {
    let path = layout.volume(pod::uid(owner), files.plugin, name);
    let is_new = !atomic_writer::is_published(&path);
    let result = fill(owner, name, files, payload, now, &path);
    if result.is_err() && is_new {
        // Nobody may find half a volume. What cannot be removed now, the pod's end removes.
        let _ = mounts::detach(&path);
        let _ = windlass_tree::remove_path(&path);
    }
    result.map(|()| path)
}

fn fill(
    owner: &Pod,
    name: &str,
    files: &Files,
    payload: &Payload,
    now: Timestamp,
    path: &Path,
) -> Result<(), SetUpError> {
    if !is_mount_point(path)? {
        if !path.is_dir() {
            make_dir(path, OPEN_TO_ALL)?;
        }
        if let Some(bytes) = files.memory_bytes {
            mounts::mount_tmpfs(path, bytes).map_err(failed("mount tmpfs at", path))?;
        }
    }
    let root = mounts::open_place(path).map_err(failed("open", path))?;
    for nested in pod::nested_mount_points(owner, name) {
        // Links in the volume are ours and lead nowhere else.
        windlass_tree::make_dirs(&root, nested.as_bytes(), rustix::fs::Mode::from_raw_mode(NESTED))
            .map_err(|error| failed("make a mount point in", path)(error.into()))?;
    }
    let give_to_group = || match pod::fs_group(owner) {
        Some(group) => ownership::apply(path, Ownership { group, read_only: true, only_on_root_mismatch: false }),
        None => Ok(()),
    };
    atomic_writer::write(path, payload, now, give_to_group).map(|_| ()).map_err(SetUpError::Write)
}
