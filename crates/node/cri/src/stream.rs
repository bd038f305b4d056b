//! Exec, attach and port-forward: byte streams between a client and a process or socket inside a sandbox.

use std::pin::Pin;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::Result;

pub type Reader = Pin<Box<dyn AsyncRead + Send>>;
pub type Writer = Pin<Box<dyn AsyncWrite + Send>>;

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    pub width: u16,
    pub height: u16,
}

#[derive(Clone, Debug, Default)]
pub struct ExecRequest {
    pub container_id: String,
    pub cmd: Vec<String>,
    pub tty: bool,
    pub stdin: bool,
    pub stdout: bool,
    /// Never with `tty`: a terminal has one output.
    pub stderr: bool,
}

#[derive(Clone, Debug, Default)]
pub struct AttachRequest {
    pub container_id: String,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// A process that a client is connected to. Dropping the streams disconnects; an exec'd process whose client has gone is
/// killed, an attached container runs on.
pub struct Session {
    /// Present when stdin was asked for; shutting it down gives the process end-of-file.
    pub stdin: Option<Writer>,
    /// Present when stdout was asked for; ends when the process (and its children) closed it.
    pub stdout: Option<Reader>,
    /// Present when stderr was asked for and there is no terminal.
    pub stderr: Option<Reader>,
    /// Present with a terminal.
    pub resize: Option<mpsc::Sender<TerminalSize>>,
    /// The exit code once the process has ended; for attach, of the container.
    pub exit: BoxFuture<'static, Result<i32>>,
}

/// Both directions of one forwarded connection.
pub struct Connection {
    pub reader: Reader,
    pub writer: Writer,
}

/// The outcome of a command that was run to its end; output is cut at 16 MiB for each stream, as upstream runtimes do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub exit_code: i32,
}
