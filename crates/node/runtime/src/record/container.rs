//! What the runtime knows of a container.

use std::os::fd::OwnedFd;

use parking_lot::Mutex;
use tokio::sync::watch;
use windlass_cri::{Code, ContainerState, Error, Result};

use crate::store::{ContainerFile, Exit};
use crate::supervisor::protocol::ExitRecord;

/// Where a container is in its life.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    Created,
    /// The supervisor has been asked. Its word of the end may come before its answer about the start.
    Starting {
        ended: Option<ExitRecord>,
    },
    Running {
        pid: u32,
    },
    /// Its supervisor has died.
    Unknown,
    /// Together with an exit in the file.
    Exited,
}

pub(crate) struct State {
    pub(crate) file: ContainerFile,
    pub(crate) phase: Phase,
}

pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) sandbox_id: String,
    pub(crate) pod_uid: String,
    pub(crate) state: Mutex<State>,
    /// Held by whoever starts or removes it.
    pub(crate) operation: tokio::sync::Mutex<()>,
    /// The root file system between create and start, when this daemon has done the create.
    pub(crate) root: Mutex<Option<OwnedFd>>,
    /// Tells everybody who waits how it ended.
    pub(crate) ended: watch::Sender<Option<Exit>>,
    /// Orders writers of the state file: the last one writes the newest state. False when the file is to be no more.
    pub(crate) kept: Mutex<bool>,
}

impl Container {
    pub(crate) fn new(file: ContainerFile, phase: Phase, pod_uid: String) -> Self {
        Self {
            id: file.id.clone(),
            sandbox_id: file.sandbox_id.clone(),
            pod_uid,
            ended: watch::Sender::new(file.exit.clone()),
            state: Mutex::new(State { file, phase }),
            operation: tokio::sync::Mutex::new(()),
            root: Mutex::new(None),
            kept: Mutex::new(true),
        }
    }

    pub(crate) fn cri_state(&self) -> ContainerState {
        match self.state.lock().phase {
            Phase::Created | Phase::Starting { .. } => ContainerState::Created,
            Phase::Running { .. } => ContainerState::Running,
            Phase::Unknown => ContainerState::Unknown,
            Phase::Exited => ContainerState::Exited,
        }
    }

    /// The process's number on the node, or why there is none.
    pub(crate) fn running_pid(&self) -> Result<u32> {
        match self.state.lock().phase {
            Phase::Running { pid } => Ok(pid),
            _ => Err(Error::new(Code::FailedPrecondition, format!("container {:?} is not running", self.id))),
        }
    }

    /// Waits until it has ended.
    pub(crate) async fn await_end(&self) -> Exit {
        let mut ended = self.ended.subscribe();
        // The sender lives in self.
        match ended.wait_for(Option::is_some).await {
            Ok(exit) => exit.clone().unwrap_or_default(),
            Err(_) => Exit::default(),
        }
    }
}
