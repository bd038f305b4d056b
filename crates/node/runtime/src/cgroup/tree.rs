//! One cgroup by its path, whatever the version.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use windlass_cri::Resources;

use super::devices::DevicePolicy;
use super::hierarchy::Hierarchies;
use super::usage::Usage;
use super::{members, usage, v1, v2};
use crate::launch::spec::CgroupPlan;
use crate::sys::path::normal;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CgroupError {
    #[error("cannot make cgroup {path}")]
    Make { path: PathBuf, source: io::Error },
    #[error("cannot write {value:?} to {path}")]
    Write { path: PathBuf, value: String, source: io::Error },
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot remove cgroup {path}")]
    Remove { path: PathBuf, source: io::Error },
    #[error("cannot set the device policy of cgroup {path}")]
    Devices { path: PathBuf, source: io::Error },
    #[error("processes of cgroup {path} do not end: {pids:?}")]
    Unkillable { path: String, pids: Vec<i32> },
}

pub(super) type Result<T, E = CgroupError> = std::result::Result<T, E>;

#[derive(Clone, Debug)]
pub(crate) struct Cgroup {
    pub(super) hierarchies: Arc<Hierarchies>,
    path: PathBuf,
}

impl Cgroup {
    /// `path` lies below the root of every hierarchy, whatever it says.
    pub(crate) fn new(hierarchies: &Arc<Hierarchies>, path: &str) -> Self {
        Self { hierarchies: hierarchies.clone(), path: normal(Path::new(path)) }
    }

    /// The cgroup that a plan puts processes into.
    pub(crate) fn of_plan(hierarchies: &Arc<Hierarchies>, plan: &CgroupPlan) -> Option<Self> {
        let (mount_point, directory) = match &**hierarchies {
            Hierarchies::V1(list) => (&list.first()?.mount_point, plan.v1.first()?),
            Hierarchies::V2(root) => (root, plan.v2.as_ref()?),
        };
        let below = directory.strip_prefix(mount_point).ok().filter(|below| below.components().next().is_some())?;
        Some(Self { hierarchies: hierarchies.clone(), path: Path::new("/").join(below) })
    }

    pub(crate) fn child(&self, name: &str) -> Self {
        Self { hierarchies: self.hierarchies.clone(), path: self.path.join(name) }
    }

    fn parent(&self) -> Option<Self> {
        let parent = self.path.parent().filter(|parent| *parent != Path::new("/"))?;
        Some(Self { hierarchies: self.hierarchies.clone(), path: parent.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its directory in a hierarchy that is mounted at `mount_point`.
    pub(crate) fn directory(&self, mount_point: &Path) -> PathBuf {
        mount_point.join(self.path.strip_prefix("/").unwrap_or(&self.path))
    }

    /// Its directories in all hierarchies.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        match &*self.hierarchies {
            Hierarchies::V1(list) => list.iter().map(|hierarchy| self.directory(&hierarchy.mount_point)).collect(),
            Hierarchies::V2(root) => vec![self.directory(root)],
        }
    }

    pub(crate) fn exists(&self) -> bool {
        self.directories().iter().any(|directory| directory.exists())
    }

    /// The topmost of it and its ancestors that does not exist.
    pub(crate) fn topmost_missing(&self) -> Option<PathBuf> {
        let mut missing = None;
        let mut next = Some(self.clone());
        while let Some(cgroup) = next.filter(|cgroup| !cgroup.exists()) {
            next = cgroup.parent();
            missing = Some(cgroup.path);
        }
        missing
    }

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

    /// A file of a v1 controller.
    pub(super) fn file(&self, controller: &str, name: &str) -> Option<PathBuf> {
        self.hierarchies.with_controller(controller).map(|mount_point| self.directory(mount_point).join(name))
    }

    /// The processes in it and in cgroups below.
    pub(crate) fn members(&self) -> BTreeSet<i32> {
        self.directories().iter().flat_map(|directory| members::below(directory)).collect()
    }

    /// Ends what is inside and removes it with everything below. Succeeds when it does not exist.
    pub(crate) fn remove(&self) -> Result<()> {
        members::remove(self)
    }

    /// Removes it if it is empty, and its ancestors up to `topmost` as far as they are empty. True when none is left.
    pub(crate) fn remove_made(&self, topmost: &Path) -> bool {
        let mut next = Some(self.clone());
        while let Some(cgroup) = next.filter(|cgroup| cgroup.path.starts_with(topmost)) {
            for directory in cgroup.directories() {
                // It stays when somebody else uses it.
                let _ = std::fs::remove_dir(directory);
            }
            if cgroup.exists() {
                return false;
            }
            next = cgroup.parent();
        }
        true
    }

    pub(crate) fn usage(&self) -> Usage {
        usage::read(self)
    }
}

pub(super) fn write(path: PathBuf, value: &str) -> Result<()> {
    let written = OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(value.as_bytes()));
    written.map_err(|source| CgroupError::Write { path, value: value.to_owned(), source })
}

pub(super) fn make_directory(path: &Path) -> Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result.map_err(|source| CgroupError::Make { path: path.to_owned(), source }),
    }
}

impl CgroupError {
    pub(super) fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Make { source, .. }
            | Self::Write { source, .. }
            | Self::Read { source, .. }
            | Self::Remove { source, .. }
            | Self::Devices { source, .. } => Some(source),
            Self::Unkillable { .. } => None,
        }
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.io().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
    }
}
