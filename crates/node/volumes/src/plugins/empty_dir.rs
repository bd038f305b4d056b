//! emptyDir: a directory on disk, on tmpfs or on huge pages.
//!
//! A marker file says that it was completely made. From then on it belongs to its containers: neither its mode nor its owner
//! is touched again.

use std::path::{Path, PathBuf};

use super::{SetUpError, failed, is_mount_point, make_dir, make_private_dirs};
use crate::layout::{Layout, Plugin};
use crate::mounts;
use crate::ownership::{self, Ownership};
use crate::plan::Medium;

/// Everybody in the pod may use it.
const OPEN_TO_ALL: u32 = 0o777;

pub(crate) fn set_up(
    layout: &Layout,
    pod_uid: &str,
    name: &str,
    medium: &Medium,
    fs_group: Option<u32>,
) -> Result<PathBuf, SetUpError> {
    let path = layout.volume(pod_uid, Plugin::EmptyDir, name);
    let marker = layout.ready_marker(pod_uid, name);
    if marker.exists() {
        let is_there = match medium {
            Medium::Disk => path.is_dir(),
            Medium::Memory { .. } | Medium::HugePages { .. } => is_mount_point(&path)?,
        };
        if is_there {
            return Ok(path);
        }
        // The machine was restarted, or somebody has removed the directory.
        std::fs::remove_file(&marker).map_err(failed("remove", &marker))?;
    }
    if !is_mount_point(&path)? {
        make_dir(&path, OPEN_TO_ALL)?;
        match medium {
            Medium::Disk => {}
            Medium::Memory { size_bytes } => {
                mounts::mount_tmpfs(&path, *size_bytes).map_err(failed("mount tmpfs at", &path))?;
            }
            Medium::HugePages { page_bytes } => {
                mounts::mount_huge_pages(&path, *page_bytes).map_err(failed("mount huge pages at", &path))?;
            }
        }
    }
    if let Some(group) = fs_group {
        let wanted = Ownership { group, read_only: false, only_on_root_mismatch: false };
        ownership::apply(&path, wanted).map_err(failed("change the group of", &path))?;
    }
    set_marker(&marker)?;
    Ok(path)
}

fn set_marker(marker: &Path) -> Result<(), SetUpError> {
    if let Some(parent) = marker.parent() {
        make_private_dirs(parent)?;
    }
    std::fs::write(marker, "").map_err(failed("write", marker))
}
