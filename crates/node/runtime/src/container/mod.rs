//! Containers: a process in its own file system, within a sandbox.
//!
//! States: *created* (everything is decided, nothing runs), *starting*, *running*, *exited*; and *unknown* for a container whose
//! supervisor has died, until its processes have been ended. Only the supervisor's word makes a container running or exited.

mod apparmor;
pub(crate) mod attach;
pub(crate) mod create;
pub(crate) mod exec;
pub(crate) mod exit;
mod plan;
pub(crate) mod remove;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod update;

use std::sync::Arc;

use windlass_cri::Result;

use crate::cgroup::Cgroup;
use crate::core::Core;
use crate::error::blocking;
use crate::store;

pub(crate) use crate::record::{Container, Phase};

impl Container {
    /// Removes the directory with the state file; nobody writes it again. Blocks.
    pub(crate) fn erase(&self, core: &Core) -> std::io::Result<()> {
        *self.kept.lock() = false;
        store::remove(&core.container_directory(&self.id))
    }

    /// Writes the state file. Blocks for a moment.
    pub(crate) fn save(&self, core: &Core) -> Result<(), store::StoreError> {
        let kept = self.kept.lock();
        if !*kept {
            return Ok(());
        }
        let file = self.state.lock().file.clone();
        store::save(&core.container_directory(&self.id), &file)
    }

    pub(crate) async fn save_later(self: &Arc<Self>, core: &Arc<Core>) -> Result<()> {
        let (container, core) = (self.clone(), core.clone());
        blocking("save the container's state", move || container.save(&core)).await
    }

    pub(crate) fn cgroup(&self, core: &Core) -> Cgroup {
        let plan = self.state.lock().file.launch.cgroup.clone();
        // A plan of another boot, when the node's hierarchies may have been others, has nothing any more.
        Cgroup::of_plan(&core.hierarchies, &plan).unwrap_or_else(|| core.pod_cgroup("").child(&self.id))
    }
}
