//! A container's log in the CRI's format, one entry a line:
//!
//! `2026-11-21T06:20:00.123456789Z stdout F the text`
//!
//! `F` is a full line, `P` a part: lines longer than 16 KiB are split, and what a stream ends with without a newline is a part
//! too (kubelet's `pkg/kubelet/logs` reads it so). A log that cannot be written (disk full) loses entries, never the
//! container: the pipe is drained all the same.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longest text of one entry, as containerd's `max_container_log_line_size`.
const TEXT_BYTES_MAX: usize = 16 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Stdout => 0,
            Self::Stderr => 1,
        }
    }
}

pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    entries: Entries,
    /// The last write stopped in the middle of an entry.
    torn: bool,
}

impl LogFile {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: open(path)?, entries: Entries::default(), torn: false })
    }

    /// Goes on in a new file at the same path: the old one has been renamed by log rotation.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        self.torn = false;
        Ok(())
    }

    /// Writes what a stream has said, as far as lines are complete.
    pub(crate) fn append(&mut self, stream: Stream, data: &[u8], now_nanos: i64) -> io::Result<()> {
        self.entries.append(stream, data, now_nanos);
        self.write()
    }

    /// Writes what is left of a stream that has ended.
    pub(crate) fn end(&mut self, stream: Stream, now_nanos: i64) -> io::Result<()> {
        self.entries.end(stream, now_nanos);
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        let mut text = std::mem::take(&mut self.entries.formatted);
        if text.is_empty() {
            return Ok(());
        }
        if self.torn {
            text.insert(0, b'\n');
        }
        let result = self.file.write_all(&text);
        self.torn = result.is_err();
        text.clear();
        self.entries.formatted = text;
        result
    }
}

/// A pod that sees the node's logs may have put something else in the log's place.
fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// The format alone: bytes in, entries out.
#[derive(Default)]
struct Entries {
    /// The beginning of an unfinished line of each stream.
    unfinished: [Vec<u8>; 2],
    formatted: Vec<u8>,
    stamp: Stamp,
}

impl Entries {
    fn append(&mut self, stream: Stream, data: &[u8], now_nanos: i64) {
        self.stamp.set(now_nanos);
        let mut rest = data;
        while !rest.is_empty() {
            let newline = rest.iter().position(|byte| *byte == b'\n');
            let (mut text, after) = match newline {
                Some(at) => (&rest[..at], &rest[at + 1..]),
                None => (rest, &rest[rest.len()..]),
            };
            let mut begun = std::mem::take(&mut self.unfinished[stream.index()]);
            while begun.len() + text.len() > TEXT_BYTES_MAX {
                let (part, remaining) = text.split_at(TEXT_BYTES_MAX - begun.len());
                self.entry(stream, 'P', &[&begun, part]);
                begun.clear();
                text = remaining;
            }
            if newline.is_some() {
                self.entry(stream, 'F', &[&begun, text]);
                begun.clear();
            } else {
                begun.extend_from_slice(text);
            }
            self.unfinished[stream.index()] = begun;
            rest = after;
        }
    }

    fn end(&mut self, stream: Stream, now_nanos: i64) {
        let text = std::mem::take(&mut self.unfinished[stream.index()]);
        if !text.is_empty() {
            self.stamp.set(now_nanos);
            self.entry(stream, 'P', &[&text]);
        }
    }

    fn entry(&mut self, stream: Stream, tag: char, text: &[&[u8]]) {
        let out = &mut self.formatted;
        out.extend_from_slice(&self.stamp.text);
        out.push(b' ');
        out.extend_from_slice(stream.name().as_bytes());
        out.extend_from_slice(&[b' ', tag as u8, b' ']);
        for part in text {
            out.extend_from_slice(part);
        }
        out.push(b'\n');
    }
}

/// An instant as text; days are only computed again when the second changes.
struct Stamp {
    second: i64,
    text: Vec<u8>,
}

impl Default for Stamp {
    fn default() -> Self {
        Self { second: i64::MIN, text: Vec::new() }
    }
}

impl Stamp {
    fn set(&mut self, nanos: i64) {
        const SECOND: i64 = 1_000_000_000;
        let (second, fraction) = (nanos.div_euclid(SECOND), nanos.rem_euclid(SECOND));
        if second != self.second || self.text.is_empty() {
            let (year, month, day) = civil(second.div_euclid(86_400));
            let of_day = second.rem_euclid(86_400);
            let (hour, minute, secs) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
            self.text =
                format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{secs:02}.000000000Z").into_bytes();
            self.second = second;
        }
        let digits_at = self.text.len() - 10;
        let mut rest = fraction;
        for digit in self.text[digits_at..digits_at + 9].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
}

/// The Gregorian date of a day counted from 1970-01-01: eras of 400 years that begin on March 1st, so that the leap day is
/// the last of a year.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2026-11-21T06:20:00.123456789Z
    const NOW: i64 = 1_795_242_000_123_456_789;

    fn formatted(entries: &mut Entries) -> String {
        String::from_utf8(std::mem::take(&mut entries.formatted)).unwrap()
    }

    #[test]
    fn entries_are_lines() {
        let mut entries = Entries::default();
        entries.append(Stream::Stdout, b"one\ntw", NOW);
        entries.append(Stream::Stderr, b"error\n", NOW);
        entries.append(Stream::Stdout, b"o\n\nrest", NOW + 1);
        entries.end(Stream::Stdout, NOW + 2);
        entries.end(Stream::Stderr, NOW + 2);
        assert_eq!(
            formatted(&mut entries),
            "2026-11-21T06:20:00.123456789Z stdout F one\n\
             2026-11-21T06:20:00.123456789Z stderr F error\n\
             2026-11-21T06:20:00.123456790Z stdout F two\n\
             2026-11-21T06:20:00.123456790Z stdout F \n\
             2026-11-21T06:20:00.123456791Z stdout P rest\n"
        );
    }

    #[test]
    fn long_lines_are_split() {
        let text: Vec<u8> = (0..TEXT_BYTES_MAX * 2 + 5).map(|i| b'a' + (i % 26) as u8).collect();
        let mut line = text.clone();
        line.push(b'\n');
        // The split must not depend on how the bytes arrive.
        for chunk in [1, 7, 4096, TEXT_BYTES_MAX, 1 << 20] {
            let mut entries = Entries::default();
            line.chunks(chunk).for_each(|part| entries.append(Stream::Stdout, part, NOW));
            let out = formatted(&mut entries);
            let parts: Vec<(&str, &str)> =
                out.lines().map(|line| line.split_once("stdout ").unwrap().1.split_at(2)).collect();
            let tags: Vec<&str> = parts.iter().map(|(tag, _)| tag.trim()).collect();
            assert_eq!(tags, ["P", "P", "F"], "chunks of {chunk}");
            assert_eq!(parts.iter().map(|(_, text)| *text).collect::<String>().as_bytes(), text);
        }
    }

    #[test]
    fn a_line_of_the_greatest_length_is_full() {
        let mut entries = Entries::default();
        entries.append(Stream::Stdout, &vec![b'x'; TEXT_BYTES_MAX], NOW);
        assert!(entries.formatted.is_empty());
        entries.append(Stream::Stdout, b"\n", NOW);
        let out = formatted(&mut entries);
        assert!(out.contains(" F ") && out.lines().count() == 1);
    }

    #[test]
    fn dates() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z"),
            (1_709_251_199_999_999_999, "2024-02-29T23:59:59.999999999Z"),
            (4_102_444_800_000_000_000, "2100-01-01T00:00:00.000000000Z"),
        ] {
            let mut stamp = Stamp::default();
            stamp.set(nanos);
            assert_eq!(String::from_utf8(stamp.text).unwrap(), text);
        }
    }

    #[test]
    fn neither_links_nor_pipes_are_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("other"), "").unwrap();
        std::os::unix::fs::symlink("other", at("link")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for name in ["link", "fifo"] {
            assert!(LogFile::open(&at(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn rotation_goes_on_in_a_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        let mut log = LogFile::open(&path).unwrap();
        log.append(Stream::Stdout, b"before\nhalf ", NOW).unwrap();
        std::fs::rename(&path, directory.path().join("0.log.1")).unwrap();
        log.reopen().unwrap();
        log.append(Stream::Stdout, b"after\n", NOW).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("F half after\n"));
        let old = std::fs::read_to_string(directory.path().join("0.log.1")).unwrap();
        assert!(old.ends_with("F before\n") && old.lines().count() == 1);
    }
}
