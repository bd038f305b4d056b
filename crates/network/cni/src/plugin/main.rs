//! From a call to its output.

use std::io::{Read, Write};
use std::process::ExitCode;

use super::config::Request;
use super::invocation::{Command, Invocation};
use super::{add, check, del};
use crate::{CniError, SUPPORTED_VERSIONS, Version, code};

/// A configuration is not longer than this.
const STDIN_BYTES_MAX: u64 = 1 << 20;

/// Whether this process was started as a CNI plugin: the binary has one name for everything that it does, so the protocol's
/// own variable decides.
#[expect(clippy::disallowed_methods, reason = "CNI passes parameters in the environment")]
pub fn is_requested() -> bool {
    std::env::var_os("CNI_COMMAND").is_some()
}

/// Runs the plugin as a process: parameters from the environment, configuration from standard input, result or error to
/// standard output.
#[expect(clippy::disallowed_methods, reason = "CNI passes parameters in the environment")]
pub fn main() -> ExitCode {
    let names = ["CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH", "CNI_NETNS_OVERRIDE"];
    let environment = names.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
    let mut invocation = Invocation::new(environment, Vec::new());
    let result = match invocation.command() {
        // Whoever asks for versions may leave standard input open.
        Ok(Command::Version) | Err(_) => run(&invocation),
        Ok(_) => match std::io::stdin().take(STDIN_BYTES_MAX).read_to_end(&mut invocation.stdin) {
            Ok(_) => run(&invocation),
            Err(error) => Err(CniError::new(code::IO_FAILURE, format!("error reading from stdin: {error}"))),
        },
    };
    let (output, exit) = match result {
        Ok(output) => (output, ExitCode::SUCCESS),
        Err(error) => (serde_json::to_vec(&error).unwrap_or_default(), ExitCode::FAILURE),
    };
    match std::io::stdout().lock().write_all(&output) {
        Ok(()) => exit,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Runs the plugin within this process. Returns what it would print; the error is what it would print with exit code 1.
///
/// Blocks for as long as the kernel takes: callers on an async runtime use a blocking thread.
pub fn run(invocation: &Invocation) -> Result<Vec<u8>, CniError> {
    let command = invocation.command()?;
    if command == Command::Version {
        let supported: Vec<_> = SUPPORTED_VERSIONS.iter().map(ToString::to_string).collect();
        let output = serde_json::json!({ "cniVersion": Version::CURRENT, "supportedVersions": supported });
        return Ok(output.to_string().into_bytes());
    }
    let request = Request::parse(&invocation.stdin)?;
    let version = request.cni_version;
    perform(command, invocation, request).map_err(|error| CniError { cni_version: version.to_string(), ..error })
}

fn perform(command: Command, invocation: &Invocation, request: Request) -> Result<Vec<u8>, CniError> {
    let since = |version: Version, what: &str| {
        if request.cni_version >= version {
            return Ok(());
        }
        Err(CniError::new(code::INCOMPATIBLE_VERSION, format!("config version does not allow {what}")))
    };
    match command {
        Command::Add => {
            let version = request.cni_version;
            let result = add::add(&request, &invocation.target())?.to_version(version);
            serde_json::to_vec(&result).map_err(|error| CniError::from_chain(code::INTERNAL, &error))
        }
        Command::Del => del::del(&request, &invocation.target()).map(|()| Vec::new()),
        Command::Check => {
            since(Version::V0_4_0, "CHECK")?;
            check::check(&request, &invocation.target()).map(|()| Vec::new())
        }
        Command::Status => {
            since(Version::V1_1_0, "STATUS")?;
            check::status(&request).map(|()| Vec::new())
        }
        Command::Gc => {
            since(Version::V1_1_0, "GC")?;
            del::collect(&request).map(|()| Vec::new())
        }
        Command::Version => Ok(Vec::new()),
    }
}
