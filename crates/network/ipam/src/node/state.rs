//! Which address is next, and who holds which.
//!
//! Addresses that were never used come first, in rising order; after that the one that was released longest ago. An address
//! is therefore reused as late as possible, and late packets for its former holder find nobody.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::range;

/// Of each range the network's address and the one after it stay free: the first may mean "this network", the second is
/// there for the node itself.
const FIRST_POSITION: u64 = 2;

/// An attachment of a container to the network, in CNI's terms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    #[serde(rename = "containerID")]
    pub container_id: String,
    #[serde(rename = "ifName")]
    pub if_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no address is left in {range}: all {capacity} are in use")]
pub struct Exhausted {
    pub range: IpNet,
    pub capacity: u64,
}

/// All that is kept on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    #[serde(default)]
    ranges: Vec<Range>,
    #[serde(default)]
    allocations: BTreeMap<IpAddr, Owner>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    subnet: IpNet,
    /// The first position that was never handed out.
    next: u64,
    /// Positions in the order of their release.
    released: VecDeque<u64>,
}

impl State {
    /// One address of each range for `owner`; those that it has already stay its own. All ranges give one, or none does.
    pub fn allocate(&mut self, subnets: &[IpNet], owner: &Owner) -> Result<Vec<IpAddr>, Exhausted> {
        self.adopt(subnets);
        let mut addresses = Vec::new();
        for (index, subnet) in subnets.iter().enumerate() {
            let held = self.allocations.iter().find(|(address, holder)| *holder == owner && subnet.contains(*address));
            if let Some((address, _)) = held {
                addresses.push(*address);
                continue;
            }
            let Some(address) = self.ranges[index].take(&self.allocations) else {
                self.release(|holder| holder == owner);
                return Err(Exhausted { range: *subnet, capacity: capacity(*subnet) });
            };
            self.allocations.insert(address, owner.clone());
            addresses.push(address);
        }
        Ok(addresses)
    }

    /// Releases what the owners that match hold, and returns it.
    pub fn release(&mut self, matches: impl Fn(&Owner) -> bool) -> Vec<(IpAddr, Owner)> {
        let (released, kept) = std::mem::take(&mut self.allocations).into_iter().partition(|(_, owner)| matches(owner));
        self.allocations = kept;
        let released: BTreeMap<IpAddr, Owner> = released;
        for address in released.keys() {
            for range in &mut self.ranges {
                if let Some(position) = range::position(range.subnet, *address).filter(|at| *at < range.next) {
                    range.released.push_back(position);
                }
            }
        }
        released.into_iter().collect()
    }

    pub fn allocations(&self) -> &BTreeMap<IpAddr, Owner> {
        &self.allocations
    }

    /// How many addresses of a range are free.
    pub fn free(&self, subnet: IpNet) -> u64 {
        let held = self.allocations.keys().filter(|address| is_usable(subnet, **address)).count();
        capacity(subnet).saturating_sub(held as u64)
    }

    /// Takes note of the node's ranges. Addresses of former ranges stay with their holders.
    fn adopt(&mut self, subnets: &[IpNet]) {
        if self.ranges.iter().map(|range| range.subnet).eq(subnets.iter().copied()) {
            return;
        }
        let former = std::mem::take(&mut self.ranges);
        self.ranges = subnets
            .iter()
            .map(|subnet| {
                let known = former.iter().find(|range| range.subnet == *subnet).cloned();
                known.unwrap_or(Range { subnet: *subnet, next: first(*subnet), released: VecDeque::new() })
            })
            .collect();
    }
}

impl Range {
    fn take(&mut self, held: &BTreeMap<IpAddr, Owner>) -> Option<IpAddr> {
        while self.next <= last(self.subnet) {
            let position = self.next;
            self.next += 1;
            let address = range::nth(self.subnet, position)?;
            // A range that overlaps a former one may have holders already.
            if !held.contains_key(&address) {
                return Some(address);
            }
        }
        while let Some(position) = self.released.pop_front() {
            let address = range::nth(self.subnet, position)?;
            if !held.contains_key(&address) {
                return Some(address);
            }
        }
        None
    }
}

fn is_small(subnet: IpNet) -> bool {
    range::len(subnet) <= 4
}

fn first(subnet: IpNet) -> u64 {
    if is_small(subnet) { 0 } else { FIRST_POSITION }
}

/// The last address of an IPv4 network is its broadcast address.
fn last(subnet: IpNet) -> u64 {
    let end = u64::try_from(range::len(subnet) - 1).unwrap_or(u64::MAX);
    if subnet.addr().is_ipv4() && !is_small(subnet) { end - 1 } else { end }
}

fn capacity(subnet: IpNet) -> u64 {
    (last(subnet) - first(subnet)).saturating_add(1)
}

fn is_usable(subnet: IpNet, address: IpAddr) -> bool {
    range::position(subnet, address).is_some_and(|position| (first(subnet)..=last(subnet)).contains(&position))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owner(id: impl ToString) -> Owner {
        Owner { container_id: id.to_string(), if_name: "eth0".into() }
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn fresh_addresses_first_then_the_longest_released() {
        let mut state = State::default();
        let subnets = [net("10.244.0.0/29")];
        let take = |state: &mut State, id: &str| {
            state.allocate(&subnets, &owner(id)).map(|addresses| addresses[0].to_string())
        };
        assert_eq!(take(&mut state, "a").unwrap(), "10.244.0.2");
        assert_eq!(take(&mut state, "b").unwrap(), "10.244.0.3");
        assert_eq!(take(&mut state, "b").unwrap(), "10.244.0.3");
        state.release(|holder| *holder == owner("b"));
        state.release(|holder| *holder == owner("a"));
        let order: Vec<_> = ["c", "d", "e", "f", "g"].map(|id| take(&mut state, id).unwrap()).into();
        assert_eq!(order, ["10.244.0.4", "10.244.0.5", "10.244.0.6", "10.244.0.3", "10.244.0.2"]);
        let error = take(&mut state, "h").unwrap_err();
        assert_eq!(error.to_string(), "no address is left in 10.244.0.0/29: all 5 are in use");
        assert_eq!(state.free(subnets[0]), 0);
    }

    #[test]
    fn both_families_or_none() {
        let mut state = State::default();
        let subnets = [net("10.244.0.0/24"), net("fd00::/127")];
        for id in 0..2 {
            assert_eq!(state.allocate(&subnets, &owner(id)).unwrap().len(), 2);
        }
        assert!(state.allocate(&subnets, &owner(2)).is_err());
        assert_eq!(state.allocations().len(), 4);
        assert_eq!(state.release(|_| true).len(), 4);
    }

    #[test]
    fn a_new_range_leaves_old_holders_alone() {
        let mut state = State::default();
        state.allocate(&[net("10.0.0.0/29")], &owner("old")).unwrap();
        // The new range contains the old one: what is held there is skipped.
        let all: Vec<_> =
            (0..13).map(|id| state.allocate(&[net("10.0.0.0/28")], &owner(id)).map(|a| a[0].to_string())).collect();
        assert!(!all.contains(&Ok("10.0.0.2".to_owned())));
        assert_eq!(all.iter().filter(|address| address.is_ok()).count(), 12);
        assert_eq!(state.release(|holder| *holder == owner("old")).len(), 1);
        assert_eq!(state.allocate(&[net("10.0.0.0/28")], &owner("new")).unwrap()[0].to_string(), "10.0.0.2");
    }

    #[test]
    fn the_whole_of_ipv6_does_not_overflow() {
        let mut state = State::default();
        assert_eq!(state.allocate(&[net("::/0")], &owner("a")).unwrap()[0].to_string(), "::2");
        assert_eq!(state.allocate(&[net("10.0.0.1/32")], &owner("a")).unwrap()[0].to_string(), "10.0.0.1");
    }

    proptest! {
        #[test]
        fn nothing_is_held_twice_or_lost(steps in proptest::collection::vec((0..12_u8, any::<bool>()), 0..200)) {
            let mut state = State::default();
            let subnet = net("10.0.0.0/28");
            let mut held: BTreeMap<u8, IpAddr> = BTreeMap::new();
            for (id, release) in steps {
                if release {
                    let released = state.release(|holder| *holder == owner(id));
                    prop_assert_eq!(released.first().map(|(address, _)| *address), held.remove(&id));
                } else {
                    let address = state.allocate(&[subnet], &owner(id)).unwrap()[0];
                    let others = held.iter().filter(|(other, _)| **other != id);
                    prop_assert!(others.map(|(_, address)| address).all(|other| *other != address));
                    prop_assert_eq!(*held.entry(id).or_insert(address), address);
                }
                prop_assert_eq!(state.free(subnet), 13 - held.len() as u64);
                let json = serde_json::to_string(&state).unwrap();
                prop_assert_eq!(&serde_json::from_str::<State>(&json).unwrap(), &state);
            }
        }
    }
}
