//! Ending the processes of a cgroup and removing it.
//!
//! v2 ends a whole tree at once (`cgroup.kill`). In v1 the members are listed and killed one by one, frozen meanwhile, so
//! that none can fork away. Then their ends are awaited through pidfds.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::error::{CgroupError, Result, write};
use super::place::Cgroup;
use crate::sys::process::pidfd;
use windlass_tree::Hierarchies;

/// How long killed processes may take to end: they may be in the middle of a system call that waits for a disk.
const END_MAX: Duration = Duration::from_secs(60);
/// How long the kernel may keep a cgroup busy whose processes have ended.
const BUSY_MAX: Duration = Duration::from_secs(10);

/// Processes in a cgroup's directory and the directories below.
pub(super) fn below(directory: &Path) -> Vec<i32> {
    let mut pids = Vec::new();
    for directory in tree(directory) {
        let text = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        // 0 stands for a process of another pid namespace.
        pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    }
    pids
}

/// A directory and those below, parents before children. Containers that may make cgroups make as deep ones as they like, so nothing
/// recurses.
fn tree(directory: &Path) -> Vec<PathBuf> {
    let mut all = vec![directory.to_owned()];
    let mut next = 0;
    while let Some(directory) = all.get(next) {
        let below = children(directory);
        all.extend(below);
        next += 1;
    }
    all
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).collect()
}

/// Ends every process in it and below. Returns when they have ended.
fn kill(cgroup: &Cgroup) -> Result<()> {
    let deadline = Instant::now() + END_MAX;
    loop {
        let members = cgroup.members();
        if members.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let path = cgroup.path().display().to_string();
            return Err(CgroupError::Unkillable { path, pids: members.into_iter().collect() });
        }
        // Taken before the kill: afterwards the numbers may be others'.
        let processes: Vec<OwnedFd> = members.iter().filter_map(|pid| pidfd(*pid).ok()).collect();
        match &*cgroup.hierarchies {
            Hierarchies::V1(_) => kill_frozen(cgroup, &members),
            Hierarchies::V2(root) => {
                if write(cgroup.directory(root).join("cgroup.kill"), "1").is_err() {
                    kill_each(&members);
                }
            }
        }
        await_ends(&processes, deadline);
    }
}

fn kill_frozen(cgroup: &Cgroup, members: &BTreeSet<i32>) {
    let freezer = cgroup.file("freezer", "freezer.state");
    let set = |state: &str| freezer.clone().map(|path| write(path, state));
    let _ = set("FROZEN");
    kill_each(members);
    kill_each(&cgroup.members());
    let _ = set("THAWED");
}

fn kill_each(pids: &BTreeSet<i32>) {
    for pid in pids {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::Signal::SIGKILL);
    }
}

fn await_ends(processes: &[OwnedFd], deadline: Instant) {
    for process in processes {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
    }
    if processes.is_empty() {
        pause(Duration::from_millis(1));
    }
}

pub(super) fn remove(cgroup: &Cgroup) -> Result<()> {
    if !cgroup.exists() {
        return Ok(());
    }
    kill(cgroup)?;
    let deadline = Instant::now() + BUSY_MAX;
    let mut wait = Duration::from_millis(1);
    loop {
        let failure = cgroup.directories().into_iter().find_map(|directory| remove_tree(&directory).err());
        match failure {
            None => return Ok(()),
            // A process leaves its cgroups a moment after its end was told, and no event says when.
            Some(CgroupError::Remove { source, .. })
                if source.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline =>
            {
                pause(wait);
                wait = (wait * 2).min(Duration::from_millis(100));
                kill(cgroup)?;
            }
            Some(error) => return Err(error),
        }
    }
}

fn remove_tree(directory: &Path) -> Result<()> {
    match std::fs::remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => {}
        Ok(()) => return Ok(()),
    }
    // Containers may have made cgroups of their own.
    for path in tree(directory).into_iter().rev() {
        match std::fs::remove_dir(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(CgroupError::Remove { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn pause(time: Duration) {
    let _ = poll(&mut [], PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As deep as paths go; a recursion of a few hundred bytes a level would not survive it.
    #[test]
    fn deep_cgroups_take_no_stack() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        let deep = top.join("d/".repeat(1900));
        std::fs::create_dir_all(&deep).unwrap();
        let small = std::thread::Builder::new().stack_size(64 << 10);
        let walk = move || {
            assert_eq!((tree(&top).len(), below(&top)), (1901, Vec::new()));
            remove_tree(&top).unwrap();
            remove_tree(&top).unwrap();
        };
        small.spawn(walk).unwrap().join().unwrap();
        assert!(!dir.path().join("top").exists());
    }
}
