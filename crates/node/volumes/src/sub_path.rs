//! subPath: a part of a volume, mounted by itself.
//!
//! Containers write to volumes, so any part of the path may become a link to elsewhere at any moment. The path is opened once,
//! inside the volume, and what was opened is mounted; the container then mounts that. The mount is in the pod's
//! `volume-subpaths`, and the pod's end removes it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, StatxFlags, statx};
use rustix::io::Errno;
use windlass_tree::Links;

use crate::mounts;

/// Mounts `sub_path` of `volume` at `target`; what is not there is made as a directory with the volume's own mode. Returns
/// `target`, which leads to the same file as long as the mount stands.
pub(crate) fn prepare(volume: &Path, sub_path: &str, target: PathBuf) -> io::Result<PathBuf> {
    let root = mounts::open_place(volume)?;
    let source = open(&root, sub_path)?;
    if windlass_tree::is_mount_point(&target).unwrap_or(false) {
        let mounted = mounts::open_place(&target)?;
        if identity(&mounted)? == identity(&source)? {
            return Ok(target);
        }
        // The path leads to another file by now.
        mounts::detach(&target)?;
    }
    make_target(&target, is_directory(&source)?)?;
    mounts::bind(&source, &target)?;
    Ok(target)
}

/// Opens the part of the volume, making it if it is missing. A path or link that leads out of the volume is refused.
fn open(root: &OwnedFd, sub_path: &str) -> io::Result<OwnedFd> {
    match windlass_tree::open_path(root, sub_path.as_bytes(), Links::Beneath) {
        Err(Errno::NOENT) => {
            let mode = Mode::from_raw_mode(rustix::fs::fstat(root)?.st_mode & 0o7777);
            Ok(windlass_tree::make_dirs(root, sub_path.as_bytes(), mode)?)
        }
        other => Ok(other?),
    }
}

/// A directory or an empty file to mount on.
fn make_target(target: &Path, directory: bool) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    if let Some(parent) = target.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o750).create(parent)?;
    }
    match std::fs::symlink_metadata(target) {
        Ok(there) if there.is_dir() == directory => return Ok(()),
        Ok(there) if there.is_dir() => std::fs::remove_dir(target)?,
        Ok(_) => std::fs::remove_file(target)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if directory {
        std::fs::DirBuilder::new().mode(0o750).create(target)
    } else {
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o640).open(target).map(drop)
    }
}

fn is_directory(file: &OwnedFd) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(file)?.st_mode) == FileType::Directory)
}

fn identity(file: &OwnedFd) -> io::Result<(u32, u32, u64)> {
    let stat = statx(file.as_fd(), c"", AtFlags::EMPTY_PATH, StatxFlags::INO)?;
    Ok((stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino))
}

/// The first component, for messages that may not tell what is on the node.
pub(crate) fn is_absolute(sub_path: &str) -> bool {
    Path::new(sub_path).as_os_str().as_bytes().first() == Some(&b'/')
}
