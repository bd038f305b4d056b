//! Requests and limits: of a container, of a pod, and as cgroups count them.

use std::collections::BTreeMap;

use windlass_api::Quantity;
use windlass_api::k8s::api::core::v1::{Container, Pod, ResourceRequirements};
use windlass_api::k8s::apimachinery::pkg::api::resource::Quantity as Text;

use super::view::{PodView, is_sidecar};

pub(crate) type Amounts = BTreeMap<String, Quantity>;

pub(crate) const CPU: &str = "cpu";
pub(crate) const MEMORY: &str = "memory";
pub(crate) const PODS: &str = "pods";

const CPU_PERIOD_US: i64 = 100_000;
/// The kernel takes no smaller quota.
const CPU_QUOTA_MIN_US: i64 = 1_000;
const CPU_SHARES_MIN: i64 = 2;
const CPU_SHARES_MAX: i64 = 262_144;

/// Reads a list of quantities; what the API server has let through can be read.
pub(crate) fn amounts(list: Option<&BTreeMap<String, Text>>) -> Amounts {
    let read = |(name, text): (&String, &Text)| Some((name.clone(), text.0.parse().ok()?));
    list.into_iter().flatten().filter_map(read).collect()
}

pub(crate) fn texts(amounts: &Amounts) -> BTreeMap<String, Text> {
    amounts.iter().map(|(name, amount)| (name.clone(), Text(amount.to_string()))).collect()
}

/// Requests; what is only limited is requested too, as defaulting would have it.
pub(crate) fn requests(resources: Option<&ResourceRequirements>) -> Amounts {
    let mut all = limits(resources);
    all.extend(amounts(resources.and_then(|resources| resources.requests.as_ref())));
    all
}

pub(crate) fn limits(resources: Option<&ResourceRequirements>) -> Amounts {
    amounts(resources.and_then(|resources| resources.limits.as_ref()))
}

fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        *total.entry(name.clone()).or_default() += *amount;
    }
}

fn raise(total: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let entry = total.entry(name.clone()).or_insert(*amount);
        *entry = (*entry).max(*amount);
    }
}

/// What a pod takes of something that `of` reads from a container: app containers and sidecars together, or an init container
/// beside the sidecars that were started before it, whichever is more.
fn aggregate(pod: &Pod, of: impl Fn(&Container) -> Amounts) -> Amounts {
    let mut running = Amounts::new();
    for container in pod.app_containers() {
        add(&mut running, &of(container));
    }
    let (mut sidecars, mut highest) = (Amounts::new(), Amounts::new());
    for container in pod.init_containers() {
        let own = of(container);
        let mut at_once = sidecars.clone();
        add(&mut at_once, &own);
        if is_sidecar(container) {
            add(&mut running, &own);
            sidecars.clone_from(&at_once);
        }
        raise(&mut highest, &at_once);
    }
    raise(&mut running, &highest);
    running
}

/// The pod's own amounts stand for those of its containers.
fn with_pod_level(pod: &Pod, mut total: Amounts, own: Amounts) -> Amounts {
    total.extend(own);
    if !total.is_empty() || pod.pod_spec().overhead.is_some() {
        add(&mut total, &amounts(pod.pod_spec().overhead.as_ref()));
    }
    total
}

/// What the pod asks of the node, overhead included.
pub(crate) fn pod_requests(pod: &Pod) -> Amounts {
    let total = aggregate(pod, |container| requests(container.resources.as_ref()));
    with_pod_level(pod, total, requests(pod.pod_spec().resources.as_ref()))
}

pub(crate) fn pod_limits(pod: &Pod) -> Amounts {
    let total = aggregate(pod, |container| limits(container.resources.as_ref()));
    let mut total = with_pod_level(pod, total, limits(pod.pod_spec().resources.as_ref()));
    total.retain(|_, amount| !amount.is_zero());
    total
}

/// CPU shares of cgroup v1 for a request.
pub(crate) fn cpu_shares(milli: i64) -> i64 {
    if milli <= 0 { CPU_SHARES_MIN } else { (milli * 1024 / 1000).clamp(CPU_SHARES_MIN, CPU_SHARES_MAX) }
}

/// The quota in each period of 100 ms for a limit; 0 without one.
pub(crate) fn cpu_quota_us(milli: i64) -> i64 {
    if milli <= 0 { 0 } else { (milli * CPU_PERIOD_US / 1000).max(CPU_QUOTA_MIN_US) }
}

/// A container's limits as the CRI takes them; `oom_score_adj` is the caller's.
pub(crate) fn for_runtime(resources: Option<&ResourceRequirements>) -> windlass_cri::Resources {
    let (requests, limits) = (requests(resources), limits(resources));
    let milli = |amounts: &Amounts, name: &str| amounts.get(name).map_or(0, Quantity::milli);
    let hugepages = limits.iter().filter_map(|(name, amount)| {
        let bytes: Quantity = name.strip_prefix("hugepages-")?.parse().ok()?;
        Some((page_size(bytes.units())?, u64::try_from(amount.units()).ok()?))
    });
    windlass_cri::Resources {
        cpu_period_us: CPU_PERIOD_US,
        cpu_quota_us: cpu_quota_us(milli(&limits, CPU)),
        cpu_shares: cpu_shares(milli(&requests, CPU)),
        memory_limit_bytes: limits.get(MEMORY).map_or(0, Quantity::units),
        hugepage_limits: hugepages.collect(),
        ..windlass_cri::Resources::default()
    }
}

/// A huge page's size as the kernel's files are named.
fn page_size(bytes: i64) -> Option<String> {
    let unit = ["B", "KB", "MB", "GB"];
    let step = (bytes > 0).then(|| (bytes.ilog2() / 10).min(3))?;
    Some(format!("{}{}", bytes >> (10 * step), unit[step as usize]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
    }

    fn container(cpu: &str) -> serde_json::Value {
        json!({"name": "c", "resources": {"requests": {"cpu": cpu}}})
    }

    #[test]
    fn init_containers_run_before_and_sidecars_beside() {
        let cases = [
            (json!({"containers": [container("1"), container("500m")]}), 1500),
            (json!({"containers": [container("1")], "initContainers": [container("3")]}), 3000),
            (
                json!({"containers": [container("1")], "initContainers": [
                    {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "2"}}},
                    {"name": "i", "resources": {"requests": {"cpu": "500m"}}},
                ]}),
                3000,
            ),
            (json!({"containers": [container("1")], "overhead": {"cpu": "250m"}}), 1250),
            (json!({"containers": [container("1")], "resources": {"requests": {"cpu": "5"}}}), 5000),
        ];
        for (spec, milli) in cases {
            assert_eq!(pod_requests(&pod(spec.clone()))[CPU].milli(), milli, "{spec}");
        }
    }

    #[test]
    fn cgroup_numbers() {
        assert_eq!([0, 1, 100, 1000].map(cpu_shares), [2, 2, 102, 1024]);
        assert_eq!([0, 5, 100, 1500].map(cpu_quota_us), [0, 1000, 10_000, 150_000]);
        assert_eq!(page_size(2 << 20).as_deref(), Some("2MB"));
        assert_eq!(page_size(1 << 30).as_deref(), Some("1GB"));
    }
}
