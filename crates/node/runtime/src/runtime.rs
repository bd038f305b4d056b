//! The runtime as others see it: opened on a directory, asked through the CRI, shut down when the node goes.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use nix::fcntl::{Flock, FlockArg};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use windlass_api::text::with_causes;
use windlass_cri::{Code, ContainerState, Error, ImageSource, PodNetwork, Result};

use crate::cgroup::find_hierarchies;
use crate::container::{self, exit};
use crate::core::Core;
use crate::error::{During, blocking};
use crate::events::Events;
use crate::launch::credentials::check_privileges;
use crate::layout::Layout;
use crate::options::Options;
use crate::registry::Registry;
use crate::sandbox_config::shares_pids;
use crate::supervisor::link::{Link, News};
use crate::supervisor::protocol::Event;
use crate::sys::capability;
use crate::{recovery, sandbox, stats, store};

/// News of the supervisor that wait to be taken; taking them waits for nothing.
const NEWS_MAX: usize = 4096;

/// The embedded container runtime. Dropping it leaves all containers running; another one finds them again.
pub struct Runtime {
    pub(crate) core: Arc<Core>,
    listener: tokio::task::JoinHandle<()>,
    /// Keeps other daemons away from the root.
    _lock: Flock<File>,
}

impl Runtime {
    /// Opens the runtime below [`Options::root`]: finds what runs there already, or starts a supervisor.
    ///
    /// Must be called within a tokio runtime, in the mount namespace of the supervisor
    /// ([`crate::supervisor::join_mount_namespace`]). One runtime at a time may be open for a root. Errors: another runtime, no privileges, no
    /// cgroups, no place to write, a supervisor that cannot be started or speaks another protocol.
    pub async fn open(options: Options, images: Arc<dyn ImageSource>, network: Arc<dyn PodNetwork>) -> Result<Self> {
        if options.root.to_str().is_none() {
            return Err(Error::invalid(format!("the path {} is not UTF-8", options.root.display())));
        }
        let available_capabilities = capability::permitted().internal("ask for own capabilities")?;
        check_privileges(available_capabilities).internal("start the container runtime")?;
        let hierarchies = find_hierarchies(&options.cgroups).internal("find the node's cgroups")?;
        let layout = Layout::new(&options.root);
        layout.make().during(Code::Internal, || format!("prepare {}", options.root.display()))?;
        let lock = lock(&options.root.join("daemon.lock"))?;
        let boot_id = match options.boot_id {
            Some(boot_id) => boot_id,
            None => windlass_tree::boot_id().internal("read the boot ID")?,
        };
        let (news, heard) = mpsc::channel(NEWS_MAX);
        let core = Arc::new(Core {
            layout,
            clock: options.clock,
            boot_id,
            images,
            network,
            hierarchies: Arc::new(hierarchies),
            link: Link::new(options.root, options.supervisor_command, news),
            events: Events::new(options.clock),
            registry: Registry::default(),
            available_capabilities,
            layers: stats::meter(),
            filters: Mutex::new(HashMap::new()),
            made_cgroups: Mutex::new(BTreeSet::new()),
        });
        recovery::recover(&core).await?;
        let listener = tokio::spawn(listen(core.clone(), heard));
        Ok(Self { core, listener, _lock: lock })
    }

    /// The directories of all image layers that containers stand on, running or not.
    pub fn layers_in_use(&self) -> Vec<PathBuf> {
        let mut layers = Vec::new();
        for container in self.core.registry.containers() {
            let state = container.state.lock();
            layers.extend(state.file.layers.iter().chain(state.file.image_mounts.iter().flatten()).cloned());
        }
        layers
    }

    /// Ends all containers and sandboxes, with `grace` for each container to end by itself, and then the supervisor. For
    /// `windlass down`. Records stay for the next start, which finds everything exited.
    pub async fn shutdown_all(&self, grace: Duration) -> Result<()> {
        let containers = self.core.registry.containers();
        let stops = containers.iter().map(|container| container::stop::stop(&self.core, container, grace));
        first_error(join_all(stops).await)?;
        let sandboxes = self.core.registry.sandboxes();
        first_error(join_all(sandboxes.iter().map(|sandbox| sandbox::stop::stop(&self.core, sandbox))).await)?;
        self.core.link.shut_down().await.internal("end the supervisor")
    }

    /// Ends everything and removes every trace: containers, sandboxes, mounts, cgroups, the directory itself.
    pub async fn wipe(self) -> Result<()> {
        let core = self.core.clone();
        let sandboxes = core.registry.sandboxes();
        first_error(join_all(sandboxes.iter().map(|sandbox| sandbox::remove::remove(&core, sandbox))).await)?;
        let orphans = core.registry.containers();
        first_error(join_all(orphans.iter().map(|container| container::remove::remove(&core, container))).await)?;
        self.shutdown_all(Duration::ZERO).await?;
        let root = core.layout.root().to_owned();
        blocking("remove the runtime's directory", move || store::remove(&root)).await
    }
}

fn lock(path: &Path) -> Result<Flock<File>> {
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.during(Code::Internal, || format!("open {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
        let message = format!("another runtime uses {}: {}", path.display(), error.desc());
        Error::new(Code::FailedPrecondition, message)
    })
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

fn first_error(results: Vec<Result<()>>) -> Result<()> {
    results.into_iter().find(Result::is_err).unwrap_or(Ok(()))
}

/// Takes the supervisor's news for as long as the runtime is open. Waits for nothing but the next.
async fn listen(core: Arc<Core>, mut news: mpsc::Receiver<News>) {
    while let Some(heard) = news.recv().await {
        match heard {
            News::Event(Event::ContainerExited { container_id, exit }) => {
                if let Some(container) = core.registry.container(&container_id) {
                    exit::ended(&core, &container, exit);
                }
            }
            News::Event(Event::InitExited { sandbox_id }) => init_ended(&core, &sandbox_id),
            News::Event(Event::Warning { message }) => tracing::warn!(message, "container supervisor"),
            // Its client has it.
            News::Event(Event::ExecExited { .. }) => {}
            News::Lost => lost(&core),
        }
    }
}

/// A pod's shared process IDs are gone, and with them its containers. A stop has said so before.
fn init_ended(core: &Arc<Core>, sandbox_id: &str) {
    let Some(sandbox) = core.registry.sandbox(sandbox_id) else { return };
    let was_ready = std::mem::replace(&mut sandbox.state.lock().ready, false);
    if was_ready {
        tracing::warn!(sandbox = sandbox_id, "the sandbox's init has ended");
        sandbox_died(core, &sandbox);
    }
}

fn sandbox_died(core: &Arc<Core>, sandbox: &Arc<sandbox::Sandbox>) {
    let (id, uid) = (&sandbox.id, sandbox.pod_uid());
    core.events.send(id, id, &uid, windlass_cri::ContainerEventKind::Stopped);
    let (core, sandbox) = (core.clone(), sandbox.clone());
    tokio::task::spawn_blocking(move || {
        if let Err(error) = sandbox.save(&core) {
            tracing::warn!(sandbox = sandbox.id, error = with_causes(&error), "cannot save the sandbox");
        }
    });
}

/// The supervisor has died. Nobody reads its containers' output any more and nobody will reap them: they are ended, so that
/// the kubelet sees it and starts new ones.
fn lost(core: &Arc<Core>) {
    tracing::error!("the container supervisor has died: its containers are lost");
    for container in core.registry.containers() {
        if container.cri_state() != ContainerState::Running {
            continue;
        }
        container.state.lock().phase = container::Phase::Unknown;
        let core = core.clone();
        tokio::spawn(async move {
            let ended = container::stop::end_lost(&core, &container, "the container supervisor has died").await;
            if let Err(error) = ended {
                tracing::warn!(container = container.id, %error, "a lost container cannot be ended");
            }
        });
    }
    for sandbox in core.registry.sandboxes() {
        let shares = shares_pids(&sandbox.state.lock().config);
        if shares {
            init_ended(core, &sandbox.id);
        }
    }
}
