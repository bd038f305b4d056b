//! Growing pauses between attempts: the first comes after 10 seconds, each further after twice the time, up to a bound; what has
//! gone well for twice the bound begins anew. As client-go's flowcontrol.Backoff, which clients see the numbers of.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use jiff::Timestamp;

pub(crate) const CRASH_LOOP_FIRST: Duration = Duration::from_secs(10);
pub(crate) const CRASH_LOOP_MAX: Duration = Duration::from_secs(300);

#[derive(Clone, Debug)]
pub(crate) struct BackOff<K> {
    entries: HashMap<K, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    pause: Duration,
    updated: Timestamp,
}

impl<K> Default for BackOff<K> {
    fn default() -> Self {
        Self { entries: HashMap::new() }
    }
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

impl<K: Clone + Eq + Hash> BackOff<K> {
    /// The pause that stands since `event`, and when it ends, if that is still to come.
    pub(crate) fn pending(&self, key: &K, event: Timestamp, now: Timestamp) -> Option<(Duration, Timestamp)> {
        let entry = self.entries.get(key)?;
        if between(entry.updated, event) > 2 * CRASH_LOOP_MAX {
            return None;
        }
        let until = event + entry.pause;
        (now < until).then_some((entry.pause, until))
    }

    /// Another attempt is made, after a failure at `event`.
    pub(crate) fn attempt(&mut self, key: K, event: Timestamp, now: Timestamp) {
        let next = match self.entries.get(&key) {
            Some(entry) if between(entry.updated, event) <= 2 * CRASH_LOOP_MAX => (entry.pause * 2).min(CRASH_LOOP_MAX),
            _ => CRASH_LOOP_FIRST,
        };
        self.entries.insert(key, Entry { pause: next, updated: now });
    }

    /// Since the last attempt rather than since an event.
    pub(crate) fn pending_since_attempt(&self, key: &K, now: Timestamp) -> Option<Timestamp> {
        let entry = self.entries.get(key)?;
        let until = entry.updated + entry.pause;
        (now < until).then_some(until)
    }

    pub(crate) fn knows(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// What is found after a restart of the kubelet: a container that has been restarted `attempts` times, last at `at`.
    pub(crate) fn recall(&mut self, key: K, attempts: u32, at: Timestamp) {
        if attempts > 0 && !self.knows(&key) {
            let pause = CRASH_LOOP_FIRST.saturating_mul(1 << (attempts - 1).min(10)).min(CRASH_LOOP_MAX);
            self.entries.insert(key, Entry { pause, updated: at });
        }
    }

    pub(crate) fn forget(&mut self, key: &K) {
        self.entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes_and_are_forgotten_after_ten() {
        let mut backoff = BackOff::default();
        let mut now = Timestamp::UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert_eq!(backoff.pending(&"c", now, now), None);
        for expected in [10, 20, 40, 80, 160, 300, 300] {
            backoff.attempt("c", now, now);
            let crashed = now + Duration::from_secs(1);
            let (pause, until) = backoff.pending(&"c", crashed, crashed).unwrap();
            assert_eq!(pause.as_secs(), expected);
            assert_eq!(backoff.pending(&"c", crashed, until), None);
            now = until;
        }
        let much_later = now + Duration::from_secs(601);
        assert_eq!(backoff.pending(&"c", much_later, much_later), None);
        backoff.attempt("c", much_later, much_later);
        assert_eq!(backoff.pending(&"c", much_later, much_later).unwrap().0.as_secs(), 10);
    }

    #[test]
    fn a_restarted_kubelet_knows_how_often_a_container_has_crashed() {
        let mut backoff = BackOff::default();
        let at = Timestamp::UNIX_EPOCH + Duration::from_secs(1_000_000);
        backoff.recall("c", 0, at);
        assert!(!backoff.knows(&"c"));
        backoff.recall("c", 3, at);
        assert_eq!(backoff.pending(&"c", at, at).unwrap().0.as_secs(), 40);
    }
}
