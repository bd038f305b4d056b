//! One cgroup by its path: where it is in each hierarchy.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::launch::spec::CgroupPlan;
use crate::sys::path::normal;
use windlass_tree::Hierarchies;

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

    /// A file of a v1 controller.
    pub(super) fn file(&self, controller: &str, name: &str) -> Option<PathBuf> {
        self.hierarchies.with_controller(controller).map(|mount_point| self.directory(mount_point).join(name))
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
}
