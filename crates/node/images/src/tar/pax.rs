//! Pax extended headers: records of `length key=value\n` that override fields of the header that follows.

use super::sparse::PaxSparse;
use super::{Extent, TarError};

const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// Seconds since the epoch and nanoseconds within.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timestamp {
    pub seconds: i64,
    pub nanos: u32,
}

/// What a pax header says about the next entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link_path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<i64>,
    pub(super) gid: Option<i64>,
    pub(super) mtime: Option<Timestamp>,
    pub(super) atime: Option<Timestamp>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: PaxSparse,
}

impl Pax {
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, TarError> {
        let mut pax = Self::default();
        while !bytes.is_empty() {
            let (key, value, rest) = record(bytes).ok_or(TarError::Pax)?;
            pax.apply(key, value)?;
            bytes = rest;
        }
        Ok(pax)
    }

    fn apply(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarError> {
        // An empty value takes an earlier record back.
        let text = || (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = path(text())?,
            b"linkpath" => self.link_path = path(text())?,
            b"size" => self.size = number(value)?,
            b"uid" => self.uid = number(value)?,
            b"gid" => self.gid = number(value)?,
            b"mtime" => self.mtime = timestamp(value)?,
            b"atime" => self.atime = timestamp(value)?,
            b"GNU.sparse.major" => self.sparse.major = number(value)?,
            b"GNU.sparse.minor" => self.sparse.minor = number(value)?,
            b"GNU.sparse.name" => self.sparse.name = path(text())?,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.real_size = number(value)?,
            b"GNU.sparse.map" => self.sparse.extents = Some(sparse_map(value)?),
            b"GNU.sparse.offset" => self.sparse.pending_offset = number(value)?,
            b"GNU.sparse.numbytes" => {
                let offset = self.sparse.pending_offset.take().ok_or(TarError::Sparse)?;
                let len = number(value)?.ok_or(TarError::Sparse)?;
                self.sparse.extents.get_or_insert_default().push(Extent { offset, len });
            }
            _ => {
                if let Some(name) = key.strip_prefix(XATTR_PREFIX)
                    && !name.is_empty()
                    && !name.contains(&0)
                {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// Splits the first record off: its key, its value and what follows.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|b| *b == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    if length > bytes.len() || length <= space + 1 {
        return None;
    }
    let (record, rest) = bytes.split_at(length);
    let body = record[space + 1..].strip_suffix(b"\n")?;
    let equals = body.iter().position(|b| *b == b'=')?;
    (equals > 0).then(|| (&body[..equals], &body[equals + 1..], rest))
}

fn path(value: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, TarError> {
    match value {
        Some(path) if path.contains(&0) => Err(TarError::Pax),
        other => Ok(other),
    }
}

fn number<T: std::str::FromStr>(value: &[u8]) -> Result<Option<T>, TarError> {
    if value.is_empty() {
        return Ok(None);
    }
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).map(Some).ok_or(TarError::Pax)
}

/// Decimal seconds, with a fraction of any length.
fn timestamp(value: &[u8]) -> Result<Option<Timestamp>, TarError> {
    if value.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(value).map_err(|_| TarError::Pax)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| TarError::Pax)?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(TarError::Pax);
    }
    let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9).fold(0, |n, b| n * 10 + u32::from(b - b'0'));
    if whole.starts_with('-') && nanos > 0 {
        return Ok(Some(Timestamp {
            seconds: seconds.checked_sub(1).ok_or(TarError::Pax)?,
            nanos: 1_000_000_000 - nanos,
        }));
    }
    Ok(Some(Timestamp { seconds, nanos }))
}

/// `offset,length,offset,length…` of version 0.1.
fn sparse_map(value: &[u8]) -> Result<Vec<Extent>, TarError> {
    let text = std::str::from_utf8(value).map_err(|_| TarError::Sparse)?;
    let numbers: Vec<u64> = text.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| TarError::Sparse)?;
    let (pairs, odd) = numbers.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(TarError::Sparse);
    }
    Ok(pairs.iter().map(|[offset, len]| Extent { offset: *offset, len: *len }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record's length counts itself.
    fn records_of(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (key, value) in pairs {
            let rest = key.len() + value.len() + 3;
            let length = (rest + 1..).find(|length| rest + length.to_string().len() == *length).unwrap();
            bytes.extend(format!("{length} {key}={value}\n").into_bytes());
        }
        bytes
    }

    #[test]
    fn records() {
        let bytes = records_of(&[
            ("path", "foo/bar"),
            ("mtime", "1350244992.5"),
            ("uid", "1234"),
            ("comment", "ignored"),
            ("SCHILY.xattr.user.a", "x\ny=z"),
            ("path", "last/wins"),
        ]);
        let pax = Pax::parse(&bytes).unwrap();
        assert_eq!(pax.path.as_deref(), Some(b"last/wins".as_slice()));
        assert_eq!(pax.mtime, Some(Timestamp { seconds: 1_350_244_992, nanos: 500_000_000 }));
        assert_eq!(pax.uid, Some(1234));
        assert_eq!(pax.xattrs, [(b"user.a".to_vec(), b"x\ny=z".to_vec())]);
        assert!(Pax::parse(&bytes[1..]).is_err(), "a wrong length");
    }

    #[test]
    fn refused() {
        let cases: [&[u8]; 8] =
            [b"x", b"5 a=b", b"99 a=b\n", b"0 a=b\n", b"3 \n\n", b"5 =b\n", b"13 uid=99x99\n", b"12 path=a\0b\n"];
        for bytes in cases {
            assert!(Pax::parse(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn times() {
        let at = |text: &str| timestamp(text.as_bytes()).ok().flatten().map(|t| (t.seconds, t.nanos));
        assert_eq!(at("12"), Some((12, 0)));
        assert_eq!(at("12."), Some((12, 0)));
        assert_eq!(at("12.0000000019"), Some((12, 1)));
        assert_eq!(at("-1.25"), Some((-2, 750_000_000)));
        assert_eq!(at("1.2x"), None);
        assert_eq!(at(".5"), None);
    }
}
