//! Ending a container: first asked, then forced. Any number of callers at the same time; the most impatient one wins.

use std::sync::Arc;
use std::time::Duration;

use windlass_cri::{Code, Error, Result};

use super::{Container, Phase, exit};
use crate::core::Core;
use crate::error::{blocking, from_supervisor};
use crate::supervisor::protocol::Request;

/// How long a killed container may take to end: its processes may hang in the kernel.
const KILLED_MAX: Duration = Duration::from_secs(120);

/// Returns when it has ended, at once when it does not run.
pub(crate) async fn stop(core: &Arc<Core>, container: &Arc<Container>, grace: Duration) -> Result<()> {
    let starting = matches!(container.state.lock().phase, Phase::Starting { .. });
    if starting {
        // The start decides what there is to end.
        drop(container.operation.lock().await);
    }
    let (phase, signal) = {
        let state = container.state.lock();
        (state.phase.clone(), state.file.stop_signal)
    };
    match phase {
        Phase::Created | Phase::Exited | Phase::Starting { .. } => return Ok(()),
        Phase::Unknown => return end_lost(core, container, "the container was lost").await,
        Phase::Running { .. } => {}
    }
    if !grace.is_zero() {
        let id = container.id.clone();
        order(core, container, Request::SignalContainer { container_id: id, signal }).await?;
        if tokio::time::timeout(grace, container.await_end()).await.is_ok() {
            return Ok(());
        }
    }
    order(core, container, Request::KillContainer { container_id: container.id.clone() }).await?;
    match tokio::time::timeout(KILLED_MAX, container.await_end()).await {
        Ok(_) => Ok(()),
        Err(_) => {
            Err(Error::new(Code::DeadlineExceeded, format!("container {:?} was killed and does not end", container.id)))
        }
    }
}

async fn order(core: &Core, container: &Container, request: Request) -> Result<()> {
    let ordered = core.supervisor().await?.order(request).await;
    let ordered = ordered.map_err(|error| from_supervisor(&format!("stop container {:?}", container.id), &error));
    match ordered {
        // A new supervisor has never heard of it: it was lost, and its end is being told.
        Err(error) if error.is_not_found() => Ok(()),
        result => result,
    }
}

/// Ends what is left of a container without a supervisor, through its cgroup.
pub(crate) async fn end_lost(core: &Arc<Core>, container: &Arc<Container>, message: &str) -> Result<()> {
    let cgroup = container.cgroup(core);
    blocking("end the processes of a lost container", move || cgroup.remove()).await?;
    exit::finish(core, container, exit::unknown(message, core.clock.now_nanos()));
    Ok(())
}
