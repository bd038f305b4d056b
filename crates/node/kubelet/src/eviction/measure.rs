//! Measuring what pods take of the node's disk: writable layers as the runtime counts them, logs and emptyDirs as we do.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use windlass_api::k8s::api::core::v1::Pod;
use windlass_cri::{DiskUsage, FilesystemUsage};
use windlass_tree::{Meter, Usage};

use super::disk::Disk;
use crate::observe::Observed;
use crate::pod::{ContainerKind, PodView};
use crate::registry::Registry;
use crate::shared::Shared;

/// Small trees are counted in this time; what a large one has is told as far as it was counted.
const PATIENCE: Duration = Duration::from_secs(1);

/// The trees of one pod.
struct Trees {
    /// Logs and termination messages, by container.
    containers: BTreeMap<String, [PathBuf; 2]>,
    volumes: BTreeMap<String, PathBuf>,
    /// Mounted into every container.
    hosts: PathBuf,
}

impl Trees {
    fn of(shared: &Shared, pod: &Pod) -> Self {
        let (logs, own) = (shared.log_directory(pod), shared.pod_directory(pod.uid()));
        let kinds = [ContainerKind::Init, ContainerKind::App, ContainerKind::Ephemeral];
        let names =
            kinds.into_iter().flat_map(|kind| pod.containers(kind).into_owned()).map(|container| container.name);
        let of_container = |name: String| {
            let trees = [logs.join(&name), own.join("containers").join(&name)];
            (name, trees)
        };
        Self {
            containers: names.map(of_container).collect(),
            volumes: shared.volumes.on_disk(pod),
            hosts: own.join("etc-hosts"),
        }
    }

    fn all(&self) -> impl Iterator<Item = PathBuf> {
        self.containers.values().flatten().chain(self.volumes.values()).cloned()
    }

    /// What is known of them by now.
    fn counted(&self, meter: &Meter) -> Disk {
        let of = |path: &PathBuf| meter.usage(path).unwrap_or_default();
        let hosts = std::fs::symlink_metadata(&self.hosts);
        Disk {
            containers: self
                .containers
                .iter()
                .map(|(name, trees)| (name.clone(), trees.iter().map(of).sum()))
                .collect(),
            volumes: self.volumes.iter().map(|(name, path)| (name.clone(), of(path))).collect(),
            others: hosts.map_or(Usage::default(), |file| Usage { bytes: file.blocks() * 512, inodes: 1 }),
        }
    }
}

/// What each of these pods takes. Waits no longer for large pods than for small ones.
pub(super) async fn measure(
    shared: &Arc<Shared>,
    registry: &Registry,
    meter: &Meter,
    pods: Vec<Arc<Pod>>,
) -> Vec<(Arc<Pod>, Disk)> {
    let trees: Vec<Trees> = pods.iter().map(|pod| Trees::of(shared, pod)).collect();
    let meter = meter.clone();
    let count = move || {
        let all: Vec<PathBuf> = trees.iter().flat_map(Trees::all).collect();
        meter.refresh(&all, PATIENCE);
        trees.iter().map(|it| it.counted(&meter)).collect::<Vec<_>>()
    };
    let (counted, kept) = tokio::join!(tokio::task::spawn_blocking(count), shared.runtime.disk_usage());
    let kept = kept.unwrap_or_else(|error| {
        tracing::warn!(%error, "the runtime does not tell what it keeps on the disk");
        DiskUsage::default()
    });
    let with_kept = |(pod, mut disk): (Arc<Pod>, Disk)| {
        if let Some(entry) = registry.get(pod.uid()) {
            add(&entry.record.lock().observed, &kept, &mut disk);
        }
        (pod, disk)
    };
    pods.into_iter().zip(counted.unwrap_or_default()).map(with_kept).collect()
}

/// Adds what the runtime keeps for a pod: layers of containers that have ended as well, until they are removed.
fn add(observed: &Observed, kept: &DiskUsage, disk: &mut Disk) {
    let of = |usage: &FilesystemUsage| Usage { bytes: usage.used_bytes, inodes: usage.inodes_used };
    let mut newest = HashSet::new();
    for view in &observed.containers {
        let layer = kept.layers.get(&view.id).map(of).unwrap_or_default();
        let place = match newest.insert(&view.name) {
            true => disk.containers.entry(view.name.clone()).or_default(),
            false => &mut disk.others,
        };
        *place = *place + layer;
    }
    let lent = observed.sandboxes.iter().filter_map(|sandbox| kept.sandboxes.get(&sandbox.id));
    disk.others = disk.others + lent.map(of).sum();
}
