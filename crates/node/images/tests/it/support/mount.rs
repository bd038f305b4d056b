//! Overlay mounts for looking at layers as a container would.

use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};

/// A read-only overlay of layers, unmounted at the end.
pub(crate) struct Overlay {
    at: PathBuf,
}

impl Overlay {
    pub(crate) fn mount(layers: &[PathBuf], at: &Path) -> Self {
        std::fs::create_dir_all(at).unwrap();
        // Overlayfs names the uppermost layer first; a single one needs a second directory beside it.
        let empty = at.with_extension("empty");
        std::fs::create_dir_all(&empty).unwrap();
        let mut lower: Vec<String> = layers.iter().rev().map(|path| path.display().to_string()).collect();
        lower.push(empty.display().to_string());
        let data = std::ffi::CString::new(format!("lowerdir={}", lower.join(":"))).unwrap();
        rustix::mount::mount("overlay", at, "overlay", MountFlags::RDONLY, data.as_c_str()).expect("overlayfs mounts");
        Self { at: at.to_owned() }
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.at.join(inside)
    }

    pub(crate) fn read(&self, inside: &str) -> Option<String> {
        std::fs::read_to_string(self.path(inside)).ok()
    }

    pub(crate) fn names(&self, inside: &str) -> Vec<String> {
        super::list(&self.path(inside)).iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.at, UnmountFlags::DETACH);
    }
}
