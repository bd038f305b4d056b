//! The state in a directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, RenameFlags, renameat2};

use super::{Exhausted, Owner, State};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// Guessing here could hand out an address twice.
    #[error("{} is damaged: stop all pods of this node, then remove the file", path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error("network name {name:?} cannot be part of a file name")]
    BadName { name: String },
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
}

/// The allocations of one network, in one directory of the node. Cheap to make: nothing is read before it is used.
#[derive(Clone, Debug)]
pub struct NodeAllocator {
    dir: PathBuf,
    name: String,
}

impl NodeAllocator {
    /// `name` is the network's; several networks can share a directory.
    pub fn new(dir: impl Into<PathBuf>, name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(Error::BadName { name });
        }
        Ok(Self { dir: dir.into(), name })
    }

    /// One address of each range for `owner`; asking again gives the same.
    pub fn allocate(&self, subnets: &[IpNet], owner: &Owner) -> Result<Vec<IpAddr>, Error> {
        self.change(|state| Ok(state.allocate(subnets, owner)?))
    }

    /// Gives back what `owner` holds, and returns it; nothing held is fine.
    pub fn release(&self, owner: &Owner) -> Result<Vec<IpAddr>, Error> {
        let released = self.release_if(|holder| holder == owner)?;
        Ok(released.into_iter().map(|(address, _)| address).collect())
    }

    /// Gives back what the owners that match hold, and returns it.
    pub fn release_if(&self, matches: impl Fn(&Owner) -> bool) -> Result<Vec<(IpAddr, Owner)>, Error> {
        if !self.path("json").exists() {
            return Ok(Vec::new());
        }
        self.change(|state| Ok(state.release(matches)))
    }

    /// What is allocated now.
    pub fn read(&self) -> Result<State, Error> {
        // The file is always complete, so a reader needs no lock.
        self.load()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> Result<T, Error>) -> Result<T, Error> {
        let _lock = self.lock()?;
        let before = self.load()?;
        let mut state = before.clone();
        let result = change(&mut state)?;
        if state != before {
            self.store(&state)?;
        }
        Ok(result)
    }

    /// The lock ends with the value, and with the process however that ends.
    fn lock(&self) -> Result<Flock<File>, Error> {
        let path = self.path("lock");
        let open = || OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
                made.map_err(io_error("make directory", &self.dir))?;
                open()
            }
            file => file,
        };
        let file = file.map_err(io_error("open", &path))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| io_error("lock", &path)(errno.into()))
    }

    fn load(&self) -> Result<State, Error> {
        let path = self.path("json");
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| Error::Damaged { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::default()),
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }

    /// The new file is on disk before it takes the old one's place, so even a power cut leaves one of them whole. The two change places,
    /// and each keeps the blocks that it has: giving addresses back works on a full disk.
    fn store(&self, state: &State) -> Result<(), Error> {
        let (path, spare) = (self.path("json"), self.path("json.new"));
        let bytes = serde_json::to_vec(state).map_err(|error| io_error("encode", &path)(error.into()))?;
        let write = || {
            overwrite(&spare, &bytes)?;
            match renameat2(None, &spare, None, &path, RenameFlags::RENAME_EXCHANGE) {
                Ok(()) => Ok(()),
                Err(Errno::ENOENT) => {
                    fs::rename(&spare, &path)?;
                    // For the first address that is given back.
                    overwrite(&spare, &bytes)
                }
                // Not every file system can exchange files.
                Err(Errno::EINVAL | Errno::ENOSYS) => fs::rename(&spare, &path),
                Err(error) => Err(error.into()),
            }
        };
        write().map_err(io_error("write", &path))
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.dir.join(format!("{}.{suffix}", self.name))
    }
}

/// Replaces what a file holds and leaves it as long as it was at least, with spaces, which mean nothing in JSON.
fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    let mut padded = bytes.to_vec();
    padded.resize(length.max(bytes.len()), b' ');
    file.write_all(&padded)?;
    file.sync_data()
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { action, path: path.to_owned(), source }
}
