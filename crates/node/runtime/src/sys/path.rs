//! Paths inside a container's root, resolved as a process of the container would see them: symbolic links and `..` never
//! lead out of the root, whatever the image's author put there (`openat2` with `RESOLVE_IN_ROOT`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use super::mount::{c_string, own};

/// Symbolic links followed while directories are made; what the kernel allows in one lookup.
const LINKS_MAX: u32 = 40;
/// Lookups are repeated when something was renamed meanwhile.
const TRIES_MAX: u32 = 16;

/// Opens `path` with `root` as its root directory.
pub(crate) fn open_in_root(root: BorrowedFd<'_>, path: &Path, flags: i32) -> io::Result<OwnedFd> {
    open(root, path, flags, libc::RESOLVE_IN_ROOT)
}

/// A handle (`O_PATH`) of what is at `path` beneath `root` (empty: `root` itself). Symbolic links are refused.
pub(crate) fn find_plain(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let found = open(root, path, libc::O_PATH | libc::O_NOFOLLOW, libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS)?;
    // O_PATH with O_NOFOLLOW opens a link that is the last component.
    match nix::sys::stat::fstat(found.as_raw_fd())?.st_mode & libc::S_IFMT {
        libc::S_IFLNK => Err(io::Error::from_raw_os_error(libc::ELOOP)),
        _ => Ok(found),
    }
}

fn open(root: BorrowedFd<'_>, path: &Path, flags: i32, resolve: u64) -> io::Result<OwnedFd> {
    let path = c_string(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: all-zero is a valid value of this plain structure.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.resolve = resolve;
    let mut tries = 0;
    loop {
        // SAFETY: the path and the structure outlive the call, whose size argument is the structure's.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                root.as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                size_of::<libc::open_how>(),
            )
        };
        tries += 1;
        match own(fd) {
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) && tries < TRIES_MAX => {}
            result => return result,
        }
    }
}

/// A handle (`O_PATH`) of an existing file or directory.
pub(crate) fn find_in_root(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    open_in_root(root, path, libc::O_PATH)
}

/// The directory at `path`, made with all its parents (0755) where missing. A dangling symbolic link gets its target.
pub(crate) fn make_directories(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    make_directories_within(root, &normal(path), LINKS_MAX)
}

fn make_directories_within(root: BorrowedFd<'_>, path: &Path, links_left: u32) -> io::Result<OwnedFd> {
    match open_in_root(root, path, libc::O_PATH | libc::O_DIRECTORY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => return result,
    }
    let (Some(parent_path), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    };
    let parent = make_directories_within(root, parent_path, links_left)?;
    match nix::sys::stat::mkdirat(Some(parent.as_raw_fd()), name, nix::sys::stat::Mode::from_bits_truncate(0o755)) {
        Ok(()) => {}
        Err(nix::errno::Errno::EEXIST) => {
            // Something is there that leads nowhere: a dangling link, unless another process has just made the directory.
            if let Ok(link) = nix::fcntl::readlinkat(Some(parent.as_raw_fd()), name) {
                let Some(links_left) = links_left.checked_sub(1) else {
                    return Err(io::Error::from_raw_os_error(libc::ELOOP));
                };
                make_directories_within(root, &normal(&parent_path.join(link)), links_left)?;
            }
        }
        Err(error) => return Err(error.into()),
    }
    open_in_root(root, path, libc::O_PATH | libc::O_DIRECTORY)
}

/// The directory at `path`, made with all its parents (0755) where missing. No component may be a symbolic link.
pub(crate) fn make_plain_directories(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let mut so_far = PathBuf::from("/");
    let mut at = find_plain(root, Path::new(""))?;
    for name in normal(path).components().skip(1) {
        so_far.push(name);
        let name = Path::new(&name);
        match nix::sys::stat::mkdirat(Some(at.as_raw_fd()), name, nix::sys::stat::Mode::from_bits_truncate(0o755)) {
            // A file system that is read-only may have it already.
            Ok(()) | Err(nix::errno::Errno::EEXIST | nix::errno::Errno::EROFS | nix::errno::Errno::EPERM) => {}
            Err(error) => return Err(error.into()),
        }
        at = find_plain(at.as_fd(), name).map_err(|error| match error.raw_os_error() {
            Some(libc::ELOOP) => io::Error::other(format!("{} is a symbolic link", so_far.display())),
            _ => error,
        })?;
        if nix::sys::stat::fstat(at.as_raw_fd())?.st_mode & libc::S_IFMT != libc::S_IFDIR {
            return Err(io::Error::other(format!("{} is not a directory", so_far.display())));
        }
    }
    Ok(at)
}

/// A handle of the file at `path`, made empty (0644) with its parent directories where missing.
pub(crate) fn make_file(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let path = normal(path);
    match find_in_root(root, &path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => return result,
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    };
    let parent = make_directories(root, parent)?;
    let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let name = Path::new(name);
    match create_at(parent.as_fd(), name, flags) {
        // The last part is a dangling link: give it what it points to.
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            let link = nix::fcntl::readlinkat(Some(parent.as_raw_fd()), name)?;
            let target = normal(&path.parent().unwrap_or(Path::new("/")).join(link));
            let (Some(target_parent), Some(target_name)) = (target.parent(), target.file_name()) else {
                return Err(error);
            };
            let target_parent = make_directories(root, target_parent)?;
            create_at(target_parent.as_fd(), Path::new(target_name), flags | libc::O_EXCL)?;
        }
        result => drop(result?),
    }
    find_in_root(root, &path)
}

fn create_at(directory: BorrowedFd<'_>, name: &Path, flags: i32) -> io::Result<OwnedFd> {
    let name = c_string(name.as_os_str().as_encoded_bytes())?;
    // SAFETY: the name is a valid C string for the length of the call, which returns a new descriptor or -1.
    let fd = unsafe { libc::openat(directory.as_raw_fd(), name.as_ptr(), flags | libc::O_CLOEXEC, 0o644) };
    own(fd.into())
}

/// `path` as an absolute path without `.`, `..` and repeated slashes, by its text alone.
pub(crate) fn normal(path: &Path) -> PathBuf {
    let mut result = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => result.push(name),
            Component::ParentDir => {
                result.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_forms() {
        for (path, wanted) in [
            ("/", "/"),
            ("", "/"),
            ("a//b/./c", "/a/b/c"),
            ("/../../etc", "/etc"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a"),
        ] {
            assert_eq!(normal(Path::new(path)), Path::new(wanted), "{path}");
        }
    }

    #[test]
    fn links_never_lead_out_of_the_root() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("escape"), root.join("absolute")).unwrap();
        std::os::unix::fs::symlink("../../../escape", root.join("etc/relative")).unwrap();
        std::os::unix::fs::symlink("/run/new", root.join("etc/dangling")).unwrap();
        let handle = std::fs::File::open(&root).unwrap();

        make_directories(handle.as_fd(), Path::new("/absolute/sub")).unwrap();
        make_directories(handle.as_fd(), Path::new("/etc/relative")).unwrap();
        make_file(handle.as_fd(), Path::new("/etc/dangling")).unwrap();
        make_file(handle.as_fd(), Path::new("../../top")).unwrap();

        assert!(!outside.path().join("escape").exists());
        assert!(root.join("escape").is_dir());
        assert!(root.join("run/new").is_file());
        assert!(root.join("top").is_file());
        let inside = root.join(outside.path().strip_prefix("/").unwrap()).join("escape/sub");
        assert!(inside.is_dir(), "an absolute link is taken from the root");
    }

    #[test]
    fn a_loop_of_links_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("b", root.path().join("a")).unwrap();
        std::os::unix::fs::symlink("a", root.path().join("b")).unwrap();
        let handle = std::fs::File::open(root.path()).unwrap();
        assert!(make_directories(handle.as_fd(), Path::new("/a/x")).is_err());
        assert!(make_file(handle.as_fd(), Path::new("/a")).is_err());
    }
}
