//! Making a sandbox.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use windlass_cri::{Code, ContainerEventKind, Error, Result, SandboxConfig};

use super::{Sandbox, files, namespaces, remove};
use crate::cgroup::Cgroup;
use crate::core::Core;
use crate::error::{blocking, from_supervisor};
use crate::launch::spec::InitLaunch;
use crate::layout::SandboxLayout;
use crate::registry::sandbox_name;
use crate::sandbox_config::{has_own_network, shares_pids};
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
    // Nobody else sees it until it is made.
    if let Err(error) = set_up(core, &sandbox).await {
        if let Err(leftover) = remove::remove_quietly(core, &sandbox).await {
            tracing::warn!(sandbox = id, error = %leftover, "a failed sandbox could not be cleaned up");
            // Somebody has to try again.
            core.registry.add_sandbox(sandbox);
            name.keep();
        }
        return Err(error);
    }
    core.registry.add_sandbox(sandbox.clone());
    name.keep();
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

fn make_directories(layout: &SandboxLayout) -> std::io::Result<()> {
    [layout.directory(), &layout.namespaces()]
        .iter()
        .try_for_each(|directory| std::fs::DirBuilder::new().mode(0o700).create(directory))
}

async fn set_up(core: &Arc<Core>, sandbox: &Arc<Sandbox>) -> Result<()> {
    let config = sandbox.state.lock().config.clone();
    let layout = core.layout.sandbox(&sandbox.id);
    let to_make = layout.clone();
    blocking("make the sandbox's directory", move || make_directories(&to_make)).await?;
    let cgroup = core.pod_cgroup(&config.cgroup_parent);
    let (for_files, noted, here) = (config.clone(), sandbox.clone(), core.clone());
    // Neither needs the other, and both wait for the kernel.
    let (namespaces, prepared) = tokio::join!(
        namespaces::make(core, sandbox),
        blocking("prepare the sandbox", move || prepare(&here, &noted, &cgroup, &for_files, &layout))
    );
    if namespaces.is_err() {
        sandbox.state.lock().networked = false;
    }
    prepared.and(namespaces)?;
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

/// Makes what lies on the disk and in cgroups. Before anything outside of the sandbox's directory is made it is written down,
/// so that it is taken back after a crash.
fn prepare(
    core: &Core,
    sandbox: &Sandbox,
    cgroup: &Cgroup,
    config: &SandboxConfig,
    layout: &SandboxLayout,
) -> Result<(), PrepareError> {
    core.make_pod_cgroup(cgroup, |topmost| {
        let mut state = sandbox.state.lock();
        state.made_cgroup = topmost;
        state.networked = has_own_network(config);
        drop(state);
        sandbox.save(core).map_err(PrepareError::Store)
    })?;
    Ok(files::make(config, layout)?)
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
    let ips = core.network.setup(&sandbox.network_request(core)).await;
    let ips = ips.map_err(|error| {
        Error::new(error.code, format!("failed to setup network for sandbox {:?}: {error}", sandbox.id))
    })?;
    if ips.is_empty() {
        return Err(Error::new(Code::Internal, "the pod network gave no address"));
    }
    Ok(ips.iter().map(ToString::to_string).collect())
}
