//! One entry of a log: `2026-11-21T06:20:00.123456789Z stdout F the text`.
//!
//! `F` is the end of a line, `P` a part of one. What does not look so is left out: the disk may have been full.

use windlass_api::{Timestamp, time};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogStream {
    Stdout,
    Stderr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub timestamp: &'a str,
    pub stream: LogStream,
    pub partial: bool,
    pub text: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Reads an entry without its newline.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut words = line.splitn(4, |byte| *byte == b' ');
        let timestamp = std::str::from_utf8(words.next()?).ok()?;
        let stream = match words.next()? {
            b"stdout" => LogStream::Stdout,
            b"stderr" => LogStream::Stderr,
            _ => return None,
        };
        // Further tags may follow a colon; the first says whether it is a part.
        let partial = match words.next()?.split(|byte| *byte == b':').next()? {
            b"F" => false,
            b"P" => true,
            _ => return None,
        };
        Some(Self { timestamp, stream, partial, text: words.next().unwrap_or_default() })
    }

    pub(crate) fn at(&self) -> Option<Timestamp> {
        time::parse_rfc3339(self.timestamp)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entries() {
        let at = "2026-11-21T06:20:00.1Z";
        let entry =
            |stream, partial, text: &'static str| Some(Entry { timestamp: at, stream, partial, text: text.as_bytes() });
        let cases = [
            ("stdout F hello world", entry(LogStream::Stdout, false, "hello world")),
            ("stderr P  spaces ", entry(LogStream::Stderr, true, " spaces ")),
            ("stdout F ", entry(LogStream::Stdout, false, "")),
            ("stdout F", entry(LogStream::Stdout, false, "")),
            ("stdout F:x y", entry(LogStream::Stdout, false, "y")),
            ("stdin F x", None),
            ("stdout X x", None),
            ("stdout", None),
        ];
        for (rest, expected) in cases {
            assert_eq!(Entry::parse(format!("{at} {rest}").as_bytes()), expected, "{rest}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(line in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Entry::parse(&line).map(|entry| entry.at());
        }
    }
}
