//! Reading everything back at start-up, and judging the end of the log.
//!
//! A write is acknowledged only after its sync, and the next one starts only then. So at most one frame, the last, can be torn
//! by a crash, and nothing sound can follow it. A frame that does not read and is followed by one that does, or a gap
//! between revisions, means that acknowledged writes are gone: that is damage, and the store does not open over it.

use std::fs;
use std::path::{Path, PathBuf};

use super::cipher::Cipher;
use super::frame::{HEADER, MAGIC, PayloadError, read_records, revision_before, split_frame};
use super::{OpenError, snapshot};
use crate::store::Loaded;

/// What was found.
pub(super) struct Recovered {
    pub loaded: Loaded,
    /// The last file of the log, and where its frames end.
    pub last_segment: Option<(PathBuf, u64)>,
    pub snapshot_bytes: u64,
    pub log_bytes: u64,
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

pub(super) fn recover(directory: &Path, cipher: &Cipher) -> Result<Recovered, OpenError> {
    let fail = |what| {
        let path = directory.to_owned();
        move |source| OpenError::Io { what, path, source }
    };
    let (mut snapshots, mut logs) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory).map_err(fail("read"))? {
        let path = entry.map_err(fail("read"))?.path();
        match revision_in_name(&path) {
            Some((FileKind::Snapshot, revision)) => snapshots.push((revision, path)),
            Some((FileKind::Log, revision)) => logs.push((revision, path)),
            None if path.extension().is_some_and(|e| e == "tmp") => {
                fs::remove_file(&path).map_err(fail("tidy up"))?;
            }
            None => {}
        }
    }
    snapshots.sort();
    logs.sort();
    let mut recovered = Recovered { loaded: Loaded::default(), last_segment: None, snapshot_bytes: 0, log_bytes: 0 };
    if let Some((revision, path)) = snapshots.last() {
        let bytes = read(path)?;
        recovered.snapshot_bytes = bytes.len() as u64;
        load_snapshot(path, &bytes, cipher, &mut recovered.loaded)?;
        recovered.loaded.revision = *revision;
        // A crash may have come between the snapshot's rename and the removal of what it replaces.
        snapshot::remove_before(directory, *revision).map_err(fail("tidy up"))?;
        logs.retain(|(first, _)| first >= revision);
    }
    for (index, (first, path)) in logs.iter().enumerate() {
        if *first != recovered.loaded.revision {
            return Err(damaged(path, 0, "the log file before it is missing or shortened"));
        }
        let bytes = read(path)?;
        let end = load_log(path, &bytes, index + 1 == logs.len(), cipher, &mut recovered.loaded)?;
        recovered.log_bytes += end;
        recovered.last_segment = Some((path.clone(), end));
    }
    Ok(recovered)
}

fn read(path: &Path) -> Result<Vec<u8>, OpenError> {
    let bytes = fs::read(path).map_err(|source| OpenError::Io { what: "read", path: path.to_owned(), source })?;
    match bytes.first_chunk::<HEADER>() {
        Some(header) if header == MAGIC => Ok(bytes),
        // A file that was being made when the machine stopped.
        _ if bytes.iter().all(|byte| *byte == 0) => Ok(bytes),
        _ => Err(OpenError::Version { path: path.to_owned() }),
    }
}

fn damaged(path: &Path, offset: usize, problem: &'static str) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), offset: offset as u64, problem }
}

fn payload_error(path: &Path, offset: usize, error: PayloadError) -> OpenError {
    match error {
        PayloadError::Malformed => damaged(path, offset, "a record cannot be read"),
        PayloadError::Key => OpenError::Key { path: path.to_owned() },
    }
}

fn load_snapshot(path: &Path, bytes: &[u8], cipher: &Cipher, loaded: &mut Loaded) -> Result<(), OpenError> {
    let mut rest = bytes.get(HEADER..).unwrap_or_default();
    let mut count: u64 = 0;
    loop {
        let offset = bytes.len() - rest.len();
        let (payload, after) = split_frame(rest).ok_or_else(|| damaged(path, offset, "the snapshot ends or breaks"))?;
        if payload.len() == 8 && after.is_empty() {
            let expected = revision_before(payload);
            return if expected == Some(count) {
                Ok(())
            } else {
                Err(damaged(path, offset, "objects are missing from the snapshot"))
            };
        }
        read_records(payload, cipher, |table, item, deleted| {
            count += 1;
            loaded.apply(table, item, deleted);
        })
        .map_err(|error| payload_error(path, offset, error))?;
        rest = after;
    }
}

/// Applies a log file's frames; returns where they end.
fn load_log(path: &Path, bytes: &[u8], is_last: bool, cipher: &Cipher, loaded: &mut Loaded) -> Result<u64, OpenError> {
    let mut rest = bytes.get(HEADER..).unwrap_or_default();
    while let Some((payload, after)) = split_frame(rest) {
        let offset = bytes.len() - rest.len();
        if revision_before(payload) != Some(loaded.revision) {
            return Err(damaged(path, offset, "revisions are missing before it"));
        }
        read_records(payload, cipher, |table, item, deleted| loaded.apply(table, item, deleted))
            .map_err(|error| payload_error(path, offset, error))?;
        rest = after;
    }
    let end = bytes.len() - rest.len();
    if rest.iter().all(|byte| *byte == 0) {
        return Ok(end.max(HEADER) as u64);
    }
    if !is_last || sound_frame_within(rest, loaded.revision) {
        return Err(damaged(path, end, "a record does not match its checksum, and others follow"));
    }
    tracing::warn!(
        file = %path.display(), offset = end, revision = loaded.revision,
        "the last record of the store's log was torn by a crash and is dropped; it had not been acknowledged"
    );
    Ok(end as u64)
}

/// Whether a whole frame of a later revision stands anywhere in `bytes`.
fn sound_frame_within(bytes: &[u8], revision: u64) -> bool {
    (1..bytes.len()).any(|at| {
        let tail = &bytes[at..];
        // The revision is looked at first: a checksum at every byte of a long tail would take minutes.
        let before = tail.get(HEADER..).and_then(revision_before);
        before.is_some_and(|before| before >= revision && before - revision < 1 << 32) && split_frame(tail).is_some()
    })
}
