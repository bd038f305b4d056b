//! File systems of containers: the layers of an image with a writable directory on top (overlayfs), as detached mounts.
//!
//! The mount is *volatile*: the kernel does not write it to the disk when it goes away, which would otherwise flush the whole
//! disk at the end of each container. A writable layer never outlives a boot, so nothing is lost by it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use windlass_cri::IdMapping;

use crate::sys::mount::{self, Attributes, Change, FsContext, errno_of};
use crate::sys::thread;

/// Longest value that a mount option may have.
const OPTION_BYTES_MAX: usize = 255;

#[derive(Debug, thiserror::Error)]
pub(crate) enum OverlayError {
    #[error("cannot use layer {path}")]
    Layer { path: PathBuf, source: io::Error },
    #[error("cannot prepare the writable layer in {path}")]
    Writable { path: PathBuf, source: io::Error },
    #[error("cannot mount the root file system of {layers} layers")]
    Mount { layers: usize, source: io::Error },
}

/// What to put together.
#[derive(Clone, Debug)]
pub(crate) struct Overlay {
    /// The lowest first; may be empty.
    pub(crate) layers: Vec<PathBuf>,
    /// Where `upper` and `work` are made; `None` for a read-only view.
    pub(crate) writable: Option<PathBuf>,
    /// The user namespace whose numbers the layers get.
    pub(crate) id_map: Option<PathBuf>,
    /// An empty directory on which this may mount, seen by nobody else.
    pub(crate) scratch: PathBuf,
    /// An empty directory, the only layer of images without any.
    pub(crate) empty: PathBuf,
}

impl Overlay {
    /// A detached mount of it.
    pub(crate) async fn mount(self) -> Result<OwnedFd, OverlayError> {
        if self.id_map.is_some() || !supports_single_layers() {
            // Needs attached mounts for a moment: on a thread with a mount namespace of its own.
            let (layers, overlay) = (self.layers.len(), self);
            let mounted = thread::run("overlay", move || {
                enter_private_namespace()?;
                Ok(overlay.mount_in_private_namespace())
            });
            return mounted.await.map_err(|source| OverlayError::Mount { layers, source })?;
        }
        let work = move || self.mount_here();
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err(OverlayError::Mount { layers: 0, source: io::Error::other(error) }))
    }

    fn mount_here(&self) -> Result<OwnedFd, OverlayError> {
        let layers = self.open_layers()?;
        if let ([layer], None) = (layers.as_slice(), &self.writable) {
            return mount::clone_tree(&layer.path, false).map_err(|source| self.failed(source));
        }
        self.assemble(&layers).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> OverlayError {
        OverlayError::Mount { layers: self.layers.len(), source }
    }

    /// The layers, the topmost first, held open so that a long path has a short name.
    fn open_layers(&self) -> Result<Vec<Directory>, OverlayError> {
        let paths = if self.layers.is_empty() { std::slice::from_ref(&self.empty) } else { &self.layers };
        let open =
            |path: &PathBuf| Directory::open(path).map_err(|source| OverlayError::Layer { path: path.clone(), source });
        paths.iter().rev().map(open).collect()
    }

    fn open_writable(&self) -> io::Result<Option<(Directory, Directory)>> {
        let Some(writable) = &self.writable else { return Ok(None) };
        let upper = Directory::open(&writable.join("upper"))?;
        Ok(Some((upper, Directory::open(&writable.join("work"))?)))
    }

    fn assemble(&self, layers: &[Directory]) -> io::Result<OwnedFd> {
        let writable = self.open_writable()?;
        let context = FsContext::open("overlay")?;
        context.set("source", b"windlass")?;
        for layer in layers {
            context.set("lowerdir+", layer.name().as_bytes())?;
        }
        let mut attributes = Attributes::READ_ONLY;
        if let Some((upper, work)) = &writable {
            context.set("upperdir", upper.name().as_bytes())?;
            context.set("workdir", work.name().as_bytes())?;
            context.set_flag("volatile")?;
            attributes = Attributes::default();
        }
        context.set("index", b"off")?;
        context.mount(attributes)
    }

    fn mount_in_private_namespace(&self) -> Result<OwnedFd, OverlayError> {
        let mut layers = self.open_layers()?;
        if let Some(namespace) = &self.id_map {
            layers = self.map_layers(&layers, namespace).map_err(|source| self.failed(source))?;
        }
        if let ([layer], None) = (layers.as_slice(), &self.writable) {
            return mount::clone_tree_fd(layer.handle.as_fd(), false).map_err(|source| self.failed(source));
        }
        self.assemble_in_one_string(&layers).map_err(|source| self.failed(source))
    }

    /// Copies of the layers' mounts in which owners are those of the user namespace.
    fn map_layers(&self, layers: &[Directory], namespace: &Path) -> io::Result<Vec<Directory>> {
        let namespace = File::open(namespace)?;
        let options: [(&str, Option<&str>); 1] = [("mode", Some("0700"))];
        let places = mount::fresh("tmpfs", &options, Attributes::default())?;
        mount::attach(places.as_fd(), Directory::open(&self.scratch)?.handle.as_fd())?;
        let map = |(index, layer): (usize, &Directory)| {
            let place = self.scratch.join(index.to_string());
            std::fs::create_dir(&place)?;
            let tree = mount::clone_tree_fd(layer.handle.as_fd(), false)?;
            let change = Change { id_map: Some(namespace.as_fd()), ..Change::default() };
            mount::change(tree.as_fd(), &change)?;
            mount::attach(tree.as_fd(), Directory::open(&place)?.handle.as_fd())?;
            Directory::open(&place)
        };
        layers.iter().enumerate().map(map).collect()
    }

    /// All layers in one option, which `mount` takes up to a page of: a few hundred. Every kernel can do this, but only where
    /// it may attach.
    fn assemble_in_one_string(&self, layers: &[Directory]) -> io::Result<OwnedFd> {
        let writable = self.open_writable()?;
        let lower: Vec<String> = layers.iter().map(Directory::short_name).collect();
        let mut options = format!("index=off,lowerdir={}", lower.join(":"));
        let mut flags = nix::mount::MsFlags::MS_RDONLY;
        if let Some((upper, work)) = &writable {
            options += &format!(",volatile,upperdir={},workdir={}", upper.short_name(), work.short_name());
            flags = nix::mount::MsFlags::empty();
        }
        // Stacked on what may be mounted there already.
        nix::mount::mount(Some("windlass"), &self.scratch, Some("overlay"), flags, Some(options.as_str()))?;
        mount::clone_tree(&self.scratch, false)
    }
}

/// A directory with a name of bounded length.
struct Directory {
    path: PathBuf,
    handle: File,
}

impl Directory {
    fn open(path: &Path) -> io::Result<Self> {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let handle = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        Ok(Self { path: path.to_owned(), handle })
    }

    /// Its path, for people who read the table of mounts, unless an option cannot hold that.
    fn name(&self) -> String {
        match self.path.to_str() {
            Some(path) if path.len() <= OPTION_BYTES_MAX && !path.contains('\\') => path.to_owned(),
            _ => self.short_name(),
        }
    }

    fn short_name(&self) -> String {
        format!("/proc/self/fd/{}", self.handle.as_raw_fd())
    }
}

fn enter_private_namespace() -> io::Result<()> {
    use nix::sched::{CloneFlags, unshare};
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)?;
    let none: Option<&str> = None;
    let private = nix::mount::MsFlags::MS_PRIVATE | nix::mount::MsFlags::MS_REC;
    Ok(nix::mount::mount(none, "/", none, private, none)?)
}

/// Whether overlayfs takes its layers one by one (Linux 6.7). Asked once: such a kernel looks at the directory at once, 6.5 does
/// not know the option, and older ones take any option until the mount is made.
fn supports_single_layers() -> bool {
    static ANSWER: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *ANSWER.get_or_init(|| {
        let asked = FsContext::open("overlay").and_then(|context| context.set("lowerdir+", b"/proc/self/fd/none"));
        matches!(asked, Err(error) if errno_of(&error) == Some(libc::ENOENT))
    })
}

/// Makes the directories of a writable layer. Its root looks like the image's. Blocks.
pub(crate) fn prepare_writable(
    directory: &Path,
    layers: &[PathBuf],
    owners: Option<&(Vec<IdMapping>, Vec<IdMapping>)>,
) -> Result<(), OverlayError> {
    let failed = |source| OverlayError::Writable { path: directory.to_owned(), source };
    let make = || -> io::Result<()> {
        let (upper, work) = (directory.join("upper"), directory.join("work"));
        std::fs::create_dir(&upper)?;
        std::fs::create_dir(&work)?;
        let (mut mode, mut uid, mut gid) = (0o755, 0, 0);
        if let Some(top) = layers.last() {
            let metadata = std::fs::metadata(top)?;
            (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
        }
        if let Some((uids, gids)) = owners {
            (uid, gid) = (on_node(uids, uid).unwrap_or(uid), on_node(gids, gid).unwrap_or(gid));
        }
        std::os::unix::fs::chown(&upper, Some(uid), Some(gid))?;
        std::fs::set_permissions(&upper, std::fs::Permissions::from_mode(mode))
    };
    make().map_err(failed)
}

/// Makes the work directory anew, because a volatile mount that was made and lost forbids another one.
pub(crate) fn renew_work(directory: &Path) -> Result<(), OverlayError> {
    let work = directory.join("work");
    let renew = || {
        windlass_tree::remove_path(&work)?;
        std::fs::create_dir(&work)
    };
    renew().map_err(|source| OverlayError::Writable { path: directory.to_owned(), source })
}

/// A container's number as the node's.
pub(crate) fn on_node(mappings: &[IdMapping], id: u32) -> Option<u32> {
    mappings.iter().find_map(|mapping| {
        let offset = id.checked_sub(mapping.container_id)?;
        (offset < mapping.length).then(|| mapping.host_id.checked_add(offset))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_the_node() {
        let mappings = [
            IdMapping { host_id: 100_000, container_id: 0, length: 1000 },
            IdMapping { host_id: 5, container_id: 2000, length: 1 },
        ];
        for (id, wanted) in [(0, Some(100_000)), (999, Some(100_999)), (1000, None), (2000, Some(5)), (2001, None)] {
            assert_eq!(on_node(&mappings, id), wanted);
        }
    }
}
