//! One file of the log: made, gone on with, written to.
//!
//! A file is made under a temporary name and gets its own when it is whole and durable, so a name that begins with `log-` says that
//! everything up to the revision in it is on the disk. Beyond the last frame there are zeros, or the file ends: what a failed write
//! leaves there is cut off before anything else is written, and so what a crash leaves can be judged.

use std::io;
use std::path::{Path, PathBuf};

use windlass_api::io::is_full;

use super::disk::{DiskFile, write_all};
use super::frame::{HEADER, MAGIC};
use super::home::{Home, Sizes};
use super::recovery::LastLog;

pub(super) struct Segment {
    file: Box<dyn DiskFile>,
    pub(super) path: PathBuf,
    /// Where the next frame goes.
    end: u64,
    /// The file is filled with zeros up to here.
    zeroed: u64,
    /// How many zeros are written ahead the next time.
    ahead: u64,
    ahead_max: u64,
}

/// Why there is no new file.
pub(super) enum MakeError {
    /// Nothing has changed.
    Refused(io::Error),
    /// The directory's sync failed: nobody knows what is in it.
    Unknown(io::Error),
}

/// Why a frame was not written.
pub(super) enum WriteError {
    /// Nothing of it is left.
    Refused(io::Error),
    /// Nobody knows how much of it is on the disk.
    Unknown(io::Error),
}

impl Segment {
    pub(super) fn create(home: &Home, revision: u64) -> Result<Self, MakeError> {
        let path = home.directory.join(format!("log-{revision:016x}"));
        let temporary = path.with_extension("tmp");
        let made = Self::make(home, &temporary, &path).and_then(|segment| {
            home.disk.rename(&temporary, &path)?;
            Ok(segment)
        });
        let segment = made.map_err(|error| {
            // When this fails as well, the next start tidies up.
            let _ = home.disk.remove(&temporary);
            MakeError::Refused(error)
        })?;
        home.disk.sync_directory(&home.directory).map_err(MakeError::Unknown)?;
        Ok(segment)
    }

    fn make(home: &Home, temporary: &Path, path: &Path) -> io::Result<Self> {
        let file = home.disk.create(temporary)?;
        let mut segment = Self::over(home, file, path, HEADER as u64);
        segment.zeroed = 0;
        segment.zero_until(home.sizes.ahead_first_bytes)?;
        write_all(&*segment.file, MAGIC, 0)?;
        segment.file.sync_all()?;
        Ok(segment)
    }

    /// Goes on after what recovery has read. The last frame is written once more: if the sync that should have made it durable failed, the
    /// kernel still shows it, holds it for written, and would not write it at the next sync.
    pub(super) fn reopen(home: &Home, last: &LastLog) -> io::Result<Self> {
        let file = home.disk.open(&last.path)?;
        if last.is_torn {
            file.set_length(last.end)?;
        }
        write_all(&*file, &last.header, 0)?;
        write_all(&*file, &last.frame, last.end - last.frame.len() as u64)?;
        file.sync_all()?;
        Ok(Self::over(home, file, &last.path, last.end))
    }

    /// Zeros that are there already are written again, for they may be there in the kernel's memory alone.
    fn over(home: &Home, file: Box<dyn DiskFile>, path: &Path, end: u64) -> Self {
        let Sizes { ahead_first_bytes: ahead, ahead_bytes: ahead_max, .. } = home.sizes;
        Self { file, path: path.to_owned(), end, zeroed: end, ahead, ahead_max }
    }

    fn zero_until(&mut self, end: u64) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while self.zeroed < end {
            let piece = (end - self.zeroed).min(ZEROS.len() as u64);
            write_all(&*self.file, &ZEROS[..piece as usize], self.zeroed)?;
            self.zeroed += piece;
        }
        Ok(())
    }

    /// Writes a frame and waits until the disk has it.
    pub(super) fn write(&mut self, frame: &[u8]) -> Result<(), WriteError> {
        let end = self.end + frame.len() as u64;
        if end > self.zeroed {
            match self.zero_until(end + self.ahead) {
                // Near the end of the disk there may still be space for just this frame.
                Err(error) if is_full(&error) => self.zero_until(end),
                result => result,
            }
            .map_err(WriteError::Refused)?;
            self.ahead = (self.ahead * 4).min(self.ahead_max);
        }
        if let Err(error) = write_all(&*self.file, frame, self.end) {
            self.file.set_length(self.end).map_err(WriteError::Unknown)?;
            self.zeroed = self.end;
            return Err(WriteError::Refused(error));
        }
        self.file.sync_data().map_err(WriteError::Unknown)?;
        self.end = end;
        Ok(())
    }
}
