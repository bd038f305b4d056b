//! Reading everything back at start-up. [`super`] enumerates what can be found; [`tail`] judges the end of a log file.
//!
//! Recovery changes nothing but temporary files, which it removes. Older files beside a snapshot stay until the next snapshot: if the
//! sync of the directory failed after the rename, only the kernel knows the snapshot.

use std::path::{Path, PathBuf};

use super::damage::{Lost, OpenError};
use super::disk::Disk;
use super::frame::{HEADER, MAGIC, MAGIC_1, Malformed, is_empty, read_records, revision_before, split_frame};
use super::home::Home;
use super::loaded::Loaded;
use super::tail::{self, Tail};

/// What was found.
pub(super) struct Recovered {
    pub loaded: Loaded,
    /// The file in which the log goes on; none when it begins anew.
    pub last: Option<LastLog>,
    pub snapshot_bytes: u64,
    pub log_bytes: u64,
}

/// The last file of the log that has a frame.
pub(super) struct LastLog {
    pub path: PathBuf,
    pub header: [u8; HEADER],
    /// The last frame.
    pub frame: Vec<u8>,
    /// Where it ends.
    pub end: u64,
    /// Something that is not zero follows it.
    pub is_torn: bool,
}

impl LastLog {
    pub(super) fn is_current_format(&self) -> bool {
        self.header == *MAGIC
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Log,
    Snapshot,
}

/// What a file is and its revision, from its name.
pub(super) fn revision_in_name(path: &Path) -> Option<(FileKind, u64)> {
    let name = path.file_name()?.to_str()?;
    let (kind, revision) = match name.split_once('-')? {
        ("log", revision) => (FileKind::Log, revision),
        ("snapshot", revision) => (FileKind::Snapshot, revision),
        _ => return None,
    };
    Some((kind, u64::from_str_radix(revision, 16).ok()?))
}

pub(super) fn recover(home: &Home) -> Result<Recovered, OpenError> {
    let (mut snapshots, mut logs) = (Vec::new(), Vec::new());
    let directory = &home.directory;
    let paths = home.disk.list(directory);
    for path in paths.map_err(|source| OpenError::Io { what: "read", path: directory.clone(), source })? {
        match revision_in_name(&path) {
            Some((FileKind::Snapshot, revision)) => snapshots.push((revision, path)),
            Some((FileKind::Log, revision)) => logs.push((revision, path)),
            None if path.extension().is_some_and(|e| e == "tmp") => {
                if let Err(error) = home.disk.remove(&path) {
                    tracing::warn!(file = %path.display(), %error, "a temporary file of the store cannot be removed");
                }
            }
            None => {}
        }
    }
    snapshots.sort();
    logs.sort();
    let mut recovered = Recovered { loaded: Loaded::default(), last: None, snapshot_bytes: 0, log_bytes: 0 };
    if let Some((revision, path)) = snapshots.last() {
        recovered.snapshot_bytes = load_snapshot(home, path, &mut recovered.loaded)?;
        recovered.loaded.revision = *revision;
        logs.retain(|(first, _)| first >= revision);
    }
    let mut rest = logs.as_slice();
    while let Some(((first, path), later)) = rest.split_first() {
        load_log(home, path, *first, later, &mut recovered)?;
        rest = later;
    }
    recovered.loaded.check_locked(directory)?;
    Ok(recovered)
}

struct File<'a> {
    path: &'a Path,
    bytes: Vec<u8>,
}

impl<'a> File<'a> {
    fn read(disk: &dyn Disk, path: &'a Path) -> Result<Self, OpenError> {
        let bytes = disk.read(path).map_err(|source| OpenError::Io { what: "read", path: path.to_owned(), source })?;
        let file = Self { path, bytes };
        if file.has_known_header() {
            return Ok(file);
        }
        let is_ours = file.bytes.starts_with(&MAGIC[..HEADER - 1]);
        if !is_ours && split_frame(file.frames()).is_some() {
            return Err(file.damaged(0, "it does not begin as it must, and what follows is sound", Lost::Header));
        }
        Err(OpenError::Version { path: path.to_owned() })
    }

    /// Whether it begins with the header, or with a part of it: then a crash came while an older release made the file.
    fn has_known_header(&self) -> bool {
        let header = &self.bytes[..self.bytes.len().min(HEADER)];
        let written = header.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        header == MAGIC || header == MAGIC_1 || (written < HEADER && MAGIC.starts_with(&header[..written]))
    }

    fn frames(&self) -> &[u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }

    fn damaged(&self, offset: usize, problem: &'static str, lost: Lost) -> OpenError {
        OpenError::Damaged { path: self.path.to_owned(), offset: offset as u64, problem, lost }
    }

    fn malformed(&self, offset: usize) -> OpenError {
        self.damaged(offset, "a record is of an unknown form", Lost::Nothing)
    }
}

/// Loads a snapshot; returns its size.
fn load_snapshot(home: &Home, path: &Path, loaded: &mut Loaded) -> Result<u64, OpenError> {
    let file = File::read(&*home.disk, path)?;
    let mut rest = file.frames();
    let mut count: u64 = 0;
    loop {
        let offset = file.bytes.len() - rest.len();
        let broken = |problem| file.damaged(offset, problem, Lost::Snapshot { objects: count });
        let (payload, after) = split_frame(rest).ok_or_else(|| broken("the snapshot ends or breaks"))?;
        if is_empty(payload) && after.is_empty() {
            let is_whole = revision_before(payload) == Some(count);
            return if is_whole { Ok(file.bytes.len() as u64) } else { Err(broken("the snapshot has a gap")) };
        }
        read_records(payload, &*home.encryption, |table, found| {
            count += 1;
            loaded.apply(table, found);
        })
        .map_err(|Malformed| file.malformed(offset))?;
        rest = after;
    }
}

/// Applies a log file that begins after `first`; `later` are the files after it.
fn load_log(
    home: &Home,
    path: &Path,
    first: u64,
    later: &[(u64, PathBuf)],
    recovered: &mut Recovered,
) -> Result<(), OpenError> {
    let file = File::read(&*home.disk, path)?;
    let loaded = &mut recovered.loaded;
    if first > loaded.revision {
        // The name alone says that everything before has been acknowledged.
        let lost = Lost::Before { after: loaded.revision, until: first };
        return Err(file.damaged(0, "what comes before it is in no file", lost));
    }
    if first < loaded.revision {
        // Where a full disk stopped an older release from going on in a new file, that one is empty.
        let has_frames = split_frame(file.frames()).is_some();
        let error = || file.damaged(0, "it begins before the file before it ends", Lost::Nothing);
        return if has_frames { Err(error()) } else { Ok(()) };
    }
    let (mut last, mut end) = (HEADER, HEADER);
    while let Some((payload, after)) = split_frame(file.bytes.get(end..).unwrap_or_default()) {
        match revision_before(payload) {
            Some(before) if before == loaded.revision => {}
            Some(before) if before > loaded.revision => {
                let lost = Lost::Before { after: loaded.revision, until: before };
                return Err(file.damaged(end, "a record does not follow the one before it", lost));
            }
            _ => return Err(file.damaged(end, "a record goes back in time", Lost::Nothing)),
        }
        read_records(payload, &*home.encryption, |table, found| loaded.apply(table, found))
            .map_err(|Malformed| file.malformed(end))?;
        (last, end) = (end, file.bytes.len() - after.len());
    }
    let is_torn = check_tail(home, &file, end, loaded.revision, later)?;
    if end > HEADER {
        recovered.log_bytes += end as u64;
        recovered.last = Some(LastLog {
            path: path.to_owned(),
            header: *file.bytes.first_chunk().unwrap_or(&[0; HEADER]),
            frame: file.bytes[last..end].to_vec(),
            end: end as u64,
            is_torn,
        });
    }
    Ok(())
}

/// Whether something harmless follows the last frame, which ends at `end`; an error when it is damage.
fn check_tail(
    home: &Home,
    file: &File<'_>,
    end: usize,
    revision: u64,
    later: &[(u64, PathBuf)],
) -> Result<bool, OpenError> {
    if file.bytes.len() < end {
        return Ok(false);
    }
    let found = tail::judge(home, &file.bytes, end, revision);
    if found == Tail::Unwritten {
        return Ok(false);
    }
    let next = first_with_frames(home, later)?;
    let lost = match found {
        Tail::Followed { next, until } => Lost::Between { after: revision, until: next, sound_until: until },
        Tail::Unwritten | Tail::Torn | Tail::Damaged => match next {
            // The log goes on without a gap, so this was never acknowledged.
            Some(next) if next <= revision => return Ok(true),
            Some(next) => Lost::Before { after: revision, until: next },
            None if found == Tail::Damaged => Lost::Last { after: revision },
            None => {
                tracing::warn!(
                    file = %file.path.display(), offset = end, revision,
                    "the last record of the store's log was torn by a crash and is dropped; it had not been acknowledged"
                );
                return Ok(true);
            }
        },
    };
    Err(file.damaged(end, "a record does not match its checksum", lost))
}

/// The revision after which the next file begins that has a frame.
fn first_with_frames(home: &Home, later: &[(u64, PathBuf)]) -> Result<Option<u64>, OpenError> {
    for (first, path) in later {
        if split_frame(File::read(&*home.disk, path)?.frames()).is_some() {
            return Ok(Some(*first));
        }
    }
    Ok(None)
}
