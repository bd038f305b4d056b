//! Sandboxes as the CRI shows them.

use windlass_cri::{Sandbox as Line, SandboxFilter, SandboxState, SandboxStatus};

use super::Sandbox;

pub(crate) fn line(sandbox: &Sandbox) -> Line {
    let state = sandbox.state.lock();
    Line {
        id: sandbox.id.clone(),
        metadata: state.config.metadata.clone(),
        state: if state.ready { SandboxState::Ready } else { SandboxState::NotReady },
        created_at: state.created_at,
        labels: state.config.labels.clone(),
        annotations: state.config.annotations.clone(),
        runtime_handler: state.runtime_handler.clone(),
    }
}

pub(crate) fn status(sandbox: &Sandbox) -> SandboxStatus {
    let line = line(sandbox);
    let state = sandbox.state.lock();
    SandboxStatus { sandbox: line, ips: state.ips.clone(), namespaces: state.config.namespaces.clone() }
}

pub(crate) fn matches(line: &Line, filter: &SandboxFilter) -> bool {
    filter.id.as_ref().is_none_or(|id| line.id.starts_with(id.as_str()))
        && filter.state.is_none_or(|state| line.state == state)
        && filter.labels.iter().all(|(name, value)| line.labels.get(name) == Some(value))
}
