//! The devices of a container: files to make in its /dev, and what its cgroup lets it do with them.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use windlass_cri::Device;

use crate::cgroup::devices::{Access, Allowed, DevicePolicy};
use crate::launch::spec::{DeviceKind, DeviceNode};

#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    #[error("cannot use device {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is neither a device nor a directory with devices")]
    NotADevice { path: PathBuf },
}

/// Device files and the policy for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Devices {
    pub(crate) nodes: Vec<DeviceNode>,
    pub(crate) policy: DevicePolicy,
}

/// Directories of /dev that every container has its own of.
const OWN_DIRECTORIES: [&str; 7] = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"];
const DIRECTORY_DEPTH_MAX: u32 = 8;

/// What a container gets. Looks at the node's /dev; blocks.
pub(crate) fn collect(wanted: &[Device], privileged: bool) -> Result<Devices, DeviceError> {
    let mut nodes = usual();
    if privileged {
        let mut all = Vec::new();
        walk(Path::new("/dev"), Path::new("/dev"), DIRECTORY_DEPTH_MAX, &mut all)?;
        for node in all {
            add(&mut nodes, node);
        }
    }
    let mut allowed = DevicePolicy::usual();
    for device in wanted {
        let access = Access::parse(&device.permissions);
        for node in resolve(device)? {
            let (kind, major, minor) = (node.kind, Some(node.major), Some(node.minor));
            allowed.push(Allowed { kind, major, minor, access });
            add(&mut nodes, node);
        }
    }
    let policy = if privileged { DevicePolicy::All } else { DevicePolicy::Only(allowed) };
    Ok(Devices { nodes, policy })
}

/// A later device takes an earlier one's place.
fn add(nodes: &mut Vec<DeviceNode>, node: DeviceNode) {
    nodes.retain(|known| known.path != node.path);
    nodes.push(node);
}

/// The devices that every container has, as the OCI runtime specification demands.
fn usual() -> Vec<DeviceNode> {
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)]
        .into_iter()
        .map(|(name, major, minor)| {
            let path = format!("/dev/{name}");
            let host_path = PathBuf::from(&path);
            DeviceNode { path, host_path, kind: DeviceKind::Character, major, minor, mode: 0o666, uid: 0, gid: 0 }
        })
        .collect()
}

/// A device, or the devices in a directory. Symbolic links of the node are followed.
fn resolve(device: &Device) -> Result<Vec<DeviceNode>, DeviceError> {
    let host = Path::new(&device.host_path);
    let failed = |source| DeviceError::Read { path: host.to_owned(), source };
    let host = std::fs::canonicalize(host).map_err(failed)?;
    let container = if device.container_path.is_empty() { &device.host_path } else { &device.container_path };
    let container = Path::new(container);
    let metadata = std::fs::metadata(&host).map_err(failed)?;
    let mut nodes = Vec::new();
    if metadata.is_dir() {
        walk(&host, container, DIRECTORY_DEPTH_MAX, &mut nodes)?;
    } else {
        nodes.extend(node(&host, container, &metadata));
    }
    if nodes.is_empty() { Err(DeviceError::NotADevice { path: host }) } else { Ok(nodes) }
}

fn walk(host: &Path, container: &Path, depth: u32, nodes: &mut Vec<DeviceNode>) -> Result<(), DeviceError> {
    let entries = std::fs::read_dir(host).map_err(|source| DeviceError::Read { path: host.to_owned(), source })?;
    for entry in entries.flatten() {
        let (path, inside) = (entry.path(), container.join(entry.file_name()));
        // Devices come and go.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            let own = OWN_DIRECTORIES.iter().any(|name| entry.file_name() == *name);
            if !own && depth > 0 {
                walk(&path, &inside, depth - 1, nodes)?;
            }
        } else if entry.file_name() != "console" {
            nodes.extend(node(&path, &inside, &metadata));
        }
    }
    Ok(())
}

fn node(host: &Path, container: &Path, metadata: &std::fs::Metadata) -> Option<DeviceNode> {
    let kind = if metadata.file_type().is_char_device() {
        DeviceKind::Character
    } else if metadata.file_type().is_block_device() {
        DeviceKind::Block
    } else {
        return None;
    };
    let number = metadata.rdev();
    Some(DeviceNode {
        path: container.to_str()?.to_owned(),
        host_path: host.to_owned(),
        kind,
        major: nix::sys::stat::major(number),
        minor: nix::sys::stat::minor(number),
        mode: metadata.mode() & 0o777,
        uid: metadata.uid(),
        gid: metadata.gid(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(host: &str, container: &str) -> Device {
        Device { container_path: container.to_owned(), host_path: host.to_owned(), permissions: "rw".to_owned() }
    }

    #[test]
    fn asked_for() {
        let devices = collect(&[device("/dev/null", "/dev/mine")], false).unwrap();
        let mine = devices.nodes.iter().find(|node| node.path == "/dev/mine").unwrap();
        assert_eq!((mine.major, mine.minor, mine.kind), (1, 3, DeviceKind::Character));
        let DevicePolicy::Only(allowed) = devices.policy else { panic!("not privileged") };
        assert_eq!(allowed.last().unwrap().to_string(), "c 1:3 rw");

        assert!(matches!(collect(&[device("/dev/absent", "")], false), Err(DeviceError::Read { .. })));
        assert!(matches!(collect(&[device("/etc/passwd", "")], false), Err(DeviceError::NotADevice { .. })));
    }

    #[test]
    fn privileged_containers_have_all() {
        let devices = collect(&[], true).unwrap();
        assert_eq!(devices.policy, DevicePolicy::All);
        assert!(devices.nodes.iter().any(|node| node.path == "/dev/kmsg"));
        assert!(!devices.nodes.iter().any(|node| node.path.starts_with("/dev/pts/") || node.path == "/dev/console"));
        let null = devices.nodes.iter().filter(|node| node.path == "/dev/null").count();
        assert_eq!(null, 1);
    }
}
