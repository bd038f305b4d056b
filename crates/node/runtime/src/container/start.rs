//! Starting a container that was created: its cgroup and mounts are made, the supervisor makes its process.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use windlass_cri::{Code, ContainerEventKind, Error, NamespaceMode, Result};

use super::create::{check_target, overlay_of};
use super::{Container, Phase, exit};
use crate::core::Core;
use crate::error::{During, blocking, from_supervisor};
use crate::overlay;
use crate::record::Sandbox;
use crate::store::Exit;
use crate::supervisor::protocol::{Answer, Request};

/// As containerd reports a container whose process could not be made.
const FAILED_EXIT_CODE: i32 = 128;
const FAILED_REASON: &str = "StartError";

/// Must run to its end once it has begun: callers put it on a task of its own.
pub(crate) async fn start(core: &Arc<Core>, container: &Arc<Container>) -> Result<()> {
    let sandbox = core.sandbox(&container.sandbox_id)?;
    let _sandbox_operation = sandbox.operation.read().await;
    let _operation = container.operation.lock().await;
    begin(core, container, &sandbox)?;
    match launch(core, container).await {
        Ok((pid, started_at)) => {
            let ended = {
                let mut state = container.state.lock();
                state.file.started_at = started_at;
                match std::mem::replace(&mut state.phase, Phase::Running { pid }) {
                    Phase::Starting { ended } => ended,
                    _ => None,
                }
            };
            container.save_later(core).await?;
            core.events.send(&container.id, &container.sandbox_id, &container.pod_uid, ContainerEventKind::Started);
            if let Some(record) = ended {
                exit::ended(core, container, record);
            }
            Ok(())
        }
        Err(error) => {
            let finished_at = core.clock.now_nanos();
            let (code, message) = (FAILED_EXIT_CODE, error.message.clone());
            exit::finish(core, container, Exit { code, reason: FAILED_REASON.to_owned(), message, finished_at });
            Err(error)
        }
    }
}

fn begin(core: &Core, container: &Container, sandbox: &Sandbox) -> Result<()> {
    if !sandbox.is_ready() {
        return Err(Error::new(Code::FailedPrecondition, format!("sandbox {:?} is not ready", sandbox.id)));
    }
    let target = container.state.lock().file.config.security.namespaces.pid.clone();
    if let NamespaceMode::Target(target) = target {
        check_target(core, &target, &container.sandbox_id)?;
    }
    let mut state = container.state.lock();
    match state.phase {
        Phase::Created => {
            state.phase = Phase::Starting { ended: None };
            Ok(())
        }
        ref other => {
            let message = format!("container {:?} cannot be started: it is {}", container.id, word(other));
            Err(Error::new(Code::FailedPrecondition, message))
        }
    }
}

fn word(phase: &Phase) -> &'static str {
    match phase {
        Phase::Created => "created",
        Phase::Starting { .. } => "starting",
        Phase::Running { .. } => "running",
        Phase::Unknown => "in an unknown state",
        Phase::Exited => "exited",
    }
}

/// Returns the process's number and when it was started.
async fn launch(core: &Arc<Core>, container: &Arc<Container>) -> Result<(u32, i64)> {
    let (launch, resources, devices) = {
        let file = &container.state.lock().file;
        (file.launch.clone(), file.config.resources.clone(), file.devices.clone())
    };
    let cgroup = container.cgroup(core);
    let made = blocking("make the container's cgroup", move || cgroup.make_for_container(&resources, &devices));
    let (made, fds) = tokio::join!(made, descriptors(core, container));
    made?;
    let supervisor = core.supervisor().await?;
    let answer = supervisor.call(Request::StartContainer(Box::new(launch)), fds?).await;
    let answer = answer.map_err(|error| {
        from_supervisor(
            &format!("failed to start container {:?}: unable to start container process", container.id),
            &error,
        )
    })?;
    match answer.answer {
        Answer::ContainerStarted { pid, started_at } => Ok((pid, started_at)),
        _ => Err(Error::internal("the supervisor answered something else than was asked")),
    }
}

/// The root file system and the images that are mounted as volumes.
async fn descriptors(core: &Arc<Core>, container: &Arc<Container>) -> Result<Vec<OwnedFd>> {
    let sandbox = core.sandbox(&container.sandbox_id)?;
    let (layers, image_mounts) = {
        let state = container.state.lock();
        (state.file.layers.clone(), state.file.image_mounts.clone())
    };
    let kept = container.root.lock().take();
    let root = match kept {
        Some(root) => root,
        // Another daemon has created it.
        None => {
            let directory = core.container_directory(&container.id);
            let writable = directory.clone();
            blocking("prepare the container's root file system", move || overlay::renew_work(&writable)).await?;
            let overlay = overlay_of(core, &sandbox, &layers, Some(directory));
            overlay.mount().await.internal("mount the container's root file system")?
        }
    };
    let mut fds = vec![root];
    for layers in &image_mounts {
        let overlay = overlay_of(core, &sandbox, layers, None);
        fds.push(overlay.mount().await.internal("mount an image as a volume")?);
    }
    Ok(fds)
}
