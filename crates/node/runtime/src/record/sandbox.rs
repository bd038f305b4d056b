//! What the runtime knows of a sandbox.

use parking_lot::Mutex;

use crate::store::SandboxState;

pub(crate) struct Sandbox {
    pub(crate) id: String,
    pub(crate) state: Mutex<SandboxState>,
    /// Held for writing by whoever changes the sandbox as a whole, for reading by whoever makes or starts a container in it.
    pub(crate) operation: tokio::sync::RwLock<()>,
    /// Orders writers of the state file: the last one writes the newest state. False when the file is to be no more.
    pub(crate) kept: Mutex<bool>,
}

impl Sandbox {
    pub(crate) fn new(state: SandboxState) -> Self {
        let id = state.id.clone();
        Self { id, state: Mutex::new(state), operation: tokio::sync::RwLock::new(()), kept: Mutex::new(true) }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state.lock().ready
    }

    pub(crate) fn pod_uid(&self) -> String {
        self.state.lock().config.metadata.uid.clone()
    }
}
