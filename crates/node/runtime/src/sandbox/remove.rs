//! Removing a sandbox with everything in it.

use std::sync::Arc;

use windlass_cri::{ContainerEventKind, Result};

use super::Sandbox;
use super::stop::stop_held;
use crate::container;
use crate::core::Core;
use crate::error::blocking;

pub(crate) async fn remove(core: &Arc<Core>, sandbox: &Arc<Sandbox>) -> Result<()> {
    remove_quietly(core, sandbox).await?;
    core.events.send(&sandbox.id, &sandbox.id, &sandbox.pod_uid(), ContainerEventKind::Deleted);
    Ok(())
}

/// For sandboxes that nobody has heard of.
pub(super) async fn remove_quietly(core: &Arc<Core>, sandbox: &Arc<Sandbox>) -> Result<()> {
    let _operation = sandbox.operation.write().await;
    stop_held(core, sandbox).await?;
    for container in core.registry.containers_of(&sandbox.id) {
        container::remove::remove(core, &container).await?;
    }
    let erased = sandbox.clone();
    let (cgroup_parent, made) = {
        let state = sandbox.state.lock();
        (state.config.cgroup_parent.clone(), state.made_cgroup.clone())
    };
    let (cgroup, here) = (core.pod_cgroup(&cgroup_parent), core.clone());
    blocking("remove the sandbox's directory", move || {
        if let Some(topmost) = made {
            here.remove_pod_cgroup(&cgroup, &topmost);
        }
        erased.erase(&here)
    })
    .await?;
    core.registry.remove_sandbox(sandbox);
    Ok(())
}
