//! hostPath: nothing is mounted, but the path may have to be of a kind, or be made.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

use super::{SetUpError, failed};
use crate::plan::HostPathKind;

/// Checks the path, or makes it where its kind says so. Symbolic links are followed.
pub(crate) fn set_up(path: &Path, kind: HostPathKind) -> Result<(), SetUpError> {
    let (expected, wanted) = match kind {
        HostPathKind::Unset => return Ok(()),
        HostPathKind::DirectoryOrCreate | HostPathKind::Directory => ("directory", "Directory"),
        HostPathKind::FileOrCreate | HostPathKind::File => ("file", "File"),
        HostPathKind::Socket => ("socket file", "Socket"),
        HostPathKind::CharDevice => ("character device", "CharDevice"),
        HostPathKind::BlockDevice => ("block device", "BlockDevice"),
    };
    let unknown = |reason| SetUpError::HostPathUnknown { path: path.display().to_string(), expected, reason };
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return match kind {
                HostPathKind::DirectoryOrCreate => std::fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o755)
                    .create(path)
                    .map_err(failed("make directory", path)),
                HostPathKind::FileOrCreate => OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .mode(0o644)
                    .open(path)
                    .map(drop)
                    .map_err(failed("make file", path)),
                _ => Err(unknown(format!("path {:?} does not exist", path.display()))),
            };
        }
        Err(error) => return Err(unknown(error.to_string())),
    };
    let file_type = metadata.file_type();
    let found = if file_type.is_dir() {
        "Directory"
    } else if file_type.is_file() {
        "File"
    } else if file_type.is_socket() {
        "Socket"
    } else if file_type.is_char_device() {
        "CharDevice"
    } else if file_type.is_block_device() {
        "BlockDevice"
    } else {
        return Err(unknown("only recognise file, directory, socket, block device and character device".to_owned()));
    };
    if found == wanted {
        return Ok(());
    }
    Err(SetUpError::HostPathKind { path: path.display().to_string(), expected, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("dir")).unwrap();
        std::fs::write(at("file"), "kept").unwrap();
        std::os::unix::fs::symlink("dir", at("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let check = |name: &str, kind| {
            set_up(&at(name), kind).map_err(|error| error.to_string().replace(&dir.path().display().to_string(), ""))
        };
        use HostPathKind::{BlockDevice, CharDevice, Directory, DirectoryOrCreate, File, FileOrCreate, Socket, Unset};
        for (name, kind) in [
            ("none", Unset),
            ("dir", Directory),
            ("dir", DirectoryOrCreate),
            ("link", Directory),
            ("file", File),
            ("file", FileOrCreate),
            ("socket", Socket),
        ] {
            assert_eq!(check(name, kind), Ok(()), "{name} {kind:?}");
        }
        assert!(set_up(Path::new("/dev/null"), CharDevice).is_ok());
        for (name, kind, message) in [
            ("file", Directory, "hostPath type check failed: /file is not a directory, it's a File"),
            ("dir", File, "hostPath type check failed: /dir is not a file, it's a Directory"),
            ("dir", FileOrCreate, "hostPath type check failed: /dir is not a file, it's a Directory"),
            ("file", Socket, "hostPath type check failed: /file is not a socket file, it's a File"),
            ("file", CharDevice, "hostPath type check failed: /file is not a character device, it's a File"),
            (
                "none",
                Directory,
                "hostPath type check failed, /none is not a directory, unable to determine its type: path \"/none\" does not exist",
            ),
            (
                "none",
                BlockDevice,
                "hostPath type check failed, /none is not a block device, unable to determine its type: path \"/none\" does not exist",
            ),
        ] {
            assert_eq!(check(name, kind).unwrap_err(), message);
        }
        assert_eq!(check("new/deep", DirectoryOrCreate), Ok(()));
        assert_eq!(check("made", FileOrCreate), Ok(()));
        assert!(at("new/deep").is_dir() && at("made").is_file());
        assert_eq!(std::fs::read_to_string(at("file")).unwrap(), "kept");
        assert!(check("no/parent", FileOrCreate).is_err());
    }
}
