//! Writing a layer's entries into a directory, in overlayfs' form.
//!
//! Whiteouts become character devices 0:0, opaque markers the attribute `trusted.overlay.opaque`. Both speak of lower
//! layers only: what the same layer holds under a whiteout's name stays, and the whiteout then means that nothing of
//! a lower directory shows through.
//!
//! Directories that an archive uses without naming them are made with mode 0755 and noted as *implied*: what they should
//! look like only the layers below know (see [`super::implied`]).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use windlass_tree::{Links, clean, open_dir};

use super::room::{Reserve, Room, RoomError};
use super::{OPAQUE_XATTR, attributes};
use crate::tar::{Entry, Kind, TarError, TarReader, Timestamp};

const WHITEOUT_PREFIX: &[u8] = b".wh.";
const OPAQUE_MARKER: &[u8] = b".wh..wh..opq";
/// What AUFS kept for itself; tools that wrote layers from it let it slip in.
const AUFS_PREFIX: &[u8] = b".wh..wh.";
const COPY_BUFFER_BYTES: usize = 128 << 10;
/// What a file takes of the disk is counted in blocks of this size.
const DISK_BLOCK: u64 = 4096;
/// What the paths of directories may take of memory, which have to be known to the end: twenty times what the largest images known need.
/// An entry of four kilobytes can make a thousand directories with paths as long.
const PATHS_BYTES_MAX: usize = 64 << 20;
/// What a path takes beside its bytes.
const PATH_BYTES: usize = 64;

/// What one layer may unpack to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub entries_max: u64,
    pub bytes_max: u64,
    /// How many times its compressed size a layer may unpack to, once it is larger than `ratio_from_bytes`.
    pub ratio_max: u64,
    pub ratio_from_bytes: u64,
    pub reserve: Reserve,
}

impl Default for Limits {
    /// Ten times what the largest images known have, and forty times how well programs and their data compress.
    fn default() -> Self {
        Self {
            entries_max: 10_000_000,
            bytes_max: 1 << 40,
            ratio_max: 200,
            ratio_from_bytes: 1 << 30,
            reserve: Reserve::default(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    #[error("reading the layer's archive")]
    Archive(#[source] TarError),
    #[error("{path:?} in the layer's archive leads out of the layer")]
    Escapes { path: String },
    #[error("{path:?} in the layer's archive is not a valid whiteout")]
    Whiteout { path: String },
    #[error("the layer has more than {0} entries: split it into several, or have the image made smaller")]
    TooManyEntries(u64),
    #[error("the layer's directories have {PATHS_BYTES_MAX} bytes of paths, and more: have the image made less deep")]
    TooManyPaths,
    #[error("the layer unpacks to more than {0} bytes: split it into several, or have the image made smaller")]
    TooLarge(u64),
    #[error(transparent)]
    Room(RoomError),
    #[error("failed to {action} {path:?}")]
    File { action: &'static str, path: String, source: std::io::Error },
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Of the disk, in whole blocks.
    pub(super) bytes: u64,
    pub(super) inodes: u64,
    pub(super) implied: BTreeSet<PathBuf>,
}

struct Parent {
    /// As the archive wrote it, cleaned.
    path: Vec<u8>,
    /// Below the root, with symbolic links resolved.
    real: Vec<u8>,
    fd: OwnedFd,
}

pub(super) struct Extractor {
    root: OwnedFd,
    room: Room,
    limits: Limits,
    written: Written,
    entries: u64,
    /// What the paths take that are remembered.
    paths_bytes: usize,
    /// How many files made way for later entries of the same name.
    replaced: u64,
    /// Set when everything else is done, for each entry put into a directory moves its time.
    directory_times: BTreeMap<Vec<u8>, Timestamp>,
    /// The directory of the last entry: archives list a directory's entries one after the other.
    parent: Option<Parent>,
    buffer: Vec<u8>,
}

impl Extractor {
    /// `root` is an empty directory.
    pub(super) fn new(root: OwnedFd, limits: Limits) -> Self {
        Self {
            room: Room::of(&root, limits.reserve),
            root,
            limits,
            written: Written::default(),
            entries: 0,
            paths_bytes: 0,
            replaced: 0,
            directory_times: BTreeMap::new(),
            parent: None,
            buffer: vec![0; COPY_BUFFER_BYTES],
        }
    }

    pub(super) fn run(mut self, archive: &mut TarReader<impl Read>) -> Result<Written, ExtractError> {
        self.room.look(0).map_err(ExtractError::Room)?;
        while let Some(entry) = archive.next_entry().map_err(ExtractError::Archive)? {
            self.count_entry()?;
            self.entry(&entry, archive)?;
        }
        for (path, mtime) in std::mem::take(&mut self.directory_times) {
            // A later entry may have replaced the directory.
            let dir = match open_dir(&self.root, &path, Links::Refused) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                other => other.map_err(|e| failed("set the time of", &path, e))?,
            };
            rustix::fs::futimens(&dir, &attributes::mtime_only(mtime))
                .map_err(|e| failed("set the time of", &path, e))?;
        }
        Ok(self.written)
    }

    fn entry(&mut self, entry: &Entry, data: &mut impl Read) -> Result<(), ExtractError> {
        let components = clean(&entry.path).ok_or_else(|| ExtractError::Escapes { path: shown(&entry.path) })?;
        // The root directory's own entry is ignored, as containerd does.
        let Some((name, parents)) = components.split_last() else { return Ok(()) };
        if components.iter().any(|component| component.starts_with(AUFS_PREFIX) && *component != OPAQUE_MARKER) {
            return Ok(());
        }
        let parent = self.parent(parents.join(&b'/'), parents)?;
        let existed = self.replaced;
        if *name == OPAQUE_MARKER {
            rustix::fs::fsetxattr(&parent.fd, OPAQUE_XATTR, b"y", XattrFlags::empty())
                .map_err(|e| failed("make opaque", &parent.path, e))?;
        } else if let Some(hidden) = name.strip_prefix(WHITEOUT_PREFIX) {
            self.whiteout(&parent.fd, hidden, entry)?;
        } else {
            self.make(&parent, name, entry, data)?;
        }
        // What was replaced may have been a symbolic link on the way to this very directory.
        self.parent = (self.replaced == existed).then_some(parent);
        Ok(())
    }

    /// The directory of an entry, taken out of the cache or opened; what is missing on the way is made and noted as implied.
    fn parent(&mut self, path: Vec<u8>, components: &[&[u8]]) -> Result<Parent, ExtractError> {
        if let Some(cached) = self.parent.take_if(|cached| cached.path == path) {
            return Ok(cached);
        }
        match open_dir(&self.root, &path, Links::Refused) {
            Ok(fd) => return Ok(Parent { real: path.clone(), path, fd }),
            Err(Errno::LOOP | Errno::NOENT) => {}
            Err(error) => return Err(failed("open directory", &path, error)),
        }
        let fd = match open_dir(&self.root, &path, Links::InRoot) {
            Err(Errno::NOENT) => self.make_parents(components)?,
            other => other.map_err(|e| failed("open directory", &path, e))?,
        };
        let real = self.real_path(&fd).map_err(|e| failed("open directory", &path, e))?;
        Ok(Parent { path, real, fd })
    }

    fn make_parents(&mut self, parents: &[&[u8]]) -> Result<OwnedFd, ExtractError> {
        let mut at = open_dir(&self.root, b"", Links::InRoot).map_err(|e| failed("open directory", b"", e))?;
        for depth in 1..=parents.len() {
            let path = parents[..depth].join(&b'/');
            at = match open_dir(&self.root, &path, Links::InRoot) {
                Err(Errno::NOENT) => {
                    // A dangling symbolic link is in the way with EEXIST: refused, as upstream does.
                    let make = || {
                        rustix::fs::mkdirat(&at, parents[depth - 1], Mode::from_raw_mode(0o755))?;
                        let made = open_dir(&self.root, &path, Links::InRoot)?;
                        rustix::fs::fchmod(&made, Mode::from_raw_mode(0o755))?;
                        let real = self.real_path(&made)?;
                        Ok((made, real))
                    };
                    let (made, real) = make().map_err(|e| failed("make directory", &path, e))?;
                    // It has no entry of its own, and counts like one.
                    self.count_entry()?;
                    self.count_path(&real)?;
                    self.written.implied.insert(PathBuf::from(OsString::from_vec(real)));
                    self.count_inode(true)?;
                    made
                }
                other => other.map_err(|e| failed("open directory", &path, e))?,
            };
        }
        Ok(at)
    }

    /// The path below the root, with all symbolic links resolved.
    fn real_path(&self, dir: &OwnedFd) -> Result<Vec<u8>, Errno> {
        let link = |fd: &OwnedFd| rustix::fs::readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new());
        let (root, dir) = (link(&self.root)?, link(dir)?);
        let below = dir.as_bytes().strip_prefix(root.as_bytes()).ok_or(Errno::XDEV)?;
        match below {
            b"" => Ok(Vec::new()),
            below => Ok(below.strip_prefix(b"/").ok_or(Errno::XDEV)?.to_vec()),
        }
    }

    fn whiteout(&mut self, parent: &OwnedFd, name: &[u8], entry: &Entry) -> Result<(), ExtractError> {
        if matches!(name, b"" | b"." | b"..") {
            return Err(ExtractError::Whiteout { path: shown(&entry.path) });
        }
        let make = || match rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0) {
            Err(Errno::EXIST) => {
                let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    let dir = open_dir(parent, name, Links::Refused)?;
                    rustix::fs::fsetxattr(&dir, OPAQUE_XATTR, b"y", XattrFlags::empty())?;
                }
                Ok(false)
            }
            other => other.map(|()| true),
        };
        if make().map_err(|e| failed("make whiteout", &entry.path, e))? {
            self.count_inode(false)?;
        }
        Ok(())
    }

    /// Makes the entry `name` in `parent`.
    fn make(
        &mut self,
        directory: &Parent,
        name: &[u8],
        entry: &Entry,
        data: &mut impl Read,
    ) -> Result<(), ExtractError> {
        let parent = directory.fd.as_fd();
        let fail = |action: &'static str| move |e: Errno| failed(action, &entry.path, e);
        match entry.kind {
            Kind::Directory => self.directory(directory, name, entry)?,
            Kind::Regular => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let open = || rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR);
                let file = self.replacing(parent, name, open).map_err(fail("create"))?;
                self.write(&file, entry, data)?;
                attributes::apply(&file, entry, true).map_err(fail("set attributes of"))?;
            }
            Kind::HardLink => {
                self.hard_link(parent, name, entry)?;
                attributes::apply_at(parent, name, entry).map_err(fail("set attributes of"))?;
            }
            Kind::Symlink => {
                let link = || rustix::fs::symlinkat(&*entry.link, parent, name);
                self.replacing(parent, name, link).map_err(fail("create"))?;
                attributes::apply_at(parent, name, entry).map_err(fail("set attributes of"))?;
            }
            Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => {
                let kind = match entry.kind {
                    Kind::CharDevice => FileType::CharacterDevice,
                    Kind::BlockDevice => FileType::BlockDevice,
                    _ => FileType::Fifo,
                };
                let device = rustix::fs::makedev(entry.device.0, entry.device.1);
                let mknod = || rustix::fs::mknodat(parent, name, kind, Mode::empty(), device);
                self.replacing(parent, name, mknod).map_err(fail("create"))?;
                attributes::apply_at(parent, name, entry).map_err(fail("set attributes of"))?;
            }
        }
        if entry.kind == Kind::HardLink { Ok(()) } else { self.count_inode(entry.kind == Kind::Directory) }
    }

    /// Directories of the same name merge; a whiteout that came before makes the directory opaque.
    fn directory(&mut self, directory: &Parent, name: &[u8], entry: &Entry) -> Result<(), ExtractError> {
        let parent = directory.fd.as_fd();
        let make = || -> Result<OwnedFd, Errno> {
            match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
                Ok(()) => open_dir(parent, name, Links::Refused),
                Err(Errno::EXIST) => {
                    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                        return open_dir(parent, name, Links::Refused);
                    }
                    rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
                    rustix::fs::mkdirat(parent, name, Mode::RWXU)?;
                    let dir = open_dir(parent, name, Links::Refused)?;
                    if is_whiteout(&stat) {
                        rustix::fs::fsetxattr(&dir, OPAQUE_XATTR, b"y", XattrFlags::empty())?;
                    }
                    Ok(dir)
                }
                Err(error) => Err(error),
            }
        };
        let dir = make().map_err(|e| failed("make directory", &entry.path, e))?;
        attributes::apply(&dir, entry, false).map_err(|e| failed("set attributes of", &entry.path, e))?;
        let real = if directory.real.is_empty() { name.to_vec() } else { [&directory.real, &b"/"[..], name].concat() };
        if !self.written.implied.is_empty() {
            self.written.implied.remove(Path::new(OsStr::from_bytes(&real)));
        }
        self.count_path(&real)?;
        self.directory_times.insert(real, entry.mtime);
        Ok(())
    }

    fn hard_link(&mut self, parent: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<(), ExtractError> {
        let fail = |e: Errno| failed("create link", &entry.path, e);
        let components = clean(&entry.link).ok_or_else(|| ExtractError::Escapes { path: shown(&entry.link) })?;
        let Some((target, target_parents)) = components.split_last() else { return Err(fail(Errno::PERM)) };
        // The target's own name is not followed: a link to a symbolic link is a second name of that link.
        let from = open_dir(&self.root, &target_parents.join(&b'/'), Links::InRoot).map_err(fail)?;
        let same = |a: &rustix::fs::Stat, b: &rustix::fs::Stat| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino);
        let existing = rustix::fs::statat(&from, *target, AtFlags::SYMLINK_NOFOLLOW).map_err(fail)?;
        if rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|there| same(&there, &existing)) {
            return Ok(());
        }
        let link = || rustix::fs::linkat(&from, *target, parent, name, AtFlags::empty());
        self.replacing(parent, name, link).map_err(fail)
    }

    /// Runs `make`; where something is in the way, it is removed and `make` run again.
    fn replacing<T>(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        make: impl Fn() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        match make() {
            Err(Errno::EXIST) => {
                self.replaced += 1;
                windlass_tree::remove(parent, name)?;
                make()
            }
            other => other,
        }
    }

    fn write(&mut self, file: &OwnedFd, entry: &Entry, data: &mut impl Read) -> Result<(), ExtractError> {
        let stored = entry.extents.as_ref().map_or(entry.size, |extents| extents.iter().map(|e| e.len).sum());
        self.count_bytes(stored)?;
        self.room.writes(stored).map_err(ExtractError::Room)?;
        match &entry.extents {
            None => self.copy(file, 0, entry.size, entry, data),
            Some(extents) => {
                for extent in extents {
                    self.copy(file, extent.offset, extent.len, entry, data)?;
                }
                rustix::fs::ftruncate(file, entry.size).map_err(|e| failed("write", &entry.path, e))
            }
        }
    }

    fn copy(
        &mut self,
        file: &OwnedFd,
        mut offset: u64,
        mut left: u64,
        entry: &Entry,
        data: &mut impl Read,
    ) -> Result<(), ExtractError> {
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let read = match data.read(&mut self.buffer[..want]) {
                Ok(0) => return Err(ExtractError::Archive(TarError::Truncated)),
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ExtractError::Archive(TarError::Read(error))),
            };
            let mut rest = &self.buffer[..read];
            while !rest.is_empty() {
                let wrote = match rustix::io::pwrite(file, rest, offset) {
                    Err(Errno::INTR) => 0,
                    other => other.map_err(|e| failed("write", &entry.path, e))?,
                };
                offset += wrote as u64;
                rest = &rest[wrote..];
            }
            left -= read as u64;
            self.room.wrote(read as u64).map_err(ExtractError::Room)?;
        }
        Ok(())
    }

    /// A file of any kind; a directory takes a block.
    fn count_entry(&mut self) -> Result<(), ExtractError> {
        self.entries += 1;
        if self.entries > self.limits.entries_max {
            return Err(ExtractError::TooManyEntries(self.limits.entries_max));
        }
        Ok(())
    }

    /// The path of a directory is remembered. One that comes again counts again: honest archives name a directory once.
    fn count_path(&mut self, path: &[u8]) -> Result<(), ExtractError> {
        self.paths_bytes += path.len() + PATH_BYTES;
        if self.paths_bytes > PATHS_BYTES_MAX { Err(ExtractError::TooManyPaths) } else { Ok(()) }
    }

    fn count_inode(&mut self, directory: bool) -> Result<(), ExtractError> {
        self.written.inodes += 1;
        self.room.made().map_err(ExtractError::Room)?;
        self.count_bytes(u64::from(directory))
    }

    fn count_bytes(&mut self, bytes: u64) -> Result<(), ExtractError> {
        let on_disk = bytes.div_ceil(DISK_BLOCK).saturating_mul(DISK_BLOCK);
        self.written.bytes = self.written.bytes.saturating_add(on_disk);
        if self.written.bytes > self.limits.bytes_max {
            return Err(ExtractError::TooLarge(self.limits.bytes_max));
        }
        Ok(())
    }
}

pub(super) fn is_whiteout(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn failed(action: &'static str, path: &[u8], source: Errno) -> ExtractError {
    ExtractError::File { action, path: shown(path), source: source.into() }
}

/// A path for a message: printable and not endless.
fn shown(path: &[u8]) -> String {
    const CHARS_MAX: usize = 256;
    let text = String::from_utf8_lossy(path);
    if text.chars().count() > CHARS_MAX {
        text.chars().take(CHARS_MAX).chain("…".chars()).collect()
    } else {
        text.into_owned()
    }
}
