//! How far a pull has come, told to everybody who waits for it.

use std::sync::Arc;

use parking_lot::Mutex;
use windlass_cri::{ProgressSink, PullProgress};

/// Shared by the tasks of one pull.
#[derive(Clone, Default)]
pub(crate) struct Progress {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    state: PullProgress,
    sinks: Vec<ProgressSink>,
}

/// What one attempt at a layer has counted, so that it can be taken back.
pub(crate) struct Counted {
    progress: Progress,
    bytes: Mutex<u64>,
}

impl Progress {
    /// Tells `sink` from now on, and where things stand at once.
    pub(crate) fn tell(&self, sink: ProgressSink) {
        let mut shared = self.shared.lock();
        sink(shared.state);
        shared.sinks.push(sink);
    }

    pub(crate) fn expect(&self, layers: u32, bytes: u64) {
        self.change(|state| (state.layers_total, state.bytes_total) = (layers, bytes));
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.change(|state| state.bytes_done += bytes);
    }

    /// A layer that was there already.
    pub(crate) fn skip(&self, bytes: u64) {
        self.change(|state| {
            state.bytes_done += bytes;
            state.layers_done += 1;
        });
    }

    pub(crate) fn layer_done(&self) {
        self.change(|state| state.layers_done += 1);
    }

    pub(crate) fn begin(&self) -> Counted {
        Counted { progress: self.clone(), bytes: Mutex::new(0) }
    }

    fn change(&self, change: impl FnOnce(&mut PullProgress)) {
        let mut shared = self.shared.lock();
        change(&mut shared.state);
        for sink in &shared.sinks {
            sink(shared.state);
        }
    }
}

impl Counted {
    pub(crate) fn add(&self, bytes: u64) {
        *self.bytes.lock() += bytes;
        self.progress.add(bytes);
    }

    pub(crate) fn undo(&self) {
        let bytes = std::mem::take(&mut *self.bytes.lock());
        self.progress.change(|state| state.bytes_done -= bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_to_all() {
        let progress = Progress::default();
        progress.expect(2, 100);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let writer = seen.clone();
        progress.tell(Arc::new(move |state: PullProgress| writer.lock().push((state.layers_done, state.bytes_done))));
        let counted = progress.begin();
        counted.add(30);
        counted.undo();
        progress.skip(40);
        progress.add(60);
        progress.layer_done();
        assert_eq!(*seen.lock(), [(0, 0), (0, 30), (0, 0), (1, 40), (1, 100), (2, 100)]);
    }
}
