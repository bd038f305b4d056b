//! From a request to its answer.

use std::path::PathBuf;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
use windlass_api::time::Clock;
use windlass_client::Client;
use windlass_cri::RuntimeService;
use windlass_pki::ClientVerifier;
use windlass_telemetry::Metrics;

use crate::auth::{Gate, User};
use crate::logs::{self, LogOptions};
use crate::node::{ContainerState, Node, PodView};
use crate::pages::Rates;
use crate::query::Query;
use crate::remote_command::Session;
use crate::respond::{self, Body, text, typed};
use crate::route::{Container, NoRoute, Route, find};
use crate::websocket::body::over_websocket;
use crate::websocket::upgrade;
use crate::{pages, port_forward, remote_command};

/// What is answered of each stream of a command that is run.
const RUN_OUTPUT_MAX: usize = 16 << 20;
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) struct Frontend {
    pub gate: Gate,
    pub node: Arc<dyn Node>,
    pub runtime: Arc<dyn RuntimeService>,
    clock: Clock,
    metrics: Metrics,
    system_logs: PathBuf,
    rates: Rates,
}

impl Frontend {
    pub(crate) fn new(
        verifier: ClientVerifier,
        node: Arc<dyn Node>,
        runtime: Arc<dyn RuntimeService>,
        client: Client,
        clock: Clock,
        metrics: Metrics,
        system_logs: PathBuf,
    ) -> Self {
        let gate = Gate::new(client, verifier, clock, node.name());
        Self { gate, node, runtime, clock, metrics, system_logs, rates: Rates::default() }
    }

    pub(crate) async fn respond(&self, user: Option<&User>, mut request: Request<Incoming>) -> Response<Body> {
        if let Err(refusal) = self.gate.check(user, &request).await {
            return refusal;
        }
        let route = match find(request.method(), request.uri().path()) {
            Ok(route) => route,
            Err(NoRoute::NotFound) => return text(StatusCode::NOT_FOUND, "404 page not found\n"),
            Err(NoRoute::Method) => return text(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed"),
        };
        let query = Query::parse(request.uri().query());
        match route {
            Route::Healthz => match self.node.health() {
                Ok(()) => text(StatusCode::OK, "ok"),
                Err(why) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("healthz check failed: {why}\n")),
            },
            Route::Pods => respond::json(&pages::pods(self.node.pods())),
            Route::RunningPods => pages::running_pods(&*self.runtime).await,
            Route::Metrics => {
                self.node.update_metrics();
                typed(METRICS_TYPE, self.metrics.text().1)
            }
            Route::MetricsCadvisor => pages::cadvisor(&*self.runtime).await,
            Route::MetricsProbes => typed(METRICS_TYPE, self.node.probe_metrics()),
            Route::MetricsResource => pages::resource(&*self.runtime, &self.node.usage()).await,
            Route::StatsSummary => {
                let brief = query.flag("only_cpu_and_memory");
                pages::summary(&*self.runtime, self.node.name(), &self.node.usage(), &self.rates, brief).await
            }
            Route::Configz => respond::json(&json!({"kubeletconfig": self.node.config()})),
            Route::ContainerLogs { namespace, pod, container } => {
                let answer = self.container_logs(&namespace, &pod, &container, &query).await;
                if upgrade::is_wanted(request.headers()) {
                    let upgraded = hyper::upgrade::on(&mut request);
                    return over_websocket(request.headers(), upgraded, answer);
                }
                answer
            }
            Route::Exec(container) => self.session(Session::Exec, &container, &query, &mut request),
            Route::Attach(container) => self.session(Session::Attach, &container, &query, &mut request),
            Route::Run(container) => self.run(&container, &query).await,
            Route::PortForward { namespace, pod, uid } => {
                let Some(view) = self.node.pod(&namespace, &pod) else { return no_pod() };
                if uid.is_some_and(|uid| uid != view.uid) {
                    return text(StatusCode::NOT_FOUND, "pod not found");
                }
                port_forward::answer(&self.runtime, &view, &pod, &query, &mut request)
            }
            Route::SystemLogs { path } => pages::system_logs(&self.system_logs, &path).await,
        }
    }

    async fn container_logs(&self, namespace: &str, pod: &str, container: &str, query: &Query) -> Response<Body> {
        let options = match LogOptions::parse(query, self.clock.now()) {
            Ok(options) => options,
            Err(error) => return text(StatusCode::BAD_REQUEST, error.to_string()),
        };
        let Some(view) = self.node.pod(namespace, pod) else {
            return text(StatusCode::NOT_FOUND, format!("pod {pod:?} does not exist"));
        };
        let id = match logs::instance(&view, pod, container, options.previous) {
            Ok(id) => id,
            Err(error @ logs::InstanceError::Unavailable { .. }) => {
                return text(StatusCode::NOT_FOUND, error.to_string());
            }
            Err(error) => return text(StatusCode::BAD_REQUEST, error.to_string()),
        };
        match self.runtime.container_status(&id).await {
            Ok(status) if status.log_path.is_empty() => text(StatusCode::OK, ""),
            Ok(status) => {
                let path = PathBuf::from(status.log_path);
                if let Err(error) = tokio::fs::metadata(&path).await {
                    let why = format!("failed to open log file {:?}: {error}", path.display());
                    return text(StatusCode::INTERNAL_SERVER_ERROR, why);
                }
                respond::stream(logs::read(self.runtime.clone(), id, path, options))
            }
            Err(error) => {
                let why = format!("unable to retrieve container logs for {id}: {error}");
                text(StatusCode::INTERNAL_SERVER_ERROR, why)
            }
        }
    }

    /// The runtime's ID of a container that runs.
    fn running(&self, container: &Container) -> Result<String, Box<Response<Body>>> {
        let view = self.node.pod(&container.namespace, &container.pod);
        let of_uid = |view: &PodView| container.uid.as_ref().is_none_or(|uid| *uid == view.uid);
        let Some(view) = view.filter(of_uid) else { return Err(Box::new(no_pod())) };
        match view.container(&container.name).map(|container| &container.state) {
            Some(ContainerState::Running { id }) => Ok(id.clone()),
            _ => {
                let why = format!("container not found ({:?})", container.name);
                Err(Box::new(text(StatusCode::INTERNAL_SERVER_ERROR, why)))
            }
        }
    }

    fn session(
        &self,
        session: Session,
        container: &Container,
        query: &Query,
        request: &mut Request<Incoming>,
    ) -> Response<Body> {
        match self.running(container) {
            Ok(id) => remote_command::answer(&self.runtime, session, id, query, request),
            Err(refusal) => *refusal,
        }
    }

    /// Runs a command to its end and answers what it said.
    async fn run(&self, container: &Container, query: &Query) -> Response<Body> {
        let id = match self.running(container) {
            Ok(id) => id,
            Err(refusal) => return *refusal,
        };
        let command = query.get("cmd").unwrap_or_default().split(' ').map(str::to_owned).collect();
        match self.runtime.exec_sync(&id, command, None, RUN_OUTPUT_MAX).await {
            Ok(output) if output.exit_code == 0 => typed("application/json", [output.stdout, output.stderr].concat()),
            Ok(output) => {
                let why = format!("command terminated with exit code {}", output.exit_code);
                text(StatusCode::INTERNAL_SERVER_ERROR, why)
            }
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

fn no_pod() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "pod does not exist")
}
