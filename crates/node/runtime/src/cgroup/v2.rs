//! Making and limiting cgroups in the hierarchy of v2.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use windlass_cri::Resources;

use super::device_program;
use super::devices::DevicePolicy;
use super::error::{CgroupError, Result, make_directory, write};
use super::place::Cgroup;
use super::resources::settings_v2;

/// Makes the cgroup and hands every controller that its ancestors have down to it.
pub(super) fn make(cgroup: &Cgroup, root: &Path) -> Result<()> {
    let mut directory = root.to_owned();
    for name in cgroup.path().strip_prefix("/").unwrap_or(cgroup.path()) {
        let child = directory.join(name);
        if !child.exists() {
            hand_down_controllers(&directory);
            make_directory(&child)?;
        }
        directory = child;
    }
    Ok(())
}

/// One by one, because a controller that cannot be handed down (busy in a parent with processes, or of a kind that needs
/// real-time setup) must not keep the others away. What is missing shows when a limit is written.
fn hand_down_controllers(directory: &Path) {
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
    let enabled = read("cgroup.subtree_control");
    for controller in read("cgroup.controllers").split_whitespace() {
        if !enabled.split_whitespace().any(|known| known == controller) {
            let _ = write(directory.join("cgroup.subtree_control"), &format!("+{controller}"));
        }
    }
}

pub(super) fn limit(cgroup: &Cgroup, root: &Path, resources: &Resources) -> Result<()> {
    let directory = cgroup.directory(root);
    for setting in settings_v2(resources) {
        match write(directory.join(&setting.file), &setting.value) {
            Err(error) if setting.optional && error.is_not_found() => {}
            result => result?,
        }
    }
    Ok(())
}

pub(super) fn set_devices(cgroup: &Cgroup, root: &Path, policy: &DevicePolicy) -> Result<()> {
    let DevicePolicy::Only(list) = policy else { return Ok(()) };
    let path = cgroup.directory(root);
    let failed = |source| CgroupError::Devices { path: path.clone(), source };
    let directory = File::open(&path).map_err(failed)?;
    match device_program::attach(directory.as_fd(), list) {
        Err(error) if device_program::is_unsupported(&error) => {
            tracing::warn!(%error, "the kernel cannot guard devices of cgroup v2 (CONFIG_CGROUP_BPF)");
            Ok(())
        }
        result => result.map_err(failed),
    }
}
