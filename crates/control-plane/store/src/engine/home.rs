//! The engine's folder, and what all that works in it needs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Disk;
use crate::encryption::Encryption;
use crate::health::{Failure, Health};

pub(crate) struct Home {
    pub disk: Arc<dyn Disk>,
    pub directory: PathBuf,
    pub encryption: Arc<dyn Encryption>,
    pub sizes: Sizes,
    pub health: Arc<Health>,
}

/// How much is written at once, and when.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Zeros written ahead at first; few, because it is part of the start-up.
    pub ahead_first_bytes: u64,
    /// Zeros written ahead when many have been used.
    pub ahead_bytes: u64,
    /// A log smaller than this is not worth a snapshot.
    pub log_bytes_min: u64,
    /// Bytes of objects in one frame of a snapshot.
    pub snapshot_frame_bytes: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            ahead_first_bytes: 256 << 10,
            ahead_bytes: 4 << 20,
            log_bytes_min: 32 << 20,
            snapshot_frame_bytes: 1 << 20,
        }
    }
}

impl Home {
    /// Ends all writing after an error that leaves unknown what is on the disk, or that no space would mend.
    pub(super) fn fail(&self, path: &Path, error: &io::Error) -> Failure {
        self.health.fail(Failure::new(&format_args!("writing to {} failed: {error}", path.display())));
        self.health.failure().unwrap_or_else(|| Failure::new(error))
    }

    /// Makes the folder and those above it that are missing, durably.
    pub(super) fn make(&self) -> io::Result<()> {
        let mut to_make: Vec<&Path> = vec![&self.directory];
        while let Some(&next) = to_make.last() {
            let parent =
                next.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
            let is_new = match (self.disk.make_directory(next), parent) {
                (Ok(()), _) => true,
                (Err(error), _) if error.kind() == io::ErrorKind::AlreadyExists => false,
                (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound && parent != next => {
                    to_make.push(parent);
                    continue;
                }
                (Err(error), _) => return Err(error),
            };
            // One that was there may have been made by a process that was killed before its sync.
            if let Some(Err(error)) = parent.map(|parent| self.disk.sync_directory(parent)) {
                if is_new {
                    // A sync that fails is not repeated by the kernel: the next start must make the directory again.
                    let _ = self.disk.remove_directory(next);
                }
                return Err(error);
            }
            to_make.pop();
        }
        // Now there is a descriptor for it; later there may be none.
        self.disk.sync_directory(&self.directory)
    }
}
