//! Finding the supervisor of a root, or starting one.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::fcntl::{Flock, FlockArg};

use super::protocol::SOCKET;
use crate::sys::mount::{self, Attributes, Change};

/// The supervisor's own log is emptied when it is longer than this at a start.
const LOG_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    #[error("cannot use {path}")]
    File { path: PathBuf, source: io::Error },
    #[error("cannot start the supervisor ({command:?})")]
    Start { command: Vec<OsString>, source: io::Error },
    #[error("the supervisor ended at once; {log} may say why")]
    Ended { log: PathBuf },
    #[error("no supervisor command is configured")]
    NoCommand,
}

/// Connects to the supervisor whose socket is `path`, or to a new one. Blocks for as long as starting a program takes.
pub(crate) fn connect_or_start(root: &Path, command: &[OsString]) -> Result<UnixStream, SpawnError> {
    let path = root.join(SOCKET);
    let failed = |source| SpawnError::File { path: path.clone(), source };
    if let Some(socket) = connect(&path).map_err(failed)? {
        return Ok(socket);
    }
    // Two daemons that start at the same time must not start two supervisors.
    let lock = root.join("supervisor.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock);
    let file = file.map_err(|source| SpawnError::File { path: lock.clone(), source })?;
    let _held = Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, error)| SpawnError::File { path: lock, source: error.into() })?;
    if let Some(socket) = connect(&path).map_err(failed)? {
        return Ok(socket);
    }
    let listener = listen(&path).map_err(failed)?;
    start(root, command, listener.into())?;
    // The socket listens already: the supervisor answers as soon as it is up.
    connect(&path).map_err(failed)?.ok_or_else(|| SpawnError::Ended { log: log_path(root) })
}

/// `None` when nobody listens there.
pub(crate) fn connect(path: &Path) -> io::Result<Option<UnixStream>> {
    let Some((directory, short)) = shorten(path)? else { return Ok(None) };
    let connected = UnixStream::connect(short);
    drop(directory);
    match connected {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(error),
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (_directory, short) = shorten(path)?.ok_or(io::ErrorKind::NotFound)?;
    let listener = UnixListener::bind(short)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// A socket's address has room for 107 bytes of path; through a descriptor of its directory any path is short enough. `None`
/// when the directory does not exist.
fn shorten(path: &Path) -> io::Result<Option<(File, PathBuf)>> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let directory = match OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    Ok(Some((directory, short)))
}

fn log_path(root: &Path) -> PathBuf {
    root.join("supervisor.log")
}

fn start(root: &Path, command: &[OsString], listener: OwnedFd) -> Result<(), SpawnError> {
    let (program, args) = command.split_first().ok_or(SpawnError::NoCommand)?;
    let path = log_path(root);
    let log = open_log(&path).map_err(|source| SpawnError::File { path: path.clone(), source })?;
    let executable = read_only(Path::new(program));
    let path_of = |fd: &OwnedFd| PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    // Its environment would be in the memory of every container's launch: it gets none.
    let status = Command::new(executable.as_ref().map_or_else(|| PathBuf::from(program), path_of))
        .arg0(program)
        .args(args)
        .arg("--root")
        .arg(root)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(listener))
        .stdout(Stdio::null())
        .stderr(Stdio::from(log))
        .status()
        .map_err(|source| SpawnError::Start { command: command.to_vec(), source })?;
    // The program forks and ends at once; what it forked is the supervisor.
    if status.success() { Ok(()) } else { Err(SpawnError::Ended { log: path }) }
}

/// The program through a mount of its own that cannot be written through. For a moment each launch is this program within a
/// container, and a container that got hold of it there could otherwise try to overwrite it on the node (CVE-2019-5736).
/// `None` where the program is not given by its path, or the kernel cannot do this.
fn read_only(program: &Path) -> Option<OwnedFd> {
    let tree = mount::clone_tree(program, false).ok()?;
    let change = Change { set: Attributes::READ_ONLY, ..Change::default() };
    mount::change(tree.as_fd(), &change).ok()?;
    Some(tree)
}

fn open_log(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    if file.metadata()?.len() > LOG_BYTES_MAX {
        file.set_len(0)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_may_lie_deep() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("x".repeat(100)).join("y".repeat(100));
        std::fs::create_dir_all(&deep).unwrap();
        let path = deep.join(SOCKET);
        assert!(connect(&path).unwrap().is_none());
        let listener = listen(&path).unwrap();
        assert!(connect(&path).unwrap().is_some());
        drop(listener);
        assert!(connect(&path).unwrap().is_none(), "a socket that was left behind is nobody");
        assert!(connect(&root.path().join("absent").join(SOCKET)).unwrap().is_none());
    }
}
