//! The decision itself: sandbox, init containers, sidecars, app and ephemeral containers.
//!
//! The rules are upstream's, since tests and operators look at their outcome: a changed sandbox ends everything; init containers
//! run one after the other, sidecars among them stay; probes that failed kill; a pod with nothing to run or to start has ended.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use windlass_api::k8s::api::core::v1::{Container, Pod};

use super::backoff::BackOff;
use crate::observe::{ContainerView, Observed, State};
use crate::pod::{ContainerKind, PodView, is_sidecar};
use crate::probe::Verdicts;
use crate::resize;
use crate::restart;

pub(crate) struct Input<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) observed: &'a Observed,
    pub(crate) verdicts: &'a Verdicts,
    /// Pauses of containers that ended, by name and hash.
    pub(crate) crashes: &'a BackOff<(String, String)>,
    /// When containers that could not be started may be tried again.
    pub(crate) not_before: &'a HashMap<String, Timestamp>,
    pub(crate) now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SandboxPlan {
    Keep(String),
    /// Everything of older sandboxes ends first.
    Create {
        attempt: u32,
    },
    /// None is needed any more.
    Without,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KillReason {
    Liveness,
    Startup,
    Unknown,
    /// The container's definition has changed.
    Changed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kill {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) reason: KillReason,
    pub(crate) message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) kind: ContainerKind,
    pub(crate) name: String,
}

/// A container that would be started, but not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) name: String,
    pub(crate) until: Timestamp,
    /// The pause, when it is one after a crash; otherwise it waits after a failed start.
    pub(crate) crash_pause: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) sandbox: SandboxPlan,
    /// Nothing of the pod is to run on.
    pub(crate) ends: bool,
    pub(crate) kill: Vec<Kill>,
    /// In this order; ephemeral containers come first.
    pub(crate) start: Vec<Start>,
    pub(crate) wait: Vec<Wait>,
}

impl Plan {
    fn new(sandbox: SandboxPlan) -> Self {
        Self { sandbox, ends: false, kill: Vec::new(), start: Vec::new(), wait: Vec::new() }
    }

    fn starts(&mut self, kind: ContainerKind, container: &Container) {
        self.start.push(Start { kind, name: container.name.clone() });
    }

    fn kills(&mut self, view: &ContainerView, reason: KillReason, message: String) {
        self.kill.push(Kill { id: view.id.clone(), name: view.name.clone(), reason, message });
    }
}

/// What a container was made from, as far as a change makes it be made again: its name and image.
pub(crate) fn container_hash(container: &Container) -> String {
    let mut hasher = Sha256::new();
    hasher.update(container.name.as_bytes());
    hasher.update([0]);
    hasher.update(container.image.as_deref().unwrap_or_default().as_bytes());
    hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Why a new sandbox is needed, in the words of the condition PodReadyToStartContainers; with the attempt that it will be.
pub(crate) fn sandbox_need(pod: &Pod, observed: &Observed) -> Result<String, (u32, &'static str)> {
    let Some(newest) = observed.sandboxes.first() else { return Err((0, "")) };
    let ready = observed.sandboxes.iter().filter(|sandbox| sandbox.ready).count();
    if ready > 1 {
        return Err((newest.attempt + 1, "Multiple sandboxes are ready"));
    }
    if !newest.ready {
        return Err((newest.attempt + 1, "Sandbox is not ready"));
    }
    if newest.on_host_network != pod.uses_host_network() {
        return Err((newest.attempt + 1, "Sandbox has different host network mode"));
    }
    if !pod.uses_host_network() && newest.ips.is_empty() {
        return Err((newest.attempt + 1, "Sandbox has no IP address"));
    }
    Ok(newest.id.clone())
}

/// Decides. Pure.
pub(crate) fn plan(input: &Input<'_>) -> Plan {
    let mut plan = match sandbox_need(input.pod, input.observed) {
        Ok(id) => in_sandbox(input, id),
        Err((attempt, _)) => with_new_sandbox(input, attempt),
    };
    hold_back(input, &mut plan);
    plan
}

/// Takes out of the plan what must wait. An init container that waits holds back those after it, which the decision has not
/// named anyway.
fn hold_back(input: &Input<'_>, plan: &mut Plan) {
    let mut wait = Vec::new();
    plan.start.retain(|start| {
        let blocked = waits(input, &start.name);
        let is_blocked = blocked.is_some();
        wait.extend(blocked);
        !is_blocked
    });
    plan.wait = wait;
}

fn waits(input: &Input<'_>, name: &str) -> Option<Wait> {
    if let Some(until) = input.not_before.get(name).filter(|until| **until > input.now) {
        return Some(Wait { name: name.to_owned(), until: *until, crash_pause: None });
    }
    let (_, container) = input.pod.container(name)?;
    let ended = input.observed.containers.iter().find(|it| it.name == name && it.state == State::Exited)?;
    let key = (name.to_owned(), container_hash(&container));
    let (pause, until) = input.crashes.pending(&key, ended.finished_at?, input.now)?;
    Some(Wait { name: name.to_owned(), until, crash_pause: Some(pause) })
}

/// The sandbox is gone or wrong: everything starts from the beginning, unless it has all been done.
fn with_new_sandbox(input: &Input<'_>, attempt: u32) -> Plan {
    let (pod, observed) = (input.pod, input.observed);
    let ended = || Plan { ends: true, ..Plan::new(SandboxPlan::Without) };
    if pod.restart_policy() == "Never" && attempt != 0 && !observed.containers.is_empty() {
        return ended();
    }
    let done = |container: &&Container| {
        let policy = container.restart_policy.as_deref().unwrap_or(pod.restart_policy());
        let succeeded =
            observed.latest(&container.name).is_some_and(|view| view.state == State::Exited && view.exit_code == 0);
        policy == "OnFailure" && succeeded
    };
    let wanted: Vec<&Container> = pod.app_containers().iter().filter(|container| !done(container)).collect();
    if wanted.is_empty() && observed.any_app_container(pod) {
        return ended();
    }
    let mut plan = Plan::new(SandboxPlan::Create { attempt });
    match pod.init_containers().first() {
        Some(first) => plan.starts(ContainerKind::Init, first),
        None => wanted.into_iter().for_each(|container| plan.starts(ContainerKind::App, container)),
    }
    plan
}

fn in_sandbox(input: &Input<'_>, sandbox: String) -> Plan {
    let (pod, observed) = (input.pod, input.observed);
    let mut plan = Plan::new(SandboxPlan::Keep(sandbox));
    for container in pod.containers(ContainerKind::Ephemeral).iter() {
        // They are never restarted.
        if observed.latest(&container.name).is_none() {
            plan.starts(ContainerKind::Ephemeral, container);
        }
    }
    if !init_containers(input, &mut plan) || plan.ends {
        return plan;
    }
    app_containers(input, &mut plan);
    plan
}

/// What to do with one init container of which something is known.
enum InitStep {
    /// It has done its part: the next may start.
    Done,
    /// It needs time.
    Busy,
    Start,
    Kill(KillReason, String),
    /// It has failed, and will not be tried again.
    Fatal,
}

fn init_step(input: &Input<'_>, container: &Container, view: &ContainerView) -> InitStep {
    let policy = input.pod.restart_policy();
    let sidecar = is_sidecar(container);
    match view.state {
        State::Created => InitStep::Start,
        State::Running if !sidecar => InitStep::Busy,
        State::Running => sidecar_step(input, container, view),
        State::Exited if sidecar => InitStep::Start,
        State::Exited if view.exit_code == 0 => InitStep::Done,
        State::Exited if restart::after_exit(container, policy, view.exit_code) => InitStep::Start,
        State::Exited => InitStep::Fatal,
        State::Unknown if sidecar || restart::after_kill(container, policy) => InitStep::Kill(
            KillReason::Unknown,
            "Init container is in \"unknown\" state, try killing it before restart".to_owned(),
        ),
        State::Unknown => InitStep::Fatal,
    }
}

/// A sidecar that runs has started once its startup probe says so. Whether it is alive is for [`sidecar_health`].
fn sidecar_step(input: &Input<'_>, container: &Container, view: &ContainerView) -> InitStep {
    if container.startup_probe.is_some() {
        return match input.verdicts.startup(&view.id) {
            Some(true) => InitStep::Done,
            None => InitStep::Busy,
            Some(false) => {
                InitStep::Kill(KillReason::Startup, format!("Init container {} failed startup probe", container.name))
            }
        };
    }
    InitStep::Done
}

/// Why a started sidecar must be killed, if it must.
fn sidecar_health(input: &Input<'_>, container: &Container, view: &ContainerView) -> Option<(KillReason, String)> {
    if view.hash != container_hash(container) {
        return Some((KillReason::Changed, format!("Init container {} definition changed", container.name)));
    }
    if resize::needs_restart(container, view) {
        return Some((KillReason::Changed, format!("Init container {} resize requires restart", container.name)));
    }
    (container.liveness_probe.is_some() && input.verdicts.liveness(&view.id) == Some(false))
        .then(|| (KillReason::Liveness, format!("Init container {} failed liveness probe", container.name)))
}

/// Decides about init containers; returns whether the pod is initialized. The last one of which anything is known says how far
/// initialization has come, for the runtime may have lost what came before.
fn init_containers(input: &Input<'_>, plan: &mut Plan) -> bool {
    let (pod, observed) = (input.pod, input.observed);
    let all = pod.init_containers();
    if all.is_empty() {
        return true;
    }
    let mut initialized = observed.is_initialized(pod);
    // Whether something after the container that is looked at has been seen, so that it has done its part once.
    let mut passed = initialized;
    let mut starts: Vec<usize> = Vec::new();
    for (index, container) in all.iter().enumerate().rev() {
        let Some(view) = observed.active(&container.name) else {
            if passed && is_sidecar(container) {
                starts.push(index);
            }
            continue;
        };
        if passed && !is_sidecar(container) {
            continue;
        }
        match init_step(input, container, view) {
            InitStep::Busy => {}
            InitStep::Start => starts.push(index),
            InitStep::Kill(reason, message) => {
                plan.kills(view, reason, message);
                starts.push(index);
            }
            InitStep::Fatal => {
                plan.ends = true;
                return false;
            }
            InitStep::Done => {
                if index + 1 == all.len() {
                    initialized = true;
                } else if !passed {
                    starts.push(index + 1);
                }
                if is_sidecar(container)
                    && let Some((reason, message)) = sidecar_health(input, container, view)
                {
                    plan.kills(view, reason, message);
                    starts.push(index);
                }
            }
        }
        passed = true;
    }
    if !passed {
        starts.push(0);
    }
    starts.sort_unstable();
    starts.dedup();
    starts.into_iter().for_each(|index| plan.starts(ContainerKind::Init, &all[index]));
    initialized
}

/// Why a running app container must be killed, and whether it comes again.
fn app_health(input: &Input<'_>, container: &Container, view: &ContainerView) -> Option<(KillReason, String, bool)> {
    let name = &container.name;
    let again = restart::after_kill(container, input.pod.restart_policy());
    if view.hash != container_hash(container) {
        return Some((KillReason::Changed, format!("Container {name} definition changed"), true));
    }
    if resize::needs_restart(container, view) {
        return Some((KillReason::Changed, format!("Container {name} resize requires restart"), true));
    }
    if input.verdicts.liveness(&view.id) == Some(false) {
        return Some((KillReason::Liveness, format!("Container {name} failed liveness probe"), again));
    }
    if input.verdicts.startup(&view.id) == Some(false) {
        return Some((KillReason::Startup, format!("Container {name} failed startup probe"), again));
    }
    None
}

fn app_containers(input: &Input<'_>, plan: &mut Plan) {
    let (pod, observed) = (input.pod, input.observed);
    let (mut kept, mut started) = (false, false);
    for container in pod.app_containers() {
        let view = observed.latest(&container.name);
        let Some(running) = view.filter(|view| view.state == State::Running) else {
            if restart::should_start(container, pod, observed) {
                started = true;
                plan.starts(ContainerKind::App, container);
                if let Some(unknown) = view.filter(|view| view.state == State::Unknown) {
                    let message = "Container is in \"unknown\" state, try killing it before restart".to_owned();
                    plan.kills(unknown, KillReason::Unknown, message);
                }
            }
            continue;
        };
        let Some((reason, mut message, again)) = app_health(input, container, running) else {
            kept = true;
            continue;
        };
        if again {
            message.push_str(", will be restarted");
            started = true;
            plan.starts(ContainerKind::App, container);
        }
        plan.kills(running, reason, message);
    }
    if !kept && !started {
        plan.ends = true;
        // Sidecars must not keep a pod alive that has nothing else.
        plan.start.retain(|start| start.kind != ContainerKind::Init);
    }
}
