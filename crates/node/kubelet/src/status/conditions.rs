//! The conditions that the kubelet owns: PodReadyToStartContainers, Initialized, ContainersReady, Ready, PodScheduled.

use jiff::Timestamp;
use windlass_api::condition;
use windlass_api::k8s::api::core::v1::{ContainerStatus, Pod, PodCondition, PodStatus};
use windlass_api::pod::DISRUPTION_TARGET;

use crate::observe::Observed;
use crate::plan::sandbox_need;
use crate::pod::{PodView, is_sidecar, phase};
use crate::resize::{IN_PROGRESS, PENDING};

const OWN: [&str; 8] = [
    "PodScheduled",
    "Ready",
    "Initialized",
    "ContainersReady",
    "PodReadyToStartContainers",
    "AllContainersRestarting",
    PENDING,
    IN_PROGRESS,
];

pub(super) fn is_own(kind: &str) -> bool {
    OWN.contains(&kind)
}

/// Finds a condition.
pub(crate) fn find<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a PodCondition> {
    condition::find(status.conditions.iter().flatten(), kind)
}

/// A condition that is true, or false for a reason.
fn make(kind: &str, result: Result<(), (&str, String)>) -> PodCondition {
    let (reason, message) = match &result {
        Ok(()) => ("", String::new()),
        Err((reason, message)) => (*reason, message.clone()),
    };
    PodCondition {
        type_: kind.to_owned(),
        status: if result.is_ok() { "True" } else { "False" }.to_owned(),
        reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
        message: Some(message).filter(|message| !message.is_empty()),
        ..PodCondition::default()
    }
}

fn list(names: &[&str]) -> String {
    format!("[{}]", names.join(" "))
}

fn complaint(parts: [(&str, &[&str]); 2]) -> String {
    let parts = parts.iter().filter(|(_, names)| !names.is_empty());
    parts.map(|(what, names)| format!("containers with {what} status: {}", list(names))).collect::<Vec<_>>().join(", ")
}

fn ready_to_start(pod: &Pod, observed: &Observed) -> PodCondition {
    match sandbox_need(pod, observed) {
        Ok(_) => make("PodReadyToStartContainers", Ok(())),
        Err((_, reason)) => make("PodReadyToStartContainers", Err(("PodSandboxNotReady", reason.to_owned()))),
    }
}

fn initialized(pod: &Pod, statuses: &[ContainerStatus], phase: &str) -> PodCondition {
    let (mut unknown, mut incomplete) = (Vec::new(), Vec::new());
    for container in pod.init_containers() {
        match statuses.iter().find(|status| status.name == container.name) {
            None => unknown.push(container.name.as_str()),
            Some(status) => {
                let done = if is_sidecar(container) { status.started.unwrap_or(false) } else { status.ready };
                if !done {
                    incomplete.push(container.name.as_str());
                }
            }
        }
    }
    if phase == phase::SUCCEEDED && unknown.is_empty() {
        return PodCondition { reason: Some("PodCompleted".to_owned()), ..make("Initialized", Ok(())) };
    }
    let has_started = |status: &ContainerStatus| {
        let began = |state: &windlass_api::k8s::api::core::v1::ContainerState| {
            state.running.is_some() || state.terminated.is_some()
        };
        status.state.as_ref().is_some_and(began) || status.last_state.as_ref().is_some_and(began)
    };
    let app = |status: &&ContainerStatus| pod.app_containers().iter().any(|container| container.name == status.name);
    if statuses.iter().filter(app).any(has_started) {
        return make("Initialized", Ok(()));
    }
    match complaint([("unknown", &unknown), ("incomplete", &incomplete)]) {
        message if message.is_empty() => make("Initialized", Ok(())),
        message => make("Initialized", Err(("ContainersNotInitialized", message))),
    }
}

fn containers_ready(pod: &Pod, statuses: &[ContainerStatus], phase: &str) -> Result<(), (&'static str, String)> {
    let (mut unknown, mut unready) = (Vec::new(), Vec::new());
    let sidecars = pod.init_containers().iter().filter(is_sidecar);
    for container in sidecars.chain(pod.app_containers()) {
        match statuses.iter().find(|status| status.name == container.name) {
            None => unknown.push(container.name.as_str()),
            Some(status) if !status.ready => unready.push(container.name.as_str()),
            Some(_) => {}
        }
    }
    match phase {
        phase::SUCCEEDED if unknown.is_empty() => return Err(("PodCompleted", String::new())),
        phase::FAILED => return Err(("PodFailed", String::new())),
        _ => {}
    }
    match complaint([("unknown", &unknown), ("unready", &unready)]) {
        message if message.is_empty() => Ok(()),
        message => Err(("ContainersNotReady", message)),
    }
}

fn gates(pod: &Pod, others: &[PodCondition]) -> Result<(), (&'static str, String)> {
    let mut complaints = Vec::new();
    for gate in pod.pod_spec().readiness_gates.iter().flatten() {
        let kind = &gate.condition_type;
        match others.iter().find(|condition| condition.type_ == *kind) {
            None => complaints.push(format!("corresponding condition of pod readiness gate {kind:?} does not exist.")),
            Some(condition) if condition.status != "True" => complaints
                .push(format!("the status of pod readiness gate {kind:?} is not \"True\", but {}", condition.status)),
            Some(_) => {}
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(("ReadinessGatesNotReady", complaints.join(", "))) }
}

/// All conditions: others' as they are, our own anew.
pub(super) fn all(
    pod: &Pod,
    observed: &Observed,
    statuses: &[ContainerStatus],
    phase: &str,
    extra: &[PodCondition],
) -> Vec<PodCondition> {
    let present = pod.pod_status().conditions.as_deref().unwrap_or_default();
    let mut all: Vec<PodCondition> = present.iter().filter(|condition| !is_own(&condition.type_)).cloned().collect();
    for condition in extra {
        match all.iter_mut().find(|known| known.type_ == condition.type_) {
            Some(known) => *known = condition.clone(),
            None => all.push(condition.clone()),
        }
    }
    let containers = containers_ready(pod, statuses, phase);
    let ready = containers.clone().and_then(|()| gates(pod, &all));
    let own = [
        ready_to_start(pod, observed),
        initialized(pod, statuses, phase),
        make("Ready", ready),
        make("ContainersReady", containers),
        make("PodScheduled", Ok(())),
    ];
    all.extend(own.into_iter().map(|mut condition| {
        condition.observed_generation = Some(pod.generation()).filter(|generation| *generation > 0);
        condition
    }));
    all
}

/// Gives conditions the time when their status last changed.
pub(super) fn stamp(conditions: &mut [PodCondition], old: &PodStatus, now: Timestamp) {
    for new in conditions.iter_mut().filter(|new| is_own(&new.type_) || new.type_ == DISRUPTION_TARGET) {
        let before = find(old, &new.type_);
        condition::stamp(new, before, now);
    }
}

/// What a terminal phase makes of readiness.
pub(super) fn end(status: &mut PodStatus, phase: &str) {
    let reason = if phase == phase::FAILED { "PodFailed" } else { "PodCompleted" };
    let readiness = |it: &&mut PodCondition| matches!(it.type_.as_str(), "Ready" | "ContainersReady");
    for condition in status.conditions.iter_mut().flatten().filter(readiness) {
        if condition.status == "True" {
            condition.status = "False".to_owned();
            condition.reason = Some(reason.to_owned());
            condition.message = None;
        }
    }
}
