//! Answers that are remembered for a while: as many as there is room for, and no longer than they are good.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A memory of a bounded number of values, each for a time of its own.
#[derive(Debug)]
pub struct Expiring<K, V> {
    entries: Mutex<HashMap<K, (V, Instant)>>,
    max: usize,
}

impl<K: Clone + Eq + Hash, V: Clone> Expiring<K, V> {
    pub fn new(max: usize) -> Self {
        Self { entries: Mutex::default(), max }
    }

    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        let entries = self.entries.lock();
        entries.get(key).filter(|(_, until)| Instant::now() < *until).map(|(value, _)| value.clone())
    }

    /// Remembers a value for a time; one of zero is not remembered. Who would be forgotten first makes room.
    pub fn put(&self, key: K, value: V, ttl: Duration) {
        if ttl.is_zero() {
            return;
        }
        let now = Instant::now();
        let Some(until) = now.checked_add(ttl) else { return };
        let mut entries = self.entries.lock();
        if entries.len() >= self.max && !entries.contains_key(&key) {
            entries.retain(|_, (_, until)| now < *until);
        }
        if entries.len() >= self.max {
            let first = entries.iter().min_by_key(|(_, (_, until))| *until).map(|(key, _)| key.clone());
            first.map(|first| entries.remove(&first));
        }
        entries.insert(key, (value, until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn values_expire_and_make_room() {
        let second = Duration::from_secs(1);
        let kept = Expiring::new(2);
        kept.put("never", 0, Duration::ZERO);
        kept.put("a", 1, second);
        kept.put("b", 2, 3 * second);
        assert_eq!((kept.get("never"), kept.get("a"), kept.get("b")), (None, Some(1), Some(2)));
        kept.put("c", 3, 2 * second);
        assert_eq!((kept.get("a"), kept.get("b"), kept.get("c")), (None, Some(2), Some(3)));
        tokio::time::advance(2 * second).await;
        assert_eq!((kept.get("b"), kept.get("c")), (Some(2), None));
        kept.put("c", 4, second);
        assert_eq!((kept.get("b"), kept.get("c")), (Some(2), Some(4)));
    }
}
