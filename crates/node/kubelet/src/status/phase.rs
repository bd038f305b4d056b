//! The phase that the statuses of a pod's containers come to.

use windlass_api::k8s::api::core::v1::{Container, ContainerStateTerminated, ContainerStatus, Pod};

use crate::pod::{PodView, is_sidecar, phase};
use crate::restart;

/// How a container counts.
enum Counts<'a> {
    Unknown,
    Running {
        started: bool,
    },
    /// It has ended, whether it waits to be started again or not.
    Stopped(&'a ContainerStateTerminated, StillThere),
    Waiting,
}

/// Whether the end is the present state, or what came before waiting.
#[derive(PartialEq, Eq)]
struct StillThere(bool);

fn counts(status: Option<&ContainerStatus>) -> Counts<'_> {
    let Some(status) = status else { return Counts::Unknown };
    let Some(state) = &status.state else { return Counts::Unknown };
    if state.running.is_some() {
        return Counts::Running { started: status.started.unwrap_or(false) };
    }
    if let Some(ended) = &state.terminated {
        return Counts::Stopped(ended, StillThere(true));
    }
    if state.waiting.is_none() {
        return Counts::Unknown;
    }
    match status.last_state.as_ref().and_then(|state| state.terminated.as_ref()) {
        Some(ended) => Counts::Stopped(ended, StillThere(false)),
        None => Counts::Waiting,
    }
}

/// `finished`: nothing of the pod runs any more, nor will. `initialized`: an app container has started in this sandbox.
pub(super) fn of(pod: &Pod, statuses: &[ContainerStatus], finished: bool, initialized: bool) -> &'static str {
    let find = |container: &Container| counts(statuses.iter().find(|status| status.name == container.name));
    let again = |container: &Container, ended: &ContainerStateTerminated| {
        restart::after_exit(container, pod.restart_policy(), ended.exit_code)
    };
    let (mut initializing, mut sidecars_starting) = (false, false);
    let (mut unknown, mut running, mut waiting) = (false, false, false);
    for container in pod.init_containers() {
        match (find(container), is_sidecar(container)) {
            (Counts::Stopped(ended, _), false) => {
                if ended.exit_code != 0 && !again(container, ended) {
                    return phase::FAILED;
                }
            }
            (_, false) => initializing = true,
            (Counts::Unknown, true) => unknown = true,
            (Counts::Running { started }, true) => {
                sidecars_starting |= !started;
                running = true;
            }
            (Counts::Waiting, true) => (sidecars_starting, waiting) = (true, true),
            (Counts::Stopped(..), true) => {}
        }
    }
    let (mut stopped, mut succeeded, mut final_) = (0, 0, 0);
    for container in pod.app_containers() {
        match find(container) {
            Counts::Unknown => unknown = true,
            Counts::Running { .. } => running = true,
            Counts::Waiting => waiting = true,
            Counts::Stopped(ended, StillThere(still)) => {
                stopped += 1;
                final_ += usize::from(!again(container, ended));
                succeeded += usize::from(still && ended.exit_code == 0);
            }
        }
    }
    if initializing || (sidecars_starting && !initialized) || waiting || unknown {
        return phase::PENDING;
    }
    if running {
        return phase::RUNNING;
    }
    let ended = if stopped == succeeded { phase::SUCCEEDED } else { phase::FAILED };
    match stopped {
        0 => phase::PENDING,
        _ if finished && !pod.is_static() => ended,
        _ if stopped != final_ => phase::RUNNING,
        _ => ended,
    }
}
