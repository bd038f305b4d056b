//! Files that are replaced in one step.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What is lost when the power fails a moment later. A crash of the process loses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The file can be made again: it need not reach the disk now.
    Bearable,
    /// It cannot: it is on the disk when the call returns.
    Unbearable,
}

/// Replaces a file, or makes it: a reader sees the old one or the new one, never a part. It never has more permissions than `mode`, not
/// even for a moment. The new one is written beside it, under its name and `.new~`.
pub fn replace(path: &Path, bytes: &[u8], mode: u32, loss: Loss) -> io::Result<()> {
    let mut name: OsString = path.file_name().unwrap_or_default().to_owned();
    name.push(".new~");
    let beside = path.with_file_name(name);
    // One that a crash left may have another mode.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(bytes)?;
    if loss == Loss::Unbearable {
        file.sync_all()?;
    }
    fs::rename(&beside, path)?;
    if loss == Loss::Unbearable
        && let Some(directory) = path.parent()
    {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn replaced_with_the_right_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        fs::write(directory.path().join("key.new~"), "from a crash").unwrap();
        for (text, loss) in [("one", Loss::Bearable), ("two", Loss::Unbearable)] {
            replace(&path, text.as_bytes(), 0o600, loss).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let missing = directory.path().join("none/key");
        assert_eq!(replace(&missing, b"", 0o600, Loss::Bearable).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
