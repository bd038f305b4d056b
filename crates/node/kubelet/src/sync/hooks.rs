//! Lifecycle hooks: exec, HTTP and sleep.

use std::time::Duration;

use windlass_api::k8s::api::core::v1::{Container, LifecycleHandler};
use windlass_cri::RuntimeService;

use crate::probe::http::{self, Get};

/// A hook's request is given up after this.
const HTTP_TIMEOUT: Duration = Duration::from_secs(30);
/// What is told of the output of a hook that failed. It stands in the pod's status.
const OUTPUT_BYTES_MAX: usize = 1 << 10;

/// Runs a hook to its end. An error is a sentence for the container's status.
pub(super) async fn run(
    runtime: &dyn RuntimeService,
    container: &Container,
    container_id: &str,
    pod_ip: &str,
    user_agent: &str,
    handler: &LifecycleHandler,
) -> Result<(), String> {
    if let Some(exec) = &handler.exec {
        let command = exec.command.clone().unwrap_or_default();
        let shown = format!("{command:?}");
        let output = runtime.exec_sync(container_id, command, None, OUTPUT_BYTES_MAX).await;
        return match output {
            Ok(output) if output.exit_code == 0 => Ok(()),
            Ok(output) => {
                let mut text = [output.stdout, output.stderr].concat();
                text.truncate(OUTPUT_BYTES_MAX);
                let text = String::from_utf8_lossy(&text);
                let code = output.exit_code;
                Err(format!(
                    "Exec lifecycle hook ({shown}) for Container {:?} failed - error: command '{shown}' exited with {code}: {text}, message: {text:?}",
                    container.name
                ))
            }
            Err(error) => {
                Err(format!("Exec lifecycle hook ({shown}) for Container {:?} failed - error: {error}", container.name))
            }
        };
    }
    if let Some(action) = &handler.http_get {
        let failed = |error: http::HttpError| {
            format!(
                "HTTP lifecycle hook ({}) for Container {:?} failed - error: {error}",
                action.path.as_deref().unwrap_or_default(),
                container.name
            )
        };
        let request = Get::new(action, container, pod_ip, user_agent).map_err(failed)?;
        return match http::get(&request, HTTP_TIMEOUT).await {
            Ok(_) => Ok(()),
            // A server that speaks no TLS is asked in the clear, as it always was.
            Err(http::HttpError::PlainAnswer { .. }) => {
                let plain = Get { tls: false, ..request };
                http::get(&plain, HTTP_TIMEOUT).await.map(drop).map_err(failed)
            }
            Err(error) => Err(failed(error)),
        };
    }
    if let Some(sleep) = &handler.sleep {
        tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or_default())).await;
        return Ok(());
    }
    Err(format!("Invalid handler for container {:?}", container.name))
}
