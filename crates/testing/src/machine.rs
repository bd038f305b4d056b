//! Machines and the processes of pods on them, on paper. They outlive the kubelet, as containers do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use windlass_api::ObjectKey;

/// Annotations by which a pod says how it runs on paper.
pub mod knob {
    /// Seconds after which the pod's containers end by themselves; without it they go on, but for pods that do not restart, which
    /// end after a second.
    pub const RUN_SECONDS: &str = "testing/run-seconds";
    /// How they end: 0 when it is not said.
    pub const EXIT_CODE: &str = "testing/exit-code";
    /// `false`: they are never ready.
    pub const READY: &str = "testing/ready";
    /// Milliseconds that they take to end when they are told to.
    pub const STOP_MILLIS: &str = "testing/stop-millis";
}

/// A pod's containers, taken as one.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) key: ObjectKey,
    /// When it runs: until then it is being made.
    pub(crate) runs: Instant,
    pub(crate) ready: Instant,
    /// When it will have ended, once it was told to.
    pub(crate) stops: Option<Instant>,
    pub(crate) address: String,
    pub(crate) has_run: bool,
}

/// All machines of a cluster; cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Machines(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// By machine and UID of the pod.
    processes: BTreeMap<(String, String), Process>,
    addresses: u32,
    conflicts: Vec<String>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Machine {
    pub name: String,
    all: Machines,
}

impl Machines {
    pub fn machine(&self, name: &str) -> Machine {
        Machine { name: name.to_owned(), all: self.clone() }
    }

    /// Pods of one name that ran at the same time.
    pub fn conflicts(&self) -> Vec<String> {
        self.state().conflicts.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl Machine {
    /// The machine is lost with everything that runs on it.
    pub fn crash(&self) {
        self.all.state().processes.retain(|(machine, _), _| *machine != self.name);
    }

    pub(crate) fn process(&self, uid: &str) -> Option<Process> {
        self.all.state().processes.get(&(self.name.clone(), uid.to_owned())).cloned()
    }

    /// Begins to make a pod's process.
    pub(crate) fn make(&self, key: &ObjectKey, uid: &str, starting: Duration, getting_ready: Duration) -> Process {
        let mut state = self.all.state();
        let twin = state.processes.iter().find(|((_, other), process)| process.key == *key && other != uid);
        if let Some(((machine, _), _)) = twin {
            let conflict = format!("{key} was started on {} while one of that name still ran on {machine}", self.name);
            state.conflicts.push(conflict);
        }
        state.addresses += 1;
        let (high, low) = (state.addresses / 250, state.addresses % 250 + 1);
        let runs = Instant::now() + starting;
        let process = Process {
            key: key.clone(),
            runs,
            ready: runs + getting_ready,
            stops: None,
            address: format!("10.244.{high}.{low}"),
            has_run: false,
        };
        state.processes.insert((self.name.clone(), uid.to_owned()), process.clone());
        process
    }

    pub(crate) fn has_run(&self, uid: &str) {
        let mut state = self.all.state();
        if let Some(process) = state.processes.get_mut(&(self.name.clone(), uid.to_owned())) {
            process.has_run = true;
        }
    }

    /// Tells a process to end; says when it will have.
    pub(crate) fn stop(&self, uid: &str, after: Duration) -> Option<Instant> {
        let mut state = self.all.state();
        let process = state.processes.get_mut(&(self.name.clone(), uid.to_owned()))?;
        let at = Instant::now() + after;
        let stops = process.stops.map_or(at, |before| before.min(at));
        process.stops = Some(stops);
        Some(stops)
    }

    pub(crate) fn remove(&self, uid: &str) {
        self.all.state().processes.remove(&(self.name.clone(), uid.to_owned()));
    }

    /// Ends what runs under a pod's name and is not the pod with this UID.
    pub(crate) fn remove_others(&self, key: &ObjectKey, uid: &str) {
        let mut state = self.all.state();
        state
            .processes
            .retain(|(machine, other), process| *machine != self.name || process.key != *key || other == uid);
    }
}
