//! Which cgroup hierarchies the node has, from its table of mounts.

use std::path::{Path, PathBuf};

/// The mounts that the calling thread sees.
pub(crate) const MOUNTS: &str = "/proc/thread-self/mountinfo";

/// Where cgroups are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CgroupLayout {
    /// As the node's mounts say: v1 when any controller is in a v1 hierarchy, else v2.
    #[default]
    Detect,
    /// The v2 hierarchy that is mounted here.
    Unified(PathBuf),
}

/// One mounted hierarchy of v1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) mount_point: PathBuf,
    /// `cpu`, `cpuacct`…, or `name=systemd` for one without a controller.
    pub(crate) controllers: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hierarchies {
    V1(Vec<Hierarchy>),
    V2(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DetectError {
    #[error("cannot read {MOUNTS}")]
    Mounts(#[source] std::io::Error),
    #[error("no cgroup hierarchy is mounted: mount cgroup2 on /sys/fs/cgroup")]
    None,
}

impl Hierarchies {
    pub(crate) fn find(layout: &CgroupLayout) -> Result<Self, DetectError> {
        match layout {
            CgroupLayout::Unified(path) => Ok(Self::V2(path.clone())),
            CgroupLayout::Detect => {
                let mounts = std::fs::read_to_string(MOUNTS).map_err(DetectError::Mounts)?;
                from_mounts(&mounts).ok_or(DetectError::None)
            }
        }
    }

    /// The v1 hierarchy with a controller.
    pub(crate) fn with_controller(&self, controller: &str) -> Option<&Path> {
        match self {
            Self::V1(list) => list
                .iter()
                .find(|hierarchy| hierarchy.controllers.iter().any(|name| name == controller))
                .map(|hierarchy| hierarchy.mount_point.as_path()),
            Self::V2(_) => None,
        }
    }
}

fn from_mounts(mountinfo: &str) -> Option<Hierarchies> {
    let mut v1: Vec<Hierarchy> = Vec::new();
    let mut v2 = None;
    for line in mountinfo.lines() {
        let Some((front, back)) = line.split_once(" - ") else { continue };
        let Some(mount_point) = front.split(' ').nth(4).map(|field| PathBuf::from(unescape(field))) else { continue };
        let mut back = back.split(' ');
        match back.next() {
            Some("cgroup2") => v2 = v2.or(Some(mount_point)),
            Some("cgroup") => {
                let options = back.nth(1).unwrap_or_default();
                let controllers: Vec<String> =
                    options.split(',').filter(|o| is_controller(o)).map(Into::into).collect();
                // A hierarchy may be mounted in several places; the first is the usual one.
                if !controllers.is_empty() && v1.iter().all(|known| known.controllers != controllers) {
                    v1.push(Hierarchy { mount_point, controllers });
                }
            }
            _ => {}
        }
    }
    if v1.iter().any(|hierarchy| hierarchy.controllers.iter().any(|name| !name.starts_with("name="))) {
        return Some(Hierarchies::V1(v1));
    }
    v2.map(Hierarchies::V2)
}

/// Super block options of a v1 hierarchy are its controllers and a few flags.
fn is_controller(option: &str) -> bool {
    const FLAGS: [&str; 6] = ["rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode"];
    !FLAGS.contains(&option) && !option.starts_with("release_agent=")
}

/// The table of mounts writes blanks as octal escapes.
pub(crate) fn unescape(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        let v1 = "30 20 0:25 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                  31 30 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
                  32 30 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
                  33 30 0:28 / /sys/fs/cgroup/memory rw shared:3 - cgroup cgroup rw,memory\n\
                  34 30 0:28 / /elsewhere rw - cgroup cgroup rw,memory\n\
                  35 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let Some(found @ Hierarchies::V1(list)) = &from_mounts(v1) else { panic!("v1") };
        assert_eq!(list.len(), 3);
        assert_eq!(found.with_controller("cpuacct"), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct")));
        assert_eq!(found.with_controller("name=systemd"), Some(Path::new("/sys/fs/cgroup/systemd")));
        assert_eq!(found.with_controller("hugetlb"), None);

        let v2 = "30 20 0:25 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(from_mounts(v2), Some(Hierarchies::V2("/sys/fs/cgroup".into())));
        let named_only = "32 30 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                          30 20 0:25 / /sys/fs/cgroup/a\\040b rw - cgroup2 cgroup2 rw\n";
        assert_eq!(from_mounts(named_only), Some(Hierarchies::V2("/sys/fs/cgroup/a b".into())));
        assert_eq!(from_mounts("1 1 0:1 / / rw - ext4 /dev/vda rw\n"), None);
    }
}
