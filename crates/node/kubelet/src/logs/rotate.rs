//! The files of one log. Containers of some pods can see the directory: nothing here follows a link or waits on a pipe. Everything
//! blocks.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fchmod, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use windlass_tree::Links;

use super::plan::{self, Retired};

/// One log: the directory that it is in, and its name there.
pub(super) struct Log {
    directory: OwnedFd,
    name: String,
}

impl Log {
    pub(super) fn find(path: &Path) -> io::Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str());
        let (Some(directory), Some(name)) = (path.parent(), name) else { return Err(ErrorKind::InvalidInput.into()) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self { directory: rustix::fs::open(directory, flags, Mode::empty())?, name: name.to_owned() })
    }

    /// Bytes in the file that is written now; `None` when there is no such file.
    pub(super) fn bytes(&self) -> io::Result<Option<u64>> {
        match statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                Ok(Some(u64::try_from(stat.st_size).unwrap_or(0)))
            }
            Ok(_) => Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file")),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn retired(&self) -> io::Result<Retired> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.directory)? {
            names.extend(entry?.file_name().to_str().map(str::to_owned));
        }
        Ok(Retired::of(&self.name, names.iter().map(String::as_str)))
    }

    /// Renames the written file, so that the runtime makes a new one when it opens the log anew; returns the name.
    pub(super) fn retire(&self, now: Timestamp) -> io::Result<String> {
        let name = self.retired()?.next(&self.name, now);
        renameat(&self.directory, &self.name, &self.directory, &name)?;
        Ok(name)
    }

    /// Undoes [`Self::retire`]: the runtime goes on in the old file.
    pub(super) fn restore(&self, name: &str) -> io::Result<()> {
        Ok(renameat(&self.directory, name, &self.directory, &self.name)?)
    }

    /// Removes all but the newest `keep` retired files.
    pub(super) fn trim(&self, keep: usize) -> io::Result<()> {
        self.clear(self.retired()?.excess(keep))
    }

    /// Compresses what is to be, after removing what an interrupted compression has left. One at a time for each log.
    pub(super) fn compress(&self) -> io::Result<()> {
        self.clear(self.retired()?.unused())?;
        for compression in self.retired()?.compressions() {
            match self.compress_one(&compression) {
                // Removed meanwhile, because there are too many.
                Err(error) if error.kind() == ErrorKind::NotFound => self.unlink(&compression.compressed)?,
                Err(error) => {
                    self.unlink(&compression.unfinished)?;
                    return Err(error);
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn compress_one(&self, names: &plan::Compression) -> io::Result<()> {
        let mut source = windlass_tree::open_file(&self.directory, names.source.as_bytes(), Links::Refused)?;
        let mode = Mode::from_raw_mode(rustix::fs::fstat(&source)?.st_mode) & Mode::from(0o777);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = File::from(openat(&self.directory, &names.unfinished, flags, mode)?);
        fchmod(&made, mode)?;
        let mut encoder = GzEncoder::new(io::BufWriter::new(made), Compression::default());
        io::copy(&mut source, &mut encoder)?;
        encoder.finish()?.flush()?;
        renameat(&self.directory, &names.unfinished, &self.directory, &names.compressed)?;
        Ok(unlinkat(&self.directory, &names.source, AtFlags::empty())?)
    }

    /// Removes what has these names, all of it that can be, and tells of the first that cannot.
    fn clear<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
        names.into_iter().map(|name| self.unlink(name)).fold(Ok(()), io::Result::and)
    }

    /// A container that sees the directory may have put anything in a log's place.
    fn unlink(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.directory, name, AtFlags::empty()) {
            Err(Errno::NOENT) | Ok(()) => Ok(()),
            Err(Errno::ISDIR) => Ok(windlass_tree::remove(&self.directory, name)?),
            Err(error) => Err(error.into()),
        }
    }
}

/// Removes a log whose container is no more, with what was retired of it. What is not there counts as removed.
pub(crate) async fn remove(path: PathBuf) -> io::Result<()> {
    let remove = move || {
        let log = match Log::find(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            log => log?,
        };
        log.clear(log.retired()?.all().chain([log.name.as_str()]))
    };
    tokio::task::spawn_blocking(remove).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_log_through_its_rotations() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        let log = Log::find(&path).unwrap();
        assert_eq!(log.bytes().unwrap(), None);
        for second in 0..6 {
            fs::write(&path, format!("log {second}\n")).unwrap();
            assert_eq!(log.bytes().unwrap(), Some(6));
            log.retire(at(second)).unwrap();
            log.trim(4).unwrap();
            log.compress().unwrap();
        }
        assert_eq!(
            names(directory.path()),
            [
                "0.log.19700101-000002.gz",
                "0.log.19700101-000003.gz",
                "0.log.19700101-000004.gz",
                "0.log.19700101-000005"
            ]
        );
        let mut text = String::new();
        let compressed = File::open(directory.path().join("0.log.19700101-000003.gz")).unwrap();
        GzDecoder::new(compressed).read_to_string(&mut text).unwrap();
        assert_eq!(text, "log 3\n");
        log.restore("0.log.19700101-000005").unwrap();
        assert_eq!(log.bytes().unwrap(), Some(6));
    }

    #[test]
    fn what_an_interrupted_compression_left_goes() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["0.log.19700101-000001", "0.log.19700101-000001.tmp", "0.log.19700101-000002"] {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        Log::find(&directory.path().join("0.log")).unwrap().compress().unwrap();
        assert_eq!(names(directory.path()), ["0.log.19700101-000001.gz", "0.log.19700101-000002"]);
    }

    #[test]
    fn links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let secret = directory.path().join("secret");
        fs::write(&secret, "secret").unwrap();
        let place = directory.path().join("c");
        fs::create_dir(&place).unwrap();
        let log = Log::find(&place.join("0.log")).unwrap();
        std::os::unix::fs::symlink(&secret, place.join("0.log")).unwrap();
        assert!(log.bytes().is_err());
        std::os::unix::fs::symlink(&secret, place.join("0.log.19700101-000001")).unwrap();
        fs::write(place.join("0.log.19700101-000002"), "").unwrap();
        assert!(log.compress().is_err());
        assert_eq!(names(&place), ["0.log", "0.log.19700101-000001", "0.log.19700101-000002"]);
    }

    #[test]
    fn what_stands_in_a_logs_place_goes() {
        let directory = tempfile::tempdir().unwrap();
        let log = Log::find(&directory.path().join("0.log")).unwrap();
        for name in ["0.log.19700101-000001/deep/er", "0.log.99991231-235959"] {
            fs::create_dir_all(directory.path().join(name)).unwrap();
        }
        for second in 5..9 {
            fs::write(directory.path().join("0.log"), "x").unwrap();
            log.retire(at(second)).unwrap();
            log.trim(2).unwrap();
        }
        let left = ["0.log.19700101-000007", "0.log.19700101-000008", "0.log.99991231-235959"];
        assert_eq!(names(directory.path()), left);
    }

    #[tokio::test]
    async fn retired_logs_go_with_their_container() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["0.log", "0.log.19700101-000001.gz", "0.log.19700101-000002", "1.log", "1.log.19700101-000002"] {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        remove(directory.path().join("0.log")).await.unwrap();
        remove(directory.path().join("0.log")).await.unwrap();
        remove(directory.path().join("absent/0.log")).await.unwrap();
        assert_eq!(names(directory.path()), ["1.log", "1.log.19700101-000002"]);
    }
}
