//! What the engine asks of the operating system: one method for each system call, so that a test can be the system and fail any of
//! them, or stop in between.
//!
//! Nothing here retries, syncs or tidies up by itself; what a failed call leaves behind is the caller's affair.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::fcntl::{Flock, FlockArg};
use parking_lot::Mutex;

/// A file system with the engine's folder on it.
pub trait Disk: Send + Sync {
    /// Makes one directory (mkdir).
    fn make_directory(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory (rmdir).
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes durable which entries a directory has (fsync).
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// The entries of a directory, in any order.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;
    /// All of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Opens a file for writing, made when it is not there and emptied when it is.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file that is there for writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file (unlink).
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Takes the lock on a file, made when it is not there, until what is returned is dropped. Of kind `WouldBlock` when another has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send>>;
    /// Starts a thread.
    fn spawn(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>;
}

/// An open file.
pub trait DiskFile: Send {
    /// Writes at least one of the bytes and returns how many (pwrite).
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Cuts the file (ftruncate).
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Makes durable what can be read of the file (fdatasync). After an error nobody knows what is on the disk, and a later success says
    /// nothing of what was written before.
    fn sync_data(&self) -> io::Result<()>;
    /// Makes durable all of the file (fsync).
    fn sync_all(&self) -> io::Result<()>;
}

/// Writes all of the bytes.
pub(super) fn write_all(file: &dyn DiskFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The machine's own file systems.
#[derive(Debug, Default)]
pub struct SystemDisk {
    /// Those that have been synced once, open for the next time: that a process has no descriptors left must not look like a disk that
    /// has failed.
    directories: Mutex<HashMap<PathBuf, Arc<File>>>,
}

impl Disk for SystemDisk {
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.directories.lock().remove(path);
        fs::remove_dir(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let known = self.directories.lock().get(path).cloned();
        let directory = match known {
            Some(directory) => directory,
            None => {
                let opened = Arc::new(File::open(path)?);
                self.directories.lock().insert(path.to_owned(), opened.clone());
                opened
            }
        };
        directory.sync_all()
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().create(true).truncate(true).write(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().write(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| io::Error::from(errno))?;
        Ok(Box::new(lock))
    }

    fn spawn(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name(name.to_owned()).spawn(work)
    }
}

impl DiskFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        Self::sync_all(self)
    }
}
