//! Reading the machine: sizes, names, file systems.

use std::collections::BTreeMap;
use std::path::Path;

use windlass_api::Quantity;
use windlass_api::k8s::api::core::v1::NodeSystemInfo;
use windlass_kubelet_api::NodeUsage;
use windlass_tree::FileSystem;

/// What does not change while the kubelet runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    pub(crate) hostname: String,
    pub(crate) cpus: i64,
    pub(crate) memory_bytes: i64,
    pub(crate) swap_bytes: i64,
    /// Size in bytes of a huge page, and how many bytes of them there are.
    pub(crate) huge_pages: Vec<(String, i64)>,
    pub(crate) machine_id: String,
    pub(crate) system_uuid: String,
    pub(crate) boot_id: String,
    pub(crate) kernel_version: String,
    pub(crate) os_image: String,
}

fn text(path: &str) -> String {
    std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// A line of /proc/meminfo in bytes.
pub(crate) fn meminfo(text: &str, name: &str) -> Option<i64> {
    let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
    let number: i64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(if line.trim_end().ends_with("kB") { number * 1024 } else { number })
}

fn os_image(release: &str) -> String {
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    pretty.map(|name| name.trim_matches('"').to_owned()).unwrap_or_else(|| "Linux".to_owned())
}

fn huge_pages() -> Vec<(String, i64)> {
    let Ok(entries) = std::fs::read_dir("/sys/kernel/mm/hugepages") else { return Vec::new() };
    let mut all: Vec<(String, i64)> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let kib: i64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            let count: i64 = text(&format!("/sys/kernel/mm/hugepages/{name}/nr_hugepages")).parse().unwrap_or(0);
            Some((Quantity::from_bytes(kib * 1024).to_string(), count * kib * 1024))
        })
        .collect();
    all.sort();
    all
}

impl Machine {
    pub(crate) fn read() -> Self {
        let memory = text("/proc/meminfo");
        let id = text("/etc/machine-id");
        let hostname = text("/proc/sys/kernel/hostname").to_lowercase();
        Self {
            hostname,
            cpus: std::thread::available_parallelism().map_or(1, |count| i64::try_from(count.get()).unwrap_or(1)),
            memory_bytes: meminfo(&memory, "MemTotal").unwrap_or(0),
            swap_bytes: meminfo(&memory, "SwapTotal").unwrap_or(0),
            huge_pages: huge_pages(),
            system_uuid: Some(text("/sys/class/dmi/id/product_uuid")).filter(|it| !it.is_empty()).unwrap_or(id.clone()),
            machine_id: id,
            boot_id: windlass_tree::boot_id().unwrap_or_default(),
            kernel_version: text("/proc/sys/kernel/osrelease"),
            os_image: os_image(&text("/etc/os-release")),
        }
    }

    pub(crate) fn info(&self, version: &str, runtime: &str) -> NodeSystemInfo {
        NodeSystemInfo {
            architecture: match std::env::consts::ARCH {
                "x86_64" => "amd64",
                "aarch64" => "arm64",
                other => other,
            }
            .to_owned(),
            boot_id: self.boot_id.clone(),
            container_runtime_version: runtime.to_owned(),
            kernel_version: self.kernel_version.clone(),
            kube_proxy_version: String::new(),
            kubelet_version: version.to_owned(),
            machine_id: self.machine_id.clone(),
            operating_system: "linux".to_owned(),
            os_image: self.os_image.clone(),
            running_in_user_namespace: None,
            swap: (self.swap_bytes > 0)
                .then_some(windlass_api::k8s::api::core::v1::NodeSwapStatus { capacity: Some(self.swap_bytes) }),
            system_uuid: self.system_uuid.clone(),
        }
    }

    /// Everything there is, by resource.
    pub(crate) fn capacity(&self, max_pods: u32, storage: FileSystem) -> BTreeMap<String, Quantity> {
        let bytes = |bytes: u64| Quantity::from_bytes(i64::try_from(bytes).unwrap_or(i64::MAX));
        let mut all = BTreeMap::from([
            ("cpu".to_owned(), Quantity::from_units(self.cpus)),
            ("memory".to_owned(), Quantity::from_bytes(self.memory_bytes)),
            ("pods".to_owned(), Quantity::from_units(i64::from(max_pods))),
            ("ephemeral-storage".to_owned(), bytes(storage.capacity_bytes)),
        ]);
        for (size, amount) in &self.huge_pages {
            all.insert(format!("hugepages-{size}"), Quantity::from_bytes(*amount));
        }
        all
    }
}

/// Memory in all, and what is left as eviction counts it: what is not in use, or only by pages of files that are not active.
pub(crate) fn available_memory() -> Option<(i64, i64)> {
    available_of(&text("/proc/meminfo"))
}

fn available_of(memory: &str) -> Option<(i64, i64)> {
    let total = meminfo(memory, "MemTotal")?;
    let free = meminfo(memory, "MemFree")?;
    let inactive = meminfo(memory, "Inactive(file)").unwrap_or(0);
    let reclaimable = meminfo(memory, "SReclaimable").unwrap_or(0);
    Some((total, (free + inactive + reclaimable).min(total)))
}

/// Process IDs that there may be, and that are taken.
pub(crate) fn processes() -> Option<(i64, i64)> {
    let limit = |name: &str| text(&format!("/proc/sys/kernel/{name}")).parse::<i64>().ok();
    let most = [limit("pid_max"), limit("threads-max")].into_iter().flatten().min()?;
    let load = text("/proc/loadavg");
    let taken = load.split_whitespace().nth(3)?.split('/').nth(1)?.parse().ok()?;
    Some((most, taken))
}

/// How much of the machine is in use now; what cannot be read is zero. `directory` is on the file system that counts.
pub(crate) fn usage(directory: &Path, now_nanos: i64) -> NodeUsage {
    let memory = text("/proc/meminfo");
    let bytes = |name: &str| meminfo(&memory, name).and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
    let stat = text("/proc/stat");
    let numbers = |name: &str| {
        let line = stat.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().filter_map(|number| number.parse::<u64>().ok()).collect::<Vec<_>>()
    };
    // user, nice, system, idle, iowait, irq, softirq, steal: in hundredths of a second.
    let cpu = numbers("cpu ");
    let busy: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|&index| cpu.get(index)).sum();
    let started = numbers("btime ").first().copied().unwrap_or(0);
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let (total, available) = available_of(&memory).unwrap_or_default();
    let (processes_max, processes) = processes().unwrap_or_default();
    let storage = windlass_tree::file_system(directory).unwrap_or_default();
    NodeUsage {
        started: i64::try_from(started).unwrap_or(0) * 1_000_000_000,
        timestamp: now_nanos,
        cpu_usage_core_nanoseconds: busy * 10_000_000,
        memory_usage_bytes: count(total).saturating_sub(bytes("MemFree")),
        memory_working_set_bytes: count(total - available),
        memory_available_bytes: count(available),
        memory_rss_bytes: bytes("AnonPages"),
        file_system_capacity_bytes: storage.capacity_bytes,
        file_system_available_bytes: storage.available_bytes,
        file_system_inodes: storage.inodes,
        file_system_inodes_free: storage.inodes_free,
        processes: count(processes),
        processes_max: count(processes_max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing() {
        let text = "MemTotal:       16384 kB\nMemFree:  1 kB\nHugePages_Total:       3\n";
        assert_eq!(meminfo(text, "MemTotal"), Some(16384 * 1024));
        assert_eq!(meminfo(text, "HugePages_Total"), Some(3));
        assert_eq!(meminfo(text, "Mem"), None);
        assert_eq!(os_image("NAME=x\nPRETTY_NAME=\"Debian 12\"\n"), "Debian 12");
    }

    #[test]
    fn this_machine() {
        let machine = Machine::read();
        assert!(machine.cpus > 0 && machine.memory_bytes > 0 && !machine.boot_id.is_empty());
        assert!(available_memory().unwrap().1 > 0);
        assert!(processes().unwrap().1 > 0);
        let usage = usage(Path::new("/"), 1);
        assert!(usage.memory_working_set_bytes > 0 && usage.cpu_usage_core_nanoseconds > 0 && usage.started > 0);
        assert!(usage.file_system_capacity_bytes > usage.file_system_available_bytes && usage.processes > 0);
    }
}
