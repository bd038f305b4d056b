//! Making and limiting cgroups in the hierarchies of v1.

use std::path::{Path, PathBuf};

use windlass_cri::Resources;

use super::devices::DevicePolicy;
use super::error::{CgroupError, Result, make_directory, write};
use super::place::Cgroup;
use super::resources::{MemoryV1, memory_v1, settings_v1};
use windlass_tree::Hierarchy;

pub(super) fn make(cgroup: &Cgroup, hierarchies: &[Hierarchy]) -> Result<()> {
    for hierarchy in hierarchies {
        let needs_cpus = hierarchy.controllers.iter().any(|name| name == "cpuset");
        make_below(&hierarchy.mount_point, &cgroup.directory(&hierarchy.mount_point), needs_cpus)?;
    }
    Ok(())
}

fn make_below(root: &Path, directory: &Path, needs_cpus: bool) -> Result<()> {
    if directory == root {
        return Ok(());
    }
    let parent = directory.parent().unwrap_or(root);
    match make_directory(directory) {
        Err(error) if error.is_not_found() => {
            make_below(root, parent, needs_cpus)?;
            make_directory(directory)?;
        }
        result => result?,
    }
    if needs_cpus { inherit_cpus(root, parent, directory) } else { Ok(()) }
}

/// A new cpuset is empty and lets nobody in: it gets what its parent has.
fn inherit_cpus(root: &Path, parent: &Path, directory: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if !read(&directory.join(file))?.is_empty() {
            continue;
        }
        let mut inherited = read(&parent.join(file))?;
        if inherited.is_empty() && parent != root {
            // Somebody has made the parent without filling it.
            let grandparent = parent.parent().unwrap_or(root);
            inherit_cpus(root, grandparent, parent)?;
            inherited = read(&parent.join(file))?;
        }
        write(directory.join(file), &inherited)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|source| CgroupError::Read { path: path.to_owned(), source })?;
    Ok(text.trim().to_owned())
}

pub(super) fn limit(cgroup: &Cgroup, resources: &Resources) -> Result<()> {
    limit_memory(cgroup, memory_v1(resources))?;
    for setting in settings_v1(resources) {
        let Some(path) = cgroup.file(setting.controller, &setting.file) else {
            // A machine without that controller; the kubelet has checked what it cannot do without.
            continue;
        };
        match write(path, &setting.value) {
            // Period and quota must not exceed the parent's share at any moment: the other order may be possible.
            Err(error) if setting.file == "cpu.cfs_period_us" && is_invalid(&error) => {
                let file = |name: &str| cgroup.file("cpu", name).unwrap_or_default();
                write(file("cpu.cfs_quota_us"), &resources.cpu_quota_us.to_string())?;
                write(file("cpu.cfs_period_us"), &setting.value)?;
            }
            Err(error) if setting.optional && error.is_not_found() => {}
            result => result?,
        }
    }
    Ok(())
}

/// The limit may never be above the limit with swap: which of them goes first depends on whether they grow.
fn limit_memory(cgroup: &Cgroup, memory: MemoryV1) -> Result<()> {
    let Some(with_swap_file) = cgroup.file("memory", "memory.memsw.limit_in_bytes") else { return Ok(()) };
    let limit_file = cgroup.file("memory", "memory.limit_in_bytes").unwrap_or_default();
    let set = |path: &PathBuf, value: Option<i64>| match value {
        Some(value) => write(path.clone(), &value.to_string()),
        None => Ok(()),
    };
    // A kernel may be built or started without the accounting of swap.
    let with_swap = memory.limit_with_swap.filter(|_| with_swap_file.exists());
    match set(&limit_file, memory.limit) {
        Err(error) if is_invalid(&error) && with_swap.is_some() => {
            set(&with_swap_file, with_swap)?;
            set(&limit_file, memory.limit)
        }
        result => result.and_then(|()| set(&with_swap_file, with_swap)),
    }
}

fn is_invalid(error: &CgroupError) -> bool {
    error.io().and_then(std::io::Error::raw_os_error) == Some(libc::EINVAL)
}

pub(super) fn set_devices(cgroup: &Cgroup, policy: &DevicePolicy) -> Result<()> {
    // A new cgroup allows what its parent allows.
    let DevicePolicy::Only(list) = policy else { return Ok(()) };
    let Some(deny) = cgroup.file("devices", "devices.deny") else { return Ok(()) };
    write(deny, "a")?;
    for allowed in list {
        write(cgroup.file("devices", "devices.allow").unwrap_or_default(), &allowed.to_string())?;
    }
    Ok(())
}
