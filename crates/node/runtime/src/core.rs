//! What all parts of the runtime share: where things lie, who the neighbours are, which sandboxes and containers exist.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use windlass_api::time::Clock;
use windlass_cri::{Code, Error, ImageSource, PodNetwork, Result};
use windlass_tree::Meter;

use crate::cgroup::{Cgroup, CgroupError};
use crate::error::During;
use crate::events::Events;
use crate::launch::credentials::encode_filter;
use crate::layout::Layout;
use crate::record::{Container, Sandbox};
use crate::registry::Registry;
use crate::spec::seccomp::{self, default_profile};
use crate::supervisor::client::Client;
use crate::supervisor::link::Link;

/// Compiled default filters that are kept: one for each set of capabilities in use.
const FILTERS_MAX: usize = 64;

pub(crate) struct Core {
    pub(crate) layout: Layout,
    pub(crate) clock: Clock,
    pub(crate) boot_id: String,
    pub(crate) images: Arc<dyn ImageSource>,
    pub(crate) network: Arc<dyn PodNetwork>,
    pub(crate) hierarchies: Arc<windlass_tree::Hierarchies>,
    pub(crate) link: Link,
    pub(crate) events: Events,
    pub(crate) registry: Registry,
    /// Capabilities that the node's process has itself: more it cannot give.
    pub(crate) available_capabilities: u64,
    /// What writable layers take, as last counted.
    pub(crate) layers: Meter,
    pub(crate) filters: Mutex<HashMap<u64, String>>,
    /// Cgroups that had to be made above sandboxes, each the topmost of its path.
    pub(crate) made_cgroups: Mutex<BTreeSet<PathBuf>>,
}

impl Core {
    pub(crate) async fn supervisor(&self) -> Result<Client> {
        self.link.client().await.during(Code::Unavailable, || "the container supervisor cannot be used".to_owned())
    }

    pub(crate) fn sandbox(&self, id: &str) -> Result<Arc<Sandbox>> {
        self.registry.sandbox(id).ok_or_else(|| Error::not_found(format_args!("sandbox {id:?}")))
    }

    pub(crate) fn container(&self, id: &str) -> Result<Arc<Container>> {
        self.registry.container(id).ok_or_else(|| Error::not_found(format_args!("container {id:?}")))
    }

    /// The cgroup of everything in a sandbox. The kubelet makes it; other callers of the CRI may name none.
    pub(crate) fn pod_cgroup(&self, cgroup_parent: &str) -> Cgroup {
        let path = if cgroup_parent.is_empty() { "/windlass" } else { cgroup_parent };
        Cgroup::new(&self.hierarchies, path)
    }

    /// Makes a pod's cgroup where the kubelet has not. `note` is told before of the topmost of its ancestors that this runtime
    /// makes, now or for another pod, so that it can be written down: who goes last removes it. Blocks.
    pub(crate) fn make_pod_cgroup<E>(
        &self,
        cgroup: &Cgroup,
        note: impl FnOnce(Option<PathBuf>) -> Result<(), E>,
    ) -> Result<(), E>
    where
        E: From<CgroupError>,
    {
        let mut made = self.made_cgroups.lock();
        made.extend(cgroup.topmost_missing());
        // A path sorts before those below it.
        note(made.iter().find(|topmost| cgroup.path().starts_with(topmost)).cloned())?;
        Ok(cgroup.make()?)
    }

    /// Removes a pod's cgroup as far up as this runtime has made it and nobody else uses it. Blocks.
    pub(crate) fn remove_pod_cgroup(&self, cgroup: &Cgroup, topmost: &Path) {
        let mut made = self.made_cgroups.lock();
        if cgroup.remove_made(topmost) {
            made.remove(topmost);
        }
    }

    pub(crate) fn container_directory(&self, id: &str) -> PathBuf {
        self.layout.container(id)
    }

    /// The compiled default filter for a set of capabilities.
    pub(crate) fn default_filter(&self, capabilities: u64) -> Result<String> {
        if let Some(filter) = self.filters.lock().get(&capabilities) {
            return Ok(filter.clone());
        }
        let compiled = seccomp::compile::compile(&default_profile(capabilities));
        let filter = encode_filter(&compiled.internal("compile the default seccomp profile")?);
        let mut filters = self.filters.lock();
        if filters.len() >= FILTERS_MAX {
            filters.clear();
        }
        filters.insert(capabilities, filter.clone());
        Ok(filter)
    }
}
