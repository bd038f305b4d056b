//! The form of what is on the disk: frames with a checksum, each holding the records of one batch.
//!
//! A frame is `length: u32, crc32c: u32, payload`, little-endian; the checksum covers the length and the payload. A payload is
//! the revision before it and then records, so that frames form a chain without gaps, and a last byte that is never zero, so that
//! a frame whose end was not written is told from one that was damaged later. A length of zero is unwritten space.

use std::sync::Arc;

use bytes::Bytes;

use crate::encryption::Encryption;
use crate::item::Item;

/// First in every file, with the version of the format.
pub(super) const MAGIC: &[u8; 8] = b"WLSTORE2";
/// The version before, whose payloads have no [`END`].
pub(super) const MAGIC_1: &[u8; 8] = b"WLSTORE1";
pub(super) const HEADER: usize = 8;
/// A frame is one batch: its transactions and at most one more.
pub(crate) const FRAME_MAX: usize = 64 << 20;

const DELETED: u8 = 1;
const SEALED: u8 = 2;
/// After the last record, in the place of flags. One flipped bit does not make it zero.
const END: u8 = 0xE5;

/// One write of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub table: Arc<str>,
    pub item: Arc<Item>,
    pub deleted: bool,
}

/// Adds a frame of `records` to `out`; `before` is the revision before them. The error says why a value cannot be encrypted.
pub(super) fn push_frame<'a>(
    out: &mut Vec<u8>,
    before: u64,
    records: impl Iterator<Item = (&'a str, &'a Item, bool)>,
    encryption: &dyn Encryption,
) -> Result<(), String> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    out.extend_from_slice(&before.to_le_bytes());
    for (table, item, deleted) in records {
        let sealed = if deleted { None } else { encryption.seal(table, &item.key, &item.value)? };
        let value = match (&sealed, deleted) {
            (_, true) => &[],
            (Some(sealed), false) => sealed.as_slice(),
            (None, false) => &item.value,
        };
        out.push(if deleted { DELETED } else { 0 } | if sealed.is_some() { SEALED } else { 0 });
        out.extend_from_slice(&item.revision.to_le_bytes());
        out.extend_from_slice(&item.created.to_le_bytes());
        out.extend_from_slice(&item.expires.to_le_bytes());
        out.extend_from_slice(&item.hole.to_le_bytes());
        for part in [table.as_bytes(), item.key.as_bytes(), value] {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
            out.extend_from_slice(part);
        }
    }
    out.push(END);
    let length = (out.len() - start - HEADER) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    let checksum = checksum(&out[start..start + 4], &out[start + HEADER..]);
    out[start + 4..start + HEADER].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// The checksum of a frame, of its length and its payload.
pub(super) fn checksum(length: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(length), payload)
}

/// The payload of the frame at the start of `bytes`; `None` when there is no whole, sound frame.
pub(super) fn split_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let length = u32::from_le_bytes(header[..4].try_into().ok()?) as usize;
    if length == 0 || length > FRAME_MAX {
        return None;
    }
    let (payload, rest) = rest.split_at_checked(length)?;
    is_sound(header.first_chunk()?, payload).then_some((payload, rest))
}

/// Whether a payload matches the checksum in its frame's header.
pub(super) fn is_sound(header: &[u8; HEADER], payload: &[u8]) -> bool {
    let (length, expected) = header.split_at(4);
    checksum(length, payload).to_le_bytes() == expected
}

/// The revision before a frame's records.
pub(super) fn revision_before(payload: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*payload.first_chunk()?))
}

/// Whether a payload has no records.
pub(super) fn is_empty(payload: &[u8]) -> bool {
    matches!(payload.get(8..), Some([] | [END]))
}

/// Whether a payload, which need not match its checksum, has every byte of its records: they reach from the start to [`END`], and nowhere
/// in them are the zeros that an unwritten sector has. What is encrypted may have a zero, but no row of them.
pub(super) fn has_all_records(payload: &[u8]) -> bool {
    const FIXED: usize = 28;
    const ZEROS: [u8; 16] = [0; 16];
    let is_text = |bytes: &[u8]| !bytes.is_empty() && !bytes.contains(&0);
    let Some(mut rest) = payload.get(8..) else { return false };
    while let Some((&flags, after)) = rest.split_first() {
        if flags == END {
            return after.is_empty();
        }
        let mut read = || -> Option<bool> {
            rest = after.get(FIXED..)?;
            let mut part = || {
                let (length, after) = rest.split_first_chunk::<4>()?;
                let (part, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
                rest = after;
                Some(part)
            };
            let (table, key, value) = (part()?, part()?, part()?);
            let is_value = match flags {
                DELETED => value.is_empty(),
                SEALED => !value.windows(ZEROS.len()).any(|window| window == ZEROS),
                0 => is_text(value),
                _ => return None,
            };
            Some(is_text(table) && is_text(key) && is_value)
        };
        if read() != Some(true) {
            return false;
        }
    }
    false
}

/// A payload with a right checksum whose records have another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// What a record says of an object.
#[derive(Debug)]
pub(crate) enum Found {
    Put(Item),
    Deleted(Item),
    /// It was put, and the value cannot be decrypted.
    Locked {
        key: String,
        revision: u64,
        why: String,
    },
}

impl Found {
    pub(crate) fn revision(&self) -> u64 {
        match self {
            Self::Put(item) | Self::Deleted(item) => item.revision,
            Self::Locked { revision, .. } => *revision,
        }
    }
}

/// Gives each record of a payload, and the name of its table, to `take`.
pub(super) fn read_records(
    payload: &[u8],
    encryption: &dyn Encryption,
    mut take: impl FnMut(&str, Found),
) -> Result<(), Malformed> {
    let mut rest = payload.get(8..).ok_or(Malformed)?;
    while !rest.is_empty() {
        let flags = take_array::<1>(&mut rest)?[0];
        if flags == END && rest.is_empty() {
            return Ok(());
        }
        let revision = u64::from_le_bytes(take_array(&mut rest)?);
        let created = u64::from_le_bytes(take_array(&mut rest)?);
        let expires = i64::from_le_bytes(take_array(&mut rest)?);
        let hole = u32::from_le_bytes(take_array(&mut rest)?);
        let table = take_text(&mut rest)?;
        let key = take_text(&mut rest)?;
        let value = take_bytes(&mut rest)?;
        let value = if flags & SEALED == 0 {
            Box::<[u8]>::from(value)
        } else {
            match encryption.open(table, key, value) {
                Ok(value) => value.into_boxed_slice(),
                Err(why) => {
                    take(table, Found::Locked { key: key.to_owned(), revision, why });
                    continue;
                }
            }
        };
        let deleted = flags & DELETED != 0;
        if !deleted && value.len() < hole as usize + crate::item::digits(revision) {
            return Err(Malformed);
        }
        let item = Item::loaded(key, revision, created, expires, Bytes::from(value), hole);
        take(table, if deleted { Found::Deleted(item) } else { Found::Put(item) });
    }
    Ok(())
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (array, after) = rest.split_first_chunk().ok_or(Malformed)?;
    *rest = after;
    Ok(*array)
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = u32::from_le_bytes(take_array(rest)?) as usize;
    let (bytes, after) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = after;
    Ok(bytes)
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Result<&'a str, Malformed> {
    std::str::from_utf8(take_bytes(rest)?).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use windlass_machinery::json::Template;

    use super::*;
    use crate::encryption::Plaintext;

    /// Turns the bytes of Secrets round.
    #[derive(Debug)]
    struct Reversed;

    impl Encryption for Reversed {
        fn check(&self, _table: &str) -> Result<(), String> {
            Ok(())
        }

        fn seal(&self, table: &str, _key: &str, value: &[u8]) -> Result<Option<Vec<u8>>, String> {
            Ok((table == "secrets").then(|| value.iter().rev().copied().collect()))
        }

        fn open(&self, _table: &str, _key: &str, sealed: &[u8]) -> Result<Vec<u8>, String> {
            Ok(sealed.iter().rev().copied().collect())
        }
    }

    #[test]
    fn records_survive_the_round_trip() {
        let item = Item::new("ns/a", &Template::new(&json!({"data": {"x": "y"}})), 12, 3, 99);
        let mut out = Vec::new();
        push_frame(&mut out, 11, [("secrets", &item, false), ("pods", &item, true)].into_iter(), &Reversed).unwrap();
        let (payload, rest) = split_frame(&out).unwrap();
        assert!(rest.is_empty());
        assert_eq!(revision_before(payload), Some(11));
        let mut read = Vec::new();
        read_records(payload, &Reversed, |table, found| read.push((table.to_owned(), found))).unwrap();
        let [(secrets, Found::Put(put)), (_, Found::Deleted(deleted))] = &read[..] else { panic!("{read:?}") };
        assert_eq!((secrets.as_str(), &put.value, put.expires), ("secrets", &item.value, 99));
        assert!(deleted.value.is_empty());
        read_records(payload, &Plaintext, |table, found| read.push((table.to_owned(), found))).unwrap();
        let (_, Found::Locked { key, revision, why }) = &read[2] else { panic!("{read:?}") };
        assert_eq!((key.as_str(), *revision, why.as_str()), ("ns/a", 12, "there is no key"));
        for at in 0..out.len() {
            let mut damaged = out.clone();
            damaged[at] ^= 0x10;
            assert!(split_frame(&damaged).is_none(), "a flipped bit at {at} goes unnoticed");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = split_frame(&bytes);
            let _ = read_records(&bytes, &Plaintext, |_, _| {});
        }
    }
}
