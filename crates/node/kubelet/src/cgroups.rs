//! Cgroups of pods: where they are and what they may use. The runtime makes the directories when it makes a sandbox; the kubelet
//! sets the limits of the pod and of its quality-of-service class, and removes what is left.
//!
//! ```text
//! ROOT/kubepods/podUID               Guaranteed
//! ROOT/kubepods/burstable/podUID
//! ROOT/kubepods/besteffort/podUID
//! ```

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use windlass_api::k8s::api::core::v1::Pod;
use windlass_api::pod::resources::{CPU, MEMORY, declared_limit};
use windlass_api::pod::{Options, QosClass, requests};
use windlass_tree::Hierarchies;

use crate::pod::PodView;
use crate::pod::qos::class_of;
use crate::pod::resources;

#[derive(Clone, Debug)]
pub(crate) struct Cgroups {
    root: String,
    /// `None` when nothing is mounted: nothing is limited.
    hierarchies: Option<Hierarchies>,
    /// Processes and threads of a pod; `None` for any number.
    pids_max: Option<i64>,
}

/// What a cgroup is to be limited to; what is `None` is left as it is.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    shares: Option<i64>,
    /// 0 for none.
    quota_us: Option<i64>,
    /// 0 for none.
    memory_bytes: Option<i64>,
    pids: Option<i64>,
}

/// A file of a cgroup and what is written into it.
type Setting = (PathBuf, String);

impl Cgroups {
    /// `root` is a path below the root of each hierarchy, `pids_max` what a pod may have of processes and threads (none: negative).
    pub(crate) fn find(root: &str, pids_max: i64) -> Self {
        let mounts =
            windlass_tree::mounts().inspect_err(|error| tracing::error!(%error, "cannot read the table of mounts"));
        let hierarchies = Hierarchies::of(&mounts.unwrap_or_default());
        if hierarchies.is_none() {
            tracing::warn!("no cgroup hierarchy is mounted: pods are not limited");
        }
        let pids_max = Some(pids_max).filter(|max| *max > 0);
        let has_pids = |all: &Hierarchies| matches!(all, Hierarchies::V2(_)) || all.with_controller("pids").is_some();
        if pids_max.is_some() && hierarchies.as_ref().is_some_and(|all| !has_pids(all)) {
            tracing::warn!("no pids cgroup hierarchy is mounted: the number of a pod's processes is not limited");
        }
        Self { root: root.trim_matches('/').to_owned(), hierarchies, pids_max }
    }

    fn base(&self) -> String {
        if self.root.is_empty() { "/kubepods".to_owned() } else { format!("/{}/kubepods", self.root) }
    }

    fn class(&self, class: QosClass) -> String {
        match class {
            QosClass::Guaranteed => self.base(),
            QosClass::Burstable => format!("{}/burstable", self.base()),
            QosClass::BestEffort => format!("{}/besteffort", self.base()),
        }
    }

    /// The pod's cgroup below the root of every hierarchy.
    pub(crate) fn of_pod(&self, pod: &Pod) -> String {
        format!("{}/pod{}", self.class(class_of(pod)), pod.uid())
    }

    fn settings(&self, cgroup: &str, limits: Limits) -> Vec<Setting> {
        let Limits { shares, quota_us, memory_bytes, pids } = limits;
        let mut all = Vec::new();
        let mut set = |base: Option<&Path>, file: &str, value: Option<String>| {
            if let (Some(base), Some(value)) = (base, value) {
                all.push((base.join(cgroup.trim_start_matches('/')).join(file), value));
            }
        };
        let or = |none: &str, limit: i64| if limit > 0 { limit.to_string() } else { none.to_owned() };
        match &self.hierarchies {
            Some(v1 @ Hierarchies::V1(_)) => {
                let (cpu, memory) = (v1.with_controller("cpu"), v1.with_controller("memory"));
                set(cpu, "cpu.shares", shares.map(|it| it.to_string()));
                set(cpu, "cpu.cfs_quota_us", quota_us.map(|it| or("-1", it)));
                set(memory, "memory.limit_in_bytes", memory_bytes.map(|it| or("-1", it)));
                set(v1.with_controller("pids"), "pids.max", pids.map(|it| or("max", it)));
            }
            Some(Hierarchies::V2(base)) => {
                let base = Some(base.as_path());
                set(base, "cpu.weight", shares.map(|it| weight(it).to_string()));
                set(base, "cpu.max", quota_us.map(|it| format!("{} 100000", or("max", it))));
                set(base, "memory.max", memory_bytes.map(|it| or("max", it)));
                set(base, "pids.max", pids.map(|it| or("max", it)));
            }
            None => {}
        }
        all
    }

    /// Limits the pod as a whole, where it is limited as a whole: when every container is, or when the pod itself says so. The number of
    /// its processes is in any case.
    pub(crate) fn limit_pod(&self, pod: &Pod) -> io::Result<()> {
        let limit = |name: &str| declared_limit(pod, name).unwrap_or_default();
        let (quota, memory) = (resources::cpu_quota_us(limit(CPU).milli()), limit(MEMORY).units());
        let requests = requests(pod, Options::SPEC);
        let shares = resources::cpu_shares(requests.amount(CPU).milli());
        let limits = Limits {
            shares: Some(shares),
            quota_us: Some(quota),
            memory_bytes: Some(memory),
            pids: Some(self.pids_max.unwrap_or(0)),
        };
        apply(&self.settings(&self.of_pod(pod), limits))
    }

    /// Shares of the classes: what burstable pods ask for together, and next to nothing for those that ask for nothing.
    pub(crate) fn share_classes(&self, pods: &[std::sync::Arc<Pod>]) -> io::Result<()> {
        let milli = |pod: &Pod| requests(pod, Options::SPEC).amount(CPU).milli();
        let burstable = pods.iter().filter(|pod| class_of(pod) == QosClass::Burstable && !pod.is_terminal());
        let burstable: i64 = burstable.map(|pod| milli(pod)).sum();
        for (class, shares) in [(QosClass::Burstable, resources::cpu_shares(burstable)), (QosClass::BestEffort, 2)] {
            apply(&self.settings(&self.class(class), Limits { shares: Some(shares), ..Limits::default() }))?;
        }
        Ok(())
    }

    /// Removes what is left of a pod's cgroups. Idempotent.
    pub(crate) fn remove_pod(&self, pod: &Pod) -> io::Result<()> {
        self.remove_everywhere(&self.of_pod(pod))
    }

    fn remove_everywhere(&self, cgroup: &str) -> io::Result<()> {
        self.bases().iter().try_for_each(|base| remove(&base.join(cgroup.trim_start_matches('/'))))
    }

    /// Where the hierarchies are mounted.
    fn bases(&self) -> Vec<&Path> {
        self.hierarchies.as_ref().map(Hierarchies::mount_points).unwrap_or_default()
    }
}

/// Removes the cgroups of those pods that have a directory in `pods`, and those above them unless other pods are left there: those of
/// another node on this machine, perhaps. Idempotent. `root` is [`crate::Options::cgroup_root`].
pub fn remove_cgroups(root: &str, pods: &Path) -> io::Result<()> {
    let cgroups = Cgroups::find(root, -1);
    let uids: Vec<String> = match std::fs::read_dir(pods) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        entries => entries?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect(),
    };
    for class in [QosClass::BestEffort, QosClass::Burstable, QosClass::Guaranteed] {
        let class = cgroups.class(class);
        uids.iter().try_for_each(|uid| cgroups.remove_everywhere(&format!("{class}/pod{uid}")))?;
        for base in cgroups.bases() {
            match std::fs::remove_dir(base.join(class.trim_start_matches('/'))) {
                Err(error)
                    if !matches!(
                        error.kind(),
                        ErrorKind::NotFound | ErrorKind::ResourceBusy | ErrorKind::DirectoryNotEmpty
                    ) =>
                {
                    return Err(error);
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Children first; processes in one of them are an error, since the runtime has ended all.
fn remove(directory: &Path) -> io::Result<()> {
    let mut all = vec![directory.to_owned()];
    let mut next = 0;
    // Containers make as deep ones as they like, so nothing recurses.
    while let Some(directory) = all.get(next) {
        let entries = match std::fs::read_dir(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            entries => entries?.collect::<io::Result<Vec<_>>>()?,
        };
        let directories = entries.into_iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        all.extend(directories.map(|entry| entry.path()));
        next += 1;
    }
    for directory in all.into_iter().rev() {
        match std::fs::remove_dir(directory) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// A cgroup that is not there has nothing to limit.
fn apply(settings: &[Setting]) -> io::Result<()> {
    for (file, value) in settings {
        match std::fs::write(file, value) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(io::Error::new(error.kind(), format!("{}: {error}", file.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

/// cgroup v2's weight for v1's shares.
fn weight(shares: i64) -> i64 {
    1 + ((shares.clamp(2, 262_144) - 2) * 9999) / 262_142
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn from_mounts(table: &str) -> Option<Hierarchies> {
        Hierarchies::of(&windlass_tree::parse_mounts(table.as_bytes()))
    }

    const V1: &str = "31 30 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      34 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      36 30 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                      35 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn deep_cgroups_take_no_stack() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        std::fs::create_dir_all(top.join("d/".repeat(1900))).unwrap();
        let small = std::thread::Builder::new().stack_size(64 << 10);
        small.spawn(move || (remove(&top).unwrap(), remove(&top).unwrap())).unwrap().join().unwrap();
        assert!(!dir.path().join("top").exists());
    }

    #[test]
    fn pods_are_limited_where_all_containers_are() {
        let cgroups = Cgroups { root: "windlass".to_owned(), hierarchies: from_mounts(V1), pids_max: None };
        let pod: Pod = serde_json::from_value(json!({"metadata": {"uid": "u"}, "spec": {"containers": [
            {"name": "c", "resources": {
                "limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}}]}}))
        .unwrap();
        assert_eq!(cgroups.of_pod(&pod), "/windlass/kubepods/podu");
        let limits = |pids| Limits {
            shares: Some(1024),
            quota_us: Some(100_000),
            memory_bytes: Some(1 << 30),
            pids: Some(pids),
        };
        let text = |cgroups: &Cgroups, limits| -> Vec<String> {
            let settings = cgroups.settings("/kubepods/podu", limits);
            settings.iter().map(|(file, value)| format!("{}={value}", file.display())).collect()
        };
        assert_eq!(
            text(&cgroups, limits(4096)),
            [
                "/sys/fs/cgroup/cpu,cpuacct/kubepods/podu/cpu.shares=1024",
                "/sys/fs/cgroup/cpu,cpuacct/kubepods/podu/cpu.cfs_quota_us=100000",
                "/sys/fs/cgroup/memory/kubepods/podu/memory.limit_in_bytes=1073741824",
                "/sys/fs/cgroup/pids/kubepods/podu/pids.max=4096",
            ]
        );
        let shares = Limits { shares: Some(2), ..Limits::default() };
        assert_eq!(text(&cgroups, shares), ["/sys/fs/cgroup/cpu,cpuacct/kubepods/podu/cpu.shares=2"]);
        let without: String =
            V1.lines().filter(|line| !line.contains("pids")).map(|line| format!("{line}\n")).collect();
        let cgroups = Cgroups { hierarchies: from_mounts(&without), ..cgroups };
        assert_eq!(text(&cgroups, limits(4096)).len(), 3, "what is not there is not limited");
        let cgroups = Cgroups { hierarchies: Some(Hierarchies::V2("/c".into())), ..cgroups };
        assert_eq!(
            text(&cgroups, limits(0)),
            [
                "/c/kubepods/podu/cpu.weight=39",
                "/c/kubepods/podu/cpu.max=100000 100000",
                "/c/kubepods/podu/memory.max=1073741824",
                "/c/kubepods/podu/pids.max=max",
            ]
        );
        assert_eq!(weight(2), 1);
        assert_eq!(weight(262_144), 10_000);
    }
}
