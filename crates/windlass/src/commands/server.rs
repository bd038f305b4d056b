//! `windlass server`: control plane and node in the foreground.

use tokio::signal::unix::{SignalKind, signal};

use crate::error::Failure;
use crate::progress::Progress;
use crate::runtime;
use crate::server::{self, node, open_files};
use crate::settings::{Component, ServerFlags, Settings};

pub(crate) fn run(flags: ServerFlags) -> Result<(), Failure> {
    let progress = Progress::take();
    let settings = Settings::of(flags)?;
    if settings.runs(Component::Node) {
        node::join_mounts(&settings.data_dir)?;
    }
    windlass_telemetry::logs::start(&settings.log_level)
        .map_err(|error| Failure::during("logging cannot be started", error))?;
    open_files::raise();
    let runtime = runtime::start()?;
    runtime.block_on(async {
        let shutdown = shutdown_signal()?;
        server::run(settings, progress, shutdown).await
    })
}

/// Resolves when the process is asked to end.
fn shutdown_signal() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let failed = |error| Failure::during("signals cannot be received", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
