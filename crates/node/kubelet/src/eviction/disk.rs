//! What a pod takes of the node's disk, and which of its limits that exceeds. Pure.

use std::collections::BTreeMap;

use windlass_api::k8s::api::core::v1::{Container, Pod};
use windlass_api::pod::{AnyList, Options, is_sidecar, limits};
use windlass_tree::Usage;

use crate::pod::PodView;

pub(super) const EPHEMERAL_STORAGE: &str = "ephemeral-storage";

/// The disk's share of a pod, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Disk {
    /// Writable layers, logs and termination messages. Of a container that was started again, the newest layer.
    pub(super) containers: BTreeMap<String, Usage>,
    /// Those emptyDirs that are on the disk.
    pub(super) volumes: BTreeMap<String, Usage>,
    /// Older layers, and files that all containers may write to (hosts, hostname, resolv.conf).
    pub(super) others: Usage,
}

/// A limit that a pod is beyond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exceeded {
    /// As the metric of evictions names it.
    pub(super) signal: &'static str,
    pub(super) message: String,
}

impl Disk {
    pub(super) fn total(&self) -> Usage {
        self.containers.values().chain(self.volumes.values()).copied().chain([self.others]).sum()
    }
}

/// Whether a pod can exceed anything at all.
pub(super) fn is_limited(pod: &Pod) -> bool {
    let of_volumes = pod.pod_spec().volumes.iter().flatten();
    let mut of_volumes = of_volumes.filter_map(|volume| volume.empty_dir.as_ref()?.size_limit.as_ref());
    of_volumes.next().is_some() || limits(pod, Options::SPEC).get(EPHEMERAL_STORAGE).is_some()
}

/// The first limit that is exceeded, in upstream's order and words (`pkg/kubelet/eviction/eviction_manager.go`, `localStorageEviction`).
pub(super) fn exceeded(pod: &Pod, disk: &Disk) -> Option<Exceeded> {
    of_volume(pod, disk).or_else(|| of_pod(pod, disk)).or_else(|| of_container(pod, disk))
}

fn of_volume(pod: &Pod, disk: &Disk) -> Option<Exceeded> {
    pod.pod_spec().volumes.iter().flatten().find_map(|volume| {
        let used = disk.volumes.get(&volume.name)?;
        let limit: windlass_api::Quantity = volume.empty_dir.as_ref()?.size_limit.as_ref()?.0.parse().ok()?;
        let is_exceeded = limit.units() > 0 && bytes(used) > limit.units();
        is_exceeded.then(|| Exceeded {
            signal: "emptydirfs.limit",
            message: format!("Usage of EmptyDir volume \"{}\" exceeds the limit \"{limit}\". ", volume.name),
        })
    })
}

fn of_pod(pod: &Pod, disk: &Disk) -> Option<Exceeded> {
    let limit = limits(pod, Options::SPEC).get(EPHEMERAL_STORAGE)?;
    (bytes(&disk.total()) > limit.units()).then(|| Exceeded {
        signal: "ephemeralpodfs.limit",
        message: format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "),
    })
}

fn of_container(pod: &Pod, disk: &Disk) -> Option<Exceeded> {
    let long_lived = pod.app_containers().iter().chain(pod.init_containers().iter().filter(is_sidecar));
    long_lived.filter_map(|container| Some((container, storage_limit(container)?))).find_map(|(container, limit)| {
        let used = disk.containers.get(&container.name)?;
        (bytes(used) > limit.units()).then(|| Exceeded {
            signal: "ephemeralcontainerfs.limit",
            message: format!("Container {} exceeded its local ephemeral storage limit \"{limit}\". ", container.name),
        })
    })
}

fn storage_limit(container: &Container) -> Option<windlass_api::Quantity> {
    let limit = container.resources.as_ref()?.limits.as_ref()?.amount(EPHEMERAL_STORAGE)?;
    Some(limit).filter(|limit| !limit.is_zero())
}

fn bytes(usage: &Usage) -> i64 {
    i64::try_from(usage.bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn pod(volume: &str, limit: &str, other: &str) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {
            "containers": [
                {"name": "c", "resources": {"limits": {"ephemeral-storage": limit}}},
                {"name": "d", "resources": {"limits": {"ephemeral-storage": other}}}],
            "volumes": [{"name": "v", "emptyDir": {"sizeLimit": volume}}, {"name": "w", "emptyDir": {}}]}}))
        .unwrap()
    }

    fn disk(containers: &[(&str, u64)], volumes: &[(&str, u64)]) -> Disk {
        let by_name = |list: &[(&str, u64)]| {
            list.iter().map(|(name, mib)| ((*name).to_owned(), Usage { bytes: mib * MIB, inodes: 1 })).collect()
        };
        Disk { containers: by_name(containers), volumes: by_name(volumes), others: Usage::default() }
    }

    #[test]
    fn limits_in_their_order() {
        let pod = pod("1Mi", "2Mi", "8Mi");
        let message = |disk: &Disk| exceeded(&pod, disk).map(|it| it.message);
        let volume = "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". ";
        let container = "Container c exceeded its local ephemeral storage limit \"2Mi\". ";
        let all = "Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. ";
        for (found, expected) in [
            (disk(&[("c", 2), ("d", 5)], &[("v", 1), ("w", 2)]), None),
            (disk(&[], &[("v", 2)]), Some(volume)),
            (disk(&[("c", 3)], &[]), Some(container)),
            (disk(&[("c", 2), ("d", 5)], &[("w", 4)]), Some(all)),
            (Disk { others: Usage { bytes: 11 * MIB, inodes: 1 }, ..disk(&[], &[]) }, Some(all)),
            (disk(&[("c", 30)], &[("v", 2)]), Some(volume)),
            (disk(&[("c", 30)], &[]), Some(all)),
        ] {
            assert_eq!(message(&found).as_deref(), expected, "{found:?}");
        }
    }

    #[test]
    fn without_limits() {
        let free: Pod = serde_json::from_value(json!({"spec": {"containers": [{"name": "c"}],
            "volumes": [{"name": "v", "emptyDir": {}}]}}))
        .unwrap();
        assert!(!is_limited(&free));
        assert_eq!(exceeded(&free, &disk(&[("c", 100)], &[("v", 100)])), None);
        assert!(is_limited(&pod("1Mi", "0", "0")));
        assert_eq!(exceeded(&pod("0", "2Mi", "2Mi"), &disk(&[], &[("v", 1)])), None, "zero is no limit");
    }
}
