//! What is on a disk on paper, and what is in the kernel's memory only.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::Verdict;

/// What a disk writes at once.
const SECTOR: usize = 512;

#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    /// Names as everybody sees them, and as they are on the disk.
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    /// Changes of names that no sync has covered, in order.
    changes: Vec<NameChange>,
    files: Vec<File>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Directory,
    File(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Added(PathBuf, Node),
    Removed(PathBuf),
    Renamed(PathBuf, PathBuf, Node),
}

#[derive(Clone, Debug, Default)]
struct File {
    content: Vec<u8>,
    durable: Vec<u8>,
    changes: Vec<DataChange>,
}

#[derive(Clone, Debug)]
enum DataChange {
    Write(usize, Vec<u8>),
    Cut(usize),
}

/// A change that is not on the disk when the power goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Name,
    Cut,
    /// Of so many bytes; of zeros, which may be fewer without anybody missing them.
    Write {
        length: usize,
        is_zero: bool,
    },
}

/// What becomes of it.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    Lost,
    Kept,
    Partly(Part),
}

#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// So many bytes from the start.
    First(usize),
    /// Sectors by number, counted within the file: those that have a bit here.
    Sectors(u64),
}

fn error<T>(errno: Errno) -> io::Result<T> {
    Err(errno.into())
}

impl NameChange {
    fn directory(&self) -> Option<&Path> {
        let (Self::Added(path, _) | Self::Removed(path) | Self::Renamed(_, path, _)) = self;
        path.parent()
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Self::Added(path, node) => _ = names.insert(path.clone(), *node),
            Self::Removed(path) => _ = names.remove(path),
            Self::Renamed(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}

impl DataChange {
    fn apply(&self, data: &mut Vec<u8>) {
        match self {
            Self::Cut(length) => data.resize(*length, 0),
            Self::Write(offset, bytes) => put(data, *offset, bytes),
        }
    }

    /// Applies what `fate` leaves of it. A sector that has not taken a change takes none of the later ones: they are in the same place of
    /// the kernel's memory, and are written together.
    fn apply_with(&self, data: &mut Vec<u8>, fate: &Fate, stale: &mut BTreeSet<usize>) {
        let (offset, bytes) = match (self, fate) {
            (Self::Cut(_), Fate::Lost) => return,
            (Self::Cut(_), _) => return self.apply(data),
            (Self::Write(offset, bytes), _) => (*offset, bytes),
        };
        let end = offset + bytes.len();
        let mut at = offset;
        while at < end {
            let sector = at / SECTOR;
            let next = ((sector + 1) * SECTOR).min(end);
            let kept = match fate {
                _ if stale.contains(&sector) => at,
                Fate::Lost => at,
                Fate::Kept => next,
                Fate::Partly(Part::First(length)) => (offset + length).clamp(at, next),
                Fate::Partly(Part::Sectors(kept)) => {
                    if kept >> (sector % 64) & 1 == 1 {
                        next
                    } else {
                        at
                    }
                }
            };
            put(data, at, &bytes[at - offset..kept - offset]);
            if kept < next {
                stale.insert(sector);
            }
            at = next;
        }
    }
}

fn put(data: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let end = offset + bytes.len();
    if data.len() < end {
        data.resize(end, 0);
    }
    data[offset..end].copy_from_slice(bytes);
}

impl Image {
    /// An empty disk with a root directory.
    pub(crate) fn new() -> Self {
        let mut image = Self::default();
        for names in [&mut image.names, &mut image.durable_names] {
            names.insert(PathBuf::from("/"), Node::Directory);
        }
        image
    }

    /// A disk with these files, all durable.
    pub(crate) fn with_files(files: &BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let mut image = Self::new();
        for (path, content) in files {
            for parent in path.ancestors().skip(1) {
                image.names.insert(parent.to_owned(), Node::Directory);
            }
            image.names.insert(path.clone(), Node::File(image.files.len()));
            image.files.push(File { content: content.clone(), durable: content.clone(), changes: Vec::new() });
        }
        image.durable_names = image.names.clone();
        image
    }

    /// The power goes; `fate` decides about each change that no sync has covered: those of names in order, and then those of each file.
    pub(crate) fn power_off(mut self, mut fate: impl FnMut(Change) -> Fate) -> Self {
        for change in std::mem::take(&mut self.changes) {
            if !matches!(fate(Change::Name), Fate::Lost) {
                change.apply(&mut self.durable_names);
            }
        }
        for file in &mut self.files {
            let mut stale = BTreeSet::new();
            for change in std::mem::take(&mut file.changes) {
                let seen = match &change {
                    DataChange::Cut(_) => Change::Cut,
                    DataChange::Write(_, bytes) => {
                        Change::Write { length: bytes.len(), is_zero: bytes.iter().all(|byte| *byte == 0) }
                    }
                };
                change.apply_with(&mut file.durable, &fate(seen), &mut stale);
            }
            file.content = file.durable.clone();
        }
        // What is in a directory that is lost is lost.
        let names = self.durable_names.clone();
        self.durable_names.retain(|path, _| path.ancestors().all(|parent| names.contains_key(parent)));
        self.names = self.durable_names.clone();
        self
    }

    /// The changes that no sync has covered.
    pub(crate) fn pending(&self) -> Vec<Change> {
        let mut pending = Vec::new();
        drop(self.clone().power_off(|change| {
            pending.push(change);
            Fate::Lost
        }));
        pending
    }

    pub(crate) fn names(&self) -> Vec<PathBuf> {
        self.names.keys().cloned().collect()
    }

    pub(super) fn number(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Node::File(number)) => Ok(*number),
            Some(Node::Directory) => error(Errno::EISDIR),
            None => error(Errno::ENOENT),
        }
    }

    pub(crate) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.files[self.number(path)?].content.clone())
    }

    pub(super) fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        self.check_directory(Some(directory))?;
        Ok(self.names.keys().filter(|path| path.parent() == Some(directory)).cloned().collect())
    }

    fn check_directory(&self, path: Option<&Path>) -> io::Result<()> {
        match path.and_then(|path| self.names.get(path)) {
            Some(Node::Directory) => Ok(()),
            Some(Node::File(_)) => error(Errno::ENOTDIR),
            None => error(Errno::ENOENT),
        }
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    pub(super) fn make_directory(&mut self, path: &Path) -> io::Result<()> {
        if self.names.contains_key(path) {
            return error(Errno::EEXIST);
        }
        self.check_directory(path.parent())?;
        self.change(NameChange::Added(path.to_owned(), Node::Directory));
        Ok(())
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<usize> {
        if let Ok(number) = self.number(path) {
            self.cut(number, 0);
            return Ok(number);
        }
        self.check_directory(path.parent())?;
        let number = self.files.len();
        self.files.push(File::default());
        self.change(NameChange::Added(path.to_owned(), Node::File(number)));
        Ok(number)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let number = self.number(from)?;
        self.change(NameChange::Renamed(from.to_owned(), to.to_owned(), Node::File(number)));
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        if !self.names.contains_key(path) {
            return error(Errno::ENOENT);
        }
        self.change(NameChange::Removed(path.to_owned()));
        Ok(())
    }

    pub(super) fn write(&mut self, number: usize, bytes: &[u8], offset: usize) {
        let change = DataChange::Write(offset, bytes.to_vec());
        change.apply(&mut self.files[number].content);
        self.files[number].changes.push(change);
    }

    pub(super) fn cut(&mut self, number: usize, length: usize) {
        self.files[number].content.resize(length, 0);
        self.files[number].changes.push(DataChange::Cut(length));
    }

    pub(super) fn sync(&mut self, number: usize, verdict: Verdict) -> io::Result<()> {
        let file = &mut self.files[number];
        let changes = std::mem::take(&mut file.changes);
        let count = durable_count(verdict, changes.len());
        changes.iter().take(count).for_each(|change| change.apply(&mut file.durable));
        if verdict == Verdict::FailSyncAndForget {
            file.content = file.durable.clone();
        }
        outcome(verdict)
    }

    pub(super) fn sync_directory(&mut self, path: &Path, verdict: Verdict) -> io::Result<()> {
        self.check_directory(Some(path))?;
        let (mine, others): (Vec<_>, _) =
            std::mem::take(&mut self.changes).into_iter().partition(|change| change.directory() == Some(path));
        self.changes = others;
        let count = durable_count(verdict, mine.len());
        mine.iter().take(count).for_each(|change| change.apply(&mut self.durable_names));
        outcome(verdict)
    }
}

fn durable_count(verdict: Verdict, all: usize) -> usize {
    match verdict {
        Verdict::FailSync { durable } => durable.min(all),
        Verdict::FailSyncAndForget => 0,
        _ => all,
    }
}

fn outcome(verdict: Verdict) -> io::Result<()> {
    match verdict {
        Verdict::FailSync { .. } | Verdict::FailSyncAndForget => error(Errno::EIO),
        _ => Ok(()),
    }
}
