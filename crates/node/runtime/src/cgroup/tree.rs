//! Making, limiting, reading and removing a cgroup, whatever the version.

use std::collections::BTreeSet;

use windlass_cri::Resources;

use super::devices::DevicePolicy;
use super::error::Result;
use super::place::Cgroup;
use super::usage::Usage;
use super::{members, usage, v1, v2};
use crate::launch::spec::CgroupPlan;
use windlass_tree::Hierarchies;

impl Cgroup {
    /// Makes it, with its ancestors where missing.
    pub(crate) fn make(&self) -> Result<()> {
        match &*self.hierarchies {
            Hierarchies::V1(list) => v1::make(self, list),
            Hierarchies::V2(root) => v2::make(self, root),
        }
    }

    /// Makes the cgroup of a container with its limits.
    pub(crate) fn make_for_container(&self, resources: &Resources, devices: &DevicePolicy) -> Result<()> {
        self.make()?;
        self.limit(resources)?;
        match &*self.hierarchies {
            Hierarchies::V1(_) => v1::set_devices(self, devices),
            Hierarchies::V2(root) => v2::set_devices(self, root, devices),
        }
    }

    /// Sets the limits that are given and leaves the others.
    pub(crate) fn limit(&self, resources: &Resources) -> Result<()> {
        match &*self.hierarchies {
            Hierarchies::V1(_) => v1::limit(self, resources),
            Hierarchies::V2(root) => v2::limit(self, root, resources),
        }
    }

    /// How processes enter it, and where their ends show.
    pub(crate) fn plan(&self) -> CgroupPlan {
        match &*self.hierarchies {
            Hierarchies::V1(_) => {
                let directories = self.directories();
                let oom_counter = self.file("memory", "memory.oom_control");
                let processes = directories.first().map(|directory| directory.join("cgroup.procs"));
                CgroupPlan { v1: directories, v2: None, oom_counter, processes }
            }
            Hierarchies::V2(root) => {
                let directory = self.directory(root);
                let oom_counter = Some(directory.join("memory.events"));
                let processes = Some(directory.join("cgroup.procs"));
                CgroupPlan { v1: Vec::new(), v2: Some(directory), oom_counter, processes }
            }
        }
    }

    /// The processes in it and in cgroups below.
    pub(crate) fn members(&self) -> BTreeSet<i32> {
        self.directories().iter().flat_map(|directory| members::below(directory)).collect()
    }

    /// Ends what is inside and removes it with everything below. Succeeds when it does not exist.
    pub(crate) fn remove(&self) -> Result<()> {
        members::remove(self)
    }

    pub(crate) fn usage(&self) -> Usage {
        usage::read(self)
    }
}
