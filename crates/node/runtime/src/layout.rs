//! Where things lie below the runtime's root.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Makes the directories that are always there.
    pub(crate) fn make(&self) -> io::Result<()> {
        for directory in [&self.root, &self.sandboxes(), &self.containers(), &self.mount_point(), &self.empty()] {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        // What a container's root is when its image has no layers.
        std::fs::set_permissions(self.empty(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn sandboxes(&self) -> PathBuf {
        self.root.join("sandboxes")
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// On which every container's root is mounted, each in a mount namespace of its own.
    pub(crate) fn mount_point(&self) -> PathBuf {
        self.root.join("rootfs")
    }

    pub(crate) fn empty(&self) -> PathBuf {
        self.root.join("empty")
    }

    pub(crate) fn sandbox(&self, id: &str) -> SandboxLayout {
        SandboxLayout(self.sandboxes().join(id))
    }

    pub(crate) fn container(&self, id: &str) -> PathBuf {
        self.containers().join(id)
    }
}

/// Below a sandbox's directory.
#[derive(Clone, Debug)]
pub(crate) struct SandboxLayout(PathBuf);

impl SandboxLayout {
    pub(crate) fn at(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    pub(crate) fn hostname(&self) -> PathBuf {
        self.0.join("hostname")
    }

    pub(crate) fn resolv_conf(&self) -> PathBuf {
        self.0.join("resolv.conf")
    }

    pub(crate) fn shm(&self) -> PathBuf {
        self.0.join("shm")
    }

    pub(crate) fn namespaces(&self) -> PathBuf {
        self.0.join("ns")
    }

    /// The file that pins a namespace: `user`, `net`, `ipc` or `uts`.
    pub(crate) fn namespace(&self, name: &str) -> PathBuf {
        self.namespaces().join(name)
    }
}
