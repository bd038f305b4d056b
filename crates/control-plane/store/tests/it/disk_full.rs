//! A full disk: writes fail with a clear error, reads go on, nothing is lost, and with space writes work again.

use std::path::PathBuf;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::{TempDir, tempdir};

use super::*;

/// A disk of a few megabytes.
struct SmallDisk {
    mountpoint: PathBuf,
    _directory: TempDir,
}

impl SmallDisk {
    fn new(megabytes: usize) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "this test mounts a file system: run it as root");
        let directory = tempdir().unwrap();
        let mountpoint = directory.path().to_owned();
        let size = format!("size={megabytes}m");
        mount(Some("tmpfs"), &mountpoint, Some("tmpfs"), MsFlags::empty(), Some(size.as_str())).unwrap();
        Self { mountpoint, _directory: directory }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(&self.mountpoint, MntFlags::MNT_DETACH);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_writes_and_loses_nothing() {
    let disk = SmallDisk::new(8);
    let directory = disk.mountpoint.join("store");
    let ballast = disk.mountpoint.join("ballast");
    std::fs::write(&ballast, vec![1; 2 << 20]).unwrap();
    let store = open(&directory).unwrap();
    let text = "x".repeat(50_000);
    let mut written = 0;
    let error = loop {
        match create(&store, "pods", &format!("a/{written:04}"), &text).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "the disk never fills up");
    };
    assert!(written > 50, "{written}");
    assert!(error.to_string().contains("disk is full") && error.to_string().contains("store"), "{error}");
    // Reads go on, a small write may still fit, and nothing half-done is seen.
    assert_eq!(contents(&store, "pods").len(), written);
    assert!(matches!(create(&store, "pods", "a/big", &text).await, Err(CommitError::DiskFull(_))));
    std::fs::remove_file(&ballast).unwrap();
    create(&store, "pods", "a/after", &text).await.unwrap();
    let before = contents(&store, "pods");
    assert_eq!(before.len(), written + 1);
    store.close().await;
    let store = open(&directory).unwrap();
    assert_eq!(contents(&store, "pods"), before);
    store.close().await;
}
