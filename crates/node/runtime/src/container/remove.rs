//! Removing a container: its writable layer, its cgroup, its record. The log stays, it is the kubelet's.

use std::sync::Arc;
use std::time::Duration;

use windlass_cri::{ContainerEventKind, Result};

use super::{Container, stop};
use crate::core::Core;
use crate::error::{blocking, from_supervisor};
use crate::supervisor::protocol::Request;

pub(crate) async fn remove(core: &Arc<Core>, container: &Arc<Container>) -> Result<()> {
    stop::stop(core, container, Duration::ZERO).await?;
    let _operation = container.operation.lock().await;
    // Somebody else may have removed it meanwhile.
    if core.registry.container(&container.id).is_none() {
        return Ok(());
    }
    // It may have been started meanwhile.
    stop::stop(core, container, Duration::ZERO).await?;
    container.root.lock().take();
    let of_this_boot = {
        let state = container.state.lock();
        state.file.boot_id == core.boot_id && state.file.started_at != 0
    };
    if of_this_boot {
        let forget = Request::Forget { container_id: container.id.clone() };
        let forgotten = core.supervisor().await?.order(forget).await;
        forgotten.map_err(|error| from_supervisor("forget the container", &error))?;
    }
    let (cgroup, erased, here) = (container.cgroup(core), container.clone(), core.clone());
    blocking("remove the container's cgroup", move || cgroup.remove()).await?;
    blocking("remove the container's writable layer", move || erased.erase(&here)).await?;
    core.registry.remove_container(container);
    core.events.send(&container.id, &container.sandbox_id, &container.pod_uid, ContainerEventKind::Deleted);
    Ok(())
}
