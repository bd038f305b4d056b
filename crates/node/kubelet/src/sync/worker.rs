//! The loop of one pod.
//!
//! Stages: *running* (containers are made to be as the pod wants them), *ending* (everything of the pod is stopped, within the grace
//! period), *ended* (volumes and cgroups are cleaned up, the last status is written), and, once the API has forgotten the pod,
//! removal of what the runtime still shows. A stage only ever goes forward. Each round observes anew, so that a kubelet that comes
//! back after a crash goes on where things are, not where it was.

mod resizing;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;
use windlass_api::k8s::api::core::v1::PodCondition;
use windlass_api::k8s::api::core::v1::{Pod, PodStatus};
use windlass_api::text::with_causes;
use windlass_client::{EventType, ObjectReference};
use windlass_cri::UserNamespace;
use windlass_volumes::SetUp;

use super::kill::{self, KillOrder};
use super::start::{self, StartFailure, Starting};
use crate::observe::{Observed, Observer, State};
use crate::plan::{self, BackOff, Input, Plan, SandboxPlan, Wait, container_hash};
use crate::pod::{ContainerKind, PodView, phase};
use crate::probe::{Kind, ProbeContext, Probers};
use crate::registry::{Ending, Mail, Mailbox, Record};
use crate::registry::{Entry, Registry};
use crate::shared::Shared;
use crate::status::{self, EVICTED, Eviction, StatusInput, Wanted};
use crate::{files, logs};

/// After a failure that is nobody's business to announce (the runtime is busy, a mount is held).
const RETRY: Duration = Duration::from_secs(1);
/// After a container or a sandbox could not be started; a change of what it depends on comes sooner.
const START_RETRY: Duration = Duration::from_secs(10);
const VOLUME_RETRY_FIRST: Duration = Duration::from_millis(500);
const VOLUME_RETRY_MAX: Duration = Duration::from_secs(122);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    Ending,
    Ended,
    /// Cleaned up; the API still has the pod.
    Waiting,
}

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    Again,
    At(Timestamp),
    Idle,
    Finished,
}

impl Next {
    fn or_at(self, at: Option<Timestamp>) -> Self {
        match (self, at) {
            (Self::Idle, Some(at)) => Self::At(at),
            (Self::At(own), Some(at)) => Self::At(own.min(at)),
            (next, _) => next,
        }
    }
}

pub(crate) struct Worker {
    shared: Arc<Shared>,
    registry: Arc<Registry>,
    mailbox: Arc<Mailbox>,
    record: Arc<Mutex<Record>>,
    observer: Observer,
    probers: Probers,
    stage: Stage,
    /// As allocated.
    pod: Arc<Pod>,
    resize_pending: Option<PodCondition>,
    resize_in_progress: Option<PodCondition>,
    /// This worker has looked at least once.
    recalled: bool,
    prepared: bool,
    crashes: BackOff<(String, String)>,
    not_before: HashMap<String, Timestamp>,
    waiting: HashMap<String, (String, String)>,
    /// Until when a pause has been announced.
    announced: HashMap<String, Timestamp>,
    volumes: Option<SetUp>,
    volume_retry: Duration,
    sandbox_retry: Option<Timestamp>,
    user: Option<UserNamespace>,
    /// What an ended pod has left is to be removed.
    reclaiming: bool,
    /// The last round has killed containers.
    killed: bool,
    /// When the pod came; until it runs.
    seen: Option<Instant>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, registry: Arc<Registry>, entry: Entry) -> Self {
        let Entry { mailbox, record } = entry;
        let pod = mailbox.pod();
        let woken = mailbox.clone();
        let agent = kill::short_version(&shared.options.version);
        let context = ProbeContext {
            runtime: shared.runtime.clone(),
            recorder: shared.recorder.clone(),
            clock: shared.clock,
            metrics: shared.metrics.clone(),
            user_agent: format!("kube-probe/{agent}"),
            wake: Arc::new(move || woken.wake()),
        };
        let fresh = pod.pod_status().start_time.is_none();
        let stage = if pod.is_terminal() { Stage::Ending } else { Stage::Running };
        record.lock().status = pod.pod_status().clone();
        Self {
            shared,
            registry,
            resize_pending: None,
            resize_in_progress: None,
            mailbox,
            record,
            observer: Observer::default(),
            probers: Probers::new(context, pod.clone()),
            stage,
            pod,
            recalled: false,
            prepared: false,
            crashes: BackOff::default(),
            not_before: HashMap::new(),
            waiting: HashMap::new(),
            announced: HashMap::new(),
            volumes: None,
            volume_retry: VOLUME_RETRY_FIRST,
            sandbox_retry: None,
            user: None,
            reclaiming: false,
            killed: false,
            seen: fresh.then(Instant::now),
        }
    }

    /// Until the pod is gone from the API and from the node.
    pub(crate) async fn run(mut self) {
        loop {
            let (start, operation) = (Instant::now(), self.operation());
            let next = self.round().await;
            self.shared.metrics.worked(operation, start.elapsed());
            match next {
                Next::Again => {}
                Next::Finished => return,
                Next::Idle => self.mailbox.news().await,
                Next::At(at) => {
                    let wait = Duration::try_from(at.duration_since(self.now())).unwrap_or_default();
                    tokio::select! {
                        () = self.mailbox.news() => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                }
            }
        }
    }

    /// What metrics call the stage.
    fn operation(&self) -> &'static str {
        match self.stage {
            Stage::Running if !self.recalled => "create",
            Stage::Running => "sync",
            Stage::Ending => "terminating",
            Stage::Ended | Stage::Waiting => "terminated",
        }
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn retry(&self) -> Next {
        Next::At(self.now() + RETRY)
    }

    async fn round(&mut self) -> Next {
        let mail = self.mailbox.take();
        self.allocate(&mail.pod);
        self.reclaiming |= mail.reclaim;
        if self.stage == Stage::Running && mail.must_end() {
            self.stage = Stage::Ending;
        }
        match self.stage {
            Stage::Running => {
                let mailbox = self.mailbox.clone();
                tokio::select! {
                    next = self.sync(&mail) => next,
                    () = mailbox.ending() => Next::Again,
                }
            }
            Stage::Ending => self.end(&mail).await,
            Stage::Ended => self.clean(&mail).await,
            Stage::Waiting if mail.gone => self.remove().await,
            Stage::Waiting => {
                self.want(true, true);
                if self.reclaiming {
                    if let Err(next) = self.remove_content().await {
                        return next;
                    }
                    self.reclaiming = false;
                    self.mailbox.set_cleaned();
                }
                Next::Idle
            }
        }
    }

    async fn observe(&mut self) -> Option<Observed> {
        let shared = self.shared.clone();
        let uid = self.pod.uid().to_owned();
        match self.observer.observe(&*shared.runtime, &uid, &shared.options.pod_logs).await {
            Ok(observed) => {
                if !std::mem::replace(&mut self.recalled, true) {
                    self.recall(&observed);
                }
                self.record.lock().observed = observed.clone();
                Some(observed)
            }
            Err(error) => {
                tracing::warn!(pod = self.pod.name(), namespace = self.pod.namespace(), %error, "the runtime does not answer");
                None
            }
        }
    }

    /// What a kubelet that has just started can know of containers that run already.
    fn recall(&mut self, observed: &Observed) {
        let prefix = format!("{}://", self.shared.runtime_name);
        let status = self.pod.pod_status();
        let known = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
        for known in known.filter(|known| known.state.as_ref().is_some_and(|state| state.running.is_some())) {
            let id = known.container_id.as_deref().and_then(|id| id.strip_prefix(&prefix));
            let Some(id) = id.filter(|id| observed.running().any(|view| view.id == **id)) else { continue };
            if known.started == Some(true) {
                self.probers.recall(id, Kind::Startup, true);
            }
            if known.ready {
                self.probers.recall(id, Kind::Readiness, true);
            }
        }
        for container in self.pod.init_containers().iter().chain(self.pod.app_containers()) {
            if let Some(view) = observed.latest(&container.name)
                && let Ok(at) = Timestamp::from_nanosecond(i128::from(view.created_at))
            {
                self.crashes.recall((container.name.clone(), container_hash(container)), view.attempt, at);
            }
        }
    }

    /// Makes the pod as it should be.
    async fn sync(&mut self, mail: &Mail) -> Next {
        if mail.inputs_changed {
            self.not_before.clear();
            self.sandbox_retry = None;
            self.volume_retry = VOLUME_RETRY_FIRST;
        }
        let Some(observed) = self.observe().await else { return self.retry() };
        let pod = self.pod.clone();
        self.probers.reconcile(&pod, &observed, false);
        if let Some(next) = self.deadline() {
            return next;
        }
        let plan = self.plan(&observed);
        self.explain_waits(&plan);
        self.note_resize(&observed);
        // A container that was killed to be replaced is shown again when its successor runs: between the two, nobody is told that the
        // pod is not ready, just as upstream's kubelet does both in one go.
        let is_replacing = std::mem::take(&mut self.killed) && !plan.start.is_empty();
        if !is_replacing && phase::is_terminal(&self.write_status(&observed, false, false)) {
            self.stage = Stage::Ending;
            return Next::Again;
        }
        let deadline = self.deadline_at();
        if let Err(next) = self.prepare(&plan).await {
            return next.or_at(deadline);
        }
        let volumes_at = match self.volumes(mail, &plan).await {
            Ok(at) => at,
            Err(next) => return next.or_at(deadline),
        };
        let acted = self.execute(&observed, &plan).await;
        if acted {
            return Next::Again;
        }
        match self.resize(&observed).await {
            Ok(false) => {}
            Ok(true) => return Next::Again,
            Err(next) => return next.or_at(deadline),
        }
        self.collect_garbage(&observed).await;
        let waits = plan.wait.iter().map(|wait| wait.until).min();
        let starts = self.not_before.values().filter(|at| **at > self.now()).min().copied();
        let wake = [deadline, volumes_at, waits, starts, self.sandbox_retry].into_iter().flatten().min();
        Next::Idle.or_at(wake)
    }

    fn plan(&self, observed: &Observed) -> Plan {
        plan::plan(&Input {
            pod: &self.pod,
            observed,
            verdicts: &self.probers.verdicts(),
            crashes: &self.crashes,
            not_before: &self.not_before,
            now: self.now(),
        })
    }

    /// Writes what is observed; returns the phase.
    fn write_status(&mut self, observed: &Observed, finished: bool, cleaned: bool) -> String {
        let mail = self.mailbox.peek();
        let old = self.record.lock().status.clone();
        let conditions: Vec<PodCondition> =
            [&self.resize_pending, &self.resize_in_progress].into_iter().flatten().cloned().collect();
        let status = status::generate(&StatusInput {
            pod: &self.pod,
            old: &old,
            observed,
            verdicts: &self.probers.verdicts(),
            waiting: &self.waiting,
            finished,
            eviction: mail.ending.as_ref().map(|ending| &ending.eviction),
            resize: &conditions,
            host_ips: &self.shared.options.node_ips,
            runtime_name: &self.shared.runtime_name,
            recursive_read_only: self.shared.node.recursive_read_only(),
            now: self.now(),
        });
        let phase = status.phase.clone().unwrap_or_default();
        if phase == phase::RUNNING
            && let Some(seen) = self.seen.take()
        {
            self.shared.metrics.pod_runs_after(seen.elapsed());
        }
        self.record.lock().status = status;
        self.want(finished, cleaned);
        phase
    }

    fn want(&self, finished: bool, cleaned: bool) {
        let status = {
            let mut record = self.record.lock();
            record.finished = finished;
            record.status.clone()
        };
        self.shared.status.set(Wanted { pod: self.pod.clone(), status, finished, cleaned });
    }

    fn about(&self) -> ObjectReference {
        self.pod.reference()
    }

    /// When the pod has run for as long as it may.
    fn deadline_at(&self) -> Option<Timestamp> {
        let seconds = self.pod.pod_spec().active_deadline_seconds?;
        let started = self.record.lock().status.start_time.clone()?;
        let most = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        Some(started.0.saturating_add(most).unwrap_or(Timestamp::MAX))
    }

    fn deadline(&self) -> Option<Next> {
        const MESSAGE: &str = "Pod was active on the node longer than the specified deadline";
        let at = self.deadline_at()?;
        if at > self.now() {
            return None;
        }
        self.shared.recorder.event(&self.about(), EventType::Normal, "DeadlineExceeded", MESSAGE);
        let eviction =
            Eviction { reason: "DeadlineExceeded".to_owned(), message: MESSAGE.to_owned(), conditions: Vec::new() };
        self.mailbox.end(Ending { eviction, grace_seconds: None, rejected: false });
        Some(Next::Again)
    }

    /// Why containers wait after crashes goes into their statuses, and once into an event.
    fn explain_waits(&mut self, plan: &Plan) {
        for Wait { name, until, crash_pause } in &plan.wait {
            let Some(pause) = crash_pause else { continue };
            let shown = Shared::shown(&self.pod);
            let seconds = windlass_api::time::format_duration(i64::try_from(pause.as_nanos()).unwrap_or(i64::MAX));
            let message = format!("back-off {seconds} restarting failed container={name} pod={shown}");
            self.waiting.insert(name.clone(), ("CrashLoopBackOff".to_owned(), message));
            if self.announced.insert(name.clone(), *until) != Some(*until) {
                let text = format!("Back-off restarting failed container {name} in pod {shown}");
                let about = self.pod.container_reference(name);
                self.shared.recorder.event(&about, EventType::Warning, "BackOff", text);
            }
        }
    }

    /// What must be there before anything starts.
    async fn prepare(&mut self, plan: &Plan) -> Result<(), Next> {
        let starts = !plan.start.is_empty() || matches!(plan.sandbox, SandboxPlan::Create { .. });
        if let Some(why) = self.shared.node.network_problem().filter(|_| starts && !self.pod.uses_host_network()) {
            let text = format!("network is not ready: {why}");
            self.shared.recorder.event(&self.about(), EventType::Warning, "NetworkNotReady", text);
            return Err(self.retry());
        }
        if self.prepared {
            return Ok(());
        }
        let directory = self.shared.pod_directory(self.pod.uid());
        if let Err(error) = tokio::fs::create_dir_all(&directory).await {
            let text = format!("error making pod data directories: {error}");
            self.shared.recorder.event(&self.about(), EventType::Warning, "Failed", text);
            return Err(self.retry());
        }
        if self.pod.pod_spec().host_users == Some(false) {
            match self.shared.node.user_namespaces().allocate(self.pod.uid(), &directory).await {
                Ok(user) => self.user = Some(user),
                Err(error) => {
                    let text = format!("error getting user namespace: {error}");
                    self.shared.recorder.event(&self.about(), EventType::Warning, "Failed", text);
                    return Err(self.retry());
                }
            }
        }
        self.prepared = true;
        Ok(())
    }

    /// Makes the volumes, or brings them up to date; returns when to look at them again.
    async fn volumes(&mut self, mail: &Mail, plan: &Plan) -> Result<Option<Timestamp>, Next> {
        let due = self.volumes.as_ref().and_then(|volumes| volumes.refresh_at);
        let is_due = due.is_some_and(|at| at <= self.now());
        let failed = self.volumes.as_ref().is_none_or(|volumes| !volumes.failures.is_empty());
        if !failed && !is_due && !mail.inputs_changed {
            return Ok(due);
        }
        if plan.ends {
            return Ok(due);
        }
        let sources = self.shared.objects.of_pod(self.pod.uid());
        let node = self.shared.node.for_volumes();
        let outcome = self.shared.volumes.set_up(&self.pod, &node, &sources).await;
        let is_fine = outcome.failures.is_empty();
        for (volume, error) in &outcome.failures {
            let text = error.event_message(volume);
            self.shared.recorder.event(&self.about(), EventType::Warning, "FailedMount", text);
        }
        let refresh_at = outcome.refresh_at;
        if !is_fine && !failed {
            // They are there, only not up to date: what runs on them goes on.
            let wait = self.volume_retry;
            self.volume_retry = (wait * 2).min(VOLUME_RETRY_MAX);
            let again = self.now() + wait;
            let known = self.volumes.get_or_insert_default();
            known.refresh_at = Some(again);
            return Ok(Some(again));
        }
        self.volumes = Some(outcome);
        if is_fine {
            self.volume_retry = VOLUME_RETRY_FIRST;
            return Ok(refresh_at);
        }
        let wait = self.volume_retry;
        self.volume_retry = (wait * 2).min(VOLUME_RETRY_MAX);
        Err(Next::At(self.now() + wait))
    }

    /// Carries a plan out; returns whether anything was done, so that it is worth looking again at once.
    async fn execute(&mut self, observed: &Observed, plan: &Plan) -> bool {
        let pod = self.pod.clone();
        let mut acted = false;
        if plan.ends {
            if observed.is_anything_alive() {
                acted = self.kill_all(observed).await;
            }
            return acted;
        }
        for kill in &plan.kill {
            let order = KillOrder {
                id: &kill.id,
                name: &kill.name,
                message: &kill.message,
                reason: kill.reason,
                grace_seconds: None,
            };
            acted = true;
            if let Err(error) = kill::container(&self.shared, &pod, &order, None).await {
                tracing::warn!(pod = pod.name(), namespace = pod.namespace(), container = kill.name, %error, "cannot kill");
                return false;
            }
        }
        if acted {
            // What was killed is seen as ended before it is started again, so that its pause counts.
            self.killed = true;
            return true;
        }
        let sandbox_id = match &plan.sandbox {
            SandboxPlan::Keep(id) => id.clone(),
            SandboxPlan::Without => return acted,
            // What containers are told of their sandbox is observed first.
            SandboxPlan::Create { attempt } => return self.new_sandbox(observed, *attempt).await,
        };
        self.start_all(observed, plan, &sandbox_id).await || acted
    }

    async fn kill_all(&self, observed: &Observed) -> bool {
        match kill::pod(&self.shared, &self.pod, observed, None).await {
            Ok(()) => true,
            Err(error) => {
                let text = format!("error killing pod: {error}");
                self.shared.recorder.event(&self.about(), EventType::Warning, "FailedKillPod", text);
                false
            }
        }
    }

    async fn new_sandbox(&mut self, observed: &Observed, attempt: u32) -> bool {
        if self.sandbox_retry.is_some_and(|at| at > self.now()) {
            return false;
        }
        if !observed.sandboxes.is_empty() {
            if observed.is_anything_alive() || attempt > 0 {
                const TEXT: &str = "Pod sandbox changed, it will be killed and re-created.";
                self.shared.recorder.event(&self.about(), EventType::Normal, "SandboxChanged", TEXT);
            }
            if !self.kill_all(observed).await {
                self.sandbox_retry = Some(self.now() + RETRY);
                return false;
            }
        }
        match start::sandbox(&self.shared, &self.pod, attempt, self.user.clone()).await {
            Ok(_) => {
                self.shared.metrics.started_pods.inc();
                self.sandbox_retry = None;
                true
            }
            Err(message) => {
                self.shared.metrics.started_pods_errors.inc();
                let text = format!("Failed to create pod sandbox: {message}");
                self.shared.recorder.event(&self.about(), EventType::Warning, "FailedCreatePodSandBox", text);
                self.sandbox_retry = Some(self.now() + START_RETRY);
                false
            }
        }
    }

    /// Starts what the plan names, one after the other; an init container that fails holds back the rest.
    async fn start_all(&mut self, observed: &Observed, plan: &Plan, sandbox_id: &str) -> bool {
        let pod = self.pod.clone();
        let mut started = false;
        for start in &plan.start {
            let Some((_, container)) = pod.container(&start.name) else { continue };
            let key = (start.name.clone(), container_hash(&container));
            let ended = observed.latest(&start.name).filter(|view| view.state == State::Exited);
            if let Some(at) = ended.and_then(|view| view.finished_at) {
                let now = self.now();
                self.crashes.attempt(key, at, now);
            }
            let result = {
                let volumes = self.volumes.get_or_insert_default();
                let pod_ips = self.record.lock().status.pod_ips.clone().unwrap_or_default();
                let pod_ips: Vec<String> = pod_ips.into_iter().map(|ip| ip.ip).collect();
                let starting = Starting {
                    shared: &self.shared,
                    pod: &pod,
                    observed,
                    sandbox_id,
                    volumes,
                    pod_ips: &pod_ips,
                    user: self.user.clone(),
                };
                starting.start(start.kind, &container).await
            };
            match result {
                Ok(()) => {
                    started = true;
                    self.waiting.remove(&start.name);
                    self.not_before.remove(&start.name);
                }
                Err(failure) => {
                    self.shared.metrics.container_failed(start.kind, failure.reason);
                    self.note_failure(&start.name, failure);
                    // Its status says why.
                    started = true;
                    if start.kind == ContainerKind::Init {
                        break;
                    }
                }
            }
        }
        started
    }

    fn note_failure(&mut self, name: &str, failure: StartFailure) {
        tracing::info!(
            pod = self.pod.name(),
            namespace = self.pod.namespace(),
            container = name,
            reason = failure.reason,
            message = failure.message,
            "container failed to start"
        );
        let retry_at = match (failure.reason, failure.retry_at) {
            // The runtime shows it as ended: its pauses are those of crashes. A moment lets the reason be seen.
            ("RunContainerError" | "PostStartHookError", _) => Some(self.now() + RETRY),
            // The pause is told with the next attempt, as people know it: ErrImagePull, then ImagePullBackOff.
            ("ErrImagePull", Some(_)) => Some(self.now() + RETRY),
            (_, Some(at)) => Some(at),
            (_, None) => Some(self.now() + START_RETRY),
        };
        if let Some(at) = retry_at {
            self.not_before.insert(name.to_owned(), at);
        }
        self.waiting.insert(name.to_owned(), (failure.reason.to_owned(), failure.message));
    }

    /// Of each container one dead instance stays besides the newest, for its log and its last state.
    async fn collect_garbage(&self, observed: &Observed) {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for view in &observed.containers {
            let dead = matches!(view.state, State::Exited);
            let count = seen.entry(view.name.as_str()).or_default();
            *count += 1;
            if *count <= 2 || !dead {
                continue;
            }
            if self.shared.runtime.remove_container(&view.id).await.is_err() {
                continue;
            }
            // Its message has been read.
            let messages = self.shared.pod_directory(self.pod.uid()).join("containers").join(&view.name);
            let _ = tokio::fs::remove_file(messages.join(view.attempt.to_string())).await;
            if !view.log_path.is_empty()
                && let Err(error) = logs::remove(view.log_path.clone().into()).await
            {
                tracing::warn!(path = view.log_path, %error, "the log of a container that is gone cannot be removed");
            }
        }
        for sandbox in observed.sandboxes.iter().skip(1).filter(|sandbox| !sandbox.ready) {
            if !observed.containers.iter().any(|view| view.sandbox_id == sandbox.id) {
                let _ = self.shared.runtime.remove_sandbox(&sandbox.id).await;
            }
        }
    }

    /// Stops everything, within the grace period; readiness is still probed meanwhile.
    async fn end(&mut self, mail: &Mail) -> Next {
        if let Some(ending) = mail.ending.as_ref().filter(|ending| ending.rejected) {
            self.reject(&ending.eviction);
            return Next::Again;
        }
        let Some(observed) = self.observe().await else { return self.retry() };
        let pod = self.pod.clone();
        if pod.is_terminal() && observed == Observed::default() {
            // It ended before this kubelet started, and the API says how.
            self.stage = Stage::Ended;
            return Next::Again;
        }
        self.probers.reconcile(&pod, &observed, true);
        self.write_status(&observed, false, false);
        if observed.is_anything_alive() {
            let (shared, mailbox) = (self.shared.clone(), self.mailbox.clone());
            let killing = kill::pod(&shared, &pod, &observed, Some(mail.grace_seconds()));
            tokio::pin!(killing);
            loop {
                tokio::select! {
                    result = &mut killing => match result {
                        Ok(()) => break,
                        Err(error) => {
                            let text = format!("error killing pod: {error}");
                            self.shared.recorder.event(&self.about(), EventType::Warning, "FailedKillPod", text);
                            return self.retry();
                        }
                    },
                    () = mailbox.ending() => return Next::Again,
                    () = mailbox.news() => {
                        self.allocate(&mailbox.pod());
                        if let Some(observed) = self.observe().await {
                            self.write_status(&observed, false, false);
                        }
                    }
                }
            }
            let Some(observed) = self.observe().await else { return self.retry() };
            if observed.is_anything_alive() {
                return self.retry();
            }
        }
        let observed = self.record.lock().observed.clone();
        self.probers.reconcile(&pod, &Observed::default(), true);
        self.write_status(&observed, true, false);
        self.stage = Stage::Ended;
        Next::Again
    }

    /// A pod that was not let in has a phase and a reason, and nothing else.
    fn reject(&mut self, why: &Eviction) {
        let generation = self.pod.generation();
        let status = PodStatus {
            phase: Some(phase::FAILED.to_owned()),
            reason: Some(why.reason.clone()),
            message: Some(why.message.clone()),
            qos_class: self.pod.pod_status().qos_class.clone(),
            conditions: self.pod.pod_status().conditions.clone(),
            start_time: Some(status::time(self.now())),
            observed_generation: Some(generation).filter(|generation| *generation > 0),
            ..PodStatus::default()
        };
        self.record.lock().status = status;
        self.want(true, true);
        self.stage = Stage::Waiting;
    }

    /// Gives back what the pod had of the node, and lets the API delete it.
    async fn clean(&mut self, mail: &Mail) -> Next {
        let (shared, uid) = (self.shared.clone(), self.pod.uid().to_owned());
        if let Err(error) = shared.volumes.tear_down(&uid).await {
            tracing::warn!(pod = self.pod.name(), namespace = self.pod.namespace(), error = %with_causes(&error), "volumes cannot be torn down yet");
            return self.retry();
        }
        let (cgroups, pod) = (shared.cgroups.clone(), self.pod.clone());
        let removed = tokio::task::spawn_blocking(move || cgroups.remove_pod(&pod)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(pod = self.pod.name(), namespace = self.pod.namespace(), %error, "the pod's cgroups cannot be removed yet");
            return self.retry();
        }
        // Of an evicted pod nothing stays: what filled the node may have been its writable layers or its logs.
        let is_evicted = self.record.lock().status.reason.as_deref() == Some(EVICTED);
        if is_evicted && let Err(next) = self.remove_content().await {
            return next;
        }
        shared.objects.release(&uid);
        shared.images.forget(&uid);
        shared.node.user_namespaces().release(&uid);
        let status = {
            let mut record = self.record.lock();
            record.status = status::terminated(&self.pod, &record.status, shared.clock.now());
            record.finished = true;
            record.status.clone()
        };
        shared.status.set(Wanted { pod: self.pod.clone(), status, finished: true, cleaned: true });
        self.mailbox.set_cleaned();
        self.stage = Stage::Waiting;
        if mail.gone { Next::Again } else { Next::Idle }
    }

    /// Removes sandboxes, containers and logs.
    async fn remove_content(&mut self) -> Result<(), Next> {
        let Some(observed) = self.observe().await else { return Err(self.retry()) };
        for sandbox in &observed.sandboxes {
            if let Err(error) = self.shared.runtime.remove_sandbox(&sandbox.id).await {
                tracing::warn!(pod = self.pod.name(), namespace = self.pod.namespace(), %error, "a sandbox cannot be removed yet");
                return Err(self.retry());
            }
        }
        for container in &observed.containers {
            if let Err(error) = self.shared.runtime.remove_container(&container.id).await {
                tracing::warn!(pod = self.pod.name(), namespace = self.pod.namespace(), %error, "a container cannot be removed yet");
                return Err(self.retry());
            }
        }
        let logs = self.shared.log_directory(&self.pod);
        if let Err(error) = files::remove_tree(logs.clone()).await {
            tracing::warn!(path = %logs.display(), %error, "a pod's logs cannot be removed yet");
            return Err(self.retry());
        }
        Ok(())
    }

    /// Removes what the runtime and the disk still have of the pod.
    async fn remove(&mut self) -> Next {
        if let Err(next) = self.remove_content().await {
            return next;
        }
        if let Err(error) = self.shared.volumes.remove_pod(self.pod.uid()).await {
            tracing::warn!(pod = self.pod.name(), namespace = self.pod.namespace(), error = %with_causes(&error), "the pod's directory cannot be removed yet");
            return self.retry();
        }
        self.shared.status.forget(&self.pod.key(), self.pod.uid());
        Next::Finished
    }
}
