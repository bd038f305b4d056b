//! What daemon and supervisor say to each other, on a Unix stream socket, as frames of JSON with file descriptors.
//!
//! A supervisor may be older than the daemon that finds it: it lives as long as containers do, across upgrades. Therefore
//! [`Request::Hello`] and its answer never change, fields are only added (`#[serde(default)]`), and [`PROTOCOL`] grows when
//! the two could not work together. The daemon then says so instead of guessing.

use serde::{Deserialize, Serialize};

use crate::launch::report::Failure;
use crate::launch::spec::{CgroupPlan, ContainerLaunch, ExecLaunch, InitLaunch, UserNamespaceLaunch};

/// Grows with every change that an older peer could not live with.
pub(crate) const PROTOCOL: u32 = 1;

/// Name of the socket below the runtime's root.
pub(crate) const SOCKET: &str = "supervisor.sock";

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ClientFrame {
    /// Chosen by the client; the answer carries it.
    pub(crate) id: u64,
    pub(crate) request: Request,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// The first request of every connection. The answer brings the supervisor's mount namespace as a descriptor.
    Hello {
        protocol: u32,
    },
    /// With descriptors: the root file system, then passed mounts.
    StartContainer(Box<ContainerLaunch>),
    StartInit(Box<InitLaunch>),
    /// Ends the init of a sandbox's pid namespace and with it all processes there. Succeeds when there is none.
    EndInit {
        sandbox_id: String,
    },
    PinUserNamespaces(Box<UserNamespaceLaunch>),
    /// With three descriptors unless it has a terminal; then the answer brings one.
    Exec(Box<ExecLaunch>),
    SignalContainer {
        container_id: String,
        signal: i32,
    },
    /// Ends every process of the container.
    KillContainer {
        container_id: String,
    },
    /// To the process group, because shells start children.
    SignalExec {
        exec: u64,
        signal: i32,
    },
    /// With a descriptor for each stream that is asked for, in this order. They close when the container's streams do.
    Attach {
        container_id: String,
        stdin: bool,
        stdout: bool,
        stderr: bool,
    },
    Resize {
        container_id: String,
        width: u16,
        height: u16,
    },
    ReopenLog {
        container_id: String,
    },
    List,
    /// Drops the record of a container that has ended.
    Forget {
        container_id: String,
    },
    /// Ends a container that nobody knows and drops its record when that is done; nobody is told.
    Discard {
        container_id: String,
    },
    /// Ends the supervisor, if it has nothing to supervise.
    Shutdown,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ServerFrame {
    Answer { id: u64, result: Result<Answer, Failure> },
    Event(Event),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Hello { protocol: u32, pid: u32 },
    ContainerStarted { pid: u32, started_at: i64 },
    InitStarted { pid: u32 },
    ExecStarted { exec: u64, pid: u32 },
    List { containers: Vec<ContainerRecord>, inits: Vec<InitRecord> },
    Done,
}

/// What happened without being asked for; sent to every connection that has said hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Event {
    ContainerExited {
        container_id: String,
        exit: ExitRecord,
    },
    ExecExited {
        exec: u64,
        exit_code: i32,
    },
    InitExited {
        sandbox_id: String,
    },
    /// Something that an operator should see.
    Warning {
        message: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    pub(crate) id: String,
    pub(crate) pid: u32,
    /// 0 while the launch is under way.
    pub(crate) started_at: i64,
    pub(crate) exit: Option<ExitRecord>,
    #[serde(default)]
    pub(crate) cgroup: CgroupPlan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExitRecord {
    /// 128 plus the signal's number when a signal ended it.
    pub(crate) exit_code: i32,
    /// The OOM killer has taken a process of this container.
    pub(crate) oom_killed: bool,
    pub(crate) finished_at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InitRecord {
    pub(crate) sandbox_id: String,
    pub(crate) pid: u32,
}
