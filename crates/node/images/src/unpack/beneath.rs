//! Opening paths below a directory so that neither `..` nor a symbolic link leads out of it.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::{Errno, Result};

/// How a path's symbolic links are treated.
#[derive(Clone, Copy)]
pub(super) enum Links {
    /// They resolve with the directory as their root.
    InRoot,
    /// They are refused (ELOOP).
    Refused,
}

/// Opens the directory at `path` (empty: `root` itself).
pub(super) fn open_dir(root: impl AsFd, path: &[u8], links: Links) -> Result<OwnedFd> {
    let path: &[u8] = if path.is_empty() { b"." } else { path };
    open(root, path, OFlags::RDONLY | OFlags::DIRECTORY, links)
}

fn open(root: impl AsFd, path: &[u8], flags: OFlags, links: Links) -> Result<OwnedFd> {
    let resolve = match links {
        Links::InRoot => ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV,
        Links::Refused => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV,
    };
    loop {
        match openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // The kernel could not be sure that a rename elsewhere did not interfere.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

/// The components of an archive's path after `.`, `..` and repeated slashes are worked out; `None` when it leads above
/// the root.
pub(super) fn clean(path: &[u8]) -> Option<Vec<&[u8]>> {
    let mut components = Vec::new();
    for component in path.split(|b| *b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                components.pop()?;
            }
            name => components.push(name),
        }
    }
    Some(components)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaned() {
        let text = |path: &str| clean(path.as_bytes()).map(|c| String::from_utf8(c.join(&b'/')).unwrap());
        let cases = [
            ("a/b", Some("a/b")),
            ("/a//b/", Some("a/b")),
            ("./a/./b", Some("a/b")),
            ("a/../b", Some("b")),
            (".", Some("")),
            ("", Some("")),
            ("..", None),
            ("a/../../b", None),
            ("/..", None),
        ];
        for (path, expected) in cases {
            assert_eq!(text(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn links_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("root")).unwrap();
        std::os::unix::fs::symlink("../../../..", dir.path().join("up")).unwrap();
        let root = std::fs::File::open(dir.path()).unwrap();
        for path in ["etc", "root/etc", "up/etc", "root/root/up/etc"] {
            assert!(open_dir(&root, path.as_bytes(), Links::InRoot).is_ok(), "{path}");
        }
        assert_eq!(open_dir(&root, b"up/usr", Links::InRoot).unwrap_err(), Errno::NOENT);
        assert_eq!(open_dir(&root, b"root/etc", Links::Refused).unwrap_err(), Errno::LOOP);
    }
}
