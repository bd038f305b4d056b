//! A server: which components run, with which options, and in which order they start and end.

mod access;
mod address;
mod audit;
mod control_plane;
mod controllers;
mod encryption;
mod keys;
pub(crate) mod kubeconfig;
mod kubeconfig_text;
pub(crate) mod node;
pub(crate) mod open_files;
mod operator;
mod services;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use windlass_api::time::Clock;
use windlass_apiserver::pages::Check;
use windlass_telemetry::Metrics;

use crate::control;
use crate::error::Failure;
use crate::progress::Progress;
use crate::settings::{Component, Settings};
use control_plane::ControlPlane;
use node::{Node, Parts};
use operator::Operator;

/// What `/version` says, and every component that has a version.
const VERSION: &str = windlass_apiserver::VERSION;

/// Runs until `shutdown`, or until the control socket is told to stop; pods go on afterwards, unless it was told otherwise.
pub(crate) async fn run(
    settings: Settings,
    mut progress: Progress,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let clock = Clock::system();
    let metrics = Metrics::of_process(VERSION);
    windlass_telemetry::panics::observe(&metrics);
    let node_ip = address::node_ip(settings.node_ip)?;
    address::provide(node_ip)?;
    let control_plane = ControlPlane::start(&settings, node_ip, clock, metrics.clone()).await?;
    let server = &control_plane.server;
    let api_server = format!("https://{node_ip}:{}", settings.https_port);
    tracing::info!(version = VERSION, address = api_server, "the API server is ready");
    progress.say("the API server is ready");

    let mut background = Vec::new();
    if settings.runs(Component::Controllers) {
        let controllers = controllers::start(server, clock, &control_plane.keys.ca, settings.cluster_cidr);
        server.components().add("controller-manager", while_it_runs(&controllers));
        background.push(controllers);
    }
    if settings.runs(Component::Scheduler) {
        let scheduler = controllers::start_scheduler(server, clock, &settings.node_name);
        server.components().add("scheduler", while_it_runs(&scheduler));
        background.push(scheduler);
    }
    let (stop, stopping) = watch::channel(false);
    let node = if settings.runs(Component::Node) {
        let (keys, stop) = (&control_plane.keys, stopping.clone());
        let parts = Parts { settings: &settings, server, keys, node_ip, clock, metrics, stop };
        Some(Node::start(parts).await?)
    } else {
        None
    };
    if settings.runs(Component::ServiceProxy) {
        background.push(services::start_proxy(&settings, server, node_ip, clock, stopping.clone()));
    }
    if settings.runs(Component::Dns) {
        background.push(services::start_dns(&settings, server, node_ip, clock, stopping.clone()).await?);
    }

    let (asked, mut asks) = watch::channel(None);
    let operator = Operator::new(&settings, &control_plane, node.as_ref(), api_server, clock, asked);
    background.push(tokio::spawn(control::serve(control::listen(&settings.data_dir)?, Arc::new(operator))));
    let ready = async {
        if let Some(node) = &node {
            node.ready(&settings.node_name).await;
            tracing::info!(node = settings.node_name, "the node is ready");
        }
        progress.ready();
    };
    let store = server.store().clone();
    let ended = {
        let asked = async { asks.wait_for(Option::is_some).await.ok().and_then(|asked| asked.clone()) };
        let until = async {
            tokio::select! {
                () = shutdown => Ok(false),
                asked = asked => Ok(asked.is_some_and(|stop: control::Stop| stop.pods)),
                failure = store.failed() => Err(failure),
            }
        };
        tokio::pin!(until);
        tokio::select! {
            ended = &mut until => ended,
            () = ready => until.await,
        }
    };

    // Without its store the server is none; pods go on, and the next start tells what is on the disk.
    let end_pods = ended.as_ref().is_ok_and(|end_pods| *end_pods);
    tracing::info!(pods = if end_pods { "end" } else { "go on" }, "shutting down");
    control_plane.server.health().begin_shutdown();
    stop.send_replace(true);
    if let Some(node) = node {
        node.stop(end_pods).await;
    }
    background.iter().for_each(tokio::task::JoinHandle::abort);
    control_plane.stop().await;
    // Nobody answers there any more.
    let _ = std::fs::remove_file(control::socket_path(&settings.data_dir));
    ended.map(drop).map_err(|failure| {
        Failure::during("the server had to end", failure).hint("start it again: the start tells what is on the disk")
    })
}

/// A component of this process works for as long as its task runs.
fn while_it_runs(task: &JoinHandle<()>) -> Check {
    let task = task.abort_handle();
    Box::new(move || if task.is_finished() { Err("it has ended; see the log".to_owned()) } else { Ok(()) })
}
