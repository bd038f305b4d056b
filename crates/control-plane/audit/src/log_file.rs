//! The log file and its older parts.
//!
//! A part is named after the file and the moment at which it was put aside: `audit-2026-11-30T06-00-00.000.log`, with `.gz` behind
//! when it is compressed. That is how kube-apiserver names them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use windlass_api::time::Clock;

use crate::whole_lines::WholeLines;

const STAMP: &str = "%Y-%m-%dT%H-%M-%S.%3f";
const COMPRESSED: &str = ".gz";

/// When a part is put aside, and how long it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    pub bytes_max: u64,
    /// Days; 0 keeps parts of any age.
    pub days_max: u32,
    /// 0 keeps any number.
    pub parts_max: usize,
    pub compresses: bool,
}

/// Where lines are appended.
pub struct LogFile {
    open: Mutex<Open>,
    clock: Clock,
}

enum Open {
    Output(io::Stdout),
    File { path: PathBuf, file: WholeLines<File>, bytes: u64, rotation: Option<Rotation> },
}

impl LogFile {
    /// Standard output.
    pub fn output(clock: Clock) -> Self {
        Self { open: Mutex::new(Open::Output(io::stdout())), clock }
    }

    /// Opens or makes a file that only its owner can read, and the directories above it.
    pub fn open(path: &Path, rotation: Option<Rotation>, clock: Clock) -> io::Result<Self> {
        if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(above)?;
        }
        let (file, bytes) = open(path)?;
        let open = Open::File { path: path.to_owned(), file, bytes, rotation };
        Ok(Self { open: Mutex::new(open), clock })
    }

    /// Appends whole lines.
    pub(crate) fn append(&self, lines: &[u8]) -> Result<(), String> {
        let mut open = self.open.lock();
        open.append(lines, self.clock.now()).map_err(|error| error.to_string())
    }
}

impl Open {
    fn append(&mut self, lines: &[u8], now: Timestamp) -> io::Result<()> {
        match self {
            Self::Output(output) => {
                output.write_all(lines)?;
                output.flush()
            }
            Self::File { path, file, bytes, rotation } => {
                if let Some(rotation) = rotation.filter(|r| *bytes > 0 && *bytes + lines.len() as u64 > r.bytes_max) {
                    match fs::rename(&*path, part_at(path, now)) {
                        // It was put aside before, and then there was no room for a new one.
                        Err(error) if error.kind() == ErrorKind::NotFound => {}
                        result => result?,
                    }
                    (*file, *bytes) = open(path)?;
                    clean_up_apart(path.clone(), rotation, now);
                }
                file.append(lines)?;
                *bytes += lines.len() as u64;
                Ok(())
            }
        }
    }
}

fn open(path: &Path) -> io::Result<(WholeLines<File>, u64)> {
    let file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)?;
    let bytes = file.metadata()?.len();
    let mut last = *b"\n";
    if bytes > 0 {
        file.read_exact_at(&mut last, bytes - 1)?;
    }
    Ok((WholeLines::new(file, last == *b"\n"), bytes))
}

/// The name's beginning, and its extension with the dot.
fn split(path: &Path) -> (String, String) {
    let text =
        |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default();
    let extension = text(path.extension());
    let dot = if extension.is_empty() { "" } else { "." };
    (text(path.file_stem()), format!("{dot}{extension}"))
}

fn part_at(path: &Path, at: Timestamp) -> PathBuf {
    let (stem, extension) = split(path);
    path.with_file_name(format!("{stem}-{}{extension}", at.strftime(STAMP)))
}

/// When a part was put aside; `None` for other files.
fn put_aside_at(path: &Path, name: &str) -> Option<Timestamp> {
    let (stem, extension) = split(path);
    let name = name.strip_suffix(COMPRESSED).unwrap_or(name);
    let stamp = name.strip_prefix(&stem)?.strip_prefix('-')?.strip_suffix(&extension)?;
    DateTime::strptime(STAMP, stamp).ok()?.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp())
}

/// Removes and compresses parts where no request waits for it.
fn clean_up_apart(path: PathBuf, rotation: Rotation, now: Timestamp) {
    let clean_up = move || {
        if let Err(error) = clean_up(&path, rotation, now) {
            tracing::warn!(path = %path.display(), %error, "old parts of the audit log cannot be cleared away");
        }
    };
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(clean_up)),
        Err(_) => clean_up(),
    }
}

fn clean_up(path: &Path, rotation: Rotation, now: Timestamp) -> io::Result<()> {
    let mut parts = Vec::new();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(at) = entry.file_name().to_str().and_then(|name| put_aside_at(path, name)) {
            parts.push((at, entry.path()));
        }
    }
    parts.sort_unstable_by(|a, b| b.cmp(a));
    let oldest =
        now.checked_sub(SignedDuration::from_hours(24 * i64::from(rotation.days_max))).unwrap_or(Timestamp::MIN);
    for (index, (at, part)) in parts.iter().enumerate() {
        let is_too_many = rotation.parts_max > 0 && index >= rotation.parts_max;
        let is_too_old = rotation.days_max > 0 && *at < oldest;
        if is_too_many || is_too_old {
            fs::remove_file(part)?;
        } else if rotation.compresses && part.extension().is_none_or(|extension| extension != "gz") {
            compress(part)?;
        }
    }
    Ok(())
}

/// Replaces a part by its compressed form. One that is broken off leaves the part as it was.
fn compress(part: &Path) -> io::Result<()> {
    let named = |suffix: &str| {
        let mut name = part.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let (unfinished, finished) = (named(".gz.tmp"), named(COMPRESSED));
    let out = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&unfinished)?;
    let mut encoder = GzEncoder::new(out, Compression::default());
    io::copy(&mut File::open(part)?, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    fs::rename(unfinished, finished)?;
    fs::remove_file(part)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    const ROTATION: Rotation = Rotation { bytes_max: 10, days_max: 0, parts_max: 2, compresses: false };

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn parts_are_put_aside_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log/audit.log");
        let mut open = {
            let file = LogFile::open(&path, Some(ROTATION), Clock::system()).unwrap();
            file.open.into_inner()
        };
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for hour in 0..5 {
            open.append(b"12345678\n", Timestamp::UNIX_EPOCH + Duration::from_secs(hour * 3600)).unwrap();
        }
        let expected = ["audit-1970-01-01T03-00-00.000.log", "audit-1970-01-01T04-00-00.000.log", "audit.log"];
        assert_eq!(names(path.parent().unwrap()), expected);
        // A line that is larger than a part is written all the same.
        open.append(&[b'x'; 30], Timestamp::UNIX_EPOCH + Duration::from_secs(50_000)).unwrap();
        assert_eq!(fs::read(&path).unwrap().len(), 30);
        drop(open);
        let again = LogFile::open(&path, Some(ROTATION), Clock::system()).unwrap();
        let Open::File { bytes, .. } = again.open.into_inner() else { panic!("no file") };
        assert_eq!(bytes, 30);
    }

    #[test]
    fn a_line_follows_half_a_line_of_another_server() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        fs::write(&path, "one\nhalf of tw").unwrap();
        for line in ["three\n", "four\n"] {
            LogFile::open(&path, None, Clock::system()).unwrap().append(line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\nhalf of tw\nthree\nfour\n");
    }

    #[test]
    fn a_part_that_was_put_aside_without_a_successor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let mut open = LogFile::open(&path, Some(ROTATION), Clock::system()).unwrap().open.into_inner();
        open.append(b"12345678\n", Timestamp::UNIX_EPOCH).unwrap();
        fs::rename(&path, part_at(&path, Timestamp::UNIX_EPOCH)).unwrap();
        open.append(b"87654321\n", Timestamp::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "87654321\n");
    }

    #[test]
    fn parts_grow_old_and_are_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let day = |days: u64| Timestamp::UNIX_EPOCH + Duration::from_secs(days * 86_400);
        for days in [1, 8] {
            fs::write(part_at(&path, day(days)), "a line\n").unwrap();
        }
        fs::write(folder.path().join("audit-other.log"), "").unwrap();
        let rotation = Rotation { days_max: 5, parts_max: 0, compresses: true, ..ROTATION };
        clean_up(&path, rotation, day(10)).unwrap();
        assert_eq!(names(folder.path()), ["audit-1970-01-09T00-00-00.000.log.gz", "audit-other.log"]);
        let file = File::open(folder.path().join("audit-1970-01-09T00-00-00.000.log.gz")).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        assert_eq!(text, "a line\n");
        clean_up(&path, rotation, day(20)).unwrap();
        assert_eq!(names(folder.path()), ["audit-other.log"]);
    }
}
