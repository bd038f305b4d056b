//! Measuring what pods take of the node's disk: writable layers as the runtime counts them, logs and emptyDirs as we do.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use windlass_api::k8s::api::core::v1::Pod;
use windlass_cri::{ContainerStats, SandboxFilter};
use windlass_tree::{Meter, Usage};

use super::disk::Disk;
use crate::pod::{ContainerKind, PodView};
use crate::registry::Registry;
use crate::shared::Shared;

/// Small trees are counted in this time; what a large one has is told as far as it was counted.
const PATIENCE: Duration = Duration::from_secs(1);

/// The trees of one pod.
struct Trees {
    /// By container.
    logs: BTreeMap<String, PathBuf>,
    volumes: BTreeMap<String, PathBuf>,
}

impl Trees {
    fn of(shared: &Shared, pod: &Pod) -> Self {
        let directory = shared.log_directory(pod);
        let kinds = [ContainerKind::Init, ContainerKind::App, ContainerKind::Ephemeral];
        let names =
            kinds.into_iter().flat_map(|kind| pod.containers(kind).into_owned()).map(|container| container.name);
        let logs = names.map(|name| (name.clone(), directory.join(name))).collect();
        Self { logs, volumes: shared.volumes.on_disk(pod) }
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
        let all: Vec<PathBuf> =
            trees.iter().flat_map(|it| it.logs.values().chain(it.volumes.values())).cloned().collect();
        meter.refresh(&all, PATIENCE);
        let known = |of: &BTreeMap<String, PathBuf>| -> BTreeMap<String, Usage> {
            of.iter().map(|(name, path)| (name.clone(), meter.usage(path).unwrap_or_default())).collect()
        };
        trees.iter().map(|it| Disk { containers: known(&it.logs), volumes: known(&it.volumes) }).collect::<Vec<_>>()
    };
    let counted = tokio::task::spawn_blocking(count).await.unwrap_or_default();
    let layers = layers(shared).await;
    let with_layers = |(pod, mut disk): (Arc<Pod>, Disk)| {
        add_layers(registry, &layers, &pod, &mut disk);
        (pod, disk)
    };
    pods.into_iter().zip(counted).map(with_layers).collect()
}

/// Writable layers of all running containers, by the containers' IDs. They are asked for together, so that the wait for large ones is one.
async fn layers(shared: &Shared) -> HashMap<String, Usage> {
    let stats = shared.runtime.list_sandbox_stats(SandboxFilter::default()).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the runtime does not tell what writable layers take");
        Vec::new()
    });
    let containers = stats.into_iter().flat_map(|sandbox| sandbox.containers);
    let of = |container: ContainerStats| {
        let layer = container.writable_layer?;
        Some((container.id, Usage { bytes: layer.used_bytes, inodes: layer.inodes_used }))
    };
    containers.filter_map(of).collect()
}

fn add_layers(registry: &Registry, layers: &HashMap<String, Usage>, pod: &Pod, disk: &mut Disk) {
    let Some(entry) = registry.get(pod.uid()) else { return };
    let record = entry.record.lock();
    for view in record.observed.running() {
        if let Some(layer) = layers.get(&view.id) {
            let own = disk.containers.entry(view.name.clone()).or_default();
            *own = *own + *layer;
        }
    }
}
