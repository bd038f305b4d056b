//! Sparse files: where their data lie. GNU's old headers and the three pax versions (0.0, 0.1, 1.0).

use std::io::Read;

use super::header::{Header, parse_number};
use super::{BLOCK, EXTENTS_MAX, TarError};

/// A run of data within a sparse file; what lies between runs is a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub offset: u64,
    pub len: u64,
}

/// What pax records say about a sparse file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PaxSparse {
    pub(super) major: Option<u32>,
    pub(super) minor: Option<u32>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) real_size: Option<u64>,
    pub(super) extents: Option<Vec<Extent>>,
    /// Version 0.0 writes offset and length as two records.
    pub(super) pending_offset: Option<u64>,
}

/// A sparse file's full size and the extents that its data in the archive fill, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SparseMap {
    pub(super) real_size: u64,
    pub(super) extents: Vec<Extent>,
}

impl SparseMap {
    /// Extents must be in order, apart, within the file, and hold as many bytes as the archive does.
    fn checked(self, stored: u64) -> Result<Self, TarError> {
        let mut end = 0;
        let mut sum = 0_u64;
        for extent in &self.extents {
            let stop = extent.offset.checked_add(extent.len).ok_or(TarError::Sparse)?;
            if extent.offset < end || stop > self.real_size {
                return Err(TarError::Sparse);
            }
            end = stop;
            sum += extent.len;
        }
        if sum == stored && self.extents.len() <= EXTENTS_MAX { Ok(self) } else { Err(TarError::Sparse) }
    }
}

/// GNU's old form (type `S`): four extents in the header, more in blocks that follow it.
pub(super) fn old_gnu(header: &Header, input: &mut impl Read, stored: u64) -> Result<SparseMap, TarError> {
    let real_size = u64::try_from(header.number(483, 12)?).map_err(|_| TarError::Sparse)?;
    let mut extents = Vec::new();
    push_extents(&header.tail(386)[..96], &mut extents)?;
    let mut more = header.tail(482)[0] != 0;
    while more {
        let mut block = [0; BLOCK];
        super::header::read_exact(input, &mut block)?;
        push_extents(&block[..504], &mut extents)?;
        more = block[504] != 0;
    }
    SparseMap { real_size, extents }.checked(stored)
}

fn push_extents(fields: &[u8], extents: &mut Vec<Extent>) -> Result<(), TarError> {
    for pair in fields.chunks_exact(24) {
        if pair[0] == 0 {
            break;
        }
        let field = |bytes| u64::try_from(parse_number(bytes)?).map_err(|_| TarError::Sparse);
        extents.push(Extent { offset: field(&pair[..12])?, len: field(&pair[12..])? });
        if extents.len() > EXTENTS_MAX {
            return Err(TarError::Sparse);
        }
    }
    Ok(())
}

impl PaxSparse {
    /// The map of the entry that these records precede, or `None` when they describe no sparse file. Version 1.0 keeps the
    /// map at the head of the data, so `input` stands there and `stored` shrinks by what the map took.
    pub(super) fn map(self, input: &mut impl Read, stored: &mut u64) -> Result<Option<SparseMap>, TarError> {
        let in_data = self.major == Some(1) && self.minor == Some(0);
        let Some(real_size) = self.real_size else {
            return if in_data || self.extents.is_some() { Err(TarError::Sparse) } else { Ok(None) };
        };
        let extents = match self.extents {
            Some(extents) if !in_data => extents,
            None if in_data => read_map(input, stored)?,
            _ => return Err(TarError::Sparse),
        };
        SparseMap { real_size, extents }.checked(*stored).map(Some)
    }
}

/// Version 1.0: decimal numbers, each on a line, the count first, padded to whole blocks.
fn read_map(input: &mut impl Read, stored: &mut u64) -> Result<Vec<Extent>, TarError> {
    let mut block = [0_u8; BLOCK];
    let mut at = BLOCK;
    let mut line = || -> Result<u64, TarError> {
        let mut value: Option<u64> = None;
        loop {
            if at == BLOCK {
                *stored = stored.checked_sub(BLOCK as u64).ok_or(TarError::Sparse)?;
                super::header::read_exact(input, &mut block)?;
                at = 0;
            }
            let byte = block[at];
            at += 1;
            value = match byte {
                b'\n' => return value.ok_or(TarError::Sparse),
                b'0'..=b'9' => Some(
                    value
                        .unwrap_or(0)
                        .checked_mul(10)
                        .and_then(|v| v.checked_add(u64::from(byte - b'0')))
                        .ok_or(TarError::Sparse)?,
                ),
                _ => return Err(TarError::Sparse),
            };
        }
    };
    let count = usize::try_from(line()?).ok().filter(|count| *count <= EXTENTS_MAX).ok_or(TarError::Sparse)?;
    (0..count).map(|_| Ok(Extent { offset: line()?, len: line()? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(real_size: u64, extents: &[(u64, u64)]) -> SparseMap {
        let extents = extents.iter().map(|(offset, len)| Extent { offset: *offset, len: *len }).collect();
        SparseMap { real_size, extents }
    }

    #[test]
    fn maps_are_checked() {
        assert!(map(10, &[(0, 2), (5, 5)]).checked(7).is_ok());
        assert!(map(10, &[(10, 0)]).checked(0).is_ok());
        assert!(map(10, &[(0, 2), (5, 5)]).checked(8).is_err(), "other bytes than stored");
        assert!(map(10, &[(0, 6), (5, 5)]).checked(11).is_err(), "overlap");
        assert!(map(10, &[(5, 6)]).checked(6).is_err(), "past the end");
        assert!(map(10, &[(u64::MAX, 6)]).checked(6).is_err(), "overflow");
    }

    #[test]
    fn the_map_at_the_head_of_the_data() {
        let mut data = b"2\n0\n3\n100\n4\n".to_vec();
        data.resize(BLOCK, 0);
        let records = || PaxSparse { major: Some(1), minor: Some(0), real_size: Some(200), ..Default::default() };
        let mut stored = BLOCK as u64 + 7;
        let found = records().map(&mut data.as_slice(), &mut stored).unwrap().unwrap();
        assert_eq!((found, stored), (map(200, &[(0, 3), (100, 4)]), 7));
        assert!(records().map(&mut &data[..9], &mut { stored }).is_err(), "cut off");
        let mut endless = b"99999999\n".to_vec();
        endless.resize(BLOCK, b'1');
        assert!(records().map(&mut endless.as_slice(), &mut (1 << 30)).is_err(), "too many");
    }
}
