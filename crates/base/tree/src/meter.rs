//! What trees take of the disk, counted in the background and remembered.
//!
//! A stranger may have made ten million files, which take a minute to count: nobody waits for that. Trees are counted by two threads, one
//! for small ones and one for those that turn out to be large, so that the small ones need not wait either; a large one is
//! counted again only after ten times as long as counting it took. What a count has found so far is told at once: a tree is at least as
//! large as that.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::io::Errno;

use crate::usage::{Usage, usage_while};

/// Files of a tree that is counted among the small ones.
const SMALL_MAX: u64 = 50_000;
/// How many files are counted between two reports.
const REPORT_EVERY: u64 = 1024;
/// What nobody asks about for so long is forgotten.
const ASKED_WITHIN: Duration = Duration::from_secs(600);
/// Of the time, a tree is counted at most the tenth part, until that would be a longer rest than the second.
const REST: u32 = 10;
const REST_MAX: Duration = Duration::from_secs(60);

/// Counts trees. Clones share what they know.
#[derive(Clone)]
pub struct Meter {
    shared: Arc<Shared>,
}

/// Starts a thread.
type Spawn = fn(Box<dyn FnOnce() + Send>) -> io::Result<()>;

fn spawn(work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    std::thread::Builder::new().name("disk-usage".to_owned()).spawn(work).map(drop)
}

struct Shared {
    good_for: Duration,
    small_max: u64,
    spawn: Spawn,
    state: Mutex<State>,
    /// Something was counted.
    counted: Condvar,
}

#[derive(Default)]
struct State {
    known: HashMap<PathBuf, Known>,
    small: Lane,
    large: Lane,
}

/// The trees that wait to be counted, and whether there is a thread for them.
#[derive(Default)]
struct Lane {
    waiting: VecDeque<PathBuf>,
    running: bool,
}

struct Known {
    asked: Instant,
    /// The last whole count, when it was begun, and how long it took; `None` when there was none or no such tree.
    whole: Option<(Usage, Instant, Duration)>,
    /// What the count that is under way, or waits, has found.
    so_far: Usage,
    counting: bool,
    is_large: bool,
}

impl Meter {
    /// A count is good for `good_for` at least.
    pub fn new(good_for: Duration) -> Self {
        Self::with(good_for, SMALL_MAX, spawn)
    }

    fn with(good_for: Duration, small_max: u64, spawn: Spawn) -> Self {
        let shared = Shared { good_for, small_max, spawn, state: Mutex::default(), counted: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    /// What the tree at `path` takes, as far as that is known; it is counted in the background when it was not lately. Never waits.
    /// `None` when nothing is known, or when there is no such tree.
    pub fn usage(&self, path: &Path) -> Option<Usage> {
        let mut state = self.shared.state.lock();
        self.ask(&mut state, path).usage()
    }

    /// Has those of these trees counted that were not lately, and waits for it, at most for `patience`. Blocks.
    pub fn refresh(&self, paths: &[PathBuf], patience: Duration) {
        let until = Instant::now() + patience;
        let mut state = self.shared.state.lock();
        for path in paths {
            self.ask(&mut state, path);
        }
        let is_counting =
            |state: &State| paths.iter().any(|path| state.known.get(path).is_some_and(|known| known.counting));
        while is_counting(&state) {
            if self.shared.counted.wait_until(&mut state, until).timed_out() {
                return;
            }
        }
    }

    /// Notes that somebody asks, and orders a count where one is due.
    fn ask<'a>(&self, state: &'a mut State, path: &Path) -> &'a Known {
        let now = Instant::now();
        state.known.retain(|_, known| known.counting || now.duration_since(known.asked) < ASKED_WITHIN);
        let State { known, small, large } = state;
        let known = known.entry(path.to_owned()).or_insert_with(|| Known::new(now));
        known.asked = now;
        if !known.counting && known.is_due(now, self.shared.good_for) {
            known.counting = true;
            known.so_far = Usage::default();
            let lane = if known.is_large { &mut *large } else { &mut *small };
            lane.waiting.push_back(path.to_owned());
        }
        self.start_lanes([(small, false), (large, true)]);
        known
    }

    /// Starts the threads of lanes where something waits; one that could not be started is tried again by whoever asks next.
    fn start_lanes(&self, lanes: [(&mut Lane, bool); 2]) {
        for (lane, is_large) in lanes {
            if !lane.running && !lane.waiting.is_empty() {
                lane.running = self.start(is_large);
            }
        }
    }

    /// Starts the thread of a lane; it ends when nothing waits any more. Says whether it runs.
    fn start(&self, is_large: bool) -> bool {
        let meter = self.clone();
        (self.shared.spawn)(Box::new(move || meter.run(is_large))).is_ok()
    }

    fn run(&self, is_large: bool) {
        loop {
            let path = {
                let mut state = self.shared.state.lock();
                let lane = state.lane(is_large);
                match lane.waiting.pop_front() {
                    Some(path) => path,
                    None => {
                        lane.running = false;
                        return;
                    }
                }
            };
            self.count(path, is_large);
        }
    }

    fn count(&self, path: PathBuf, is_large: bool) {
        let began = Instant::now();
        let mut found = Usage::default();
        let counted = usage_while(&path, |so_far| {
            found = so_far;
            if so_far.inodes % REPORT_EVERY == 0
                && let Some(known) = self.shared.state.lock().known.get_mut(&path)
            {
                known.so_far = so_far;
            }
            is_large || so_far.inodes <= self.shared.small_max
        });
        let mut state = self.shared.state.lock();
        let Some(known) = state.known.get_mut(&path) else { return };
        if counted == Err(Errno::CANCELED) {
            known.is_large = true;
            state.large.waiting.push_back(path);
            let State { small, large, .. } = &mut *state;
            self.start_lanes([(small, false), (large, true)]);
            return;
        }
        let usage = match counted {
            Ok(usage) => Some(usage),
            Err(Errno::NOENT | Errno::NOTDIR) => None,
            // Whoever shapes the tree may have changed it under our feet: what was found counts, and the next who asks has it counted again.
            Err(_) => {
                known.so_far = found;
                known.counting = false;
                self.shared.counted.notify_all();
                return;
            }
        };
        known.whole = usage.map(|usage| (usage, began, began.elapsed()));
        known.is_large = usage.is_some_and(|usage| usage.inodes > self.shared.small_max);
        known.so_far = Usage::default();
        known.counting = false;
        self.shared.counted.notify_all();
    }
}

impl State {
    fn lane(&mut self, is_large: bool) -> &mut Lane {
        if is_large { &mut self.large } else { &mut self.small }
    }
}

impl Known {
    fn new(now: Instant) -> Self {
        let so_far = Usage::default();
        Self { asked: now, whole: None, so_far, counting: false, is_large: false }
    }

    fn is_due(&self, now: Instant, good_for: Duration) -> bool {
        self.whole.is_none_or(|(_, at, took)| now.duration_since(at) >= good_for.max((took * REST).min(REST_MAX)))
    }

    fn usage(&self) -> Option<Usage> {
        let whole = self.whole.map(|(usage, ..)| usage);
        let so_far = Some(self.so_far).filter(|so_far| so_far.inodes > 0);
        match (whole, so_far) {
            (Some(whole), Some(so_far)) => Some(whole.at_least(so_far)),
            (whole, so_far) => whole.or(so_far),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn counted_and_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("a")).unwrap();
        std::fs::write(at("a/file"), vec![1; 100_000]).unwrap();
        std::fs::hard_link(at("a/file"), at("a/again")).unwrap();
        let meter = Meter::new(PATIENCE);
        meter.refresh(&[at("a"), at("absent")], PATIENCE);
        let usage = meter.usage(&at("a")).unwrap();
        assert_eq!(usage.inodes, 2, "a directory and a file");
        assert!((100_000..200_000).contains(&usage.bytes), "{usage:?}");
        assert_eq!(meter.usage(&at("absent")), None);
        std::fs::write(at("a/more"), "").unwrap();
        meter.refresh(&[at("a")], PATIENCE);
        assert_eq!(meter.usage(&at("a")), Some(usage), "that was counted just now");
    }

    #[test]
    fn changes_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().join("a")];
        let meter = Meter::new(Duration::ZERO);
        let count = || {
            // However little time has passed.
            meter.shared.state.lock().known.clear();
            meter.refresh(&paths, PATIENCE);
            meter.shared.state.lock().known[&paths[0]].usage().map(|usage| usage.inodes)
        };
        assert_eq!(count(), None);
        std::fs::create_dir(&paths[0]).unwrap();
        assert_eq!(count(), Some(1));
        std::fs::write(paths[0].join("file"), "").unwrap();
        assert_eq!(count(), Some(2));
        crate::remove_path(&paths[0]).unwrap();
        assert_eq!(count(), None);
    }

    #[test]
    fn large_trees_are_counted_by_themselves() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..20 {
            std::fs::write(dir.path().join(number.to_string()), "").unwrap();
        }
        let meter = Meter::with(Duration::ZERO, 10, spawn);
        meter.refresh(&[dir.path().to_owned()], PATIENCE);
        let state = meter.shared.state.lock();
        let known = &state.known[dir.path()];
        assert!(known.is_large);
        let (usage, at, took) = known.whole.unwrap();
        assert_eq!(usage.inodes, 21);
        assert!(!known.is_due(at + took * 9, Duration::ZERO) && known.is_due(at + took * 10, Duration::ZERO));
    }

    #[test]
    fn a_thread_that_could_not_be_started_is_tried_again() {
        static REFUSALS: AtomicU32 = AtomicU32::new(2);
        fn reluctant(work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
            if REFUSALS.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            spawn(work)
        }
        let dir = tempfile::tempdir().unwrap();
        let meter = Meter::with(PATIENCE, SMALL_MAX, reluctant);
        assert_eq!((meter.usage(dir.path()), meter.usage(dir.path())), (None, None));
        meter.refresh(&[dir.path().to_owned()], PATIENCE);
        assert_eq!(meter.usage(dir.path()).map(|usage| usage.inodes), Some(1));
    }

    #[test]
    fn what_was_found_so_far_counts() {
        let now = Instant::now();
        let mut known = Known::new(now);
        assert_eq!(known.usage(), None);
        known.so_far = Usage { bytes: 10, inodes: 5 };
        assert_eq!(known.usage(), Some(Usage { bytes: 10, inodes: 5 }));
        known.whole = Some((Usage { bytes: 8, inodes: 7 }, now, Duration::ZERO));
        assert_eq!(known.usage(), Some(Usage { bytes: 10, inodes: 7 }));
    }
}
