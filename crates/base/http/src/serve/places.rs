//! Places for connections: so many in all, so many from one address, and some that are kept for those who must get in.
//!
//! Loopback may have any place. Others find a reserve that is not for them, for who they are is known only after the handshake: so a part of
//! the reserve is lent to connections *on trial*, each until it has shown who it is. One that turns out to be privileged keeps its place;
//! any other goes. When the trials are all taken, the oldest makes room for the next, so that silence does not shut anybody out.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::options::Limits;

/// Hands out places.
pub(super) struct Places {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: usize,
    by_address: HashMap<IpAddr, usize>,
    /// Oldest first; dropping the sender ends the trial.
    trials: VecDeque<(u64, oneshot::Sender<()>)>,
    trials_begun: u64,
}

/// A connection's place; it is free again when this is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
    trial: Option<Trial>,
}

/// A connection that stays only if it turns out to be privileged.
struct Trial {
    number: u64,
    /// Resolves when somebody else has got the place.
    over: oneshot::Receiver<()>,
}

impl Places {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, state: Mutex::default() })
    }

    /// A place for a connection from this address, if there is one.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = group(address);
        let limits = &self.limits;
        let mut state = self.state.lock();
        let count = state.by_address.get(&address).copied().unwrap_or(0);
        let is_open = if address.is_loopback() {
            state.taken < limits.connections_max
        } else {
            count < limits.connections_per_address_max && state.taken + limits.reserve < limits.connections_max
        };
        let trial = if is_open {
            None
        } else if address.is_loopback() {
            return None;
        } else {
            Some(state.begin_trial(limits)?)
        };
        state.taken += 1;
        *state.by_address.entry(address).or_default() += 1;
        Some(Place { places: Arc::clone(self), address, trial })
    }
}

impl State {
    fn begin_trial(&mut self, limits: &Limits) -> Option<Trial> {
        let trials_max = limits.reserve / 2;
        if self.trials.len() >= trials_max || self.taken >= limits.connections_max {
            // The place is taken over, not added.
            self.trials.pop_front()?;
        }
        self.trials_begun += 1;
        let (sender, over) = oneshot::channel();
        self.trials.push_back((self.trials_begun, sender));
        Some(Trial { number: self.trials_begun, over })
    }

    fn end_trial(&mut self, number: u64) {
        self.trials.retain(|(other, _)| *other != number);
    }
}

impl Place {
    /// Resolves when the connection has to go because its trial took too long; never for one that is not on trial.
    pub(super) async fn lost(&mut self) {
        match &mut self.trial {
            // An error is the end of the trial: nothing is ever sent.
            Some(trial) => drop((&mut trial.over).await),
            None => std::future::pending().await,
        }
    }

    /// Whether the connection may stay, now that it is known whether it is privileged.
    pub(super) fn confirm(&mut self, is_privileged: bool) -> bool {
        let Some(trial) = &self.trial else { return true };
        if is_privileged {
            self.places.state.lock().end_trial(trial.number);
            self.trial = None;
        }
        is_privileged
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state.lock();
        state.taken -= 1;
        if let Some(count) = state.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                state.by_address.remove(&self.address);
            }
        }
        if let Some(trial) = &self.trial {
            state.end_trial(trial.number);
        }
    }
}

/// Whom an address counts for: whoever has one IPv6 address has all of its /64.
fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn places(connections_max: usize, connections_per_address_max: usize, reserve: usize) -> Arc<Places> {
        Places::new(Limits { connections_max, connections_per_address_max, reserve, ..Limits::default() })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Takes as many places as are given for good.
    fn fill(places: &Arc<Places>, address: &str) -> Vec<Place> {
        std::iter::from_fn(|| places.take(ip(address)).filter(|place| place.trial.is_none())).collect()
    }

    #[test]
    fn one_address_has_its_share() {
        let places = places(100, 10, 8);
        let held = fill(&places, "10.0.0.1");
        assert_eq!(held.len(), 10);
        assert_eq!(fill(&places, "10.0.0.2").len(), 10);
        drop(held);
        assert_eq!(
            fill(&places, "::ffff:10.0.0.1").len(),
            10,
            "places are free again, and a mapped address is the same"
        );
        assert!(places.state.lock().by_address.is_empty());
    }

    #[test]
    fn whoever_has_an_ipv6_address_has_many() {
        let places = places(100, 10, 8);
        let _held = fill(&places, "2001:db8::1");
        assert_eq!(fill(&places, "2001:db8::2").len(), 0);
        assert_eq!(fill(&places, "2001:db8:0:1::2").len(), 10);
    }

    #[test]
    fn loopback_has_the_reserve() {
        let places = places(20, 100, 4);
        let _strangers = fill(&places, "10.0.0.1");
        assert_eq!(places.state.lock().taken, 16);
        let _own = fill(&places, "127.0.0.1");
        assert_eq!(places.state.lock().taken, 20);
        assert!(places.take(ip("::1")).is_none());
    }

    #[test]
    fn the_privileged_get_in_when_all_is_full() {
        let places = places(20, 100, 4);
        let _strangers = fill(&places, "10.0.0.1");
        let mut stranger = places.take(ip("10.0.0.2")).unwrap();
        assert!(!stranger.confirm(false));
        let mut admin = places.take(ip("10.0.0.3")).unwrap();
        assert!(admin.confirm(true) && admin.lost().now_or_never().is_none());
        assert_eq!(places.state.lock().trials.len(), 1);
    }

    #[test]
    fn silence_shuts_nobody_out() {
        let places = places(20, 100, 4);
        let _strangers = fill(&places, "10.0.0.1");
        let mut silent: Vec<Place> = (0..50).map(|_| places.take(ip("10.0.0.2")).unwrap()).collect();
        let lost = silent.iter_mut().filter_map(|place| place.lost().now_or_never()).count();
        assert_eq!(lost, 48, "two are on trial at a time");
        silent.clear();
        let state = places.state.lock();
        assert_eq!((state.taken, state.trials.len()), (16, 0));
    }
}
