//! Turns for large bodies and long answers: reading, defaulting and validating a large body takes many times its memory, and to encode an object takes
//! a while, so that few are worked on at once, and of one user fewer still.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const AT_ONCE: usize = 8;
const OF_ONE_USER: usize = 2;

/// The turns of a server.
pub(crate) struct Computing {
    all: Arc<Semaphore>,
    by_user: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A turn; it is over when this is dropped.
pub(crate) struct Turn {
    _own: OwnedSemaphorePermit,
    _common: OwnedSemaphorePermit,
    _users: Arc<Semaphore>,
}

impl Default for Computing {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(AT_ONCE)), by_user: Mutex::default() }
    }
}

impl Computing {
    /// Waits for a turn; `None` never comes, for nobody closes the semaphores.
    pub(crate) async fn turn(&self, user: &str) -> Option<Turn> {
        let users = self.of(user);
        // The user's own first: who waits for himself keeps nobody from the common ones.
        let own = users.clone().acquire_owned().await.ok()?;
        let common = self.all.clone().acquire_owned().await.ok()?;
        Some(Turn { _own: own, _common: common, _users: users })
    }

    fn of(&self, user: &str) -> Arc<Semaphore> {
        let mut by_user = self.by_user.lock();
        if let Some(users) = by_user.get(user).and_then(Weak::upgrade) {
            return users;
        }
        by_user.retain(|_, users| users.strong_count() > 0);
        let users = Arc::new(Semaphore::new(OF_ONE_USER));
        by_user.insert(user.to_owned(), Arc::downgrade(&users));
        users
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn one_user_does_not_take_all_turns() {
        let computing = Computing::default();
        let take = |user: &str| computing.turn(user).now_or_never().flatten();
        let mut alices: Vec<Turn> = (0..OF_ONE_USER).filter_map(|_| take("alice")).collect();
        assert_eq!(alices.len(), OF_ONE_USER);
        assert!(take("alice").is_none());
        let others: Vec<Turn> = (OF_ONE_USER..AT_ONCE).filter_map(|user| take(&user.to_string())).collect();
        assert_eq!(others.len(), AT_ONCE - OF_ONE_USER);
        assert!(take("bob").is_none());
        alices.pop();
        assert!(take("bob").is_some());
        drop((alices, others));
        assert!(take("carol").is_some());
        assert_eq!(computing.by_user.lock().len(), 1, "who has no turn is forgotten");
    }
}
