//! What is mounted in a tree is not part of it. Needs root.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use windlass_tree::{Links, is_mount_point, open_dir, open_path, remove, usage};

/// A mount that is gone at the end.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// A tree with a tmpfs and a bind mount of the same file system in it, and what lies in them.
fn with_mounts(check: impl FnOnce(&Path)) {
    assert!(rustix::process::geteuid().is_root(), "this test mounts file systems: run it as root");
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in ["tree/a/tmpfs", "tree/b/bind", "other"] {
        fs::create_dir_all(path(name)).unwrap();
    }
    fs::write(path("other/data"), vec![1; 1 << 20]).unwrap();
    mount("tmpfs", path("tree/a/tmpfs"), "tmpfs", MountFlags::empty(), c"").unwrap();
    let _tmpfs = Mount(path("tree/a/tmpfs"));
    fs::write(path("tree/a/tmpfs/data"), "x").unwrap();
    mount_bind(path("other"), path("tree/b/bind")).unwrap();
    let _bind = Mount(path("tree/b/bind"));
    check(dir.path());
}

#[test]
fn removing_stops_at_mounts() {
    with_mounts(|dir| {
        assert!(remove(File::open(dir).unwrap(), "tree").is_err());
        assert!(dir.join("other/data").exists(), "a bind mount has the same device number, and is one all the same");
        assert!(dir.join("tree/a/tmpfs/data").exists());
    });
}

#[test]
fn measuring_leaves_mounts_out() {
    with_mounts(|dir| {
        let found = usage(&dir.join("tree")).unwrap();
        assert_eq!(found.inodes, 3, "tree, a and b");
        assert!(found.bytes < 1 << 20);
    });
}

#[test]
fn opening_tells_mounts() {
    with_mounts(|dir| {
        let root = File::open(dir.join("tree")).unwrap();
        assert!(open_dir(&root, b"a", Links::Beneath).is_ok());
        assert_eq!(open_dir(&root, b"b/bind", Links::Beneath).unwrap_err(), rustix::io::Errno::XDEV);
        assert!(open_path(&root, b"b/bind", Links::Beneath).is_ok());
        assert!(is_mount_point(&dir.join("tree/b/bind")).unwrap());
        assert!(!is_mount_point(&dir.join("tree/b")).unwrap());
    });
}
