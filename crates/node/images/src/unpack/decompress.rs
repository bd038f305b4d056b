//! Which compression a stream has, and the decoder for it.
//!
//! The first bytes tell, not the media type: registries and tools are wrong about it often enough that containerd looks at
//! the bytes too.

use std::io::{self, BufRead, BufReader, Read};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// 128 MiB, the most that zstd's own tools accept unasked. A decoder allocates what the frame declares, usually 2 to 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
const INPUT_BUFFER_BYTES: usize = 64 << 10;

impl Compression {
    /// `head` is the beginning of the stream, at least four bytes where the stream has as many.
    pub fn detect(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame, with which some zstd writers begin.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// Bytes whose first ones have been looked at, put back in front.
type Peeked<R> = BufReader<io::Chain<io::Cursor<Vec<u8>>, R>>;

/// Plain bytes of a stream, whatever its compression.
pub enum Decoder<R: Read> {
    None(Peeked<R>),
    // Layers may be several gzip members one after the other (pigz, eStargz).
    Gzip(Box<flate2::bufread::MultiGzDecoder<Peeked<R>>>),
    Zstd(Box<zstd::Decoder<'static, Peeked<R>>>),
}

impl<R: Read> Decoder<R> {
    /// Reads the first bytes of `input` to choose.
    pub fn new(mut input: R) -> io::Result<Self> {
        let mut head = Vec::with_capacity(4);
        input.by_ref().take(4).read_to_end(&mut head)?;
        let compression = Compression::detect(&head);
        let input = BufReader::with_capacity(INPUT_BUFFER_BYTES, io::Cursor::new(head).chain(input));
        Ok(match compression {
            Compression::None => Self::None(input),
            Compression::Gzip => Self::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(input))),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Self::Zstd(Box::new(decoder))
            }
        })
    }

    /// Reads what follows the compressed data to the end of the stream, so that the whole stream has been seen (and hashed).
    pub fn drain(&mut self) -> io::Result<()> {
        let input = match self {
            Self::None(input) => input,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        };
        loop {
            let read = input.fill_buf()?.len();
            if read == 0 {
                return Ok(());
            }
            input.consume(read);
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::None(input) => input.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn decoded(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut decoder = Decoder::new(bytes)?;
        let mut out = Vec::new();
        decoder.read_to_end(&mut out)?;
        decoder.drain()?;
        Ok(out)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn each_kind() {
        let text = b"layer".repeat(100_000);
        assert_eq!(decoded(&text).unwrap(), text);
        assert_eq!(decoded(&gzip(&text)).unwrap(), text);
        assert_eq!(decoded(&[gzip(&text), gzip(b"more")].concat()).unwrap(), [&text[..], b"more"].concat());
        assert_eq!(decoded(&zstd::encode_all(&text[..], 3).unwrap()).unwrap(), text);
        let skippable =
            [&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9][..], &zstd::encode_all(&text[..], 3).unwrap()].concat();
        assert_eq!(decoded(&skippable).unwrap(), text);
        assert_eq!(decoded(b"ab").unwrap(), b"ab");
        assert_eq!(decoded(b"").unwrap(), b"");
    }

    #[test]
    fn damaged() {
        let whole = gzip(b"some text");
        assert!(decoded(&whole[..whole.len() - 3]).is_err());
        let mut flipped = whole;
        let at = flipped.len() - 6;
        flipped[at] ^= 1;
        assert!(decoded(&flipped).is_err(), "the checksum of gzip is checked");
    }
}
