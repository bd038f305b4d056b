//! Bodies that are on their way: how much memory they may hold together, and those of one user.
//!
//! Everybody with an account may create something (a review of his own access), so that everybody may send bodies; one that does not end
//! holds what has come of it until its deadline.

use std::collections::HashMap;

use parking_lot::Mutex;
use windlass_api::well_known::group;
use windlass_auth::User;

/// Bytes of bodies that are not complete, in all and of one user: some ten of the largest that are taken.
const BYTES_MAX: usize = 256 << 20;
const USER_BYTES_MAX: usize = 32 << 20;

/// What incomplete bodies hold.
#[derive(Default)]
pub(super) struct Bodies {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    bytes: usize,
    by_user: HashMap<String, usize>,
}

/// What one body holds; given back when this is dropped.
pub(super) struct Share<'a> {
    bodies: &'a Bodies,
    user: &'a User,
    bytes: usize,
}

impl Bodies {
    pub(super) fn share<'a>(&'a self, user: &'a User) -> Share<'a> {
        Share { bodies: self, user, bytes: 0 }
    }
}

impl Share<'_> {
    /// Takes room for more bytes, if there is room; for administrators there always is.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let mut held = self.bodies.held.lock();
        let own = held.by_user.get(&self.user.name).copied().unwrap_or(0);
        let has_room = held.bytes + bytes <= BYTES_MAX && own + bytes <= USER_BYTES_MAX;
        if !has_room && !self.user.is_in(group::MASTERS) {
            return false;
        }
        held.bytes += bytes;
        held.by_user.insert(self.user.name.clone(), own + bytes);
        self.bytes += bytes;
        true
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut held = self.bodies.held.lock();
        held.bytes -= self.bytes;
        if let Some(own) = held.by_user.get_mut(&self.user.name) {
            *own -= self.bytes;
            if *own == 0 {
                held.by_user.remove(&self.user.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_does_not_take_all() {
        let bodies = Bodies::default();
        let (alice, bob, admin) =
            (User::new("alice", &[]), User::new("bob", &[]), User::new("admin", &[group::MASTERS]));
        let mut first = bodies.share(&alice);
        let mut second = bodies.share(&alice);
        assert!(first.take(USER_BYTES_MAX - 1) && second.take(1) && !second.take(1));
        assert!(bodies.share(&bob).take(1));
        drop(first);
        assert!(second.take(USER_BYTES_MAX - 1));
        drop(second);
        assert_eq!(bodies.held.lock().by_user.len(), 0);

        let users: Vec<User> = (0..8).map(|number| User::new(format!("user-{number}"), &[])).collect();
        let mut shares: Vec<Share<'_>> = users.iter().map(|user| bodies.share(user)).collect();
        assert!(shares.iter_mut().all(|share| share.take(USER_BYTES_MAX)));
        assert!(!bodies.share(&bob).take(1) && bodies.share(&admin).take(1));
        drop(shares);
        assert_eq!(bodies.held.lock().bytes, 0);
    }
}
