//! Header blocks: names and values, compressed with one zlib stream for each direction of a connection.
//!
//! A block that expands beyond a bound is refused before it is expanded.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Names in lower case; several values of a name are separated by NUL.
pub(crate) type Headers = BTreeMap<String, String>;

/// Bounds what a header block expands to.
const BLOCK_BYTES_MAX: usize = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("a header block is not compressed as SPDY/3 demands")]
    Compression,
    #[error("a header block is larger than 64 KiB")]
    TooLarge,
    #[error("a header block is malformed")]
    Malformed,
}

/// The words that the dictionary gives with their lengths (SPDY/3, section 2.6.10.1).
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language \
    accept-ranges age allow authorization cache-control connection content-base content-encoding content-language \
    content-length content-location content-md5 content-range content-type date etag expect expires from host if-match \
    if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma \
    proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
    user-agent vary via warning www-authenticate method get status";
const MORE_WORDS: [&str; 8] = ["200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"];
/// What follows them without lengths.
const REST: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 \
    Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not \
    Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov \
    Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,\
    application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8\
    charset=iso-8859-1,utf-,*,enq=0.";

static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut dictionary = Vec::with_capacity(1423);
    for word in WORDS.split_ascii_whitespace().chain(MORE_WORDS) {
        put_text(&mut dictionary, word);
    }
    dictionary.extend_from_slice(REST.as_bytes());
    dictionary
});

/// A text after its length.
fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Expands the header blocks that come in.
pub(crate) struct Inflater(Decompress);

impl Default for Inflater {
    fn default() -> Self {
        Self(Decompress::new(true))
    }
}

impl Inflater {
    pub(crate) fn read(&mut self, compressed: &[u8]) -> Result<Headers, HeaderError> {
        let mut block = Vec::new();
        let mut rest = compressed;
        loop {
            if block.len() >= BLOCK_BYTES_MAX {
                return Err(HeaderError::TooLarge);
            }
            block.reserve((BLOCK_BYTES_MAX - block.len()).min(4096));
            let before = (self.0.total_in(), self.0.total_out());
            let result = self.0.decompress_vec(rest, &mut block, FlushDecompress::Sync);
            let consumed = usize::try_from(self.0.total_in() - before.0).map_err(|_| HeaderError::Compression)?;
            rest = &rest[consumed.min(rest.len())..];
            let progress = (self.0.total_in(), self.0.total_out()) != before;
            match result {
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&DICTIONARY).map_err(|_| HeaderError::Compression)?;
                }
                Err(_) | Ok(Status::StreamEnd) => return Err(HeaderError::Compression),
                // Whatever is left of it is in the output already.
                Ok(_) if rest.is_empty() && block.len() < block.capacity() => break,
                Ok(_) if !progress => return Err(HeaderError::Compression),
                Ok(_) => {}
            }
        }
        parse(&block)
    }
}

fn parse(block: &[u8]) -> Result<Headers, HeaderError> {
    fn number(block: &mut &[u8]) -> Result<usize, HeaderError> {
        let (bytes, rest) = block.split_first_chunk::<4>().ok_or(HeaderError::Malformed)?;
        *block = rest;
        usize::try_from(u32::from_be_bytes(*bytes)).map_err(|_| HeaderError::Malformed)
    }
    fn text(block: &mut &[u8]) -> Result<String, HeaderError> {
        let length = number(block)?;
        let (bytes, rest) = block.split_at_checked(length).ok_or(HeaderError::Malformed)?;
        *block = rest;
        String::from_utf8(bytes.to_vec()).map_err(|_| HeaderError::Malformed)
    }
    let mut rest = block;
    let mut headers = Headers::new();
    for _ in 0..number(&mut rest)? {
        let name = text(&mut rest)?.to_ascii_lowercase();
        let value = text(&mut rest)?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Compresses the header blocks that go out.
pub(crate) struct Deflater(Compress);

impl Default for Deflater {
    fn default() -> Self {
        let mut compress = Compress::new(Compression::default(), true);
        // A stream that has not begun takes a dictionary; without one it would be valid all the same.
        let _ = compress.set_dictionary(&DICTIONARY);
        Self(compress)
    }
}

impl Deflater {
    pub(crate) fn write(&mut self, headers: &Headers) -> Result<Vec<u8>, HeaderError> {
        let mut block = u32::try_from(headers.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        for (name, value) in headers {
            put_text(&mut block, name);
            put_text(&mut block, value);
        }
        let mut out = Vec::with_capacity(block.len() + 64);
        let mut rest = block.as_slice();
        loop {
            let before = self.0.total_in();
            self.0.compress_vec(rest, &mut out, FlushCompress::Sync).map_err(|_| HeaderError::Compression)?;
            let consumed = usize::try_from(self.0.total_in() - before).map_err(|_| HeaderError::Compression)?;
            rest = &rest[consumed.min(rest.len())..];
            if rest.is_empty() && out.len() < out.capacity() {
                return Ok(out);
            }
            out.reserve(256);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_dictionary_is_that_of_the_specification() {
        // Its length and checksum; SPDY/3 says that zlib's header carries the latter.
        assert_eq!(DICTIONARY.len(), 1423);
        let (mut a, mut b) = (1_u32, 0_u32);
        for byte in DICTIONARY.iter() {
            a = (a + u32::from(*byte)) % 65521;
            b = (b + a) % 65521;
        }
        assert_eq!((b << 16) | a, 0xe3c6_a7c2);
    }

    #[test]
    fn blocks_of_one_connection_follow_one_another() {
        let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
        for headers in
            [of(&[("streamtype", "error"), ("port", "80")]), of(&[]), of(&[("streamtype", "data"), ("x", "")])]
        {
            let block = deflater.write(&headers).unwrap();
            assert_eq!(inflater.read(&block).unwrap(), headers);
        }
    }

    #[test]
    fn what_grows_too_large_is_refused() {
        let block = Deflater::default().write(&of(&[("x", &"a".repeat(1 << 20))])).unwrap();
        assert!(block.len() < 8192);
        assert_eq!(Inflater::default().read(&block), Err(HeaderError::TooLarge));
    }

    proptest! {
        #[test]
        fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Inflater::default().read(&bytes);
            let _ = parse(&bytes);
        }

        #[test]
        fn damage_is_survived(at in 0_usize..40, with in any::<u8>()) {
            let mut block = Deflater::default().write(&of(&[("streamtype", "error"), ("port", "80")])).unwrap();
            let at = at % block.len();
            block[at] ^= with;
            let _ = Inflater::default().read(&block);
        }
    }
}
