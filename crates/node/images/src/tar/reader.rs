//! The stream of entries.
//!
//! [`TarReader::next_entry`] gives the next entry with everything that extended headers said of it; until it is called
//! again, reading from the reader gives that entry's data. The archive ends at its first block of zeros, or where its input
//! ends between two entries. After an error the reader must not be used.

use std::io::{self, Read};

use super::header::{Header, into_tar, read_exact};
use super::pax::{Pax, Timestamp};
use super::sparse::{self, Extent};
use super::{BLOCK, EXTENDED_BYTES_MAX, TarError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Regular,
    Directory,
    Symlink,
    HardLink,
    CharDevice,
    BlockDevice,
    Fifo,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub kind: Kind,
    /// As it stands in the archive, with whatever slashes and dots it has; never with a zero byte.
    pub path: Vec<u8>,
    /// Where a link leads, as it stands.
    pub link: Vec<u8>,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: Timestamp,
    pub atime: Option<Timestamp>,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// The file's size, holes included.
    pub size: u64,
    /// Where the data go when the file has holes; without, they are the whole file.
    pub extents: Option<Vec<Extent>>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

pub(crate) struct TarReader<R> {
    input: R,
    /// Of the current entry's data.
    data_left: u64,
    padding: u64,
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, data_left: 0, padding: 0 }
    }

    pub(crate) fn into_inner(self) -> R {
        self.input
    }

    /// Skips what is left of the current entry and reads the next header; `None` at the end of the archive.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let mut long_name = None;
        let mut long_link = None;
        let mut pax: Option<Pax> = None;
        loop {
            self.skip_data()?;
            let Some(header) = self.next_header()? else { return Ok(None) };
            let size = header.size();
            match header.kind() {
                b'L' => long_name = Some(text(self.extended(size?)?)),
                b'K' => long_link = Some(text(self.extended(size?)?)),
                b'x' | b'X' => pax = Some(Pax::parse(&self.extended(size?)?)?),
                // Comments of whole archives, such as git's commit; upstream runtimes ignore them too.
                b'g' => self.begin_data(size?)?,
                _ => {
                    let entry =
                        self.entry(&header, long_name.take(), long_link.take(), pax.take().unwrap_or_default())?;
                    return Ok(Some(entry));
                }
            }
        }
    }

    fn entry(
        &mut self,
        header: &Header,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
        pax: Pax,
    ) -> Result<Entry, TarError> {
        let path = pax.sparse.name.clone().or(pax.path).or(long_name).unwrap_or_else(|| header.name());
        let kind = match header.kind() {
            // Before POSIX, a directory was a file whose name ends with a slash.
            b'0' | 0 if path.ends_with(b"/") => Kind::Directory,
            b'0' | 0 | b'7' | b'S' => Kind::Regular,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::CharDevice,
            b'4' => Kind::BlockDevice,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => return Err(TarError::Kind(char::from(other))),
        };
        // Only files have data, whatever the size field of another entry says (pax writes the target's size for links).
        let has_data = matches!(header.kind(), b'0' | 0 | b'7' | b'S');
        let mut stored = if has_data { pax.size.map_or_else(|| header.size(), Ok)? } else { 0 };
        self.begin_data(stored)?;
        let before = stored;
        let sparse = if header.kind() == b'S' {
            Some(sparse::old_gnu(header, &mut self.input, stored)?)
        } else if kind == Kind::Regular {
            pax.sparse.map(&mut self.input, &mut stored)?
        } else {
            None
        };
        self.data_left -= before - stored;
        let (size, extents) = match sparse {
            Some(map) => (map.real_size, Some(map.extents)),
            None => (stored, None),
        };
        let id = |pax: Option<i64>, own: fn(&Header) -> Result<i64, TarError>| {
            let id = pax.map_or_else(|| own(header), Ok)?;
            u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or(TarError::Header("owner out of range"))
        };
        let is_device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
        let device = if is_device { device_numbers(header.device()?)? } else { (0, 0) };
        Ok(Entry {
            kind,
            path,
            link: pax.link_path.or(long_link).unwrap_or_else(|| header.link_name().to_vec()),
            mode: (header.mode()? & 0o7777) as u32,
            uid: id(pax.uid, Header::uid)?,
            gid: id(pax.gid, Header::gid)?,
            mtime: pax.mtime.map_or_else(|| Ok(Timestamp { seconds: header.mtime()?, nanos: 0 }), Ok)?,
            atime: pax.atime,
            device,
            size,
            extents,
            xattrs: pax.xattrs,
        })
    }

    fn next_header(&mut self) -> Result<Option<Header>, TarError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(TarError::Truncated),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Read(error)),
            }
        }
        Header::parse(block)
    }

    fn begin_data(&mut self, size: u64) -> Result<(), TarError> {
        let padded = size.checked_next_multiple_of(BLOCK as u64).ok_or(TarError::Header("size out of range"))?;
        (self.data_left, self.padding) = (size, padded - size);
        Ok(())
    }

    /// The data of an extended header.
    fn extended(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > EXTENDED_BYTES_MAX {
            return Err(TarError::ExtendedTooLong(size));
        }
        self.begin_data(size)?;
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).map_err(into_tar)?;
        Ok(bytes)
    }

    /// Leaves the rest of the current entry to `skip`, which moves the input on by as many bytes: a file can do so without
    /// reading them.
    pub(crate) fn skip_with(&mut self, skip: impl FnOnce(&mut R, u64)) {
        skip(&mut self.input, self.data_left + self.padding);
        (self.data_left, self.padding) = (0, 0);
    }

    fn skip_data(&mut self) -> Result<(), TarError> {
        let mut left = self.data_left + self.padding;
        let mut scratch = [0; 8192];
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(scratch.len());
            read_exact(&mut self.input, &mut scratch[..want])?;
            left -= want as u64;
        }
        (self.data_left, self.padding) = (0, 0);
        Ok(())
    }
}

/// The data of the current entry.
impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.data_left).unwrap_or(usize::MAX).min(buffer.len());
        if want == 0 {
            return Ok(0);
        }
        match self.input.read(&mut buffer[..want])? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, TarError::Truncated)),
            read => {
                self.data_left -= read as u64;
                Ok(read)
            }
        }
    }
}

/// GNU long names end with a zero byte.
fn text(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|b| *b == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// Linux has 12 bits for the major and 20 for the minor number.
fn device_numbers((major, minor): (i64, i64)) -> Result<(u32, u32), TarError> {
    match (u32::try_from(major), u32::try_from(minor)) {
        (Ok(major), Ok(minor)) if major < 1 << 12 && minor < 1 << 20 => Ok((major, minor)),
        _ => Err(TarError::Header("device number out of range")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn archive(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        build(&mut builder);
        builder.into_inner().unwrap()
    }

    fn header(kind: tar::EntryType, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o4755);
        header.set_uid(7);
        header.set_gid(3_000_000);
        header.set_mtime(1_700_000_000);
        header
    }

    fn entries(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
        let mut reader = TarReader::new(bytes);
        let mut found = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            let mut data = Vec::new();
            reader.read_to_end(&mut data).map_err(into_tar)?;
            found.push((entry, data));
        }
        Ok(found)
    }

    #[test]
    fn files_links_and_long_names() {
        let long = format!("{}/file", "d".repeat(150));
        let bytes = archive(|tar| {
            tar.append_data(&mut header(tar::EntryType::Regular, 3), &long, &b"abc"[..]).unwrap();
            tar.append_link(&mut header(tar::EntryType::Symlink, 0), "link", "t".repeat(120)).unwrap();
            tar.append_link(&mut header(tar::EntryType::Link, 99), "hard", &long).unwrap();
            let mut null = header(tar::EntryType::Char, 0);
            null.set_device_major(1).unwrap();
            null.set_device_minor(3).unwrap();
            tar.append_data(&mut null, "null", &b""[..]).unwrap();
        });
        let found = entries(&bytes).unwrap();
        assert_eq!(found.len(), 4);
        let (file, data) = &found[0];
        assert_eq!((file.kind, file.path.as_slice(), data.as_slice()), (Kind::Regular, long.as_bytes(), &b"abc"[..]));
        assert_eq!((file.mode, file.uid, file.gid, file.mtime.seconds), (0o4755, 7, 3_000_000, 1_700_000_000));
        assert_eq!((found[1].0.kind, found[1].0.link.len()), (Kind::Symlink, 120));
        assert_eq!((found[2].0.kind, &found[2].0.link), (Kind::HardLink, &long.into_bytes()));
        assert_eq!((found[3].0.kind, found[3].0.device), (Kind::CharDevice, (1, 3)));
    }

    #[test]
    fn pax_overrides_the_header() {
        let bytes = archive(|tar| {
            let records =
                [("path", b"p/q".as_slice()), ("uid", b"5000000"), ("SCHILY.xattr.user.x", b"1\n2"), ("size", b"2")];
            tar.append_pax_extensions(records).unwrap();
            let mut entry = header(tar::EntryType::Regular, 2);
            entry.set_path("short").unwrap();
            entry.set_cksum();
            tar.append(&entry, &b"hi"[..]).unwrap();
            tar.append_data(&mut header(tar::EntryType::Directory, 0), "next/", &b""[..]).unwrap();
        });
        let found = entries(&bytes).unwrap();
        let (first, data) = &found[0];
        assert_eq!((first.path.as_slice(), first.uid, data.as_slice()), (&b"p/q"[..], 5_000_000, &b"hi"[..]));
        assert_eq!(first.xattrs, [(b"user.x".to_vec(), b"1\n2".to_vec())]);
        assert_eq!((found[1].0.kind, found[1].0.path.as_slice(), found[1].0.uid), (Kind::Directory, &b"next/"[..], 7));
    }

    #[test]
    fn damaged_archives_are_refused() {
        let whole = archive(|tar| {
            tar.append_data(&mut header(tar::EntryType::Regular, 600), "f", &[b'x'; 600][..]).unwrap();
        });
        assert_eq!(entries(&whole).unwrap().len(), 1);
        for cut in [1, 511, 513, 1000, 1535] {
            assert!(matches!(entries(&whole[..cut]), Err(TarError::Truncated)), "cut at {cut}");
        }
        assert_eq!(entries(&whole[..1536]).unwrap().len(), 1, "the end-of-archive blocks may be missing");
        assert!(entries(b"").unwrap().is_empty());

        let bomb = archive(|tar| {
            let mut long = header(tar::EntryType::GNULongName, 3 << 30);
            long.set_path("x").unwrap();
            long.set_cksum();
            tar.append(&long, io::empty()).unwrap();
        });
        assert!(matches!(entries(&bomb), Err(TarError::ExtendedTooLong(_))));
        let odd = archive(|tar| {
            tar.append_data(&mut header(tar::EntryType::new(b'M'), 0), "x", &b""[..]).unwrap();
        });
        assert!(matches!(entries(&odd), Err(TarError::Kind('M'))));
    }

    proptest! {
        #[test]
        fn whatever_bytes_change_nothing_panics(
            changes in prop::collection::vec((0..4096_usize, any::<u8>()), 1..12),
            fix_checksum in any::<bool>(),
        ) {
            let mut bytes = archive(|tar| {
                tar.append_pax_extensions([("path", &b"a/b"[..]), ("GNU.sparse.map", b"0,1,5,1"), ("GNU.sparse.size", b"9")])
                    .unwrap();
                tar.append_data(&mut header(tar::EntryType::Regular, 2), "s", &b"xy"[..]).unwrap();
                tar.append_data(&mut header(tar::EntryType::Regular, 700), "n".repeat(130), &[7; 700][..]).unwrap();
            });
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            if fix_checksum {
                for block in bytes.chunks_exact_mut(BLOCK) {
                    block[148..156].fill(b' ');
                    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
                    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
                }
            }
            let _ = entries(&bytes);
        }
    }
}
