//! The cgroup hierarchies of a machine, as its mounts show them.

use std::path::{Path, PathBuf};

use crate::mounts::Mount;

/// One mounted hierarchy of v1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    pub mount_point: PathBuf,
    /// `cpu`, `cpuacct`…, or `name=systemd` for one without a controller.
    pub controllers: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hierarchies {
    V1(Vec<Hierarchy>),
    V2(PathBuf),
}

impl Hierarchies {
    /// v1 when cpu or memory is in one of its hierarchies: a machine of v2 may have a few others in v1 (a VPN's `net_cls`). `None`
    /// when nothing is mounted.
    pub fn of(mounts: &[Mount]) -> Option<Self> {
        let mut v1: Vec<Hierarchy> = Vec::new();
        for mount in mounts.iter().filter(|mount| mount.file_system == "cgroup") {
            let controllers: Vec<String> =
                mount.super_options.iter().filter(|option| is_controller(option)).cloned().collect();
            // A hierarchy may be mounted in several places; the first is the usual one.
            if !controllers.is_empty() && v1.iter().all(|known| known.controllers != controllers) {
                v1.push(Hierarchy { mount_point: mount.point.clone(), controllers });
            }
        }
        let v1 = Self::V1(v1);
        if v1.with_controller("cpu").is_some() || v1.with_controller("memory").is_some() {
            return Some(v1);
        }
        mounts.iter().find(|mount| mount.file_system == "cgroup2").map(|mount| Self::V2(mount.point.clone()))
    }

    /// The v1 hierarchy with a controller.
    pub fn with_controller(&self, controller: &str) -> Option<&Path> {
        match self {
            Self::V1(list) => list
                .iter()
                .find(|hierarchy| hierarchy.controllers.iter().any(|name| name == controller))
                .map(|hierarchy| hierarchy.mount_point.as_path()),
            Self::V2(_) => None,
        }
    }

    /// Where each hierarchy is mounted.
    pub fn mount_points(&self) -> Vec<&Path> {
        match self {
            Self::V1(list) => list.iter().map(|hierarchy| hierarchy.mount_point.as_path()).collect(),
            Self::V2(point) => vec![point],
        }
    }
}

/// Super block options of a v1 hierarchy are its controllers and a few flags.
fn is_controller(option: &str) -> bool {
    const FLAGS: [&str; 6] = ["rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode"];
    !FLAGS.contains(&option) && !option.starts_with("release_agent=")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mounts::parse_mounts;

    fn of(table: &str) -> Option<Hierarchies> {
        Hierarchies::of(&parse_mounts(table.as_bytes()))
    }

    #[test]
    fn layouts() {
        let v1 = "30 20 0:25 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                  31 30 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
                  32 30 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
                  33 30 0:28 / /sys/fs/cgroup/memory rw shared:3 - cgroup cgroup rw,memory\n\
                  34 30 0:28 / /elsewhere rw - cgroup cgroup rw,memory\n\
                  35 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let Some(found @ Hierarchies::V1(list)) = &of(v1) else { panic!("v1") };
        assert_eq!(list.len(), 3);
        assert_eq!(found.with_controller("cpuacct"), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct")));
        assert_eq!(found.with_controller("name=systemd"), Some(Path::new("/sys/fs/cgroup/systemd")));
        assert_eq!(found.with_controller("hugetlb"), None);

        let v2 = "30 20 0:25 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(of(v2), Some(Hierarchies::V2("/sys/fs/cgroup".into())));
        let others = "32 30 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                      33 30 0:31 / /mnt/net_cls rw - cgroup net_cls rw,net_cls\n\
                      30 20 0:25 / /sys/fs/cgroup/a\\040b rw - cgroup2 cgroup2 rw\n";
        assert_eq!(of(others), Some(Hierarchies::V2("/sys/fs/cgroup/a b".into())));
        assert_eq!(of("1 1 0:1 / / rw - ext4 /dev/vda rw\n"), None);
    }
}
