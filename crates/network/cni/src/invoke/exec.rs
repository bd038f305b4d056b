//! One plugin, executed: environment and configuration in, output or error out.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::{InvokeError, Options};
use crate::{CniError, code};

/// No result is longer than this; a plugin that writes more is cut off and its result does not parse.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;
const BUSY_ATTEMPTS_MAX: u32 = 6;
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// Finds a plugin's executable in the first directory that has it.
pub(super) fn find(kind: &str, dirs: &[PathBuf]) -> Result<PathBuf, InvokeError> {
    let found = dirs.iter().map(|dir| dir.join(kind)).find(|path| path.is_file());
    found.ok_or_else(|| InvokeError::NotFound { plugin: kind.to_owned(), dirs: dirs.to_vec() })
}

/// Runs a plugin to its end. The process is killed when the time is up or the future is dropped.
pub(super) async fn run(
    path: &Path,
    environment: &[(&str, String)],
    stdin: &[u8],
    options: &Options,
) -> Result<Vec<u8>, InvokeError> {
    let failed = |action: &'static str| {
        let path = path.to_owned();
        move |source| InvokeError::Io { action, path, source }
    };
    let timeout = options.timeout;
    let mut child = spawn(path, environment, options.open_files).await.map_err(failed("execute"))?;
    let finished = tokio::time::timeout(timeout, communicate(&mut child, stdin)).await;
    let (status, stdout, stderr) = match finished {
        Ok(finished) => finished.map_err(failed("talk to"))?,
        Err(_) => return Err(InvokeError::Timeout { path: path.to_owned(), timeout }),
    };
    if !stderr.is_empty() {
        tracing::debug!(plugin = %path.display(), stderr = %String::from_utf8_lossy(&stderr).trim_end(), "CNI plugin wrote to stderr");
    }
    if status.success() { Ok(stdout) } else { Err(InvokeError::Failed(plugin_error(status, &stdout, &stderr))) }
}

/// A plugin that is just being written cannot be executed yet.
async fn spawn(path: &Path, environment: &[(&str, String)], open_files: Option<u64>) -> io::Result<Child> {
    let mut attempts = 0;
    loop {
        let mut command = Command::new(path);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        if let Some(soft) = open_files {
            // SAFETY: between fork and exec only system calls are made.
            unsafe { command.pre_exec(move || limit_open_files(soft)) };
        }
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && attempts < BUSY_ATTEMPTS_MAX => {
                attempts += 1;
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            result => return result,
        }
    }
}

fn limit_open_files(soft: u64) -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard)?)
}

async fn communicate(child: &mut Child, input: &[u8]) -> io::Result<(std::process::ExitStatus, Vec<u8>, Vec<u8>)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A plugin that does not read its input (VERSION) may be gone already.
            let _ = stdin.write_all(input).await;
        }
    };
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let read_output = async {
        match stdout {
            Some(stdout) => stdout.take(OUTPUT_BYTES_MAX).read_to_end(&mut output).await,
            None => Ok(0),
        }
    };
    let read_errors = async {
        match stderr {
            Some(stderr) => stderr.take(OUTPUT_BYTES_MAX).read_to_end(&mut errors).await,
            None => Ok(0),
        }
    };
    let ((), read, read_too) = tokio::join!(write, read_output, read_errors);
    read?;
    read_too?;
    Ok((child.wait().await?, output, errors))
}

/// What a failed plugin has to say, in libcni's words when it says nothing.
fn plugin_error(status: std::process::ExitStatus, stdout: &[u8], stderr: &[u8]) -> CniError {
    if stdout.is_empty() {
        let stderr = String::from_utf8_lossy(stderr);
        let msg = if stderr.is_empty() {
            format!("netplugin failed with no error message: {status}")
        } else {
            format!("netplugin failed: {stderr:?}: {status}")
        };
        return CniError::new(code::INTERNAL, msg);
    }
    serde_json::from_slice(stdout).unwrap_or_else(|error| {
        let text = String::from_utf8_lossy(stdout);
        let msg = format!("netplugin failed but error parsing its diagnostic message {text:?}: {error}");
        CniError::new(code::INTERNAL, msg)
    })
}
