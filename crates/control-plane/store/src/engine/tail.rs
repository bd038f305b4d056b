//! Judging what follows the last sound frame of a log file: unwritten space, a frame that a crash tore, or damage.
//!
//! A frame is written over zeros, or at the end of the file, and acknowledged after its sync; the next one is written only then. A crash
//! in between leaves some of its sectors and zeros in the place of the others, the last of them cut anywhere. So what has no such
//! hole, or what another sound frame follows, was written whole, and has been damaged later.

use super::frame::{HEADER, read_records, revision_before, split_frame};
use super::home::Home;

/// What a disk writes at once.
const SECTOR: usize = 512;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tail {
    Unwritten,
    /// Part of a frame whose writing a crash ended. It had not been acknowledged.
    Torn,
    /// A whole frame that does not match its checksum, the last of the file.
    Damaged,
    /// Something that is no frame, and then sound ones: they begin after `next` and reach `until`.
    Followed {
        next: u64,
        until: u64,
    },
}

/// Judges `bytes[end..]`; the frames before reach `revision`.
pub(super) fn judge(home: &Home, bytes: &[u8], end: usize, revision: u64) -> Tail {
    let rest = &bytes[end..];
    let Some(last) = rest.iter().rposition(|byte| *byte != 0) else { return Tail::Unwritten };
    if let Some((at, next)) = sound_frame(rest, last, revision) {
        return Tail::Followed { next, until: reached(home, &rest[at..], next) };
    }
    let is_damaged = length_has_flipped(rest) || (!has_hole(rest, last + 1, end) && ends_by(rest, last + 1));
    if is_damaged { Tail::Damaged } else { Tail::Torn }
}

/// The first whole frame of a later revision that begins before `last`: where, and the revision before it.
fn sound_frame(bytes: &[u8], last: usize, revision: u64) -> Option<(usize, u64)> {
    (1..last).find_map(|at| {
        let tail = &bytes[at..];
        // The revision is looked at first: a checksum at every byte of a long tail would take minutes.
        let before = tail.get(HEADER..).and_then(revision_before)?;
        let is_near = before >= revision && before - revision < 1 << 32;
        (is_near && split_frame(tail).is_some()).then_some((at, before))
    })
}

/// How far a chain of frames reaches.
fn reached(home: &Home, mut bytes: &[u8], mut revision: u64) -> u64 {
    while let Some((payload, after)) = split_frame(bytes) {
        if revision_before(payload) != Some(revision) {
            break;
        }
        let take = |_: &str, item: crate::item::Item, _| revision = revision.max(item.revision);
        if read_records(payload, &home.cipher, take).is_err() {
            break;
        }
        bytes = after;
    }
    revision
}

/// Whether the frame is sound but for one bit of its length.
fn length_has_flipped(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<HEADER>() else { return false };
    (0..32).any(|bit| {
        let mut mended = *header;
        mended[bit / 8] ^= 1 << (bit % 8);
        let length = u32::from_le_bytes([mended[0], mended[1], mended[2], mended[3]]) as usize;
        let Some(payload) = bytes.get(HEADER..).and_then(|rest| rest.get(..length)) else { return false };
        super::frame::is_sound(&mended, payload)
    })
}

/// Whether a sector, or the part of one at an end, of `bytes[..length]` holds only zeros; `offset` is where `bytes` begin in the file.
fn has_hole(bytes: &[u8], length: usize, offset: usize) -> bool {
    let first = (SECTOR - offset % SECTOR).min(length);
    let (head, others) = bytes[..length].split_at(first);
    std::iter::once(head).chain(others.chunks(SECTOR)).any(|sector| sector.iter().all(|byte| *byte == 0))
}

/// Whether the frame that begins here, if one does, ends at `length` or before.
fn ends_by(bytes: &[u8], length: usize) -> bool {
    let announced = bytes.first_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
    announced > 0 && HEADER + announced <= length
}
