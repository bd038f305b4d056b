//! Requests and limits of a container as cgroups count them.

use std::collections::BTreeMap;

use windlass_api::Quantity;
use windlass_api::k8s::api::core::v1::ResourceRequirements;
use windlass_api::k8s::apimachinery::pkg::api::resource::Quantity as Text;
use windlass_api::pod::resources::{CPU, MEMORY};

pub(crate) type Amounts = BTreeMap<String, Quantity>;

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

pub(crate) fn texts<N: Into<String>>(amounts: impl IntoIterator<Item = (N, Quantity)>) -> BTreeMap<String, Text> {
    amounts.into_iter().map(|(name, amount)| (name.into(), Text(amount.to_string()))).collect()
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
    let requests = amounts(resources.and_then(|resources| resources.requests.as_ref()));
    let limits = amounts(resources.and_then(|resources| resources.limits.as_ref()));
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
    use super::*;

    #[test]
    fn cgroup_numbers() {
        assert_eq!([0, 1, 100, 1000].map(cpu_shares), [2, 2, 102, 1024]);
        assert_eq!([0, 5, 100, 1500].map(cpu_quota_us), [0, 1000, 10_000, 150_000]);
        assert_eq!(page_size(2 << 20).as_deref(), Some("2MB"));
        assert_eq!(page_size(1 << 30).as_deref(), Some("1GB"));
    }
}
