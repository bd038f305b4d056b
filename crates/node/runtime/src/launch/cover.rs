//! Masked and read-only paths: what of the kernel's file systems a container may not see or change.
//!
//! Paths below /proc and /sys are looked up beneath the mounts that were just made there, by descriptor and through no link, so
//! neither an image nor a volume has a say in where they are. What exists and cannot be covered ends the start.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::report::{Result, Step};
use super::spec::ContainerLaunch;
use crate::sys::mount::{self, Attributes, Change};
use crate::sys::path;

/// File systems of the kernel, by the place they are mounted at: covers below them are looked up in the mount itself.
pub(super) type KernelMounts = Vec<(&'static str, OwnedFd)>;

/// The covers that a container wants, and what they are made of.
pub(super) struct Covers<'a> {
    launch: &'a ContainerLaunch,
    /// The first cover of each kind is attached itself; the others are clones of it.
    empty: Option<OwnedFd>,
    null: OwnedFd,
    null_attached: bool,
}

impl<'a> Covers<'a> {
    /// `null` is the node's /dev/null, which covers files.
    pub(super) fn new(launch: &'a ContainerLaunch, null: OwnedFd) -> Self {
        Self { launch, empty: None, null, null_attached: false }
    }

    /// Covers what is below the kernel's file systems. Before anything of the pod's is mounted.
    pub(super) fn below(&mut self, kernel: &KernelMounts) -> Result<()> {
        self.put_up(|target| {
            let (place, mounted) = kernel.iter().find(|(place, _)| target.starts_with(place))?;
            let rest = target.strip_prefix(place).unwrap_or(Path::new(""));
            Some(path::find_plain(mounted.as_fd(), rest))
        })
    }

    /// Covers all the rest, inside the container's root.
    pub(super) fn elsewhere(&mut self, root: BorrowedFd<'_>, kernel: &KernelMounts) -> Result<()> {
        self.put_up(|target| {
            let is_below = kernel.iter().any(|(place, _)| target.starts_with(place));
            (!is_below).then(|| path::find_in_root(root, target))
        })
    }

    /// `find` answers for the paths that are meant. What is not there needs no cover.
    fn put_up(&mut self, find: impl Fn(&Path) -> Option<io::Result<OwnedFd>>) -> Result<()> {
        let find = |target: &str| match find(&path::normal(Path::new(target)))? {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => None,
            found => Some(found),
        };
        for target in &self.launch.masked_paths {
            let Some(place) = find(target) else { continue };
            place.and_then(|place| self.mask(place.as_fd())).step(|| format!("mask {target}"))?;
        }
        for target in &self.launch.readonly_paths {
            let Some(place) = find(target) else { continue };
            place.and_then(|place| make_readonly(place.as_fd())).step(|| format!("make {target} read-only"))?;
        }
        Ok(())
    }

    /// Covers a directory by an empty read-only one, anything else by /dev/null.
    fn mask(&mut self, place: BorrowedFd<'_>) -> io::Result<()> {
        let metadata = nix::sys::stat::fstat(place.as_raw_fd())?;
        if metadata.st_mode & libc::S_IFMT != libc::S_IFDIR {
            if self.null_attached {
                return mount::attach(mount::clone_tree_fd(self.null.as_fd(), false)?.as_fd(), place);
            }
            self.null_attached = true;
            return mount::attach(self.null.as_fd(), place);
        }
        if let Some(empty) = &self.empty {
            return mount::attach(mount::clone_tree_fd(empty.as_fd(), false)?.as_fd(), place);
        }
        let options = [("size", Some("4k")), ("nr_inodes", Some("2")), ("mode", Some("0755"))];
        let set = Attributes::READ_ONLY | Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
        let made = mount::fresh("tmpfs", &options, set)?;
        mount::attach(made.as_fd(), place)?;
        self.empty = Some(made);
        Ok(())
    }
}

fn make_readonly(place: BorrowedFd<'_>) -> io::Result<()> {
    let tree = mount::clone_tree_fd(place, true)?;
    mount::change(tree.as_fd(), &Change { set: Attributes::READ_ONLY, recursive: true, ..Change::default() })?;
    mount::attach(tree.as_fd(), place)
}
