//! What a container had to say when it ended: the file that it wrote, or the end of its log.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use windlass_cri::ContainerStatus;

use crate::labels;

/// A message is cut to its end: so much of a file, so much of a log.
const FILE_MAX_BYTES: u64 = 4096;
const LOG_MAX_BYTES: usize = 2048;
const LOG_MAX_LINES: usize = 80;
/// What is read of a log to find its last lines: lines of a log carry a head each.
const LOG_TAIL_BYTES: u64 = 16 * 1024;
const POLICY_FALLBACK: &str = "FallbackToLogsOnError";

/// The message of an ended container; empty when there is none. Never fails: a message that cannot be read says so.
pub(crate) async fn read(status: &ContainerStatus, pod_logs: &Path) -> String {
    let annotations = &status.container.annotations;
    let path = annotations.get(labels::TERMINATION_MESSAGE_PATH).filter(|path| !path.is_empty());
    let Some(path) = path else { return String::new() };
    let host = status.mounts.iter().find(|mount| mount.container_path == *path).map(|mount| mount.host_path.clone());
    let falls_back = annotations.get(labels::TERMINATION_MESSAGE_POLICY).is_some_and(|it| it == POLICY_FALLBACK);
    let log = (falls_back && status.exit_code != 0)
        .then(|| PathBuf::from(&status.log_path))
        .filter(|log| log.starts_with(pod_logs));
    let read = move || from_files(host.as_deref().map(Path::new), log.as_deref());
    tokio::task::spawn_blocking(read).await.unwrap_or_default()
}

fn from_files(message: Option<&Path>, log: Option<&Path>) -> String {
    if let Some(path) = message {
        match tail(path, FILE_MAX_BYTES) {
            Ok((text, _)) if !text.is_empty() => return String::from_utf8_lossy(&text).into_owned(),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return format!("Error on reading termination log {}: {error}", path.display());
            }
            _ => {}
        }
    }
    let Some(log) = log else { return String::new() };
    match tail(log, LOG_TAIL_BYTES) {
        Ok((text, whole)) => last_lines(&text, whole),
        Err(error) => format!("Error on reading termination message from logs: {error}"),
    }
}

/// The end of a file, and whether that is all of it.
fn tail(path: &Path, max: u64) -> std::io::Result<(Vec<u8>, bool)> {
    let mut file = windlass_tree::open_file_at(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(max)))?;
    let mut text = Vec::new();
    file.take(max).read_to_end(&mut text)?;
    Ok((text, length <= max))
}

/// The messages of the last lines of a log in the CRI's form: `TIME STREAM TAG MESSAGE`.
fn last_lines(log: &[u8], whole: bool) -> String {
    let mut lines: Vec<&[u8]> = log.split_inclusive(|byte| *byte == b'\n').collect();
    if !whole && !lines.is_empty() {
        // The first is cut.
        lines.remove(0);
    }
    let mut text = Vec::new();
    for line in lines.iter().skip(lines.len().saturating_sub(LOG_MAX_LINES)) {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let (tag, message) = (parts.nth(2).unwrap_or_default(), parts.next().unwrap_or_default());
        let partial = tag == b"P";
        text.extend_from_slice(if partial { message.strip_suffix(b"\n").unwrap_or(message) } else { message });
    }
    let start = text.len().saturating_sub(LOG_MAX_BYTES);
    String::from_utf8_lossy(&text[start..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_links_and_directories_are_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("secret"), "of the node").unwrap();
        std::os::unix::fs::symlink("secret", at("link")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
            .unwrap();
        std::fs::create_dir(at("directory")).unwrap();
        for name in ["link", "fifo", "directory"] {
            let path = at(name);
            let said = from_files(Some(&path), None);
            assert!(said.starts_with(&format!("Error on reading termination log {}", path.display())), "{said}");
            let said = from_files(None, Some(&path));
            assert!(said.starts_with("Error on reading termination message from logs"), "{said}");
        }
    }

    #[test]
    fn the_file_comes_before_the_log() {
        let directory = tempfile::tempdir().unwrap();
        let (message, log) = (directory.path().join("message"), directory.path().join("0.log"));
        std::fs::write(&log, "2026-01-01T00:00:00Z stdout P one \n2026-01-01T00:00:00Z stderr F two\n").unwrap();
        assert_eq!(from_files(Some(&message), None), "");
        assert_eq!(from_files(Some(&message), Some(&log)), "one two\n");
        std::fs::write(&message, "").unwrap();
        assert_eq!(from_files(Some(&message), Some(&log)), "one two\n");
        std::fs::write(&message, "x".repeat(5000) + "end").unwrap();
        let read = from_files(Some(&message), Some(&log));
        assert!(read.len() == 4096 && read.ends_with("end"));
    }

    #[test]
    fn of_a_long_log_the_last_lines() {
        let log: String = (0..200).map(|n| format!("2026-01-01T00:00:00Z stdout F line {n}\n")).collect();
        let text = last_lines(log.as_bytes(), true);
        assert!(text.starts_with("line 120\n") && text.ends_with("line 199\n"), "{text}");
    }
}
