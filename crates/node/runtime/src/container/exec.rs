//! Further processes in a running container: for clients that talk to them, and to their end for probes and hooks.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, oneshot};
use windlass_cri::{Code, Error, ExecOutput, ExecRequest, Reader, Result, Session, TerminalSize};

use super::Container;
use crate::core::Core;
use crate::error::from_supervisor;
use crate::launch::spec::ExecLaunch;
use crate::spec::program;
use crate::stream::{self, Terminal};
use crate::supervisor::client::Client;
use crate::supervisor::protocol::{Answer, Request};

/// How long output is awaited after the command itself has ended, when children of it hold the streams open.
const DRAIN_MAX: Duration = Duration::from_secs(2);
/// Sizes of a terminal that wait to be set.
const SIZES_MAX: usize = 8;

/// A process that was executed; it is killed when this is dropped before its end was seen.
struct Executed {
    client: Client,
    exec: u64,
    exit: oneshot::Receiver<i32>,
    ended: bool,
}

impl Executed {
    async fn end(&mut self) -> Result<i32> {
        let exit = (&mut self.exit).await;
        self.ended = true;
        exit.map_err(|_| Error::new(Code::Unavailable, "the container supervisor has gone"))
    }
}

impl Drop for Executed {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (client, exec) = (self.client.clone(), self.exec);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { client.order(Request::SignalExec { exec, signal: libc::SIGKILL }).await });
        }
    }
}

async fn execute(
    core: &Core,
    container: &Container,
    cmd: Vec<String>,
    terminal: bool,
    streams: Vec<OwnedFd>,
) -> Result<(Executed, Vec<OwnedFd>)> {
    container.running_pid()?;
    if cmd.is_empty() {
        return Err(Error::invalid("no command to execute"));
    }
    let launch = {
        let state = container.state.lock();
        let plan = &state.file.launch;
        let mut process = plan.process.clone();
        process.args = cmd;
        process.env = program::exec_environment(&process.env, terminal);
        ExecLaunch {
            container_id: container.id.clone(),
            cgroup: plan.cgroup.clone(),
            process,
            terminal,
            user_namespace: plan.namespaces.user.is_some(),
        }
    };
    let client = core.supervisor().await?;
    let reply = client.call(Request::Exec(Box::new(launch)), streams).await;
    let reply = reply.map_err(|error| {
        from_supervisor("failed to exec in container: exec failed: unable to start container process", &error)
    })?;
    match (reply.answer, reply.exec_exit) {
        (Answer::ExecStarted { exec, .. }, Some(exit)) => {
            Ok((Executed { client, exec, exit, ended: false }, reply.fds))
        }
        _ => Err(Error::internal("the supervisor answered something else than was asked")),
    }
}

/// Starts a command for a client.
pub(crate) async fn exec(core: &Core, container: &Container, request: ExecRequest) -> Result<Session> {
    if request.tty && request.stderr {
        return Err(Error::invalid("tty and stderr cannot both be true"));
    }
    if request.tty {
        exec_in_terminal(core, container, request).await
    } else {
        exec_piped(core, container, request).await
    }
}

async fn exec_piped(core: &Core, container: &Container, request: ExecRequest) -> Result<Session> {
    let (stdin, child_stdin) = match request.stdin {
        true => stream::pipe_to_process().map(|(writer, fd)| (Some(writer), fd))?,
        false => (None, stream::nothing()?),
    };
    let output = |wanted: bool| match wanted {
        true => stream::pipe_from_process().map(|(reader, fd)| (Some(reader), fd)),
        false => stream::nothing().map(|fd| (None, fd)),
    };
    let (stdout, child_stdout) = output(request.stdout)?;
    let (stderr, child_stderr) = output(request.stderr)?;
    let fds = vec![child_stdin, child_stdout, child_stderr];
    let (mut executed, _) = execute(core, container, request.cmd, false, fds).await?;
    let exit = async move { executed.end().await }.boxed();
    Ok(Session { stdin, stdout, stderr, resize: None, exit })
}

async fn exec_in_terminal(core: &Core, container: &Container, request: ExecRequest) -> Result<Session> {
    let (mut executed, mut fds) = execute(core, container, request.cmd, true, Vec::new()).await?;
    let master = fds.pop().ok_or_else(|| Error::internal("the supervisor sent no terminal"))?;
    let terminal = Terminal::new(master)?;
    let sizes = terminal.clone();
    let resize = forward_sizes(move |size| {
        let resized = sizes.resize(size);
        async move { drop(resized) }
    });
    let stdin = request.stdin.then(|| Box::pin(terminal.clone()) as _);
    // The terminal lasts as long as somebody holds the streams. Where nobody wants the output, it is read all the same, or the
    // command would wait for that.
    let (stdout, unwanted) = match request.stdout {
        true => (Some(Box::pin(terminal) as Reader), None),
        false => (None, Some(terminal)),
    };
    let exit = async move {
        let Some(mut unwanted) = unwanted else { return executed.end().await };
        let mut sink = tokio::io::sink();
        tokio::select! {
            exit = executed.end() => return exit,
            _ = tokio::io::copy(&mut unwanted, &mut sink) => {}
        }
        executed.end().await
    };
    Ok(Session { stdin, stdout, stderr: None, resize: Some(resize), exit: exit.boxed() })
}

/// A channel whose sizes are handed to `set`, one after the other.
pub(super) fn forward_sizes<F>(set: impl Fn(TerminalSize) -> F + Send + 'static) -> mpsc::Sender<TerminalSize>
where
    F: Future<Output = ()> + Send,
{
    let (sender, mut sizes) = mpsc::channel(SIZES_MAX);
    tokio::spawn(async move {
        while let Some(size) = sizes.recv().await {
            set(size).await;
        }
    });
    sender
}

/// Runs a command to its end.
pub(crate) async fn exec_sync(
    core: &Arc<Core>,
    container: &Arc<Container>,
    cmd: Vec<String>,
    timeout: Option<Duration>,
    output_max: usize,
) -> Result<ExecOutput> {
    let (stdout, child_stdout) = stream::pipe_from_process()?;
    let (stderr, child_stderr) = stream::pipe_from_process()?;
    let fds = vec![stream::nothing()?, child_stdout, child_stderr];
    let run = async {
        let (mut executed, _) = execute(core, container, cmd, false, fds).await?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit_code = {
            let collected =
                async { tokio::join!(collect(stdout, &mut out, output_max), collect(stderr, &mut err, output_max)) };
            tokio::pin!(collected);
            tokio::select! {
                // Output is read while the command runs, or it would wait for us.
                _ = &mut collected => executed.end().await?,
                exit = executed.end() => {
                    let _ = tokio::time::timeout(DRAIN_MAX, collected).await;
                    exit?
                }
            }
        };
        Ok(ExecOutput { stdout: out, stderr: err, exit_code })
    };
    match timeout {
        None => run.await,
        Some(timeout) => tokio::time::timeout(timeout, run).await.unwrap_or_else(|_| {
            let message =
                format!("failed to exec in container: timeout {timeout:?} exceeded: context deadline exceeded");
            Err(Error::new(Code::DeadlineExceeded, message))
        }),
    }
}

/// Reads a stream to its end and keeps its beginning.
async fn collect(mut reader: Reader, kept: &mut Vec<u8>, most: usize) {
    let mut chunk = vec![0; 16 << 10];
    while let Ok(count @ 1..) = reader.read(&mut chunk).await {
        let room = most - kept.len();
        kept.extend_from_slice(&chunk[..count.min(room)]);
    }
}
