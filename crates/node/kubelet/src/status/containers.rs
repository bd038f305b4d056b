//! Statuses of containers: waiting, running or terminated, what came before, and who they run as.

use windlass_api::k8s::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    ContainerUser, LinuxContainerUser, VolumeMountStatus,
};

use super::input::StatusInput;
use super::time;
use crate::observe::{ContainerView, State};
use crate::pod::{ContainerKind, PodView, is_sidecar};
use crate::restart;

pub(super) const STATUS_UNKNOWN: &str = "ContainerStatusUnknown";
/// A container that the kubelet cannot find any more is taken to have been killed.
pub(super) const EXIT_CODE_UNKNOWN: i32 = 137;

pub(super) fn terminated_unknown(message: &str) -> ContainerState {
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            reason: Some(STATUS_UNKNOWN.to_owned()),
            message: Some(message.to_owned()),
            exit_code: EXIT_CODE_UNKNOWN,
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    }
}

fn waiting(reason: &str, message: Option<&str>) -> ContainerState {
    let message = message.filter(|message| !message.is_empty()).map(str::to_owned);
    ContainerState {
        waiting: Some(ContainerStateWaiting { reason: Some(reason.to_owned()), message }),
        ..ContainerState::default()
    }
}

fn is_terminated(state: Option<&ContainerState>) -> bool {
    state.is_some_and(|state| state.terminated.is_some())
}

/// The statuses of one kind of containers, in the order that clients expect: init containers as specified, others by name.
pub(super) fn statuses(input: &StatusInput<'_>, kind: ContainerKind) -> Vec<ContainerStatus> {
    let old = match kind {
        ContainerKind::Init => &input.old.init_container_statuses,
        ContainerKind::App => &input.old.container_statuses,
        ContainerKind::Ephemeral => &input.old.ephemeral_container_statuses,
    };
    let old = old.as_deref().unwrap_or_default();
    let one = |container: &Container| {
        let old = old.iter().find(|status| status.name == container.name);
        status(input, kind, container, old)
    };
    let mut all: Vec<ContainerStatus> = input.pod.containers(kind).iter().map(one).collect();
    if kind != ContainerKind::Init {
        all.sort_by(|a, b| a.name.cmp(&b.name));
    }
    all
}

fn status(
    input: &StatusInput<'_>,
    kind: ContainerKind,
    container: &Container,
    old: Option<&ContainerStatus>,
) -> ContainerStatus {
    let mut views = input.observed.containers.iter().filter(|view| view.name == container.name);
    let mut status = match (views.next(), old) {
        (Some(newest), old) => {
            let mut status = observed(input, container, newest, old);
            status.last_state = match views.next() {
                Some(before) => Some(state(input, before)),
                None => old.filter(|old| !is_terminated(old.state.as_ref())).and_then(|old| old.last_state.clone()),
            };
            status
        }
        (None, Some(old)) if is_terminated(old.state.as_ref()) => old.clone(),
        (None, old) => missing(input, container, old),
    };
    explain(input, kind, container, &mut status);
    finish(input, kind, container, &mut status);
    status
}

/// A container that the runtime shows.
fn observed(
    input: &StatusInput<'_>,
    container: &Container,
    view: &ContainerView,
    old: Option<&ContainerStatus>,
) -> ContainerStatus {
    let same = old.filter(|old| old.container_id.as_deref() == Some(&*input.container_id(&view.id)));
    ContainerStatus {
        name: container.name.clone(),
        image: view.image.clone(),
        image_id: view.image_ref.clone(),
        container_id: Some(input.container_id(&view.id)),
        restart_count: i32::try_from(view.attempt).unwrap_or(i32::MAX),
        state: Some(state(input, view)),
        volume_mounts: volume_mounts(input, container),
        allocated_resources: container.resources.as_ref().and_then(|resources| resources.requests.clone()),
        resources: Some(input.resources(container, view, same)),
        user: view.user.as_ref().map(|user| ContainerUser {
            linux: Some(LinuxContainerUser {
                uid: user.uid,
                gid: user.gid,
                supplemental_groups: Some(user.supplemental_groups.clone()),
            }),
        }),
        ..ContainerStatus::default()
    }
}

fn state(input: &StatusInput<'_>, view: &ContainerView) -> ContainerState {
    match view.state {
        State::Running => ContainerState {
            running: Some(ContainerStateRunning { started_at: view.started_at.map(time) }),
            ..ContainerState::default()
        },
        State::Exited => ContainerState {
            terminated: Some(ContainerStateTerminated {
                exit_code: view.exit_code,
                reason: Some(view.reason.clone()).filter(|reason| !reason.is_empty()),
                message: Some(view.message.clone()).filter(|message| !message.is_empty()),
                started_at: view.started_at.or(view.finished_at).map(time),
                finished_at: view.finished_at.map(time),
                container_id: Some(input.container_id(&view.id)),
                signal: None,
            }),
            ..ContainerState::default()
        },
        State::Created => waiting("ContainerCreating", None),
        State::Unknown => terminated_unknown("The container could not be located when the pod was terminated"),
    }
}

/// A container that the runtime does not show: it has not been made yet, or it has vanished.
fn missing(input: &StatusInput<'_>, container: &Container, old: Option<&ContainerStatus>) -> ContainerStatus {
    let has_init = !input.pod.init_containers().is_empty();
    let mut status = ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        state: Some(waiting(if has_init { "PodInitializing" } else { "ContainerCreating" }, None)),
        volume_mounts: volume_mounts(input, container),
        ..ContainerStatus::default()
    };
    let Some(old) = old else { return status };
    status.restart_count = old.restart_count;
    status.last_state.clone_from(&old.last_state);
    let was_running = old.state.as_ref().is_some_and(|state| state.running.is_some());
    if was_running && !is_terminated(status.last_state.as_ref()) {
        // Without this the pod would seem never to have run.
        status.last_state = Some(terminated_unknown(
            "The container could not be located when the pod was deleted.  The container used to be Running",
        ));
        if !input.pod.is_deleting() {
            status.restart_count += 1;
        }
    }
    status
}

/// A container that should run and cannot says why.
fn explain(input: &StatusInput<'_>, kind: ContainerKind, container: &Container, status: &mut ContainerStatus) {
    let latest = input.observed.latest(&container.name);
    if kind == ContainerKind::Init {
        if latest.is_some_and(|view| view.state == State::Exited && view.exit_code == 0) && !is_sidecar(container) {
            return;
        }
        let is_waiting = status.state.as_ref().is_some_and(|state| state.waiting.is_some());
        if latest.is_none() && !is_sidecar(container) && is_waiting && input.observed.any_app_container(input.pod) {
            status.state = Some(ContainerState {
                terminated: Some(ContainerStateTerminated {
                    reason: Some("Completed".to_owned()),
                    message: Some(
                        "Unable to get init container status from container runtime and pod has been initialized, treat \
                         it as exited normally"
                            .to_owned(),
                    ),
                    ..ContainerStateTerminated::default()
                }),
                ..ContainerState::default()
            });
            return;
        }
    }
    if !restart::should_start(container, input.pod, input.observed) {
        return;
    }
    let Some((reason, message)) = input.waiting.get(&container.name) else { return };
    if is_terminated(status.state.as_ref()) {
        status.last_state = status.state.take();
    }
    status.state = Some(waiting(reason, Some(message)));
}

/// `started` and `ready`, which probes have a say in.
fn finish(input: &StatusInput<'_>, kind: ContainerKind, container: &Container, status: &mut ContainerStatus) {
    let running = input
        .observed
        .latest(&container.name)
        .filter(|_| status.state.as_ref().is_some_and(|state| state.running.is_some()));
    let started =
        running.is_some_and(|view| container.startup_probe.is_none() || input.verdicts.startup(&view.id) == Some(true));
    status.started = Some(started);
    status.ready = match kind {
        ContainerKind::Init if !is_sidecar(container) => {
            let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
            ended.is_some_and(|ended| ended.exit_code == 0)
        }
        ContainerKind::Ephemeral => false,
        _ => {
            started
                && running.is_some_and(|view| {
                    container.readiness_probe.is_none() || input.verdicts.readiness(&view.id) == Some(true)
                })
        }
    };
}

fn volume_mounts(input: &StatusInput<'_>, container: &Container) -> Option<Vec<VolumeMountStatus>> {
    let mounts = container.volume_mounts.as_ref()?;
    let one = |mount: &windlass_api::k8s::api::core::v1::VolumeMount| {
        let read_only = mount.read_only.unwrap_or(false);
        let recursive = || match mount.recursive_read_only.as_deref() {
            Some("Enabled") => "Enabled",
            Some("IfPossible") if input.recursive_read_only => "Enabled",
            _ => "Disabled",
        };
        VolumeMountStatus {
            name: mount.name.clone(),
            mount_path: mount.mount_path.clone(),
            read_only: read_only.then_some(true),
            recursive_read_only: read_only.then(|| recursive().to_owned()),
            volume_status: None,
        }
    };
    (!mounts.is_empty()).then(|| mounts.iter().map(one).collect())
}
