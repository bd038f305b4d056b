//! Judging what follows the last sound frame of a log file: unwritten space, a frame that a crash tore, or damage.
//!
//! A frame is written over zeros, or at the end of the file, and acknowledged after its sync; the next one is written only then. A crash
//! in between leaves some of its sectors, each from its start to somewhere, and zeros in the place of the rest. So what another sound
//! frame follows, what has no sector that ends in zeros, what has all its records, and what is one bit away from a sound frame with all its
//! records was written whole, and has been damaged later.

use super::frame::{
    FRAME_MAX, Found, HEADER, checksum, has_all_records, is_sound, read_records, revision_before, split_frame,
};
use super::home::Home;

/// What a disk writes at once.
const SECTOR: usize = 512;
/// The polynomial of CRC-32C, its bits reversed.
const CASTAGNOLI: u32 = 0x82F6_3B78;

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
    let is_whole = !has_hole(rest, last + 1, end) && ends_by(rest, last + 1);
    let has_all = announced(rest).is_some_and(has_all_records);
    let is_damaged = is_whole || has_all || length_has_flipped(rest) || bit_has_flipped(rest);
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
        let take = |_: &str, found: Found| revision = revision.max(found.revision());
        if read_records(payload, &*home.encryption, take).is_err() {
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
        is_sound(&mended, payload)
    })
}

/// The payload of the frame that begins here, as long as its header says.
fn announced(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    bytes.get(HEADER..)?.get(..length).filter(|payload| (1..=FRAME_MAX).contains(&payload.len()))
}

/// Whether the frame is sound but for one bit after its length. The checksum of a difference depends on its place alone, so the
/// payload is gone through once, from its end. In a long payload there may be such a bit by chance: mended, the frame must have all its
/// records as well.
fn bit_has_flipped(bytes: &[u8]) -> bool {
    let (Some(header), Some(payload)) = (bytes.first_chunk::<HEADER>(), announced(bytes)) else { return false };
    let (length, expected) = header.split_at(4);
    let expected = expected.first_chunk().map_or(0, |expected| u32::from_le_bytes(*expected));
    let difference = checksum(length, payload) ^ expected;
    if difference.count_ones() == 1 && has_all_records(payload) {
        return true;
    }
    // What the last bit adds to a checksum; with each bit that follows it is divided once more.
    let mut added = CASTAGNOLI;
    (0..payload.len() * 8).any(|from_end| {
        let is_found = added == difference;
        added = (added >> 1) ^ if added & 1 == 1 { CASTAGNOLI } else { 0 };
        is_found && {
            let mut mended = payload.to_vec();
            mended[payload.len() - 1 - from_end / 8] ^= 0x80 >> (from_end % 8);
            has_all_records(&mended)
        }
    })
}

/// Whether a sector, or the part of one at an end, of `bytes[..length]` ends in zeros; `offset` is where `bytes` begin in the file.
fn has_hole(bytes: &[u8], length: usize, offset: usize) -> bool {
    let first = (SECTOR - offset % SECTOR).min(length);
    let (head, others) = bytes[..length].split_at(first);
    std::iter::once(head).chain(others.chunks(SECTOR)).any(|sector| sector.last() == Some(&0))
}

/// Whether the frame that begins here, if one does, ends at `length` or before.
fn ends_by(bytes: &[u8], length: usize) -> bool {
    let announced = bytes.first_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
    announced > 0 && HEADER + announced <= length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encryption::Plaintext;
    use crate::engine::frame::push_frame;

    #[test]
    fn one_bit_is_found_in_any_place() {
        let template = windlass_machinery::json::Template::new(&serde_json::json!({"data": "x".repeat(60)}));
        let item = crate::item::Item::new("a", &template, 2, 2, 0);
        let mut frame = Vec::new();
        push_frame(&mut frame, 1, [("pods", &item, false)].into_iter(), &Plaintext).unwrap();
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!((length_has_flipped(&flipped), bit_has_flipped(&flipped)), (bit < 32, bit >= 32), "{bit}");
        }
        for cut in 0..frame.len() {
            let mut torn = frame.clone();
            torn[cut..].fill(0);
            assert!(!length_has_flipped(&torn) && !bit_has_flipped(&torn), "{cut}");
        }
    }

    /// Batches of any size: a flipped bit is damage, and what a crash leaves, sector by sector, is torn.
    #[test]
    fn large_batches() {
        let home = Home {
            disk: std::sync::Arc::new(crate::engine::SystemDisk::default()),
            directory: "/none".into(),
            encryption: std::sync::Arc::new(Plaintext),
            sizes: crate::engine::Sizes::default(),
            health: std::sync::Arc::new(crate::health::Health::new()),
        };
        let judged = |bytes: &[u8], end: usize| judge(&home, bytes, end, 1);
        for (records, bytes) in [(1, 5_000), (12, 1_200), (40, 500)] {
            let template = windlass_machinery::json::Template::new(&serde_json::json!({"data": "x".repeat(bytes)}));
            let items: Vec<_> =
                (0..records).map(|n| crate::item::Item::new(&format!("a/{n}"), &template, 2 + n, 2 + n, 0)).collect();
            for end in [8, 8 + 137] {
                let mut file = vec![1; end];
                push_frame(&mut file, 1, items.iter().map(|item| ("pods", item, false)), &Plaintext).unwrap();
                let whole = file.len();
                for bit in (end * 8..whole * 8).step_by(611) {
                    let mut flipped = file.clone();
                    flipped[bit / 8] ^= 1 << (bit % 8);
                    flipped.extend([0; 700]);
                    assert_eq!(judged(&flipped, end), Tail::Damaged, "{records} {bit}");
                }
                for sector in 0..whole / SECTOR {
                    let mut torn = file.clone();
                    let from = (sector * SECTOR).max(end);
                    torn[from..((sector + 1) * SECTOR).min(whole)].fill(0);
                    torn.extend([0; 700]);
                    assert_eq!(judged(&torn, end), Tail::Torn, "{records} {sector}");
                }
            }
        }
    }

    #[test]
    fn holes() {
        let mut bytes = vec![1; 2000];
        assert!(!has_hole(&bytes, 2000, 100));
        bytes[411] = 0;
        assert!(has_hole(&bytes, 2000, 100));
        assert!(!has_hole(&bytes, 2000, 101));
        assert!(has_hole(&bytes, 412, 0));
    }
}
