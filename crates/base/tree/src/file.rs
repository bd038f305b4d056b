//! Opening files that a stranger could have replaced: by a link to something of ours, by a pipe on which a reader waits for ever,
//! by a device that does something when it is opened.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::Errno;

use crate::{Links, open_path};

/// Opens the regular file at `path` below `root` for reading. Anything else is not even opened (`InvalidInput`).
pub fn open_file(root: impl AsFd, path: &[u8], links: Links) -> Result<File> {
    open_regular(open_path(root, path, links)?)
}

/// Opens what has been found for reading, if it is a regular file.
fn open_regular(found: OwnedFd) -> Result<File> {
    if FileType::from_raw_mode(fstat(&found)?.st_mode) != FileType::RegularFile {
        return Err(Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    // What has been looked at is what is opened, whatever is at the path by now.
    let place = format!("/proc/self/fd/{}", found.as_fd().as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(place, flags, Mode::empty())?))
}

/// Opens the regular file at `path` for reading, as [`open_file`] does. The directories on the way are trusted, the file is not.
pub fn open_file_at(path: &Path) -> Result<File> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::ISDIR.into()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::open(parent, flags, Mode::empty())?;
    open_file(parent, name.as_encoded_bytes(), Links::Refused)
}

/// Reads a regular file below `root`, at most `bytes_max` of it.
pub fn read_file(root: impl AsFd, path: &[u8], links: Links, bytes_max: u64) -> Result<Vec<u8>> {
    let mut contents = Vec::new();
    open_file(root, path, links)?.take(bytes_max).read_to_end(&mut contents)?;
    Ok(contents)
}

/// Reads a file of the node's configuration (/etc/resolv.conf, a CNI configuration), whose administrator may have made it a link. It is
/// a regular file, or refused, for nothing may wait on a pipe; and it is no longer than `bytes_max`, for a part of it would say something else.
pub fn read_config(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let found = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let mut contents = Vec::new();
    open_regular(found)?.take(bytes_max.saturating_add(1)).read_to_end(&mut contents)?;
    if contents.len() as u64 > bytes_max {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("longer than {bytes_max} bytes")));
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn regular_files_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "0123456789").unwrap();
        symlink("file", at("link")).unwrap();
        symlink("/etc/passwd", at("out")).unwrap();
        let root = File::open(dir.path()).unwrap();
        rustix::fs::mknodat(&root, "fifo", FileType::Fifo, Mode::RWXU, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for name in ["fifo", "socket", "."] {
            let error = open_file(&root, name.as_bytes(), Links::Beneath).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}");
        }
        for name in ["link", "out", "fifo", "socket", "missing"] {
            assert!(open_file_at(&at(name)).is_err(), "{name}");
        }
        assert_eq!(open_file_at(&at("missing")).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(open_file(&root, b"out", Links::Beneath).is_err());
        assert!(open_file_at(&at("file")).is_ok());
        assert_eq!(read_file(&root, b"link", Links::Beneath, 4).unwrap(), b"0123");
    }

    #[test]
    fn configuration_may_be_linked_but_not_be_a_pipe() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "0123456789").unwrap();
        symlink(at("file"), at("link")).unwrap();
        symlink("/dev/zero", at("endless")).unwrap();
        let root = File::open(dir.path()).unwrap();
        rustix::fs::mknodat(&root, "fifo", FileType::Fifo, Mode::RWXU, 0).unwrap();
        symlink("fifo", at("pipe")).unwrap();
        assert_eq!(read_config(&at("link"), 10).unwrap(), b"0123456789");
        assert_eq!(read_config(&at("file"), 9).unwrap_err().kind(), ErrorKind::FileTooLarge);
        for name in ["endless", "fifo", "pipe"] {
            assert_eq!(read_config(&at(name), 10).unwrap_err().kind(), ErrorKind::InvalidInput, "{name}");
        }
        assert_eq!(read_config(&at("missing"), 10).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
