//! What a cgroup has used, from its files. A file that is missing leaves its number `None`.

use std::path::Path;

use super::place::Cgroup;
use windlass_tree::Hierarchies;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) cpu_nanoseconds: Option<u64>,
    pub(crate) memory_bytes: Option<u64>,
    /// Without file pages that the kernel can take back at any time.
    pub(crate) working_set_bytes: Option<u64>,
    /// Of its own; `None` without one.
    pub(crate) memory_limit_bytes: Option<u64>,
    pub(crate) rss_bytes: Option<u64>,
    pub(crate) page_faults: Option<u64>,
    pub(crate) major_page_faults: Option<u64>,
    pub(crate) processes: Option<u64>,
}

pub(super) fn read(cgroup: &Cgroup) -> Usage {
    match &*cgroup.hierarchies {
        Hierarchies::V1(_) => {
            let text = |controller: &str, file: &str| cgroup.file(controller, file).and_then(text);
            from_v1(&V1Texts {
                cpuacct_usage: text("cpuacct", "cpuacct.usage"),
                memory_usage: text("memory", "memory.usage_in_bytes"),
                memory_limit: text("memory", "memory.limit_in_bytes"),
                memory_stat: text("memory", "memory.stat"),
                pids: text("pids", "pids.current"),
            })
        }
        Hierarchies::V2(root) => {
            let directory = cgroup.directory(root);
            let text = |file: &str| text(directory.join(file));
            from_v2(&V2Texts {
                cpu_stat: text("cpu.stat"),
                memory_current: text("memory.current"),
                memory_max: text("memory.max"),
                memory_stat: text("memory.stat"),
                pids: text("pids.current"),
            })
        }
    }
}

fn text(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[derive(Default)]
struct V1Texts {
    cpuacct_usage: Option<String>,
    memory_usage: Option<String>,
    memory_limit: Option<String>,
    memory_stat: Option<String>,
    pids: Option<String>,
}

#[derive(Default)]
struct V2Texts {
    cpu_stat: Option<String>,
    memory_current: Option<String>,
    memory_max: Option<String>,
    memory_stat: Option<String>,
    pids: Option<String>,
}

/// A limit of v1 that is no limit: the greatest multiple of a page.
const V1_UNLIMITED: u64 = 1 << 62;

fn from_v1(texts: &V1Texts) -> Usage {
    let stat = texts.memory_stat.as_deref();
    let memory_bytes = number(&texts.memory_usage);
    Usage {
        cpu_nanoseconds: number(&texts.cpuacct_usage),
        memory_bytes,
        working_set_bytes: working_set(memory_bytes, field(stat, "total_inactive_file")),
        memory_limit_bytes: number(&texts.memory_limit).filter(|limit| *limit < V1_UNLIMITED),
        rss_bytes: field(stat, "total_rss"),
        page_faults: field(stat, "total_pgfault"),
        major_page_faults: field(stat, "total_pgmajfault"),
        processes: number(&texts.pids),
    }
}

fn from_v2(texts: &V2Texts) -> Usage {
    let stat = texts.memory_stat.as_deref();
    let memory_bytes = number(&texts.memory_current);
    Usage {
        cpu_nanoseconds: field(texts.cpu_stat.as_deref(), "usage_usec").map(|micros| micros * 1000),
        memory_bytes,
        working_set_bytes: working_set(memory_bytes, field(stat, "inactive_file")),
        memory_limit_bytes: number(&texts.memory_max),
        rss_bytes: field(stat, "anon"),
        page_faults: field(stat, "pgfault"),
        major_page_faults: field(stat, "pgmajfault"),
        processes: number(&texts.pids),
    }
}

fn working_set(usage: Option<u64>, inactive_file: Option<u64>) -> Option<u64> {
    usage.map(|usage| usage.saturating_sub(inactive_file.unwrap_or(0)))
}

fn number(text: &Option<String>) -> Option<u64> {
    text.as_deref()?.trim().parse().ok()
}

/// The number behind `name` in lines of names and numbers.
fn field(text: Option<&str>, name: &str) -> Option<u64> {
    text?.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn version_1() {
        let texts = V1Texts {
            cpuacct_usage: some("123456789\n"),
            memory_usage: some("1000000\n"),
            memory_limit: some("9223372036854771712\n"),
            memory_stat: some("cache 5\ninactive_file 7\ntotal_rss 400\ntotal_pgfault 9\ntotal_inactive_file 300000\n"),
            pids: some("3\n"),
        };
        let usage = from_v1(&texts);
        assert_eq!(usage.cpu_nanoseconds, Some(123_456_789));
        assert_eq!(usage.working_set_bytes, Some(700_000));
        assert_eq!(usage.memory_limit_bytes, None);
        assert_eq!((usage.rss_bytes, usage.page_faults, usage.major_page_faults), (Some(400), Some(9), None));
        assert_eq!(usage.processes, Some(3));
        assert_eq!(from_v1(&V1Texts::default()), Usage::default());
    }

    #[test]
    fn version_2() {
        let texts = V2Texts {
            cpu_stat: some("usage_usec 1500\nuser_usec 1000\n"),
            memory_current: some("5000\n"),
            memory_max: some("8000\n"),
            memory_stat: some("anon 1200\ninactive_file 9000\npgfault 4\npgmajfault 2\n"),
            pids: some("1\n"),
        };
        let usage = from_v2(&texts);
        assert_eq!(usage.cpu_nanoseconds, Some(1_500_000));
        assert_eq!(usage.working_set_bytes, Some(0), "never below zero");
        assert_eq!(usage.memory_limit_bytes, Some(8000));
        assert_eq!((usage.rss_bytes, usage.major_page_faults), (Some(1200), Some(2)));
        let unlimited = V2Texts { memory_max: some("max\n"), ..V2Texts::default() };
        assert_eq!(from_v2(&unlimited).memory_limit_bytes, None);
    }
}
