//! local: a directory of the node, or a block device with a file system, mounted for the pod.
//!
//! A device is mounted once for all pods and each pod gets a bind mount of it; a directory is bound at once. A device that has no
//! file system is not formatted: an operator does that, where upstream would run mkfs.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::mount::MountFlags;

use super::{SetUpError, failed, is_mount_point, make_private_dirs};
use crate::layout::{Layout, Plugin};
use crate::mounts;
use crate::ownership::{self, Ownership};
use crate::plan::Local;

const FS_TYPE_DEFAULT: &str = "ext4";

pub(crate) fn set_up(
    layout: &Layout,
    pod_uid: &str,
    local: &Local,
    owner: Option<Ownership>,
) -> Result<PathBuf, SetUpError> {
    let target = layout.volume(pod_uid, Plugin::Local, &local.name);
    let options = Options::parse(&local.mount_options)?;
    if !is_mount_point(&target)? {
        let source = source(layout, local, &options)?;
        make_private_dirs(&target)?;
        let place = mounts::open_place(&source).map_err(failed("open", &source))?;
        mounts::bind(&place, &target).map_err(failed("mount", &target))?;
    }
    let mut flags = options.flags;
    if local.read_only {
        flags |= MountFlags::RDONLY;
    }
    mounts::restrict(&target, flags).map_err(failed("mount", &target))?;
    if let Some(owner) = owner
        && !flags.contains(MountFlags::RDONLY)
    {
        ownership::apply(&target, owner).map_err(failed("change the group of", &target))?;
    }
    Ok(target)
}

/// What is bound for the pod.
fn source(layout: &Layout, local: &Local, options: &Options) -> Result<PathBuf, SetUpError> {
    let kind = match std::fs::metadata(&local.source) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(SetUpError::Missing(local.source.clone()));
        }
        Err(error) => return Err(failed("look at", &local.source)(error)),
    };
    if kind.is_dir() {
        return Ok(local.source.clone());
    }
    if !kind.is_block_device() {
        return Err(SetUpError::LocalKind);
    }
    let global = layout.local_device(&local.name);
    if !is_mount_point(&global)? {
        make_private_dirs(&global)?;
        mount_device(&local.source, &global, &local.fs_type, options)?;
    }
    Ok(global)
}

fn mount_device(device: &Path, target: &Path, fs_type: &str, options: &Options) -> Result<(), SetUpError> {
    let fs_type = if fs_type.is_empty() { FS_TYPE_DEFAULT } else { fs_type };
    mounts::mount_fs(device, target, fs_type, options.flags, &options.data.join(",")).map_err(|source| {
        // Nothing was mounted, so the directory is empty.
        let _ = std::fs::remove_dir(target);
        SetUpError::Device { device: device.to_owned(), fs_type: fs_type.to_owned(), source }
    })
}

/// Mount options as `mount` understands them: flags of the kernel, and words for the file system.
#[derive(Debug)]
struct Options {
    flags: MountFlags,
    data: Vec<String>,
}

impl Options {
    fn parse(texts: &[String]) -> Result<Self, SetUpError> {
        let mut options = Self { flags: MountFlags::empty(), data: Vec::new() };
        for text in texts.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|text| !text.is_empty()) {
            let (flag, set) = match text {
                "ro" => (MountFlags::RDONLY, true),
                "rw" => (MountFlags::RDONLY, false),
                "nosuid" => (MountFlags::NOSUID, true),
                "suid" => (MountFlags::NOSUID, false),
                "nodev" => (MountFlags::NODEV, true),
                "dev" => (MountFlags::NODEV, false),
                "noexec" => (MountFlags::NOEXEC, true),
                "exec" => (MountFlags::NOEXEC, false),
                "noatime" => (MountFlags::NOATIME, true),
                "atime" => (MountFlags::NOATIME, false),
                "nodiratime" => (MountFlags::NODIRATIME, true),
                "diratime" => (MountFlags::NODIRATIME, false),
                "relatime" => (MountFlags::RELATIME, true),
                "strictatime" => (MountFlags::STRICTATIME, true),
                "sync" => (MountFlags::SYNCHRONOUS, true),
                "async" => (MountFlags::SYNCHRONOUS, false),
                "lazytime" => (MountFlags::LAZYTIME, true),
                // What is said anyway.
                "bind" | "rbind" | "defaults" | "auto" | "noauto" | "nouser" | "_netdev" => continue,
                other if other.starts_with("x-") => continue,
                other if other.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') => {
                    options.data.push(other.to_owned());
                    continue;
                }
                other => return Err(SetUpError::MountOption(other.to_owned())),
            };
            options.flags.set(flag, set);
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let parse = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            Options::parse(&texts).map(|options| (options.flags, options.data))
        };
        let flags = MountFlags::NOATIME | MountFlags::NOEXEC;
        let found = parse(&["noatime,noexec", "ro,rw", "discard", "x-systemd.automount", "bind"]).unwrap();
        assert_eq!(found, (flags, vec!["discard".to_owned()]));
        assert!(parse(&["a b"]).is_err());
    }
}
