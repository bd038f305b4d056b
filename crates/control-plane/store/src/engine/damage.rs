//! Why a store cannot be opened, and for damage: what is lost for certain, and what to do.

use std::fmt;
use std::path::PathBuf;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{} is in use by another process; stop it, or choose another data directory", directory.display())]
    InUse { directory: PathBuf },
    #[error("cannot {what} {}", path.display())]
    Io { what: &'static str, path: PathBuf, source: std::io::Error },
    /// What is on the disk is not what was written there.
    #[error("{} is damaged at byte {offset}: {problem}; {}", path.display(), lost.advice(path, *offset))]
    Damaged { path: PathBuf, offset: u64, problem: &'static str, lost: Lost },
    #[error("{} was written by another version of this program", path.display())]
    Version { path: PathBuf },
    #[error(
        "{object} in {} cannot be decrypted, and {others} more objects: {why}; put back the key or the provider that encrypted them",
        directory.display()
    )]
    Locked { directory: PathBuf, object: String, others: usize, why: String },
    #[error("the committer's thread cannot be started")]
    Thread(#[source] std::io::Error),
}

/// What is lost of acknowledged writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Every record is there.
    Nothing,
    /// The first bytes of a file that hold no record.
    Header,
    /// The last batch.
    Last { after: u64 },
    /// Batches between sound ones.
    Between { after: u64, until: u64, sound_until: u64 },
    /// Everything between two files, or two records.
    Before { after: u64, until: u64 },
    /// The objects of a snapshot but for so many.
    Snapshot { objects: u64 },
}

impl Lost {
    /// Says so to a human who has to decide. To cut the file is advised only where nothing good follows.
    fn advice(self, path: &std::path::Path, offset: u64) -> impl fmt::Display {
        let path = path.display();
        match self {
            Self::Nothing => {
                "no record is lost; another version of this program, or somebody else, has written here: run \
                              that version, or restore the folder from a backup"
                    .to_owned()
            }
            Self::Header => format!(
                "no record is lost: copy the folder aside, then put the header back with \
                 `printf WLSTORE2 | dd of={path} conv=notrunc` and start again"
            ),
            Self::Last { after } => format!(
                "it had been written whole, so this is no trace of a crash: the last batch of writes, which comes after \
                 revision {after} and may have been acknowledged, is lost, and everything up to {after} is sound. Restore the \
                 folder from a backup or, to go on without that batch, copy the folder aside and run \
                 `truncate -s {offset} {path}`"
            ),
            Self::Between { after, until, sound_until } => format!(
                "the writes after revision {after} up to {until} are lost; those before, and those after it up to \
                 {sound_until}, are sound. Do not cut the file, which would lose these as well: copy the folder aside, and \
                 restore it from a backup"
            ),
            Self::Before { after, until } => format!(
                "the writes after revision {after} up to {until} are lost; what follows is sound. Look whether a file of \
                 the folder is missing; if it cannot be had, copy the folder aside, and restore it from a backup"
            ),
            Self::Snapshot { objects } => format!(
                "all objects but the first {objects} are lost, unless the log that the snapshot replaces is at hand: copy the \
                 folder aside, and restore it from a backup"
            ),
        }
    }
}
