//! Directories that a layer uses without naming them.
//!
//! `tmp/x` without an entry for `tmp` leaves `tmp` as the layers below have it; unpacked by itself, the layer has a `tmp` of
//! its own, and overlayfs shows the uppermost. Where the two differ, a *fixup* layer goes right above: it holds
//! just those directories, with the attributes that they have below. It belongs to this chain of layers, so that the layer
//! itself stays shared by all images.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::{Errno, Result};
use windlass_tree::{Links, open_dir};

use super::OPAQUE_XATTR;
use super::extract::is_whiteout;

/// Repairing the attributes of a directory failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to take over the attributes of {path:?} from the layers below")]
pub struct FixupError {
    pub path: PathBuf,
    pub source: std::io::Error,
}

/// A directory as some layer has it.
struct Found {
    stat: Stat,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// A directory above it is opaque in the same layer.
    below_opaque: bool,
}

/// What a layer says about a path.
enum Seen {
    Directory(Box<Found>),
    /// Nothing; the layers below decide.
    Nothing,
    /// That there is no such directory: a whiteout, an opaque directory above it, or another kind of file.
    Absent,
}

/// Makes in `fixup`, an empty directory, those of the `implied` directories of `layer` that look different in `below` (the
/// lowest layer first). Returns how many it made.
pub fn repair_implied_directories(
    below: &[PathBuf],
    layer: &Path,
    implied: &BTreeSet<PathBuf>,
    fixup: &Path,
) -> std::result::Result<usize, FixupError> {
    let mut made = 0;
    for path in implied {
        let fail = |e: Errno| FixupError { path: path.clone(), source: e.into() };
        if let Some(found) = inherited(below, layer, path).map_err(fail)?
            && found.differs()
        {
            restore(below, layer, implied, fixup, path).map_err(fail)?;
            made += 1;
        }
    }
    Ok(made)
}

/// The directory below that an implied one stands for.
fn inherited(below: &[PathBuf], layer: &Path, path: &Path) -> Result<Option<Found>> {
    if let Seen::Directory(own) = look_in(layer, path)?
        && own.below_opaque
    {
        return Ok(None);
    }
    for layer in below.iter().rev() {
        match look_in(layer, path)? {
            Seen::Directory(found) => return Ok(Some(*found)),
            Seen::Nothing => {}
            Seen::Absent => return Ok(None),
        }
    }
    Ok(None)
}

fn look_in(layer: &Path, path: &Path) -> Result<Seen> {
    let mut dir = open_layer(layer)?;
    let (mut opaque, mut below_opaque) = (false, false);
    for component in path.components() {
        let name = component.as_os_str();
        below_opaque = opaque;
        let stat = match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(if opaque { Seen::Absent } else { Seen::Nothing }),
            Err(error) => return Err(error),
        };
        if is_whiteout(&stat) || FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Ok(Seen::Absent);
        }
        dir = open_dir(&dir, name.as_bytes(), Links::Refused)?;
        opaque |= matches!(rustix::fs::fgetxattr(&dir, OPAQUE_XATTR, &mut [0; 8][..]), Ok(1));
    }
    let stat = rustix::fs::fstat(&dir)?;
    let xattrs = xattrs(&dir)?;
    Ok(Seen::Directory(Box::new(Found { stat, xattrs, below_opaque })))
}

fn xattrs(dir: &OwnedFd) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut names = vec![0; 64 << 10];
    let length = match rustix::fs::flistxattr(dir, &mut names[..]) {
        Err(Errno::OPNOTSUPP) => 0,
        other => other?,
    };
    let mut found = BTreeMap::new();
    for name in names[..length].split(|b| *b == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(b"trusted.overlay.") {
            continue;
        }
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::fgetxattr(dir, name, &mut value[..])?;
        value.truncate(length);
        found.insert(name.to_vec(), value);
    }
    Ok(found)
}

impl Found {
    /// Whether the directory looks different from how an implied one is made.
    fn differs(&self) -> bool {
        let stat = &self.stat;
        stat.st_mode & 0o7777 != 0o755 || stat.st_uid != 0 || stat.st_gid != 0 || !self.xattrs.is_empty()
    }

    fn give_attributes_to(&self, dir: &OwnedFd) -> Result<()> {
        let stat = &self.stat;
        rustix::fs::fchown(dir, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
        for (name, value) in &self.xattrs {
            rustix::fs::fsetxattr(dir, &name[..], value, XattrFlags::empty())?;
        }
        rustix::fs::fchmod(dir, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        let mtime = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec.cast_signed() };
        rustix::fs::futimens(dir, &Timestamps { last_access: mtime, last_modification: mtime })
    }
}

/// Makes the directory in `fixup` and those above it, each looking as it does in the chain up to `layer`.
fn restore(below: &[PathBuf], layer: &Path, implied: &BTreeSet<PathBuf>, fixup: &Path, path: &Path) -> Result<()> {
    let mut dir = open_layer(fixup)?;
    let mut so_far = PathBuf::new();
    for component in path.components() {
        so_far.push(component);
        let name = component.as_os_str();
        let fresh = match rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(error),
        };
        dir = open_dir(&dir, name.as_bytes(), Links::Refused)?;
        if fresh {
            rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o755))?;
            let found = match look_in(layer, &so_far)? {
                Seen::Directory(own) if !implied.contains(&so_far) => Some(*own),
                _ => inherited(below, layer, &so_far)?,
            };
            if let Some(found) = found {
                found.give_attributes_to(&dir)?;
            }
        }
    }
    Ok(())
}

fn open_layer(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
