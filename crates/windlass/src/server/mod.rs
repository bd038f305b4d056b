//! A server: which components run, with which options, and in which order they start and end.

mod address;
mod control_plane;
mod controllers;
mod keys;
mod kubeconfig;

use windlass_api::time::Clock;
use windlass_telemetry::Metrics;

use crate::error::Failure;
use crate::settings::{Component, Settings};
use control_plane::ControlPlane;

/// What `/version` says, and every component that has a version.
const VERSION: &str = windlass_apiserver::VERSION;

/// Runs until `shutdown`; pods go on afterwards.
pub(crate) async fn run(
    settings: Settings,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let clock = Clock::system();
    let metrics = Metrics::of_process(VERSION);
    windlass_telemetry::panics::observe(&metrics);
    let node_ip = address::node_ip(settings.node_ip)?;
    let control_plane = ControlPlane::start(&settings, node_ip, clock, metrics).await?;
    tracing::info!(version = VERSION, kubeconfig = %control_plane.kubeconfig.display(), "the API server is ready");
    let controllers = settings.runs(Component::Controllers).then(|| {
        let root_ca_pem = control_plane.keys.ca.certificate().to_pem();
        controllers::start(
            &control_plane.server,
            clock,
            windlass_controllers::Options { root_ca_pem, cluster_cidr: settings.cluster_cidr },
        )
    });
    let scheduler = settings
        .runs(Component::Scheduler)
        .then(|| controllers::start_scheduler(&control_plane.server, clock, &settings.node_name));
    shutdown.await;
    tracing::info!("shutting down; pods go on");
    controllers.into_iter().chain(scheduler).for_each(|task| task.abort());
    control_plane.stop().await;
    Ok(())
}
