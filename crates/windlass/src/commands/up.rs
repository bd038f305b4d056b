//! `windlass up`: a cluster on this machine in the background.
//!
//! The server is this program again, in a session of its own. It tells how far it has come through a pipe
//! ([`crate::progress`]), and when the node is Ready this command merges the kubeconfig and ends.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, IsTerminal, Seek, SeekFrom};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use hyper::Method;
use indicatif::{ProgressBar, ProgressStyle};

use crate::control::{Connection, StatusReport};
use crate::error::Failure;
use crate::output::say;
use crate::progress;
use crate::server::kubeconfig;
use crate::settings::{ServerFlags, Settings};

/// How often, and in which distance, a server that does not answer is looked for again.
const ENDING_LOOKS: u32 = 100;
const ENDING_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

#[derive(Args, Debug)]
pub(crate) struct Flags {
    #[command(flatten)]
    server: ServerFlags,
}

pub(crate) fn run(flags: Flags) -> Result<(), Failure> {
    let settings = Settings::of(flags.server)?;
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::new("a node needs root").hint("run it with sudo"));
    }
    let running = super::block_on(find_running(&settings.data_dir))?;
    if running.is_none() {
        start(&settings)?;
    }
    let own = settings.data_dir.join(kubeconfig::FILE);
    let merged = kubeconfig::merge_into_users(&own)?;
    say(if running.is_some() { "the cluster runs already" } else { "the cluster is ready" });
    say(format_args!("  kubectl uses it: context {:?} in {}", kubeconfig::NAME, merged.display()));
    say("");
    say("Try:");
    say("  kubectl get nodes");
    say("  kubectl create deployment web --image=nginx --replicas=3");
    say("  kubectl expose deployment web --port=80 --type=NodePort");
    say("  windlass status | windlass down");
    Ok(())
}

/// The server of this data directory, if one runs. One that does not answer is about to end, and is waited for.
async fn find_running(data_dir: &Path) -> Result<Option<StatusReport>, Failure> {
    for _ in 0..ENDING_LOOKS {
        let Some(connection) = Connection::open(data_dir).await? else { return Ok(None) };
        if let Ok(status) = connection.ask::<StatusReport>(Method::GET, "/status", &()).await {
            return Ok(Some(status));
        }
        tokio::time::sleep(ENDING_PAUSE).await;
    }
    Err(Failure::new(format!("the server that uses {} does not answer", data_dir.display()))
        .hint("look at its log, windlass.log in that directory, and end it"))
}

/// Starts the server in the background and shows how far it comes, until it is ready.
fn start(settings: &Settings) -> Result<(), Failure> {
    let log_path = settings.data_dir.join("windlass.log");
    let (mut log, from) = open_log(settings, &log_path)?;
    let (reader, writer) = nix::unistd::pipe().map_err(|error| Failure::during("a pipe cannot be made", error))?;
    let mut server = command(&writer, &log)?;
    let mut child = server.spawn().map_err(|error| Failure::during("the server cannot be started", error))?;
    drop(server);
    drop(writer);
    if follow(File::from(reader)) {
        return Ok(());
    }
    let ended = child.wait().map_err(|error| Failure::during("the server cannot be waited for", error))?;
    let why = last_words(&mut log, from).unwrap_or_else(|| format!("it ended with {ended}"));
    Err(Failure::new(format!("the server did not start: {why}")).hint(format!("its log is {}", log_path.display())))
}

/// The log, and where what this server says begins.
fn open_log(settings: &Settings, path: &Path) -> Result<(File, u64), Failure> {
    let failed = |error| Failure::during(format!("{} cannot be written", path.display()), error);
    std::fs::create_dir_all(&settings.data_dir).map_err(failed)?;
    let mut log = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path).map_err(failed)?;
    let from = log.seek(SeekFrom::End(0)).map_err(failed)?;
    Ok((log, from))
}

/// `windlass server` with the flags of this command.
fn command(progress: &OwnedFd, log: &File) -> Result<Command, Failure> {
    let program: PathBuf =
        std::env::current_exe().map_err(|error| Failure::during("this program cannot be found", error))?;
    let failed = |error| Failure::during("the log cannot be shared", error);
    let mut command = Command::new(program);
    command.arg("server").args(std::env::args_os().skip_while(|arg| arg != "up").skip(1));
    command.stdin(Stdio::null());
    command.stdout(log.try_clone().map_err(failed)?).stderr(log.try_clone().map_err(failed)?);
    let fd = progress.as_raw_fd();
    command.env(progress::VARIABLE, fd.to_string()).current_dir("/");
    // SAFETY: between fork and exec only system calls are made.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            // The pipe is the one descriptor that the server inherits.
            nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
            Ok(())
        });
    }
    Ok(command)
}

/// Shows the server's progress; says whether it got ready.
fn follow(pipe: File) -> bool {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::default_spinner());
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    for line in BufReader::new(pipe).lines() {
        let Ok(line) = line else { break };
        if line == progress::READY {
            bar.finish_and_clear();
            return true;
        }
        if bar.is_hidden() {
            say(&line);
        }
        bar.set_message(line);
    }
    bar.finish_and_clear();
    false
}

/// The last line that the server wrote: what it died of.
fn last_words(log: &mut File, from: u64) -> Option<String> {
    log.seek(SeekFrom::Start(from)).ok()?;
    let lines = BufReader::new(log).lines().map_while(Result::ok);
    let last = lines.filter(|line| !line.trim().is_empty()).last()?;
    Some(last.strip_prefix("windlass: ").unwrap_or(&last).to_owned())
}
