//! The table of contents of a tar file, and reading its members by position.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::ImportError;
use crate::tar::{Kind, TarReader};

/// `docker save` wrote links from layer to layer; more in a row is a loop.
const LINKS_MAX: usize = 8;
const MEMBERS_MAX: usize = 1_000_000;

pub(super) struct Archive {
    file: Arc<File>,
    members: HashMap<String, Member>,
}

#[derive(Clone)]
enum Member {
    File { offset: u64, size: u64 },
    Link(String),
}

impl Archive {
    /// Reads the headers only.
    pub(super) fn scan(file: Arc<File>) -> Result<Self, ImportError> {
        let length = file.metadata().map_err(ImportError::Read)?.len();
        let mut tar = TarReader::new(At { file: file.clone(), offset: 0 });
        let mut members = HashMap::new();
        while let Some(entry) = tar.next_entry().map_err(ImportError::Tar)? {
            let mut offset = 0;
            tar.skip_with(|at, bytes| {
                offset = at.offset;
                at.offset = at.offset.saturating_add(bytes);
            });
            let Some(path) = clean(&String::from_utf8_lossy(&entry.path)) else { continue };
            let link = String::from_utf8_lossy(&entry.link);
            let member = match entry.kind {
                Kind::Regular if entry.extents.is_none() => {
                    if offset.checked_add(entry.size).is_none_or(|end| end > length) {
                        return Err(ImportError::Tar(crate::tar::TarError::Truncated));
                    }
                    Member::File { offset, size: entry.size }
                }
                Kind::HardLink => match clean(&link) {
                    Some(target) => Member::Link(target),
                    None => continue,
                },
                Kind::Symlink => match beside(&path, &link) {
                    Some(target) => Member::Link(target),
                    None => continue,
                },
                _ => continue,
            };
            if members.len() == MEMBERS_MAX {
                return Err(ImportError::NotAnImage);
            }
            members.insert(path, member);
        }
        Ok(Self { file, members })
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.members.contains_key(path)
    }

    /// Where a member's bytes are: offset and size.
    pub(super) fn locate(&self, path: &str) -> Result<(u64, u64), ImportError> {
        let missing = || ImportError::Missing(path.to_owned());
        let mut at = clean(path).ok_or_else(missing)?;
        for _ in 0..LINKS_MAX {
            match self.members.get(&at).ok_or_else(missing)? {
                Member::File { offset, size } => return Ok((*offset, *size)),
                Member::Link(target) => at.clone_from(target),
            }
        }
        Err(missing())
    }

    /// A whole small member.
    pub(super) fn read(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, ImportError> {
        let (offset, size) = self.locate(path)?;
        if size > bytes_max {
            return Err(ImportError::TooLarge { path: path.to_owned(), size, max: bytes_max });
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, offset).map_err(ImportError::Read)?;
        Ok(bytes)
    }
}

/// A position in a file that others read too.
struct At {
    file: Arc<File>,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// `./a//b/../c` as `a/c`; `None` when it leads out of the archive.
fn clean(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The target of a symbolic link at `path`.
fn beside(path: &str, target: &str) -> Option<String> {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    clean(&if target.starts_with('/') { target.to_owned() } else { format!("{directory}/{target}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_links() {
        let mut builder = tar::Builder::new(tempfile::tempfile().unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        builder.append_data(&mut header.clone(), "./one/layer.tar", &b"abc"[..]).unwrap();
        header.set_size(0);
        header.set_entry_type(tar::EntryType::Symlink);
        builder.append_link(&mut header.clone(), "two/layer.tar", "../one/layer.tar").unwrap();
        builder.append_link(&mut header.clone(), "loop", "loop").unwrap();
        builder.append_link(&mut header.clone(), "out", "../../etc/passwd").unwrap();
        header.set_entry_type(tar::EntryType::Link);
        builder.append_link(&mut header.clone(), "three", "one/layer.tar").unwrap();
        let file = builder.into_inner().unwrap();
        let archive = Archive::scan(Arc::new(file)).unwrap();
        for path in ["one/layer.tar", "two/layer.tar", "three", "./one/../one/layer.tar"] {
            assert_eq!(archive.read(path, 10).unwrap(), b"abc", "{path}");
        }
        for path in ["loop", "out", "none", "../one/layer.tar"] {
            assert!(matches!(archive.read(path, 10), Err(ImportError::Missing(_))), "{path}");
        }
        assert!(matches!(archive.read("three", 2), Err(ImportError::TooLarge { .. })));
    }

    #[test]
    fn cut_off() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2000);
        builder.append_data(&mut header, "x", &[1; 2000][..]).unwrap();
        let bytes = builder.into_inner().unwrap();
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&bytes[..1500], 0).unwrap();
        assert!(matches!(Archive::scan(Arc::new(file)), Err(ImportError::Tar(_))));
    }
}
