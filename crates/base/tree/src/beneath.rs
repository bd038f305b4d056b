//! Opening paths below a directory so that neither `..` nor a symbolic link leads out of it.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags, mkdirat, openat2, statx};
use rustix::io::{Errno, Result};

/// How a path's symbolic links are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// They resolve with the directory as their root.
    InRoot,
    /// They resolve as usual, and may not lead out of the directory (EXDEV).
    Beneath,
    /// They are refused (ELOOP).
    Refused,
}

/// Opens the directory at `path` (empty: `root` itself). Mounted file systems on the way are refused (EXDEV).
pub fn open_dir(root: impl AsFd, path: &[u8], links: Links) -> Result<OwnedFd> {
    let path: &[u8] = if path.is_empty() { b"." } else { path };
    open(root, path, OFlags::RDONLY | OFlags::DIRECTORY, links, ResolveFlags::NO_XDEV)
}

/// Opens whatever is at `path` as a place (`O_PATH`), which has no effect on devices and pipes. File systems mounted on the way
/// are entered.
pub fn open_path(root: impl AsFd, path: &[u8], links: Links) -> Result<OwnedFd> {
    let path: &[u8] = if path.is_empty() { b"." } else { path };
    open(root, path, OFlags::PATH, links, ResolveFlags::empty())
}

fn open(root: impl AsFd, path: &[u8], flags: OFlags, links: Links, also: ResolveFlags) -> Result<OwnedFd> {
    let resolve = match links {
        Links::InRoot => ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        Links::Beneath => ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        Links::Refused => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
    };
    // One allocation for all attempts.
    let path = CString::new(path).map_err(|_| Errno::INVAL)?;
    loop {
        match openat2(&root, &path, flags | OFlags::CLOEXEC, Mode::empty(), resolve | also) {
            // The kernel could not be sure that a rename elsewhere did not interfere.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Makes the directories of `path` that are missing below `root`, each with `mode` whatever our mask is, and opens the last one.
/// Links on the way may lead anywhere below `root`; one that dangles is refused (EEXIST).
pub fn make_dirs(root: impl AsFd, path: &[u8], mode: Mode) -> Result<OwnedFd> {
    let components = clean(path).ok_or(Errno::XDEV)?;
    let mut at = open_path(&root, b"", Links::Beneath)?;
    for depth in 1..=components.len() {
        let so_far = components[..depth].join(&b'/');
        at = match open_path(&root, &so_far, Links::Beneath) {
            Err(Errno::NOENT) => {
                match mkdirat(&at, components[depth - 1], mode) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error),
                }
                // What is there now may be something else by now; only a directory that is no link gets the mode.
                let made = open_dir(&at, components[depth - 1], Links::Refused)?;
                rustix::fs::fchmod(&made, mode)?;
                made
            }
            other => other?,
        };
    }
    Ok(at)
}

/// Whether something is mounted at `path`; the last component is not followed.
pub fn is_mount_point(path: &Path) -> Result<bool> {
    let stat = statx(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, StatxFlags::empty())?;
    Ok(stat.stx_attributes.contains(rustix::fs::StatxAttributes::MOUNT_ROOT))
}

/// The components of a path after `.`, `..` and repeated slashes are worked out; `None` when it leads above the root.
pub fn clean(path: &[u8]) -> Option<Vec<&[u8]>> {
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
    use std::os::unix::fs::{PermissionsExt, symlink};

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
        symlink("/", dir.path().join("root")).unwrap();
        symlink("../../../..", dir.path().join("up")).unwrap();
        symlink("etc", dir.path().join("link")).unwrap();
        let root = std::fs::File::open(dir.path()).unwrap();
        for path in ["etc", "root/etc", "up/etc", "root/root/up/etc", "link"] {
            assert!(open_dir(&root, path.as_bytes(), Links::InRoot).is_ok(), "{path}");
        }
        assert_eq!(open_dir(&root, b"up/usr", Links::InRoot).unwrap_err(), Errno::NOENT);
        assert_eq!(open_dir(&root, b"root/etc", Links::Refused).unwrap_err(), Errno::LOOP);
        assert!(open_path(&root, b"link", Links::Beneath).is_ok());
        assert_eq!(open_path(&root, b"up/etc", Links::Beneath).unwrap_err(), Errno::XDEV);
        assert_eq!(open_path(&root, b"root/etc", Links::Beneath).unwrap_err(), Errno::XDEV);
    }

    #[test]
    fn directories_are_made_inside_only() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("base");
        std::fs::create_dir(&base).unwrap();
        symlink("../", base.join("out")).unwrap();
        symlink("real", base.join("in")).unwrap();
        symlink("nowhere", base.join("dangling")).unwrap();
        std::fs::create_dir(base.join("real")).unwrap();
        let root = std::fs::File::open(&base).unwrap();
        let mode = Mode::from_raw_mode(0o2775);
        make_dirs(&root, b"a/b/c", mode).unwrap();
        make_dirs(&root, b"a/b/c", mode).unwrap();
        make_dirs(&root, b"in/x", mode).unwrap();
        assert_eq!(std::fs::metadata(base.join("a/b")).unwrap().permissions().mode() & 0o7777, 0o2775);
        assert!(base.join("real/x").is_dir());
        for path in ["out/x", "../x", "dangling/x"] {
            assert!(make_dirs(&root, path.as_bytes(), mode).is_err(), "{path}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(!is_mount_point(&base).unwrap());
        assert!(is_mount_point(Path::new("/proc")).unwrap());
    }
}
