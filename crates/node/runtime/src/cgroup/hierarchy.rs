//! Which cgroup hierarchies the runtime works with.

use std::path::PathBuf;

use windlass_tree::Hierarchies;

/// Where cgroups are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CgroupLayout {
    /// As the node's mounts say: v1 when cpu or memory is in a v1 hierarchy, else v2.
    #[default]
    Detect,
    /// The v2 hierarchy that is mounted here.
    Unified(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DetectError {
    #[error("cannot read the table of mounts")]
    Mounts(#[source] std::io::Error),
    #[error("no cgroup hierarchy is mounted: mount cgroup2 on /sys/fs/cgroup")]
    None,
}

/// The hierarchies that the runtime works with.
pub(crate) fn find(layout: &CgroupLayout) -> Result<Hierarchies, DetectError> {
    match layout {
        CgroupLayout::Unified(path) => Ok(Hierarchies::V2(path.clone())),
        CgroupLayout::Detect => {
            let mounts = windlass_tree::mounts().map_err(DetectError::Mounts)?;
            Hierarchies::of(&mounts).ok_or(DetectError::None)
        }
    }
}
