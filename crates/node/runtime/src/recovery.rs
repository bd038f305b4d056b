//! Finding everything again: after a restart or crash of the daemon, and after a boot of the machine.
//!
//! Files say what was made, the supervisor says what runs. Where they disagree:
//!
//! | file | supervisor | then |
//! | --- | --- | --- |
//! | any, of an earlier boot | | exited with code 255, reason Unknown; sandbox not ready |
//! | exited | | stays exited |
//! | created or running | runs | running |
//! | created or running | has ended | exited as the supervisor saw it |
//! | created, never started | does not know it | stays created |
//! | running | does not know it | its processes are ended; exited with code 255, reason Unknown |
//! | none, or not readable | knows it | ended and forgotten |
//!
//! A sandbox is not ready any more when its init has ended or its namespaces are not held by files: those go with the mount
//! namespace of supervisor and daemon, when both have died.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use windlass_cri::{Error, Result};

use crate::cgroup::Cgroup;
use crate::container::{Container, Phase, exit, stop};
use crate::core::Core;
use crate::error::{During, blocking, from_supervisor};
use crate::layout::SandboxLayout;
use crate::record::Sandbox;
use crate::registry::{container_name, sandbox_name};
use crate::sandbox;
use crate::sandbox_config::shares_pids;
use crate::store::{self, ContainerFile, SandboxState};
use crate::supervisor::protocol::{Answer, ContainerRecord, Request};

/// Fills the registry. Called once, before anybody can ask anything.
pub(crate) async fn recover(core: &Arc<Core>) -> Result<()> {
    let supervisor = core.supervisor().await?;
    let list = supervisor.call(Request::List, Vec::new()).await;
    let list = list.map_err(|error| from_supervisor("ask the supervisor for its containers", &error))?;
    let Answer::List { containers, inits } = list.answer else {
        return Err(Error::internal("the supervisor answered something else than was asked"));
    };
    let (sandboxes, directory) = (core.layout.sandboxes(), core.layout.containers());
    let (states, mut broken) = load::<SandboxState>(sandboxes).await?;
    let (files, also_broken) = load::<ContainerFile>(directory).await?;
    broken.extend(also_broken);
    for state in states {
        let has_init = inits.iter().any(|init| init.sandbox_id == state.id);
        recover_sandbox(core, state, has_init);
    }
    let mut records: HashMap<String, ContainerRecord> =
        containers.into_iter().map(|record| (record.id.clone(), record)).collect();
    for file in files {
        let record = records.remove(&file.id);
        recover_container(core, file, record).await?;
    }
    end_strangers(core, records.into_values().collect(), &inits).await?;
    blocking("remove unreadable state", move || {
        broken.iter().try_for_each(|directory| {
            tracing::warn!(directory = %directory.display(), "unreadable state is removed");
            remove_broken(directory)
        })
    })
    .await
}

/// States that can be read, and directories without one.
async fn load<T>(parent: PathBuf) -> Result<(Vec<T>, Vec<PathBuf>)>
where
    T: serde::de::DeserializeOwned + Send + 'static,
{
    let all = blocking("read what was there before", move || store::load_all::<T>(&parent)).await?;
    let (mut states, mut broken) = (Vec::new(), Vec::new());
    for (directory, state) in all {
        match state {
            Some(state) => states.push(state),
            None => broken.push(directory),
        }
    }
    Ok((states, broken))
}

/// It may have been a sandbox's.
fn remove_broken(directory: &Path) -> std::io::Result<()> {
    sandbox::unpin(&SandboxLayout::at(directory))?;
    store::remove(directory)
}

fn recover_sandbox(core: &Arc<Core>, state: SandboxState, has_init: bool) {
    match core.registry.reserve(sandbox_name(&state.config.metadata), &state.id) {
        Ok(name) => name.keep(),
        Err(error) => tracing::warn!(sandbox = state.id, %error, "two sandboxes have the same name"),
    }
    core.made_cgroups.lock().extend(state.made_cgroup.clone());
    let of_this_boot = state.boot_id == core.boot_id;
    let needs_init = shares_pids(&state.config);
    let sandbox = Sandbox::new(state);
    let alive = of_this_boot && (has_init || !needs_init) && sandbox::are_pinned(&sandbox.namespaces(core));
    sandbox.state.lock().ready &= alive;
    core.registry.add_sandbox(Arc::new(sandbox));
}

/// What a container is found to be.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Created,
    Running {
        pid: u32,
        started_at: i64,
    },
    Exited(store::Exit),
    /// To be ended, then exited.
    Lost,
}

fn judge(file: &ContainerFile, record: Option<&ContainerRecord>, boot_id: &str, now: i64) -> Found {
    if let Some(exit) = &file.exit {
        return Found::Exited(exit.clone());
    }
    if file.boot_id != boot_id {
        return Found::Exited(exit::unknown("the node was rebooted", now));
    }
    match record {
        Some(ContainerRecord { exit: Some(record), .. }) => Found::Exited(exit::from_record(record)),
        Some(ContainerRecord { pid, started_at, .. }) if *started_at != 0 => {
            Found::Running { pid: *pid, started_at: *started_at }
        }
        None if file.started_at == 0 => Found::Created,
        // Still being launched for a daemon that has gone, or not known at all.
        _ => Found::Lost,
    }
}

async fn recover_container(core: &Arc<Core>, mut file: ContainerFile, record: Option<ContainerRecord>) -> Result<()> {
    match core.registry.reserve(container_name(&file.sandbox_id, &file.config.metadata), &file.id) {
        Ok(name) => name.keep(),
        Err(error) => tracing::warn!(container = file.id, %error, "two containers have the same name"),
    }
    if let Some(record) = &record
        && file.started_at == 0
    {
        file.started_at = record.started_at;
    }
    let sandbox = core.registry.sandbox(&file.sandbox_id);
    let pod_uid = sandbox.map(|sandbox| sandbox.pod_uid()).unwrap_or_default();
    let found = judge(&file, record.as_ref(), &core.boot_id, core.clock.now_nanos());
    let had_exit = file.exit.is_some();
    let phase = match &found {
        Found::Created => Phase::Created,
        Found::Running { pid, .. } => Phase::Running { pid: *pid },
        Found::Exited(_) if had_exit => Phase::Exited,
        Found::Exited(_) | Found::Lost => Phase::Unknown,
    };
    let container = Arc::new(Container::new(file, phase, pod_uid));
    core.registry.add_container(container.clone());
    match found {
        Found::Exited(exit) if !had_exit => exit::finish(core, &container, exit),
        Found::Lost => {
            if record.is_some() {
                kill(core, &container.id).await?;
            }
            let ended = stop::end_lost(core, &container, "the container was lost").await;
            if let Err(error) = ended {
                tracing::warn!(container = container.id, %error, "a lost container cannot be ended");
            }
        }
        Found::Created | Found::Running { .. } | Found::Exited(_) => {}
    }
    Ok(())
}

async fn kill(core: &Core, id: &str) -> Result<()> {
    let kill = Request::KillContainer { container_id: id.to_owned() };
    core.supervisor().await?.order(kill).await.map_err(|error| from_supervisor("end a container", &error))
}

/// Ends what the supervisor has and nobody knows.
async fn end_strangers(
    core: &Arc<Core>,
    records: Vec<ContainerRecord>,
    inits: &[crate::supervisor::protocol::InitRecord],
) -> Result<()> {
    let supervisor = core.supervisor().await?;
    for record in records {
        tracing::warn!(container = record.id, "a container without a record is ended");
        let discarded = supervisor.order(Request::Discard { container_id: record.id }).await;
        discarded.map_err(|error| from_supervisor("end a container", &error))?;
        if let Some(cgroup) = Cgroup::of_plan(&core.hierarchies, &record.cgroup) {
            blocking("remove the cgroup of an unknown container", move || cgroup.remove()).await?;
        }
    }
    for init in inits.iter().filter(|init| core.registry.sandbox(&init.sandbox_id).is_none()) {
        let end = Request::EndInit { sandbox_id: init.sandbox_id.clone() };
        supervisor.order(end).await.internal("end the init of an unknown sandbox")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Exit;
    use crate::supervisor::protocol::ExitRecord;

    #[test]
    fn every_case() {
        let file = |started_at, exit: Option<Exit>, boot: &str| ContainerFile {
            id: "c".to_owned(),
            boot_id: boot.to_owned(),
            started_at,
            exit,
            ..ContainerFile::default()
        };
        let record = |started_at, exit| {
            let (id, cgroup) = ("c".to_owned(), crate::launch::spec::CgroupPlan::default());
            ContainerRecord { id, pid: 7, started_at, exit, cgroup }
        };
        let ended = ExitRecord { exit_code: 3, oom_killed: false, finished_at: 9 };
        let exited = |code, reason: &str, finished_at| {
            Found::Exited(Exit { code, reason: reason.to_owned(), message: String::new(), finished_at })
        };
        let own = Exit { code: 1, reason: "Error".to_owned(), message: String::new(), finished_at: 5 };
        let running = Found::Running { pid: 7, started_at: 4 };
        for (file, record, wanted) in [
            (file(0, None, "now"), None, Found::Created),
            (file(4, None, "now"), Some(record(4, None)), running),
            // The daemon died between the launch and its record of it.
            (file(0, None, "now"), Some(record(4, None)), Found::Running { pid: 7, started_at: 4 }),
            (file(4, None, "now"), Some(record(4, Some(ended))), exited(3, "Error", 9)),
            (file(4, Some(own.clone()), "now"), Some(record(4, Some(ended))), exited(1, "Error", 5)),
            (file(4, Some(own), "before"), None, exited(1, "Error", 5)),
            (file(4, None, "now"), None, Found::Lost),
            (file(0, None, "now"), Some(record(0, None)), Found::Lost),
        ] {
            assert_eq!(judge(&file, record.as_ref(), "now", 99), wanted, "{file:?} {record:?}");
        }
        let Found::Exited(rebooted) = judge(&file(4, None, "before"), None, "now", 99) else { panic!("exited") };
        assert_eq!((rebooted.code, rebooted.reason.as_str(), rebooted.finished_at), (255, "Unknown", 99));
        assert!(matches!(judge(&file(0, None, "before"), None, "now", 99), Found::Exited(_)));
    }
}
