//! Putting the calling process into its cgroups and under its limits, while it still sees the node's files.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use super::report::{Result, Step};
use super::spec::CgroupPlan;

/// Joins the hierarchies of cgroup v1. Into a v2 cgroup a process is born ([`crate::sys::process::Clone::cgroup`]).
///
/// The calling process writes `0` to `tasks`: that moves one thread and costs microseconds. A write to `cgroup.procs`
/// waits for a grace period of RCU, about 20 ms.
pub(crate) fn join_v1(plan: &CgroupPlan) -> Result<()> {
    for directory in &plan.v1 {
        let tasks = directory.join("tasks");
        write(&tasks, "0").step(|| format!("join cgroup {}", tasks.display()))?;
    }
    Ok(())
}

/// The directory of the v2 cgroup in which a process is to be born.
pub(crate) fn open_v2(plan: &CgroupPlan) -> Result<Option<OwnedFd>> {
    let Some(directory) = &plan.v2 else { return Ok(None) };
    let file = std::fs::File::open(directory).step(|| format!("open cgroup {}", directory.display()))?;
    Ok(Some(file.into()))
}

/// Sets how readily the OOM killer takes this process. Without CAP_SYS_RESOURCE a value below the node's own is refused; the
/// nearest possible one, which is the present one, then stays.
pub(crate) fn set_oom_score_adj(wanted: Option<i32>) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    let path = Path::new("/proc/self/oom_score_adj");
    match write(path, &wanted.clamp(-1000, 1000).to_string()) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM)) => Ok(()),
        result => result.step(|| "set oom_score_adj".to_owned()),
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}
