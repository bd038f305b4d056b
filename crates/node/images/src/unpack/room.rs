//! Room on the disk for what a layer unpacks to: pods, and this node, must not run out of it because of an image.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use windlass_tree::FileSystem;

/// So much may be written between two looks.
const LOOK_EVERY_BYTES: u64 = 16 << 20;
const LOOK_EVERY_INODES: u64 = 1000;
/// Of inodes, the reserve is never more than this.
const INODES_MAX: u64 = 10_000;

/// The disk has too little left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    #[error(
        "the image file system has {available} bytes left, of which {reserve} are kept free: remove images that nobody uses, or give \
         it more room"
    )]
    Bytes { available: u64, reserve: u64 },
    #[error("the image file system has only {free} inodes left: remove images that nobody uses, or give it more room")]
    Inodes { free: u64 },
}

/// What must stay free of the image file system: a share of it, but no more than a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserve {
    pub percent: u64,
    pub bytes_max: u64,
}

impl Default for Reserve {
    /// Less than the kubelet's thresholds for eviction leave: it is the last resort.
    fn default() -> Self {
        Self { percent: 5, bytes_max: 1 << 30 }
    }
}

impl Reserve {
    /// Whether `bytes` more fit in, and one inode.
    fn allows(self, system: FileSystem, bytes: u64) -> Result<(), RoomError> {
        let share = |of: u64, max: u64| (of / 100).saturating_mul(self.percent).min(max);
        let reserve = share(system.capacity_bytes, self.bytes_max);
        if system.available_bytes.saturating_sub(bytes) < reserve {
            return Err(RoomError::Bytes { available: system.available_bytes, reserve });
        }
        // Some file systems make inodes as they need them, and say that there are none.
        if system.inodes > 0 && system.inodes_free < share(system.inodes, INODES_MAX) {
            return Err(RoomError::Inodes { free: system.inodes_free });
        }
        Ok(())
    }
}

/// Watches the file system that a layer is unpacked to.
pub(super) struct Room {
    reserve: Reserve,
    place: PathBuf,
    bytes: u64,
    inodes: u64,
}

impl Room {
    pub(super) fn of(root: &OwnedFd, reserve: Reserve) -> Self {
        let place = PathBuf::from(format!("/proc/self/fd/{}", root.as_raw_fd()));
        Self { reserve, place, bytes: 0, inodes: 0 }
    }

    /// Looks whether `bytes` more fit in.
    pub(super) fn look(&mut self, bytes: u64) -> Result<(), RoomError> {
        (self.bytes, self.inodes) = (0, 0);
        match windlass_tree::file_system(&self.place) {
            Ok(system) => self.reserve.allows(system, bytes),
            // Writing tells what is wrong.
            Err(_) => Ok(()),
        }
    }

    /// So much of a file is about to be written: the room for a large one is looked for first.
    pub(super) fn writes(&mut self, bytes: u64) -> Result<(), RoomError> {
        if bytes >= LOOK_EVERY_BYTES { self.look(bytes) } else { Ok(()) }
    }

    /// A file of any kind was made.
    pub(super) fn made(&mut self) -> Result<(), RoomError> {
        self.inodes += 1;
        if self.inodes >= LOOK_EVERY_INODES { self.look(0) } else { Ok(()) }
    }

    /// So much of a file has been written: others write, too.
    pub(super) fn wrote(&mut self, bytes: u64) -> Result<(), RoomError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes >= LOOK_EVERY_BYTES { self.look(0) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn what_is_kept_free() {
        let system = |capacity_bytes, available_bytes, inodes, inodes_free| FileSystem {
            capacity_bytes,
            available_bytes,
            inodes,
            inodes_free,
            ..FileSystem::default()
        };
        let allows = |system, bytes| Reserve::default().allows(system, bytes).is_ok();
        assert!(allows(system(10 * GIB, GIB, 0, 0), GIB / 4));
        assert!(!allows(system(10 * GIB, GIB, 0, 0), GIB / 2 + (20 << 20)), "5% of a small disk");
        assert!(allows(system(1000 * GIB, 3 * GIB, 0, 0), 2 * GIB));
        assert!(!allows(system(1000 * GIB, 3 * GIB, 0, 0), 2 * GIB + 1), "1 GiB of a large one");
        assert!(!allows(system(10 * GIB, GIB, 0, 0), 100 * GIB));
        assert!(!allows(system(10 * GIB, GIB, 1_000_000, 9_999), 0));
        assert!(allows(system(10 * GIB, GIB, 1_000_000, 10_000), 0));
        let error = Reserve::default().allows(system(1000 * GIB, 0, 0, 0), 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the image file system has 0 bytes left, of which 1073741824 are kept free: remove images that nobody uses, or \
             give it more room"
        );
    }
}
