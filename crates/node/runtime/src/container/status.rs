//! Containers as the CRI shows them.

use windlass_cri::{Container as Line, ContainerFilter, ContainerStatus, ImageSpec};

use super::{Container, Phase};
use crate::spec::program;

pub(crate) fn line(container: &Container) -> Line {
    let cri_state = container.cri_state();
    let state = container.state.lock();
    let file = &state.file;
    let image = ImageSpec {
        image: file.image_id.clone(),
        user_specified_image: file.config.image.user_specified_image.clone(),
        ..file.config.image.clone()
    };
    Line {
        id: container.id.clone(),
        sandbox_id: container.sandbox_id.clone(),
        metadata: file.config.metadata.clone(),
        image,
        image_ref: file.image_ref.clone(),
        state: cri_state,
        created_at: file.created_at,
        labels: file.config.labels.clone(),
        annotations: file.config.annotations.clone(),
    }
}

pub(crate) fn status(container: &Container) -> ContainerStatus {
    let mut line = line(container);
    let state = container.state.lock();
    let file = &state.file;
    // What was asked for, as a pod's status shows it.
    let asked = if file.config.image.user_specified_image.is_empty() {
        file.config.image.image.clone()
    } else {
        file.config.image.user_specified_image.clone()
    };
    line.image.image = asked;
    let exit = file.exit.clone().unwrap_or_default();
    ContainerStatus {
        container: line,
        started_at: file.started_at,
        finished_at: exit.finished_at,
        exit_code: exit.code,
        reason: exit.reason,
        message: exit.message,
        mounts: file.config.mounts.clone(),
        log_path: file.log_path.clone(),
        resources: file.config.resources.clone(),
        user: Some(file.user.clone()),
        stop_signal: Some(program::signal_name(file.stop_signal)),
        pid: match state.phase {
            Phase::Running { pid } => Some(pid),
            _ => None,
        },
    }
}

pub(crate) fn matches(line: &Line, filter: &ContainerFilter) -> bool {
    filter.id.as_ref().is_none_or(|id| line.id.starts_with(id.as_str()))
        && filter.state.is_none_or(|state| line.state == state)
        && filter.sandbox_id.as_ref().is_none_or(|id| line.sandbox_id.starts_with(id.as_str()))
        && filter.labels.iter().all(|(name, value)| line.labels.get(name) == Some(value))
}
