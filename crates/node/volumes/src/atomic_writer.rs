//! Files that change all at once, in upstream's form, which programs that watch their configuration know:
//!
//! ```text
//! VOLUME/..2026_11_21_06_20_00.123456789/a   the files
//! VOLUME/..data -> ..2026_11_21_06_20_00.123456789
//! VOLUME/a -> ..data/a                        what containers open
//! ```
//!
//! New contents get a new directory; renaming a link over `..data` publishes them. Then names that are new become
//! visible, names that are gone vanish, and the old directory is removed. After a crash at any moment the next write
//! finishes the work. Callers see to it that nobody else writes at the same time.

use std::collections::BTreeSet;
use std::fs::{self, File as OsFile, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::payload::Payload;

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";
const NAME_BYTES_MAX: usize = 255;
const PATH_BYTES_MAX: usize = 4096;

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("invalid path: must not be empty: {0:?}")]
    Empty(String),
    #[error("invalid path: must be relative path: {0}")]
    Absolute(String),
    #[error("invalid path: must be less than or equal to {PATH_BYTES_MAX} characters")]
    PathTooLong,
    #[error("invalid path: filenames must be less than or equal to {NAME_BYTES_MAX} characters")]
    NameTooLong,
    #[error("invalid path: must not contain '..': {0}")]
    Backstep(String),
    #[error("invalid path: must not start with '..': {0}")]
    Reserved(String),
    #[error("failed to {action} {path:?}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

/// Writes `payload` to `directory`, unless it is there already. `before_publishing` may change owners and modes of everything
/// below `directory`. Returns whether the contents have changed.
pub(crate) fn write(
    directory: &Path,
    payload: &Payload,
    now: Timestamp,
    before_publishing: impl FnOnce() -> io::Result<()>,
) -> Result<bool, WriteError> {
    for path in payload.keys() {
        check(path)?;
    }
    let data = directory.join(DATA);
    let old = match fs::read_link(&data) {
        Ok(target) => Some(directory.join(target)),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(source) => return Err(failed("read", &data, source)),
    };
    let stale = match &old {
        Some(old) => stale_paths(old, payload)?,
        None => BTreeSet::new(),
    };
    let changed = old.is_none() || !stale.is_empty() || differs(old.as_deref(), payload)?;
    if changed {
        let fresh = make_directory(directory, now)?;
        let published = write_files(&fresh, payload)
            .and_then(|()| before_publishing().map_err(|source| failed("set permissions of", directory, source)))
            .and_then(|()| publish(directory, &fresh));
        if let Err(error) = published {
            let _ = windlass_tree::remove_path(&fresh);
            return Err(error);
        }
    }
    show(directory, payload)?;
    for name in stale.iter().filter(|path| !path.contains('/')) {
        let visible = directory.join(name);
        match fs::remove_file(&visible) {
            Err(source) if source.kind() != ErrorKind::NotFound => return Err(failed("remove", &visible, source)),
            _ => {}
        }
    }
    remove_leftovers(directory)?;
    Ok(changed)
}

/// Whether something was ever published to the directory.
pub(crate) fn is_published(directory: &Path) -> bool {
    fs::symlink_metadata(directory.join(DATA)).is_ok()
}

fn check(path: &str) -> Result<(), WriteError> {
    if path.is_empty() {
        return Err(WriteError::Empty(path.to_owned()));
    }
    if path.starts_with('/') {
        return Err(WriteError::Absolute(path.to_owned()));
    }
    if path.len() > PATH_BYTES_MAX {
        return Err(WriteError::PathTooLong);
    }
    for part in path.split('/') {
        if part == ".." {
            return Err(WriteError::Backstep(path.to_owned()));
        }
        if part.len() > NAME_BYTES_MAX {
            return Err(WriteError::NameTooLong);
        }
    }
    if path.starts_with("..") { Err(WriteError::Reserved(path.to_owned())) } else { Ok(()) }
}

/// What the old contents have and the new ones do not, files and directories.
fn stale_paths(old: &Path, payload: &Payload) -> Result<BTreeSet<String>, WriteError> {
    let mut wanted = BTreeSet::new();
    for path in payload.keys() {
        let mut rest = path.as_str();
        wanted.insert(rest);
        while let Some((parent, _)) = rest.rsplit_once('/') {
            wanted.insert(parent);
            rest = parent;
        }
    }
    let mut stale = BTreeSet::new();
    let mut pending = vec![String::new()];
    while let Some(below) = pending.pop() {
        let directory = old.join(&below);
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(source) => return Err(failed("read", &directory, source)),
        };
        for entry in entries {
            let entry = entry.map_err(|source| failed("read", &directory, source))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            let kind = entry.file_type().map_err(|source| failed("read", &directory, source))?;
            if !wanted.contains(path.as_str()) {
                stale.insert(path.clone());
            }
            if kind.is_dir() {
                pending.push(path);
            }
        }
    }
    Ok(stale)
}

fn differs(old: Option<&Path>, payload: &Payload) -> Result<bool, WriteError> {
    let Some(old) = old else { return Ok(true) };
    for (path, file) in payload {
        let path = old.join(path);
        match fs::read(&path) {
            Ok(data) if data == file.data => {}
            Ok(_) => return Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
            Err(source) => return Err(failed("read", &path, source)),
        }
    }
    Ok(false)
}

/// A directory named after the instant; two writes within one nanosecond get different names all the same.
fn make_directory(directory: &Path, now: Timestamp) -> Result<PathBuf, WriteError> {
    let seconds = now.to_zoned(TimeZone::UTC).strftime("..%Y_%m_%d_%H_%M_%S").to_string();
    let mut nanos = now.subsec_nanosecond().unsigned_abs();
    loop {
        let path = directory.join(format!("{seconds}.{nanos}"));
        match fs::create_dir(&path) {
            Ok(()) => {
                set_mode(&path, 0o755)?;
                return Ok(path);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => nanos = nanos.wrapping_add(1),
            Err(source) => return Err(failed("make", &path, source)),
        }
    }
}

fn write_files(fresh: &Path, payload: &Payload) -> Result<(), WriteError> {
    for (path, file) in payload {
        let full = fresh.join(path);
        if let Some(parent) = full.parent()
            && parent != fresh
        {
            make_parents(fresh, parent)?;
        }
        let fail = |source| failed("write", &full, source);
        let mut options = OpenOptions::new();
        let mut out: OsFile = options.write(true).create_new(true).mode(file.mode).open(&full).map_err(fail)?;
        out.write_all(&file.data).map_err(fail)?;
        if let Some(user) = file.user {
            lchown(&full, Some(user), None).map_err(fail)?;
        }
        // After the owner, and whatever our mask is.
        out.set_permissions(fs::Permissions::from_mode(file.mode)).map_err(fail)?;
    }
    Ok(())
}

/// Directories within the contents are open to all, as upstream makes them.
fn make_parents(fresh: &Path, parent: &Path) -> Result<(), WriteError> {
    let mut at = fresh.to_owned();
    for part in parent.strip_prefix(fresh).unwrap_or(Path::new("")) {
        at.push(part);
        match fs::create_dir(&at) {
            Ok(()) => set_mode(&at, 0o755)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => return Err(failed("make", &at, source)),
        }
    }
    Ok(())
}

fn publish(directory: &Path, fresh: &Path) -> Result<(), WriteError> {
    let new = directory.join(NEW_DATA);
    // One that a crash left.
    let _ = fs::remove_file(&new);
    symlink(fresh.file_name().unwrap_or_default(), &new).map_err(|source| failed("link", &new, source))?;
    let data = directory.join(DATA);
    fs::rename(&new, &data).map_err(|source| failed("publish", &data, source))
}

/// Links for names that have none. A directory that another volume is mounted on keeps its place.
fn show(directory: &Path, payload: &Payload) -> Result<(), WriteError> {
    for path in payload.keys() {
        let name = path.split('/').next().unwrap_or_default();
        let visible = directory.join(name);
        if fs::symlink_metadata(&visible).is_ok() {
            continue;
        }
        match symlink(Path::new(DATA).join(name), &visible) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed("link", &visible, error)),
            _ => {}
        }
        let owner = payload.get(path).and_then(|file| file.user);
        if let Some(user) = owner {
            lchown(&visible, Some(user), None).map_err(|source| failed("change the owner of", &visible, source))?;
        }
    }
    Ok(())
}

/// Removes every directory of contents but the published one: the old one, and what crashes left.
fn remove_leftovers(directory: &Path) -> Result<(), WriteError> {
    let fail = |source| failed("read", directory, source);
    let current = fs::read_link(directory.join(DATA)).map_err(fail)?;
    for entry in fs::read_dir(directory).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let of_contents = name.to_string_lossy().starts_with("..2") && name != current.as_os_str();
        if of_contents && entry.file_type().map_err(fail)?.is_dir() {
            windlass_tree::remove_path(&entry.path())
                .map_err(|source| failed("remove", &entry.path(), source.into()))?;
        }
    }
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> Result<(), WriteError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|source| failed("set the mode of", path, source))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> WriteError {
    WriteError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::payload::File;

    fn payload(files: &[(&str, &str)]) -> Payload {
        let file = |data: &str| File { data: data.as_bytes().to_vec(), mode: 0o640, user: None };
        files.iter().map(|(path, data)| ((*path).to_owned(), file(data))).collect()
    }

    fn put(directory: &Path, files: &[(&str, &str)]) -> bool {
        write(directory, &payload(files), "2026-11-21T06:20:00.5Z".parse().unwrap(), || Ok(())).unwrap()
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn upstreams_form() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_published(dir.path()));
        assert!(put(dir.path(), &[("a", "1"), ("d/e/f", "2"), ("d/g", "3")]));
        assert!(is_published(dir.path()));
        let stamp = "..2026_11_21_06_20_00.500000000";
        assert_eq!(names(dir.path()), [stamp, "..data", "a", "d"]);
        let link = |name: &str| fs::read_link(dir.path().join(name)).unwrap().to_str().unwrap().to_owned();
        assert_eq!((link("..data"), link("a"), link("d")), (stamp.into(), "..data/a".into(), "..data/d".into()));
        assert_eq!(fs::read_to_string(dir.path().join("d/e/f")).unwrap(), "2");
        assert_eq!(fs::metadata(dir.path().join("a")).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::metadata(dir.path().join("d/e")).unwrap().mode() & 0o777, 0o755);
    }

    #[test]
    fn same_contents_are_no_update() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), &[("a", "1")]);
        let before = fs::read_link(dir.path().join("..data")).unwrap();
        assert!(!put(dir.path(), &[("a", "1")]));
        assert_eq!(fs::read_link(dir.path().join("..data")).unwrap(), before);
        // A link that was lost comes back all the same.
        fs::remove_file(dir.path().join("a")).unwrap();
        assert!(!put(dir.path(), &[("a", "1")]));
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "1");
    }

    #[test]
    fn updates_replace_add_and_remove() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), &[("a", "1"), ("b/c", "2"), ("b/d", "3"), ("old", "x")]);
        assert!(put(dir.path(), &[("a", "1!"), ("b/c", "2"), ("new/x", "4")]));
        let visible: Vec<String> = names(dir.path()).into_iter().filter(|name| !name.starts_with("..")).collect();
        assert_eq!(visible, ["a", "b", "new"]);
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "1!");
        assert_eq!(names(&dir.path().join("b")), ["c"]);
        assert_eq!(names(dir.path()).len(), 5, "one directory of contents is left");
        assert!(put(dir.path(), &[]));
        assert_eq!(names(dir.path()).len(), 2);
        assert!(!put(dir.path(), &[]));
    }

    #[test]
    fn leftovers_of_crashes() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), &[("a", "1")]);
        fs::create_dir(dir.path().join("..2020_01_01_00_00_00.1")).unwrap();
        symlink("..2020_01_01_00_00_00.1", dir.path().join("..data_tmp")).unwrap();
        put(dir.path(), &[("a", "2")]);
        assert_eq!(names(dir.path()).len(), 3);
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "2");
        // A published directory that somebody removed.
        windlass_tree::remove_path(&dir.path().join(fs::read_link(dir.path().join("..data")).unwrap())).unwrap();
        assert!(put(dir.path(), &[("a", "2")]));
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "2");
    }

    #[test]
    fn nothing_is_published_when_permissions_fail() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), &[("a", "1")]);
        let now = "2026-11-21T06:20:01Z".parse().unwrap();
        let failed = write(dir.path(), &payload(&[("a", "2")]), now, || Err(io::Error::other("no")));
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "1");
        assert_eq!(names(dir.path()).len(), 3);
    }

    #[test]
    fn a_mount_point_keeps_its_place() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("nested")).unwrap();
        put(dir.path(), &[("nested", "hidden by a mount"), ("a", "1")]);
        assert!(fs::symlink_metadata(dir.path().join("nested")).unwrap().is_dir());
    }

    #[test]
    fn paths() {
        let long = "x".repeat(256);
        let deep = format!("{}x", "abcdefgh/".repeat(456));
        let cases = [
            ("", "invalid path: must not be empty: \"\""),
            ("/a", "invalid path: must be relative path: /a"),
            ("a/../b", "invalid path: must not contain '..': a/../b"),
            ("..", "invalid path: must not contain '..': .."),
            ("..a", "invalid path: must not start with '..': ..a"),
            (&long, "invalid path: filenames must be less than or equal to 255 characters"),
            (&deep, "invalid path: must be less than or equal to 4096 characters"),
        ];
        for (path, expected) in cases {
            assert_eq!(check(path).unwrap_err().to_string(), expected);
        }
        for path in ["a", "a/b..c", "a..", ".a", "a/..b"] {
            assert!(check(path).is_ok(), "{path}");
        }
    }
}
