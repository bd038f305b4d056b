//! The tasks that probe a pod's containers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use windlass_api::k8s::api::core::v1::{Container, Pod, Probe};
use windlass_api::time::Clock;
use windlass_client::{EventType, Recorder};
use windlass_cri::RuntimeService;

use super::check::{Outcome, Target, check};
use super::{Kind, Verdicts};
use crate::metrics::Metrics;
use crate::observe::Observed;
use crate::pod::{PodView, is_sidecar};

/// A probe that could not be made is tried so often before it counts.
const TRIES_MAX: usize = 3;

/// What probes take from the kubelet.
#[derive(Clone)]
pub(crate) struct ProbeContext {
    pub(crate) runtime: Arc<dyn RuntimeService>,
    pub(crate) recorder: Recorder,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) user_agent: String,
    pub(crate) wake: Arc<dyn Fn() + Send + Sync>,
}

/// The probes of one pod. Dropping it ends them.
pub(crate) struct Probers {
    context: ProbeContext,
    pod: Arc<Pod>,
    /// What metrics have been kept of, over all instances of a container.
    probed: HashSet<(String, Kind)>,
    tasks: HashMap<(String, Kind), Task>,
    verdicts: Arc<Mutex<Verdicts>>,
    /// Says which containers have started, for the probes that wait for it.
    started: watch::Sender<u64>,
}

struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Probers {
    fn drop(&mut self) {
        self.tasks.clear();
        for (container, kind) in &self.probed {
            self.context.metrics.forget_probes(&self.pod, container, kind.name());
        }
    }
}

impl Probers {
    pub(crate) fn new(context: ProbeContext, pod: Arc<Pod>) -> Self {
        Self {
            context,
            pod,
            probed: HashSet::new(),
            tasks: HashMap::new(),
            verdicts: Arc::default(),
            started: watch::Sender::new(0),
        }
    }

    pub(crate) fn verdicts(&self) -> Verdicts {
        self.verdicts.lock().clone()
    }

    /// Takes over what was known before a restart of the kubelet.
    pub(crate) fn recall(&self, container_id: &str, kind: Kind, success: bool) {
        self.verdicts.lock().set(container_id, kind, success);
    }

    /// Makes exactly those probes run that should. `ending`: the pod is ending, so that only readiness matters.
    pub(crate) fn reconcile(&mut self, pod: &Arc<Pod>, observed: &Observed, ending: bool) {
        let mut wanted: HashMap<(String, Kind), Probing> = HashMap::new();
        let init = pod.init_containers().iter().filter(is_sidecar);
        let pod_ip = pod_ip(pod, observed);
        for container in init.chain(pod.app_containers()) {
            let running = observed.latest(&container.name).filter(|it| it.state == crate::observe::State::Running);
            let Some(view) = running else { continue };
            for (kind, probe) in [
                (Kind::Startup, &container.startup_probe),
                (Kind::Liveness, &container.liveness_probe),
                (Kind::Readiness, &container.readiness_probe),
            ] {
                let Some(probe) = probe else { continue };
                if ending && kind != Kind::Readiness {
                    continue;
                }
                let probing = Probing {
                    pod: pod.clone(),
                    container: container.clone(),
                    container_id: view.id.clone(),
                    pod_ip: pod_ip.clone(),
                    started_at: view.started_at,
                    kind,
                    probe: probe.clone(),
                };
                wanted.insert((view.id.clone(), kind), probing);
            }
        }
        self.tasks.retain(|key, _| wanted.contains_key(key));
        let ids: Vec<&str> = observed.containers.iter().map(|container| container.id.as_str()).collect();
        self.verdicts.lock().retain(|id| ids.contains(&id));
        for (key, probing) in wanted {
            if !self.tasks.contains_key(&key) {
                let (context, verdicts) = (self.context.clone(), self.verdicts.clone());
                let started = self.started.clone();
                self.probed.insert((probing.container.name.clone(), probing.kind));
                let task = tokio::spawn(async move { probing.run(&context, &verdicts, &started).await });
                self.tasks.insert(key, Task(task));
            }
        }
    }
}

fn pod_ip(pod: &Pod, observed: &Observed) -> String {
    let of_sandbox = observed.ips().first().cloned();
    let of_status = || pod.pod_status().pod_ip.clone();
    let of_host = || pod.pod_status().host_ip.clone().filter(|_| pod.uses_host_network());
    of_sandbox.or_else(of_host).or_else(of_status).unwrap_or_else(|| "127.0.0.1".to_owned())
}

struct Probing {
    pod: Arc<Pod>,
    container: Container,
    container_id: String,
    pod_ip: String,
    started_at: Option<Timestamp>,
    kind: Kind,
    probe: Probe,
}

impl Probing {
    async fn run(self, context: &ProbeContext, verdicts: &Mutex<Verdicts>, started: &watch::Sender<u64>) {
        let seconds = |value: Option<i32>, default: i32| u64::try_from(value.unwrap_or(default)).unwrap_or_default();
        let delay = Duration::from_secs(seconds(self.probe.initial_delay_seconds, 0));
        let period = Duration::from_secs(seconds(self.probe.period_seconds, 10).max(1));
        let since = self.started_at.map(|at| context.clock.now().duration_since(at));
        let passed = since.and_then(|since| Duration::try_from(since).ok()).unwrap_or_default();
        if self.kind != Kind::Startup && self.container.startup_probe.is_some() {
            let mut news = started.subscribe();
            while verdicts.lock().startup(&self.container_id) != Some(true) {
                if news.changed().await.is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(delay.saturating_sub(passed)).await;
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut last, mut in_a_row) = (None, 0);
        loop {
            ticks.tick().await;
            // A probe that could not be made says nothing about the container.
            let Some(success) = self.once(context).await else { continue };
            in_a_row = if last == Some(success) { in_a_row + 1 } else { 1 };
            last = Some(success);
            let threshold = if success { self.probe.success_threshold.unwrap_or(1) } else { self.failures() };
            if in_a_row < threshold.max(1) {
                continue;
            }
            if verdicts.lock().set(&self.container_id, self.kind, success) {
                if self.kind == Kind::Startup {
                    started.send_modify(|count| *count += 1);
                }
                (context.wake)();
            }
            let ends = match self.kind {
                Kind::Startup => true,
                // The container is going to be killed; its successor has a probe of its own.
                Kind::Liveness => !success,
                Kind::Readiness => false,
            };
            if ends {
                return;
            }
        }
    }

    fn failures(&self) -> i32 {
        self.probe.failure_threshold.unwrap_or(3)
    }

    async fn once(&self, context: &ProbeContext) -> Option<bool> {
        let target = Target {
            runtime: &*context.runtime,
            container: &self.container,
            container_id: &self.container_id,
            pod_ip: &self.pod_ip,
            user_agent: &context.user_agent,
        };
        let start = Instant::now();
        let mut outcome = check(&target, &self.probe).await;
        for _ in 1..TRIES_MAX {
            if !matches!(outcome, Outcome::Error(_)) {
                break;
            }
            outcome = check(&target, &self.probe).await;
        }
        let kind = self.kind.name();
        context.metrics.probed(&self.pod, &self.container.name, kind, outcome.name(), start.elapsed());
        let about = self.pod.container_reference(&self.container.name);
        let (reason, message) = match &outcome {
            Outcome::Success => return Some(true),
            Outcome::Warning(text) => ("ProbeWarning", format!("{kind} probe warning: {text}")),
            Outcome::Failure(text) => ("Unhealthy", format!("{kind} probe failed: {text}")),
            Outcome::Error(text) => {
                ("Unhealthy", format!("{kind} probe errored and resulted in unknown state: {text}"))
            }
        };
        tracing::debug!(
            pod = self.pod.name(),
            namespace = self.pod.namespace(),
            container = self.container.name,
            message,
            "probe"
        );
        context.recorder.event(&about, EventType::Warning, reason, message);
        match outcome {
            Outcome::Success | Outcome::Warning(_) => Some(true),
            Outcome::Failure(_) => Some(false),
            Outcome::Error(_) => None,
        }
    }
}
