//! What a runtime is told when it is opened.

use std::ffi::OsString;
use std::path::PathBuf;

use windlass_api::time::Clock;

use crate::cgroup::CgroupLayout;

#[derive(Clone, Debug)]
pub struct Options {
    /// Where sandboxes and containers are kept, for example `DATA_DIR/runtime`: state, writable layers, pinned namespaces,
    /// the supervisor's socket. Must lie on a file system that overlayfs can write to, and be UTF-8.
    pub root: PathBuf,
    /// How to execute the supervisor: a program and arguments after which it calls [`crate::supervisor::main`] first thing.
    pub supervisor_command: Vec<OsString>,
    pub clock: Clock,
    pub cgroups: CgroupLayout,
    /// Tells boots apart; `None` takes the kernel's.
    pub boot_id: Option<String>,
}

impl Options {
    /// The usual options: the machine's clock, its cgroups, its boot.
    pub fn new(root: impl Into<PathBuf>, supervisor_command: Vec<OsString>) -> Self {
        Self {
            root: root.into(),
            supervisor_command,
            clock: Clock::system(),
            cgroups: CgroupLayout::Detect,
            boot_id: None,
        }
    }
}
