//! Pod sandboxes: pinned namespaces, a few files, a place in the pod network, and, when the pod shares its process IDs, an
//! init. A sandbox without that has no process at all.
//!
//! States: *not ready* while it is made, *ready*, *not ready* again when it was stopped, its init has died, or the machine
//! was booted since. What was begun can be taken back from any point on ([`stop`] does nothing for what is not there).

pub(crate) mod files;
mod namespaces;
pub(crate) mod remove;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod stop;
mod sysctls;

pub(crate) use crate::record::Sandbox;
pub(crate) use namespaces::{are_pinned, unpin};
use windlass_cri::{NetworkRequest, Result};

use crate::core::Core;
use crate::error::blocking;
use crate::launch::spec::{NamespacePlan, PidNamespace};
use crate::sandbox_config::{has_own_ipc, has_own_network};
use crate::store::{self, SandboxState};

impl Sandbox {
    /// Removes the directory with the state file; nobody writes it again. Blocks.
    pub(crate) fn erase(&self, core: &Core) -> std::io::Result<()> {
        *self.kept.lock() = false;
        store::remove(core.layout.sandbox(&self.id).directory())
    }

    /// Writes the state file. Blocks for a moment.
    pub(crate) fn save(&self, core: &Core) -> Result<(), store::StoreError> {
        let kept = self.kept.lock();
        if !*kept {
            return Ok(());
        }
        let state = self.state.lock().clone();
        store::save(core.layout.sandbox(&self.id).directory(), &state)
    }

    /// Changes the state and writes it.
    pub(crate) async fn update(
        self: &std::sync::Arc<Self>,
        core: &std::sync::Arc<Core>,
        change: impl FnOnce(&mut SandboxState),
    ) -> Result<()> {
        change(&mut self.state.lock());
        let (sandbox, core) = (self.clone(), core.clone());
        blocking("save the sandbox's state", move || sandbox.save(&core)).await
    }

    /// Changes the state of a sandbox that ends, which must not need room on the disk: who finds the old state ends it once more, and
    /// any number of times is fine.
    pub(crate) async fn update_ending(
        self: &std::sync::Arc<Self>,
        core: &std::sync::Arc<Core>,
        change: impl FnOnce(&mut SandboxState),
    ) {
        if let Err(error) = self.update(core, change).await {
            tracing::warn!(sandbox = self.id, %error, "that a sandbox has ended is not on the disk");
        }
    }

    pub(crate) fn network_request(&self, core: &Core) -> NetworkRequest {
        let state = self.state.lock();
        NetworkRequest {
            sandbox_id: self.id.clone(),
            metadata: state.config.metadata.clone(),
            netns: core.layout.sandbox(&self.id).namespace("net"),
            port_mappings: state.config.port_mappings.clone(),
        }
    }

    /// The namespaces that processes of this sandbox enter.
    pub(crate) fn namespaces(&self, core: &Core) -> NamespacePlan {
        let state = self.state.lock();
        let (config, layout) = (&state.config, core.layout.sandbox(&self.id));
        let own = |wanted: bool, name: &str| wanted.then(|| layout.namespace(name));
        NamespacePlan {
            user: own(config.namespaces.user.is_some(), "user"),
            network: own(has_own_network(config), "net"),
            ipc: own(has_own_ipc(config), "ipc"),
            // The node's network comes with the node's name.
            uts: own(has_own_network(config), "uts"),
            pid: PidNamespace::Own,
            own_cgroup: false,
        }
    }
}
