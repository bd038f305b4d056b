//! What the supervisor knows of each of its children.
//!
//! A container is *launching* until its report ends, then *running* until its process is reaped, then *exited* until a
//! daemon has it forgotten.

use std::os::fd::OwnedFd;

use super::poller::Token;
use super::protocol::ExitRecord;
use super::signals::send_signal;
use super::streams::Streams;
use crate::launch::report::Report;
use crate::launch::spec::CgroupPlan;

/// Rounds of killing what is left in a cgroup while it may still be forking.
const KILL_ROUNDS_MAX: usize = 16;

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    Launching,
    Running { pid: i32, started_at: i64 },
    Exited { pid: i32, started_at: i64, exit: ExitRecord },
}

pub(super) struct Container {
    pub(super) id: String,
    pub(super) state: State,
    pub(super) streams: Streams,
    pub(super) cgroup: CgroupPlan,
    /// To be forgotten when it has ended.
    pub(super) discarded: bool,
    /// The end of the first process does not end the others.
    pub(super) shares_pids: bool,
}

impl Container {
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, State::Exited { .. })
    }

    /// Kills processes that survive the first one because they share their pid namespace with others.
    pub(super) fn end_leftovers(&self) {
        if self.shares_pids {
            kill_members(&self.cgroup);
        }
    }
}

pub(super) struct Exec {
    pub(super) pid: i32,
    pub(super) connection: u64,
}

/// What a child is.
#[derive(Clone, Debug)]
pub(super) enum Role {
    Container(u64),
    Exec(u64),
    Init(String),
    /// Nothing is to be done when it ends: helpers, failed launches.
    Helper,
}

/// Who asked for a launch, or anything else, to answer later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) connection: u64,
    pub(super) request: u64,
}

/// A child that has not reported the end of its launch.
pub(super) struct Launch {
    pub(super) role: Role,
    pub(super) pid: i32,
    pub(super) socket: OwnedFd,
    pub(super) token: Token,
    pub(super) report: Report,
    pub(super) asker: Asker,
}

/// Kills the members of a cgroup. One that forks faster than this is the daemon's to end: it can freeze the cgroup.
fn kill_members(plan: &CgroupPlan) {
    if let Some(directory) = &plan.v2
        && std::fs::write(directory.join("cgroup.kill"), "1").is_ok()
    {
        return;
    }
    let Some(processes) = &plan.processes else { return };
    for _ in 0..KILL_ROUNDS_MAX {
        let Ok(text) = std::fs::read_to_string(processes) else { return };
        let pids: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect();
        if pids.is_empty() {
            return;
        }
        for pid in pids {
            let _ = send_signal(pid, libc::SIGKILL);
        }
    }
}
