//! How many connections to kubelets, pods and Services there are at once, in all and for each user: each takes an open file of the
//! process, which serves everybody else as well.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use windlass_api::Status;
use windlass_api::well_known::group;
use windlass_auth::User;

/// Of all connections, one user may have this part.
const SHARE: usize = 4;
/// Of all connections, this part is for administrators.
const RESERVE: usize = 16;

pub(crate) struct Outgoing {
    max: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_user: HashMap<String, usize>,
}

/// The right to one connection, for as long as it lives.
pub(crate) struct Permit {
    of: Arc<Outgoing>,
    user: String,
}

impl Outgoing {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, open: Mutex::default() })
    }

    /// Refuses one connection too many.
    pub(crate) fn take(self: &Arc<Self>, user: &User) -> Result<Permit, Status> {
        let is_admin = user.is_in(group::MASTERS);
        let (max, share) =
            if is_admin { (self.max, self.max) } else { (self.max - self.max / RESERVE, self.max / SHARE) };
        let mut open = self.open.lock();
        let own = open.by_user.get(&user.name).copied().unwrap_or(0);
        if open.all >= max || own >= share {
            let text = "too many connections through the API server are open already; end some, or try again later";
            return Err(Status::too_many_requests(text, 1));
        }
        open.all += 1;
        open.by_user.insert(user.name.clone(), own + 1);
        Ok(Permit { of: self.clone(), user: user.name.clone() })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.of.open.lock();
        open.all -= 1;
        if let Some(own) = open.by_user.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                open.by_user.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_the_reserve() {
        let outgoing = Outgoing::new(32);
        let take = |name: &str, count: usize| -> Vec<Permit> {
            (0..count).map_while(|_| outgoing.take(&User::new(name, &[])).ok()).collect()
        };
        let jane = take("jane", 100);
        assert_eq!(jane.len(), 8);
        let others: Vec<_> = (0..100).flat_map(|n| take(&n.to_string(), 1)).collect();
        assert_eq!(others.len(), 22, "two are for administrators");
        let admin = User::new("admin", &[group::MASTERS]);
        let admins: Vec<_> = (0..100).map_while(|_| outgoing.take(&admin).ok()).collect();
        assert_eq!(admins.len(), 2);
        drop((jane, others, admins));
        let open = outgoing.open.lock();
        assert_eq!((open.all, open.by_user.len()), (0, 0));
    }
}
