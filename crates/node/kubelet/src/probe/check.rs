//! Asking once: exec, HTTP, TCP or gRPC.

use std::time::Duration;

use windlass_api::k8s::api::core::v1::{Container, Probe};
use windlass_cri::{Code, RuntimeService};
use windlass_http::dial;

use super::{grpc, http};

/// Output of a command that ends up in an event.
const OUTPUT_MAX_BYTES: usize = 10 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    /// Counts as success, with a word of warning.
    Warning(String),
    Failure(String),
    /// The probe itself could not be made.
    Error(String),
}

impl Outcome {
    /// As metrics name it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Success | Self::Warning(_) => "successful",
            Self::Failure(_) => "failed",
            Self::Error(_) => "unknown",
        }
    }
}

/// What to ask, and whom.
pub(crate) struct Target<'a> {
    pub(crate) runtime: &'a dyn RuntimeService,
    pub(crate) container: &'a Container,
    pub(crate) container_id: &'a str,
    pub(crate) pod_ip: &'a str,
    /// The container's environment is not expanded in commands; they are run as they are.
    pub(crate) user_agent: &'a str,
}

pub(crate) fn timeout(probe: &Probe) -> Duration {
    Duration::from_secs(u64::try_from(probe.timeout_seconds.unwrap_or(1).max(1)).unwrap_or(1))
}

pub(crate) async fn check(target: &Target<'_>, probe: &Probe) -> Outcome {
    let timeout = timeout(probe);
    if let Some(exec) = &probe.exec {
        return by_exec(target, exec.command.clone().unwrap_or_default(), timeout).await;
    }
    if let Some(action) = &probe.http_get {
        return by_http(target, action, timeout).await;
    }
    if let Some(action) = &probe.tcp_socket {
        let host = action.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(target.pod_ip);
        return match http::port(&action.port, target.container) {
            Ok(port) => by_tcp(host, port, timeout).await,
            Err(error) => Outcome::Error(error.to_string()),
        };
    }
    if let Some(action) = &probe.grpc {
        let port = u16::try_from(action.port).unwrap_or_default();
        let service = action.service.as_deref().unwrap_or_default();
        return match grpc::check(target.pod_ip, port, service, timeout).await {
            Ok(()) => Outcome::Success,
            Err(error) => Outcome::Failure(error.to_string()),
        };
    }
    Outcome::Error("missing probe handler".to_owned())
}

async fn by_exec(target: &Target<'_>, command: Vec<String>, timeout: Duration) -> Outcome {
    let shown = command.join(" ");
    match target.runtime.exec_sync(target.container_id, command, Some(timeout), OUTPUT_MAX_BYTES).await {
        Ok(output) if output.exit_code == 0 => Outcome::Success,
        Ok(output) => {
            let mut text = output.stdout;
            text.extend(output.stderr);
            text.truncate(OUTPUT_MAX_BYTES);
            Outcome::Failure(String::from_utf8_lossy(&text).into_owned())
        }
        Err(error) if error.code == Code::DeadlineExceeded => {
            Outcome::Failure(format!("command timed out: {shown:?} timed out after {}s", timeout.as_secs()))
        }
        Err(error) => Outcome::Error(error.to_string()),
    }
}

async fn by_http(
    target: &Target<'_>,
    action: &windlass_api::k8s::api::core::v1::HTTPGetAction,
    timeout: Duration,
) -> Outcome {
    let request = match http::Get::new(action, target.container, target.pod_ip, target.user_agent) {
        Ok(request) => request,
        Err(error) => return Outcome::Error(error.to_string()),
    };
    match http::get(&request, timeout).await {
        Ok(answer) if answer.elsewhere => {
            Outcome::Warning(format!("Probe terminated redirects, Response body: {}", answer.body))
        }
        Ok(answer) if (200..400).contains(&answer.status.as_u16()) => Outcome::Success,
        Ok(answer) => Outcome::Failure(format!("HTTP probe failed with statuscode: {}", answer.status.as_u16())),
        Err(error) => Outcome::Failure(error.to_string()),
    }
}

async fn by_tcp(host: &str, port: u16, timeout: Duration) -> Outcome {
    match dial::tcp(host, port, timeout).await {
        Ok(_) => Outcome::Success,
        Err(error) => Outcome::Failure(error.to_string()),
    }
}
