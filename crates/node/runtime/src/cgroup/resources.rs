//! CRI limits as files of cgroups and what to write there. Pure: nothing here touches a file.
//!
//! The conversions are runc's (opencontainers/cgroups), so that a container reads the same numbers in its cgroup as on
//! upstream's node.

use windlass_cri::Resources;

/// One file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// In v1 the controller whose hierarchy has the file; empty in v2.
    pub(crate) controller: &'static str,
    pub(crate) file: String,
    pub(crate) value: String,
    /// A kernel or hierarchy without this file is fine.
    pub(crate) optional: bool,
}

fn setting(controller: &'static str, file: &str, value: impl ToString) -> Setting {
    Setting { controller, file: file.to_owned(), value: value.to_string(), optional: false }
}

/// The memory part of v1, whose two limits depend on each other: the first may never be above the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryV1 {
    pub(crate) limit: Option<i64>,
    /// Memory and swap together.
    pub(crate) limit_with_swap: Option<i64>,
}

pub(crate) fn memory_v1(resources: &Resources) -> MemoryV1 {
    let some = |value: i64| (value != 0).then_some(value);
    let limit = some(resources.memory_limit_bytes);
    // Without a wish about swap there is none to use.
    MemoryV1 { limit, limit_with_swap: some(resources.memory_swap_limit_bytes).or(limit) }
}

/// Everything of v1 but memory.
pub(crate) fn settings_v1(resources: &Resources) -> Vec<Setting> {
    let mut list = Vec::new();
    if resources.cpu_shares > 0 {
        list.push(setting("cpu", "cpu.shares", resources.cpu_shares));
    }
    if resources.cpu_period_us > 0 {
        list.push(setting("cpu", "cpu.cfs_period_us", resources.cpu_period_us));
    }
    if resources.cpu_quota_us != 0 {
        list.push(setting("cpu", "cpu.cfs_quota_us", resources.cpu_quota_us));
    }
    if !resources.cpuset_cpus.is_empty() {
        list.push(setting("cpuset", "cpuset.cpus", &resources.cpuset_cpus));
    }
    if !resources.cpuset_mems.is_empty() {
        list.push(setting("cpuset", "cpuset.mems", &resources.cpuset_mems));
    }
    for (page_size, bytes) in &resources.hugepage_limits {
        for file in [format!("hugetlb.{page_size}.limit_in_bytes"), format!("hugetlb.{page_size}.rsvd.limit_in_bytes")]
        {
            list.push(Setting { optional: true, ..setting("hugetlb", &file, bytes) });
        }
    }
    list
}

pub(crate) fn settings_v2(resources: &Resources) -> Vec<Setting> {
    let mut list = Vec::new();
    if resources.cpu_shares > 0 {
        list.push(setting("", "cpu.weight", weight_from_shares(resources.cpu_shares as u64)));
    }
    if resources.cpu_quota_us != 0 {
        let quota = if resources.cpu_quota_us > 0 { resources.cpu_quota_us.to_string() } else { "max".to_owned() };
        let period = if resources.cpu_period_us > 0 { resources.cpu_period_us } else { 100_000 };
        list.push(setting("", "cpu.max", format!("{quota} {period}")));
    }
    if resources.memory_limit_bytes != 0 {
        // Swap first: a kernel without it has no such file.
        if let Some(swap) = swap_v2(resources.memory_limit_bytes, resources.memory_swap_limit_bytes) {
            list.push(Setting { optional: true, ..setting("", "memory.swap.max", swap) });
        }
        list.push(setting("", "memory.max", bytes_v2(resources.memory_limit_bytes)));
    }
    if !resources.cpuset_cpus.is_empty() {
        list.push(setting("", "cpuset.cpus", &resources.cpuset_cpus));
    }
    if !resources.cpuset_mems.is_empty() {
        list.push(setting("", "cpuset.mems", &resources.cpuset_mems));
    }
    for (page_size, bytes) in &resources.hugepage_limits {
        for file in [format!("hugetlb.{page_size}.max"), format!("hugetlb.{page_size}.rsvd.max")] {
            list.push(Setting { optional: true, ..setting("", &file, bytes) });
        }
    }
    list.extend(resources.unified.iter().map(|(file, value)| setting("", file, value)));
    list
}

fn bytes_v2(bytes: i64) -> String {
    if bytes < 0 { "max".to_owned() } else { bytes.to_string() }
}

/// v2 counts swap alone, the CRI memory and swap together.
fn swap_v2(limit: i64, with_swap: i64) -> Option<String> {
    match (limit, with_swap) {
        (_, -1) => Some("max".to_owned()),
        // Without a wish about swap there is none to use; without a limit there is nothing to say.
        (..0, _) => None,
        (limit, 0) => swap_v2(limit, limit),
        (limit, with_swap) => Some((with_swap - limit).max(0).to_string()),
    }
}

/// The curve that runc 1.3.2 and crun 1.23 take: 2, 1024 and 262144 shares become 1, 100 and 10000.
fn weight_from_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[Setting]) -> Vec<(&str, &str)> {
        list.iter().map(|setting| (setting.file.as_str(), setting.value.as_str())).collect()
    }

    fn guaranteed() -> Resources {
        Resources {
            cpu_period_us: 100_000,
            cpu_quota_us: 50_000,
            cpu_shares: 512,
            memory_limit_bytes: 64 << 20,
            cpuset_cpus: "0-1".to_owned(),
            hugepage_limits: vec![("2MB".to_owned(), 0)],
            ..Resources::default()
        }
    }

    #[test]
    fn version_1() {
        assert_eq!(
            pairs(&settings_v1(&guaranteed())),
            [
                ("cpu.shares", "512"),
                ("cpu.cfs_period_us", "100000"),
                ("cpu.cfs_quota_us", "50000"),
                ("cpuset.cpus", "0-1"),
                ("hugetlb.2MB.limit_in_bytes", "0"),
                ("hugetlb.2MB.rsvd.limit_in_bytes", "0"),
            ]
        );
        let bytes = Some(64 << 20);
        assert_eq!(memory_v1(&guaranteed()), MemoryV1 { limit: bytes, limit_with_swap: bytes });
        assert_eq!(memory_v1(&Resources::default()), MemoryV1::default());
        assert!(settings_v1(&Resources::default()).is_empty());
    }

    #[test]
    fn version_2() {
        let mut resources = guaranteed();
        resources.unified.insert("memory.oom.group".to_owned(), "1".to_owned());
        assert_eq!(
            pairs(&settings_v2(&resources)),
            [
                ("cpu.weight", "59"),
                ("cpu.max", "50000 100000"),
                ("memory.swap.max", "0"),
                ("memory.max", "67108864"),
                ("cpuset.cpus", "0-1"),
                ("hugetlb.2MB.max", "0"),
                ("hugetlb.2MB.rsvd.max", "0"),
                ("memory.oom.group", "1"),
            ]
        );
        assert!(settings_v2(&Resources::default()).is_empty());
        let unlimited = Resources { cpu_quota_us: -1, memory_limit_bytes: -1, ..Resources::default() };
        assert_eq!(pairs(&settings_v2(&unlimited)), [("cpu.max", "max 100000"), ("memory.max", "max")]);
    }

    #[test]
    fn weights() {
        for (shares, weight) in
            [(1, 1), (2, 1), (102, 17), (1024, 100), (2048, 174), (262_144, 10_000), (999_999, 10_000)]
        {
            assert_eq!(weight_from_shares(shares), weight, "{shares} shares");
        }
    }

    #[test]
    fn swap() {
        for (limit, with_swap, wanted) in [
            (100, 0, Some("0")),
            (100, 100, Some("0")),
            (100, 150, Some("50")),
            (100, 50, Some("0")),
            (100, -1, Some("max")),
            (-1, 0, None),
        ] {
            assert_eq!(swap_v2(limit, with_swap).as_deref(), wanted, "{limit} {with_swap}");
        }
    }
}
