//! Answers that are remembered for a while, so many at most.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

const REMEMBERED_MAX: usize = 1024;

pub(super) struct Cache<K, V>(Mutex<HashMap<K, (V, Instant)>>);

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<V> {
        let entries = self.0.lock();
        entries.get(key).filter(|(_, until)| *until > Instant::now()).map(|(value, _)| value.clone())
    }

    pub(super) fn put(&self, key: K, value: V, time: Duration) {
        let now = Instant::now();
        let mut entries = self.0.lock();
        if entries.len() >= REMEMBERED_MAX {
            entries.retain(|_, (_, until)| *until > now);
            if entries.len() >= REMEMBERED_MAX {
                entries.clear();
            }
        }
        entries.insert(key, (value, now + time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn for_a_while_and_not_too_many() {
        let cache = Cache::default();
        cache.put(0, "x", Duration::from_secs(10));
        assert_eq!(cache.get(&0), Some("x"));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(cache.get(&0), None);
        for n in 0..5000 {
            cache.put(n, "x", Duration::from_secs(10));
        }
        assert!(cache.0.lock().len() <= REMEMBERED_MAX);
        assert_eq!(cache.get(&4999), Some("x"));
    }
}
