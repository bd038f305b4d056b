//! A queue of keys to be worked on: each key at most once, never by two workers at a time, later if asked, and with growing
//! pauses after failures.
//!
//! A key that is added while it is being worked on comes back when the work is done. So what a worker reads after it took a key
//! is never older than the event that added it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The first pause after a failure; each further failure doubles it.
const BACKOFF_FIRST: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// The longest wait. Times that users write (`activeDeadlineSeconds`, `tolerationSeconds`) may be longer than a clock can count; a key
/// that comes too early is looked at and waits again.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a key must be.
pub trait Key: Clone + Debug + Eq + Hash + Ord + Send + Sync + 'static {}

impl<K: Clone + Debug + Eq + Hash + Ord + Send + Sync + 'static> Key for K {}

/// The queue; cloning shares it. It holds a key once at most, so it is bounded by the number of objects.
#[derive(Debug)]
pub struct WorkQueue<K> {
    shared: Arc<Shared<K>>,
}

impl<K> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

#[derive(Debug)]
struct Shared<K> {
    state: Mutex<State<K>>,
    changed: Notify,
    first_pause: Duration,
}

#[derive(Debug)]
struct State<K> {
    ready: VecDeque<K>,
    /// In `ready`, or to be put there when the work on it is done.
    dirty: HashSet<K>,
    /// Being worked on, and since when.
    working: HashMap<K, Instant>,
    /// When keys become ready; a key has one time, the earliest.
    later: BTreeMap<(Instant, K), ()>,
    due: HashMap<K, Instant>,
    failures: HashMap<K, u32>,
}

/// What became of the work on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Work on it again after this time, even if nothing happens.
    Again(Duration),
}

impl<K: Key> Default for WorkQueue<K> {
    fn default() -> Self {
        Self::with_first_pause(BACKOFF_FIRST)
    }
}

impl<K: Key> WorkQueue<K> {
    pub fn new() -> Self {
        Self::default()
    }

    /// A queue whose keys come again only after this time when the work on them has failed; each further failure doubles it.
    pub fn with_first_pause(first_pause: Duration) -> Self {
        let state = State {
            ready: VecDeque::new(),
            dirty: HashSet::new(),
            working: HashMap::new(),
            later: BTreeMap::new(),
            due: HashMap::new(),
            failures: HashMap::new(),
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Notify::new(), first_pause }) }
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.shared.state.lock()
    }

    pub fn add(&self, key: K) {
        self.state().make_ready(key);
        self.shared.changed.notify_one();
    }

    /// Adds the key after a time, a day at most; an earlier time that is set already stands.
    pub fn add_after(&self, key: K, wait: Duration) {
        if wait.is_zero() {
            return self.add(key);
        }
        let at = Instant::now() + wait.min(WAIT_MAX);
        {
            let mut state = self.state();
            match state.due.get(&key) {
                Some(before) if *before <= at => return,
                Some(before) => {
                    let before = *before;
                    state.later.remove(&(before, key.clone()));
                }
                None => {}
            }
            state.due.insert(key.clone(), at);
            state.later.insert((at, key), ());
        }
        self.shared.changed.notify_one();
    }

    /// How many keys wait, not counting those that wait for their time.
    pub fn len(&self) -> usize {
        self.state().ready.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For how long the oldest work has been going on that is not finished.
    pub fn longest_running(&self) -> Option<Duration> {
        self.state().working.values().min().map(Instant::elapsed)
    }

    /// The next key; [`WorkQueue::finish`] must follow.
    async fn take(&self) -> K {
        loop {
            let notified = self.shared.changed.notified();
            let next_due = {
                let mut state = self.state();
                state.promote(Instant::now());
                if let Some(key) = state.ready.pop_front() {
                    state.dirty.remove(&key);
                    state.working.insert(key.clone(), Instant::now());
                    if !state.ready.is_empty() {
                        self.shared.changed.notify_one();
                    }
                    return key;
                }
                state.later.first_key_value().map(|((at, _), ())| *at)
            };
            match next_due {
                Some(at) => {
                    tokio::select! {
                        biased;
                        () = notified => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                None => notified.await,
            }
        }
    }

    fn finish(&self, key: &K, result: Option<Outcome>) {
        let wait = {
            let mut state = self.state();
            state.working.remove(key);
            if state.dirty.contains(key) {
                state.ready.push_back(key.clone());
            }
            match result {
                Some(outcome) => {
                    state.failures.remove(key);
                    match outcome {
                        Outcome::Done => None,
                        Outcome::Again(wait) => Some(wait),
                    }
                }
                None => {
                    let count = state.failures.entry(key.clone()).or_default();
                    let wait = self.shared.first_pause.saturating_mul(1 << (*count).min(20)).min(BACKOFF_MAX);
                    *count += 1;
                    Some(wait)
                }
            }
        };
        self.shared.changed.notify_one();
        if let Some(wait) = wait {
            self.add_after(key.clone(), wait);
        }
    }

    /// Works on keys for ever, `workers` at a time. A failure or a panic is logged with `name`, and the key comes again.
    pub async fn run<F, Fut, E>(&self, name: &'static str, workers: usize, work: F)
    where
        F: Fn(K) -> Fut + Send + Sync,
        Fut: Future<Output = Result<Outcome, E>> + Send,
        E: std::fmt::Display,
    {
        let worker = async || loop {
            let key = self.take().await;
            let result = AssertUnwindSafe(work(key.clone())).catch_unwind().await;
            let outcome = match result {
                Ok(Ok(outcome)) => Some(outcome),
                Ok(Err(error)) => {
                    tracing::info!(controller = name, ?key, %error, "work failed and will be tried again");
                    None
                }
                Err(_) => {
                    tracing::error!(controller = name, ?key, "work panicked and will be tried again");
                    None
                }
            };
            self.finish(&key, outcome);
        };
        futures::future::join_all((0..workers).map(|_| worker())).await;
    }
}

impl<K: Key> State<K> {
    fn make_ready(&mut self, key: K) {
        if self.dirty.insert(key.clone()) && !self.working.contains_key(&key) {
            self.ready.push_back(key);
        }
    }

    /// Makes those ready whose time has come.
    fn promote(&mut self, now: Instant) {
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let ((_, key), ()) = entry.remove_entry();
            self.due.remove(&key);
            self.make_ready(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_key_once_and_again_when_added_meanwhile() {
        let queue = WorkQueue::new();
        for key in ["a", "b", "a"] {
            queue.add(key);
        }
        assert_eq!(queue.take().await, "a");
        queue.add("a");
        assert_eq!(queue.take().await, "b");
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(queue.longest_running(), Some(Duration::from_secs(3)));
        queue.finish(&"b", Some(Outcome::Done));
        assert!(queue.is_empty());
        queue.finish(&"a", Some(Outcome::Done));
        assert_eq!(queue.take().await, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn times_and_failures() {
        let queue = WorkQueue::new();
        let start = Instant::now();
        queue.add_after("late", Duration::from_secs(20));
        queue.add_after("late", Duration::from_secs(10));
        queue.add_after("late", Duration::from_secs(30));
        assert_eq!(queue.take().await, "late");
        assert_eq!(start.elapsed(), Duration::from_secs(10));
        queue.finish(&"late", Some(Outcome::Again(Duration::from_secs(5))));
        queue.take().await;
        assert_eq!(start.elapsed(), Duration::from_secs(15));
        for pause_ms in [5, 10, 20, 40] {
            queue.finish(&"late", None);
            let before = Instant::now();
            queue.take().await;
            assert_eq!(before.elapsed(), Duration::from_millis(pause_ms));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_have_a_bound_and_pauses_a_beginning() {
        let queue = WorkQueue::with_first_pause(Duration::from_secs(1));
        let start = Instant::now();
        queue.add_after("forever", Duration::MAX);
        assert_eq!(queue.take().await, "forever");
        assert_eq!(start.elapsed(), WAIT_MAX);
        for pause_seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            queue.finish(&"forever", None);
            let before = Instant::now();
            queue.take().await;
            assert_eq!(before.elapsed(), Duration::from_secs(pause_seconds));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn workers_survive_panics_and_never_share_a_key() {
        let queue = WorkQueue::new();
        let (calls, at_once) = (AtomicUsize::new(0), AtomicUsize::new(0));
        queue.add(1);
        let run = queue.run("test", 4, |_key: i32| async {
            assert_eq!(at_once.fetch_add(1, Ordering::SeqCst), 0, "two workers on one key");
            queue.add(1);
            tokio::time::sleep(Duration::from_millis(1)).await;
            at_once.fetch_sub(1, Ordering::SeqCst);
            match calls.fetch_add(1, Ordering::SeqCst) {
                0 => panic!("the first work goes wrong (this is part of the test)"),
                1 => Err("the second fails"),
                _ => Ok(Outcome::Done),
            }
        });
        let _ = tokio::time::timeout(Duration::from_secs(1), run).await;
        assert!(calls.load(Ordering::SeqCst) > 10);
    }
}
