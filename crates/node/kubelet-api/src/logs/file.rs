//! The files of a log: the one that is written now, and those that the kubelet has rotated away and not compressed yet.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// How much is read at once when the end of a file is searched for lines.
const BLOCK_BYTES: u64 = 64 << 10;

/// Where to begin to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// The files to read, the oldest first; the last is the one that is written.
    pub files: Vec<PathBuf>,
    /// In the first of them.
    pub offset: u64,
}

/// Finds where the last `tail_lines` lines begin, or everything. Blocks.
pub(super) fn start(path: &Path, tail_lines: Option<u64>) -> io::Result<Start> {
    let mut files = rotated(path)?;
    files.push(path.to_owned());
    let Some(mut wanted) = tail_lines else { return Ok(Start { files, offset: 0 }) };
    for index in (0..files.len()).rev() {
        let file = match windlass_tree::open_file_at(&files[index]) {
            Ok(file) => file,
            // Rotated away or compressed just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound && index + 1 < files.len() => continue,
            Err(error) => return Err(error),
        };
        let (offset, found) = last_lines(&file, wanted)?;
        wanted -= found;
        if wanted == 0 {
            return Ok(Start { files: files.split_off(index), offset });
        }
    }
    Ok(Start { files, offset: 0 })
}

/// The file that goes on where this one of a log's ends, opened; `None` while this is the one that is written. Blocks.
pub(super) fn successor(file: &File, path: &Path) -> io::Result<Option<File>> {
    let ours = identity(&file.metadata()?);
    match std::fs::symlink_metadata(path) {
        Ok(written) if identity(&written) != ours => {}
        Ok(_) => return Ok(None),
        // Renamed just now: a new one comes.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut files = rotated(path)?;
    files.push(path.to_owned());
    let is_ours = |file: &PathBuf| std::fs::symlink_metadata(file).is_ok_and(|metadata| identity(&metadata) == ours);
    // The oldest are compressed and removed first: where ours is gone, all that are left are newer.
    let newer = files.iter().position(is_ours).map_or(0, |at| at + 1);
    for file in &files[newer..] {
        match windlass_tree::open_file_at(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.map(Some),
        }
    }
    Ok(None)
}

fn identity(metadata: &std::fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// `0.log.20261121-062000` beside `0.log`, the oldest first.
fn rotated(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(Vec::new());
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?.file_name();
        let suffix = entry.to_str().and_then(|entry| entry.strip_prefix(name)?.strip_prefix('.'));
        let is_rotated = suffix.is_some_and(|suffix| {
            !suffix.is_empty() && suffix.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
        });
        if is_rotated {
            files.push(directory.join(entry));
        }
    }
    files.sort();
    Ok(files)
}

/// Where the last `wanted` lines of a file begin, and how many of them there are.
fn last_lines(file: &File, wanted: u64) -> io::Result<(u64, u64)> {
    let length = file.metadata()?.len();
    if wanted == 0 {
        return Ok((length, 0));
    }
    let mut found = 0;
    let mut end = length;
    let mut block = Vec::new();
    while end > 0 {
        let begin = end.saturating_sub(BLOCK_BYTES);
        block.resize(usize::try_from(end - begin).unwrap_or(0), 0);
        file.read_exact_at(&mut block, begin)?;
        for (index, byte) in block.iter().enumerate().rev() {
            let after = begin + index as u64 + 1;
            // The newline at the very end ends the last line; each before it begins one.
            if *byte == b'\n' && after < length {
                found += 1;
                if found == wanted {
                    return Ok((after, found));
                }
            }
        }
        end = begin;
    }
    Ok((0, found + u64::from(length > 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_last_lines_begin() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        let old = directory.path().join("0.log.20261121-062000");
        for (name, text) in [
            ("0.log", "c\nd\n"),
            ("0.log.20261121-062000", "a\nb\n"),
            ("0.log.20261121-061000.gz", "x"),
            ("10.log", "y"),
        ] {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let both = vec![old, path.clone()];
        // lines, files, offset
        let cases = [
            (None, both.clone(), 0),
            (Some(0), vec![path.clone()], 4),
            (Some(1), vec![path.clone()], 2),
            (Some(2), vec![path.clone()], 0),
            (Some(3), both.clone(), 2),
            (Some(4), both.clone(), 0),
            (Some(9), both, 0),
        ];
        for (lines, files, offset) in cases {
            assert_eq!(start(&path, lines).unwrap(), Start { files, offset }, "{lines:?}");
        }
    }

    #[test]
    fn no_file_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        let text = |file: Option<File>| file.map(|file| std::io::read_to_string(file).unwrap());
        write("0.log", "a");
        let ours = File::open(&path).unwrap();
        assert_eq!(text(successor(&ours, &path).unwrap()), None);
        std::fs::rename(&path, directory.path().join("0.log.20261121-062000")).unwrap();
        assert_eq!(text(successor(&ours, &path).unwrap()), None, "the new one is not there yet");
        write("0.log", "c");
        assert_eq!(text(successor(&ours, &path).unwrap()).as_deref(), Some("c"));
        write("0.log.20261121-063000", "b");
        assert_eq!(text(successor(&ours, &path).unwrap()).as_deref(), Some("b"), "rotated twice meanwhile");
        std::fs::remove_file(directory.path().join("0.log.20261121-062000")).unwrap();
        assert_eq!(text(successor(&ours, &path).unwrap()).as_deref(), Some("b"));
        let next = File::open(directory.path().join("0.log.20261121-063000")).unwrap();
        assert_eq!(text(successor(&next, &path).unwrap()).as_deref(), Some("c"));
    }

    #[test]
    fn long_files_are_read_from_their_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        let text: String = (0..50_000).map(|n| format!("line {n}\n")).collect();
        std::fs::write(&path, &text).unwrap();
        let start = start(&path, Some(20_000)).unwrap();
        assert!(text[usize::try_from(start.offset).unwrap()..].starts_with("line 30000\n"));
    }
}
