//! Making a sandbox.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use windlass_cri::{Code, ContainerEventKind, Error, Result, SandboxConfig};

use super::{Sandbox, files, has_own_network, namespaces, remove, shares_pids};
use crate::core::Core;
use crate::error::{blocking, from_supervisor};
use crate::launch::spec::InitLaunch;
use crate::registry::sandbox_name;
use crate::store::SandboxState;
use crate::supervisor::protocol::Request;
use crate::sys::random;

/// OOM score of a pod's init, as of upstream's pause container: the last to go.
const INIT_OOM_SCORE_ADJ: i32 = -998;

/// Makes a sandbox and returns its ID. A failure takes back what was begun.
pub(crate) async fn run(core: &Arc<Core>, config: SandboxConfig, runtime_handler: &str) -> Result<String> {
    check(&config, runtime_handler)?;
    let id = random::identifier();
    let name = core.registry.reserve(sandbox_name(&config.metadata), &id)?;
    let sandbox = Arc::new(Sandbox::new(SandboxState {
        id: id.clone(),
        config,
        runtime_handler: runtime_handler.to_owned(),
        created_at: core.clock.now_nanos(),
        boot_id: core.boot_id.clone(),
        ..SandboxState::default()
    }));
    let operation = sandbox.operation.write().await;
    let (made, here) = (sandbox.clone(), core.clone());
    // On the disk from the first moment: what a crash leaves behind is found and can be removed.
    let begun = blocking("save the sandbox", move || begin(&here, &made)).await;
    core.registry.add_sandbox(sandbox.clone());
    // The registry holds the name from here on, and gives it back when the sandbox is removed.
    name.keep();
    let outcome = match begun {
        Ok(()) => set_up(core, &sandbox).await,
        Err(error) => Err(error),
    };
    drop(operation);
    if let Err(error) = outcome {
        if let Err(leftover) = remove::remove_quietly(core, &sandbox).await {
            tracing::warn!(sandbox = id, error = %leftover, "a failed sandbox could not be cleaned up");
        }
        return Err(error);
    }
    let uid = sandbox.pod_uid();
    core.events.send(&id, &id, &uid, ContainerEventKind::Created);
    core.events.send(&id, &id, &uid, ContainerEventKind::Started);
    Ok(id)
}

fn check(config: &SandboxConfig, runtime_handler: &str) -> Result<()> {
    if !runtime_handler.is_empty() {
        return Err(Error::invalid(format!("no runtime for {runtime_handler:?} is configured")));
    }
    if config.metadata.name.is_empty() {
        return Err(Error::invalid("the sandbox has no name"));
    }
    if let Some(user) = &config.namespaces.user
        && (user.uids.is_empty() || user.gids.is_empty())
    {
        return Err(Error::invalid("the pod's user namespace maps no users or no groups"));
    }
    Ok(())
}

fn begin(core: &Core, sandbox: &Sandbox) -> Result<(), crate::store::StoreError> {
    let layout = core.layout.sandbox(&sandbox.id);
    for directory in [layout.directory(), &layout.namespaces()] {
        let made = std::fs::DirBuilder::new().mode(0o700).create(directory);
        made.map_err(|source| crate::store::StoreError::Write { path: directory.to_owned(), source })?;
    }
    sandbox.save(core)
}

async fn set_up(core: &Arc<Core>, sandbox: &Arc<Sandbox>) -> Result<()> {
    let config = sandbox.state.lock().config.clone();
    let layout = core.layout.sandbox(&sandbox.id);
    let cgroup = core.pod_cgroup(&config.cgroup_parent);
    let (for_files, noted, here) = (config.clone(), sandbox.clone(), core.clone());
    // Neither needs the other, and both wait for the kernel.
    let (namespaces, made) = tokio::join!(
        namespaces::make(core, sandbox),
        blocking("prepare the sandbox", move || -> Result<(), PrepareError> {
            here.make_pod_cgroup(&cgroup, |topmost| {
                noted.state.lock().made_cgroup = topmost;
                noted.save(&here).map_err(PrepareError::Store)
            })?;
            Ok(files::make(&for_files, &layout)?)
        })
    );
    made?;
    namespaces?;
    if shares_pids(&config) {
        start_init(core, sandbox).await?;
    }
    let ips = if has_own_network(&config) { join_network(core, sandbox).await? } else { Vec::new() };
    sandbox
        .update(core, |state| {
            state.ips = ips;
            state.ready = true;
        })
        .await
}

#[derive(Debug, thiserror::Error)]
enum PrepareError {
    #[error(transparent)]
    Cgroup(#[from] crate::cgroup::CgroupError),
    #[error(transparent)]
    Store(crate::store::StoreError),
    #[error(transparent)]
    Files(#[from] files::FileError),
}

async fn start_init(core: &Arc<Core>, sandbox: &Arc<Sandbox>) -> Result<()> {
    let parent = core.pod_cgroup(&sandbox.state.lock().config.cgroup_parent);
    let cgroup = parent.child(&sandbox.id);
    let plan = cgroup.plan();
    blocking("make the cgroup of the sandbox's init", move || cgroup.make()).await?;
    let launch = InitLaunch {
        sandbox_id: sandbox.id.clone(),
        namespaces: sandbox.namespaces(core),
        cgroup: plan,
        root_mount_point: core.layout.mount_point(),
        oom_score_adj: Some(INIT_OOM_SCORE_ADJ),
    };
    let supervisor = core.supervisor().await?;
    let started = supervisor.call(Request::StartInit(Box::new(launch)), Vec::new()).await;
    started.map(drop).map_err(|error| from_supervisor("start the sandbox's init", &error))
}

async fn join_network(core: &Arc<Core>, sandbox: &Arc<Sandbox>) -> Result<Vec<String>> {
    // Written before the network is asked: after a crash it must be given back.
    sandbox.update(core, |state| state.networked = true).await?;
    let ips = core.network.setup(&sandbox.network_request(core)).await;
    let ips = ips.map_err(|error| {
        Error::new(error.code, format!("failed to setup network for sandbox {:?}: {error}", sandbox.id))
    })?;
    if ips.is_empty() {
        return Err(Error::new(Code::Internal, "the pod network gave no address"));
    }
    Ok(ips.iter().map(ToString::to_string).collect())
}
