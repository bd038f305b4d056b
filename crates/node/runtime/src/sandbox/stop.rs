//! Ending a sandbox: every process in it, its place in the network, its namespaces. Any number of times.

use std::sync::Arc;
use std::time::Duration;

use windlass_cri::{ContainerEventKind, Result};

use super::{Sandbox, namespaces};
use crate::container;
use crate::core::Core;
use crate::error::{blocking, from_supervisor};
use crate::sandbox_config::shares_pids;
use crate::supervisor::protocol::Request;

pub(crate) async fn stop(core: &Arc<Core>, sandbox: &Arc<Sandbox>) -> Result<()> {
    let _operation = sandbox.operation.write().await;
    stop_held(core, sandbox).await
}

/// The caller holds the sandbox's operation.
pub(super) async fn stop_held(core: &Arc<Core>, sandbox: &Arc<Sandbox>) -> Result<()> {
    let was_ready = sandbox.is_ready();
    // No container is started in it from here on.
    sandbox.state.lock().ready = false;
    let containers = core.registry.containers_of(&sandbox.id);
    let stops = containers.iter().map(|container| container::stop::stop(core, container, Duration::ZERO));
    for stopped in futures::future::join_all(stops).await {
        stopped?;
    }
    let of_this_boot = sandbox.state.lock().boot_id == core.boot_id;
    if of_this_boot {
        end_init(core, sandbox).await?;
    }
    leave_network(core, sandbox).await?;
    let layout = core.layout.sandbox(&sandbox.id);
    blocking("unpin the sandbox's namespaces", move || namespaces::unpin(&layout)).await?;
    if was_ready {
        sandbox.update_ending(core, |_| {}).await;
        core.events.send(&sandbox.id, &sandbox.id, &sandbox.pod_uid(), ContainerEventKind::Stopped);
    }
    Ok(())
}

async fn end_init(core: &Arc<Core>, sandbox: &Arc<Sandbox>) -> Result<()> {
    let config = sandbox.state.lock().config.clone();
    if !shares_pids(&config) {
        return Ok(());
    }
    let supervisor = core.supervisor().await?;
    let ended = supervisor.order(Request::EndInit { sandbox_id: sandbox.id.clone() }).await;
    ended.map_err(|error| from_supervisor("end the sandbox's init", &error))?;
    let cgroup = core.pod_cgroup(&config.cgroup_parent).child(&sandbox.id);
    blocking("remove the cgroup of the sandbox's init", move || cgroup.remove()).await
}

async fn leave_network(core: &Arc<Core>, sandbox: &Arc<Sandbox>) -> Result<()> {
    if !sandbox.state.lock().networked {
        return Ok(());
    }
    core.network.teardown(&sandbox.network_request(core)).await?;
    sandbox.update_ending(core, |state| state.networked = false).await;
    Ok(())
}
