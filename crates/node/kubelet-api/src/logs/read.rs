//! Reads a log for a client, and follows it until the container ends.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};
use tokio::sync::mpsc;
use windlass_cri::{ContainerEvent, ContainerEventKind, ContainerState, RuntimeService};
use windlass_tree::{Changes, Told};

use super::entry::Entry;
use super::file::{self, Start, start};
use super::options::LogOptions;

const CHUNK_BYTES: usize = 64 << 10;
/// Longer lines are no entries; a runtime splits at 16 KiB.
const LINE_BYTES_MAX: usize = 256 << 10;
/// Chunks that wait for a slow client.
const CHUNKS_MAX: usize = 4;

/// The text of a log as the client wants it, as it is read. It stops reading when the client does.
pub(crate) fn read(
    runtime: Arc<dyn RuntimeService>,
    container_id: String,
    path: PathBuf,
    options: LogOptions,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (chunks, mut received) = mpsc::channel(CHUNKS_MAX);
    tokio::spawn(async move {
        let mut reading =
            Reading { formatter: Formatter::new(options), chunks: chunks.clone(), line: Vec::new(), skipping: false };
        if let Err(Stop::Failed(error)) = reading.run(&*runtime, &container_id, &path).await {
            tracing::debug!(container = container_id, %error, "a log cannot be read");
            let _ = chunks.send(Err(error)).await;
        }
    });
    futures::stream::poll_fn(move |context| received.poll_recv(context))
}

/// Why reading ends before the end of the log.
enum Stop {
    /// The client has gone, or has had as much as it wanted.
    Enough,
    Failed(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

struct Reading {
    formatter: Formatter,
    chunks: mpsc::Sender<io::Result<Bytes>>,
    /// The beginning of a line whose end has not been read yet.
    line: Vec<u8>,
    /// The line is longer than any entry.
    skipping: bool,
}

impl Reading {
    async fn run(&mut self, runtime: &dyn RuntimeService, id: &str, path: &Path) -> Result<(), Stop> {
        let follow = self.formatter.options.follow;
        // Before the first look, so that nothing is missed after it.
        let mut watching = if follow { Some(Watching::begin(runtime, id, path).await?) } else { None };
        let tail_lines = self.formatter.options.tail_lines;
        let owned = path.to_owned();
        let Start { files, offset } =
            tokio::task::spawn_blocking(move || start(&owned, tail_lines)).await.map_err(io::Error::other)??;
        let mut offset = Some(offset);
        let mut current = None;
        for file in &files {
            let mut opened = match open(file).await {
                Ok(opened) => opened,
                // Compressed just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound && file != path => continue,
                Err(error) => return Err(error.into()),
            };
            if let Some(offset) = offset.take() {
                opened.seek(SeekFrom::Start(offset)).await?;
            }
            self.copy(&mut opened).await?;
            current = Some(opened);
        }
        if let (Some(watching), Some(current)) = (&mut watching, current) {
            self.follow(runtime, id, path, current, watching).await?;
        }
        self.last_line().await
    }

    async fn follow(
        &mut self,
        runtime: &dyn RuntimeService,
        id: &str,
        path: &Path,
        mut file: File,
        watching: &mut Watching,
    ) -> Result<(), Stop> {
        loop {
            let running = watching.running;
            self.copy(&mut file).await?;
            if let Some(next) = successor(&file, path).await? {
                // What was written between the last read and the renaming.
                self.copy(&mut file).await?;
                file = next;
                continue;
            }
            if !running {
                return Ok(());
            }
            tokio::select! {
                changed = watching.changed(runtime, id) => changed?,
                () = self.chunks.closed() => return Err(Stop::Enough),
            }
        }
    }

    /// Sends what there is to read in a file.
    async fn copy(&mut self, file: &mut File) -> Result<(), Stop> {
        let mut chunk = BytesMut::new();
        loop {
            chunk.clear();
            chunk.reserve(CHUNK_BYTES);
            if file.read_buf(&mut chunk).await? == 0 {
                return Ok(());
            }
            let more = self.take(&chunk);
            self.flush().await?;
            if !more {
                return Err(Stop::Enough);
            }
        }
    }

    /// Takes what was read; whether more is wanted.
    fn take(&mut self, mut chunk: &[u8]) -> bool {
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = (&chunk[..end], &chunk[end + 1..]);
            chunk = rest;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            let more = if self.line.is_empty() {
                self.formatter.line(head)
            } else {
                self.line.extend_from_slice(head);
                let line = std::mem::take(&mut self.line);
                self.formatter.line(&line)
            };
            if !more {
                return false;
            }
        }
        if !self.skipping {
            self.line.extend_from_slice(chunk);
            if self.line.len() > LINE_BYTES_MAX {
                self.line = Vec::new();
                self.skipping = true;
            }
        }
        true
    }

    /// What the log ends with, if it is an entry without its newline.
    async fn last_line(&mut self) -> Result<(), Stop> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.formatter.line(&line);
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), Stop> {
        if self.formatter.out.is_empty() {
            return Ok(());
        }
        let bytes = self.formatter.out.split().freeze();
        self.chunks.send(Ok(bytes)).await.map_err(|_| Stop::Enough)
    }
}

/// Opens a log, which a container that sees the node's logs could have replaced.
async fn open(path: &Path) -> io::Result<File> {
    let path = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || windlass_tree::open_file_at(&path)).await;
    opened.map_err(io::Error::other)?.map(File::from_std)
}

/// The file that goes on where this one ends.
async fn successor(file: &File, path: &Path) -> io::Result<Option<File>> {
    let (file, path) = (file.try_clone().await?.into_std().await, path.to_owned());
    let found = tokio::task::spawn_blocking(move || file::successor(&file, &path)).await;
    Ok(found.map_err(io::Error::other)??.map(File::from_std))
}

/// What a follower waits for.
struct Watching {
    changes: Changes,
    events: BoxStream<'static, ContainerEvent>,
    running: bool,
}

impl Watching {
    async fn begin(runtime: &dyn RuntimeService, id: &str, path: &Path) -> Result<Self, Stop> {
        let events = runtime.events();
        let changes = Changes::of(path.parent().unwrap_or(path), Told::WritesAndNames)?;
        Ok(Self { changes, events, running: is_running(runtime, id).await })
    }

    /// Waits until there may be more to read, or the container has ended.
    async fn changed(&mut self, runtime: &dyn RuntimeService, id: &str) -> Result<(), Stop> {
        loop {
            tokio::select! {
                changed = self.changes.wait() => return changed.map(drop).map_err(Stop::Failed),
                event = self.events.next() => match event {
                    Some(event) if event.container_id == id => {
                        let ended =
                            matches!(event.kind, ContainerEventKind::Stopped | ContainerEventKind::Deleted);
                        if ended {
                            self.running = false;
                            return Ok(());
                        }
                    }
                    Some(_) => {}
                    None => {
                        // Too many at once: what has happened must be asked for.
                        self.events = runtime.events();
                        self.running = is_running(runtime, id).await;
                        return Ok(());
                    }
                },
            }
        }
    }
}

async fn is_running(runtime: &dyn RuntimeService, id: &str) -> bool {
    let status = runtime.container_status(id).await;
    status.is_ok_and(|status| matches!(status.container.state, ContainerState::Running | ContainerState::Created))
}

/// Turns entries into the text that the client sees.
struct Formatter {
    options: LogOptions,
    out: BytesMut,
    at_line_start: bool,
    left: Option<u64>,
}

impl Formatter {
    fn new(options: LogOptions) -> Self {
        let left = options.limit_bytes;
        Self { options, out: BytesMut::new(), at_line_start: true, left }
    }

    /// Takes a line of the file; whether more is wanted.
    fn line(&mut self, line: &[u8]) -> bool {
        let Some(entry) = Entry::parse(line).filter(|entry| self.options.wants(entry)) else { return true };
        if self.options.timestamps && self.at_line_start {
            self.put(entry.timestamp.as_bytes());
            self.put(b" ");
        }
        self.put(entry.text);
        if !entry.partial {
            self.put(b"\n");
        }
        self.at_line_start = !entry.partial;
        self.left != Some(0)
    }

    fn put(&mut self, bytes: &[u8]) {
        let bytes = match &mut self.left {
            None => bytes,
            Some(left) => {
                let fits = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= fits as u64;
                &bytes[..fits]
            }
        };
        self.out.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(options: LogOptions, lines: &[&str]) -> String {
        let mut formatter = Formatter::new(options);
        for line in lines {
            if !formatter.line(format!("2026-11-21T06:20:00.5Z {line}").as_bytes()) {
                break;
            }
        }
        String::from_utf8(formatter.out.to_vec()).unwrap()
    }

    #[test]
    fn entries_become_text() {
        let lines = ["stdout F one", "stderr P tw", "stderr F o", "nonsense", "stdout F three"];
        let all = LogOptions::default;
        assert_eq!(formatted(all(), &lines), "one\ntwo\nthree\n");
        assert_eq!(formatted(LogOptions { limit_bytes: Some(6), ..all() }, &lines), "one\ntw");
        assert_eq!(
            formatted(LogOptions { timestamps: true, ..all() }, &lines[..3]),
            "2026-11-21T06:20:00.5Z one\n2026-11-21T06:20:00.5Z two\n"
        );
        let stream = Some(super::super::entry::LogStream::Stderr);
        assert_eq!(formatted(LogOptions { stream, ..all() }, &lines), "two\n");
        let since = windlass_api::time::parse_rfc3339("2026-11-21T06:20:01Z");
        assert_eq!(formatted(LogOptions { since, ..all() }, &lines), "");
    }

    #[tokio::test]
    async fn lines_come_in_pieces() {
        let (chunks, _received) = mpsc::channel(1);
        let formatter = Formatter::new(LogOptions::default());
        let mut reading = Reading { formatter, chunks, line: Vec::new(), skipping: false };
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        for piece in ["2026-11-21T06:20:00Z std", "out F a", "\n", &long, "still\n2026-11-21T06:20:00Z stdout F b\n"] {
            assert!(reading.take(piece.as_bytes()));
        }
        assert_eq!(&reading.formatter.out[..], b"a\nb\n");
    }
}
