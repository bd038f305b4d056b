//! One header block: fixed fields, octal and base-256 numbers, checksum.

use std::io::{self, Read};

use super::{BLOCK, TarError};

/// The fields of a header block as they stand, before extended headers change them.
pub(super) struct Header {
    block: [u8; BLOCK],
}

impl Header {
    /// `Ok(None)` for the block of zeros that ends an archive.
    pub(super) fn parse(block: [u8; BLOCK]) -> Result<Option<Self>, TarError> {
        if block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let header = Self { block };
        let stored = header.number(148, 8)?;
        let (unsigned, signed) = header.checksums();
        if stored != unsigned && stored != signed {
            return Err(TarError::Header("wrong checksum"));
        }
        Ok(Some(header))
    }

    /// Old tools summed signed characters.
    fn checksums(&self) -> (i64, i64) {
        self.block.iter().enumerate().fold((0, 0), |(unsigned, signed), (at, byte)| {
            let byte = if (148..156).contains(&at) { b' ' } else { *byte };
            (unsigned + i64::from(byte), signed + i64::from(byte.cast_signed()))
        })
    }

    fn text(&self, at: usize, len: usize) -> &[u8] {
        let field = &self.block[at..at + len];
        let end = field.iter().position(|b| *b == 0).unwrap_or(len);
        &field[..end]
    }

    /// A number of `len` bytes: octal between blanks, or base-256 when the first bit is set.
    pub(super) fn number(&self, at: usize, len: usize) -> Result<i64, TarError> {
        parse_number(&self.block[at..at + len])
    }

    pub(super) fn is_posix(&self) -> bool {
        &self.block[257..263] == b"ustar\0"
    }

    pub(super) fn is_gnu(&self) -> bool {
        &self.block[257..265] == b"ustar  \0"
    }

    pub(super) fn name(&self) -> Vec<u8> {
        let name = self.text(0, 100);
        let prefix: &[u8] = if self.is_posix() { self.text(345, 155) } else { b"" };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn link_name(&self) -> &[u8] {
        self.text(157, 100)
    }

    pub(super) fn kind(&self) -> u8 {
        self.block[156]
    }

    pub(super) fn mode(&self) -> Result<i64, TarError> {
        self.number(100, 8)
    }

    pub(super) fn uid(&self) -> Result<i64, TarError> {
        self.number(108, 8)
    }

    pub(super) fn gid(&self) -> Result<i64, TarError> {
        self.number(116, 8)
    }

    pub(super) fn size(&self) -> Result<u64, TarError> {
        u64::try_from(self.number(124, 12)?).map_err(|_| TarError::Header("negative size"))
    }

    pub(super) fn mtime(&self) -> Result<i64, TarError> {
        self.number(136, 12)
    }

    /// Major and minor number; only the ustar formats have them.
    pub(super) fn device(&self) -> Result<(i64, i64), TarError> {
        if self.is_posix() || self.is_gnu() { Ok((self.number(329, 8)?, self.number(337, 8)?)) } else { Ok((0, 0)) }
    }

    /// The part of the block from `at` on: GNU's sparse map lives in it.
    pub(super) fn tail(&self, at: usize) -> &[u8] {
        &self.block[at..]
    }
}

pub(super) fn parse_number(field: &[u8]) -> Result<i64, TarError> {
    const BAD: TarError = TarError::Header("not a number");
    if let Some(first) = field.first()
        && first & 0x80 != 0
    {
        // Two's complement in big-endian order after the marker bit.
        let negative = first & 0x40 != 0;
        let mut value: i64 = if negative { -1 } else { 0 };
        for (at, byte) in field.iter().enumerate() {
            let byte = match (at, negative) {
                (0, false) => byte & 0x7f,
                (0, true) => byte | 0x80,
                _ => *byte,
            };
            // A shift may only push out copies of the sign.
            if value >> 55 != 0 && value >> 55 != -1 {
                return Err(BAD);
            }
            value = (value << 8) | i64::from(byte);
        }
        return Ok(value);
    }
    let blank = |b: &u8| matches!(b, b' ' | 0);
    let start = field.iter().position(|b| !blank(b)).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    digits[..end].iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'7' if value >> 60 == 0 => Ok(value << 3 | i64::from(digit - b'0')),
        _ => Err(BAD),
    })
}

pub(super) fn read_exact(input: &mut impl Read, buffer: &mut [u8]) -> Result<(), TarError> {
    input.read_exact(buffer).map_err(into_tar)
}

pub(super) fn into_tar(error: io::Error) -> TarError {
    if error.kind() == io::ErrorKind::UnexpectedEof { TarError::Truncated } else { TarError::Read(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let cases: [(&[u8], Option<i64>); 12] = [
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"644     ", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"77777777777\0", Some(0o77_777_777_777)),
            (b"0000648\0", None),
            (b"-000001\0", None),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(0x2_0000_0000)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"777777777777777777777777", None),
        ];
        for (field, value) in cases {
            assert_eq!(parse_number(field).ok(), value, "{field:?}");
        }
    }

    #[test]
    fn zeros_end_and_a_wrong_checksum_is_refused() {
        assert!(matches!(Header::parse([0; BLOCK]), Ok(None)));
        let mut block = [0; BLOCK];
        block[0] = b'a';
        assert!(matches!(Header::parse(block), Err(TarError::Header("wrong checksum"))));
    }
}
