//! A block: a small range of a pool whose addresses are handed out one by one.
//!
//! The fields and their JSON form are those of Calico's `IPAMBlock`, so that a block read by either side means the same. Free
//! positions form a queue: what is released goes to its end, so an address rests as long as possible before it is used again.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::range;

/// Blocks hold their state as lists, so they must stay small.
pub const ADDRESSES_MAX: u128 = 4096;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("block {cidr} is larger than {ADDRESSES_MAX} addresses")]
    TooLarge { cidr: IpNet },
    #[error("{address} is not in block {cidr}")]
    Outside { cidr: IpNet, address: IpAddr },
    #[error("{address} is already assigned")]
    Taken { address: IpAddr },
}

/// Who holds an address, and what is worth knowing about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// What releases the address: in Calico's words the "primary" attribute.
    #[serde(rename = "handle_id", default, skip_serializing_if = "Option::is_none")]
    pub handle_id: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secondary: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Block {
    pub cidr: IpNet,
    /// `host:` and the node's name, while the block belongs to a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<String>,
    /// For each position the index in `attributes` of who holds it.
    pub allocations: Vec<Option<usize>>,
    /// Free positions, the next one first.
    pub unallocated: Vec<usize>,
    #[serde(default)]
    pub attributes: Vec<Attribute>,
    /// The block is about to be removed: nothing may be assigned from it.
    #[serde(default)]
    pub deleted: bool,
    /// Grows with every change, so that a late release of an address cannot hit its next holder.
    #[serde(default)]
    pub sequence_number: u64,
    /// The sequence number with which each position was assigned.
    #[serde(default)]
    pub sequence_number_for_allocation: BTreeMap<String, u64>,
}

impl Block {
    pub fn new(cidr: IpNet, host: Option<&str>) -> Result<Self, Error> {
        let cidr = cidr.trunc();
        let addresses = range::len(cidr);
        if addresses > ADDRESSES_MAX {
            return Err(Error::TooLarge { cidr });
        }
        let addresses = addresses as usize;
        Ok(Self {
            cidr,
            affinity: host.map(affinity_of),
            allocations: vec![None; addresses],
            unallocated: (0..addresses).collect(),
            attributes: Vec::new(),
            deleted: false,
            sequence_number: 0,
            sequence_number_for_allocation: BTreeMap::new(),
        })
    }

    pub fn belongs_to(&self, host: &str) -> bool {
        self.affinity.as_deref().and_then(|affinity| affinity.strip_prefix("host:")) == Some(host)
    }

    /// Nothing is assigned.
    pub fn is_empty(&self) -> bool {
        self.allocations.iter().all(Option::is_none)
    }

    pub fn assigned_count(&self) -> usize {
        self.allocations.iter().filter(|allocation| allocation.is_some()).count()
    }

    /// Assigns up to `count` free addresses, none of them within `reserved`.
    pub fn assign(&mut self, count: usize, attribute: &Attribute, reserved: &[IpNet]) -> Vec<IpAddr> {
        if self.deleted || count == 0 {
            return Vec::new();
        }
        let mut assigned = Vec::new();
        let mut kept = Vec::new();
        for position in std::mem::take(&mut self.unallocated) {
            let address = range::nth(self.cidr, position as u64);
            match address.filter(|address| !reserved.iter().any(|net| net.contains(address))) {
                Some(address) if assigned.len() < count && position < self.allocations.len() => {
                    self.hold(position, attribute);
                    assigned.push(address);
                }
                _ => kept.push(position),
            }
        }
        self.unallocated = kept;
        assigned
    }

    /// Assigns one particular address.
    pub fn assign_address(&mut self, address: IpAddr, attribute: &Attribute) -> Result<(), Error> {
        let outside = Error::Outside { cidr: self.cidr, address };
        let position = range::position(self.cidr, address).ok_or(outside)? as usize;
        if self.deleted || !self.unallocated.contains(&position) {
            return Err(Error::Taken { address });
        }
        self.unallocated.retain(|free| *free != position);
        self.hold(position, attribute);
        Ok(())
    }

    /// Releases addresses; those that are not assigned are ignored. Returns how many each handle held.
    pub fn release(&mut self, addresses: &[IpAddr]) -> BTreeMap<String, usize> {
        let positions: Vec<usize> =
            addresses.iter().filter_map(|address| Some(range::position(self.cidr, *address)? as usize)).collect();
        self.release_where(|position, _| positions.contains(&position))
    }

    /// Releases all that a handle holds. Returns how many that were.
    pub fn release_handle(&mut self, handle: &str) -> usize {
        let released = self.release_where(|_, attribute| attribute.handle_id.as_deref() == Some(handle));
        released.into_values().sum()
    }

    /// The addresses that a handle holds.
    pub fn addresses_of(&self, handle: &str) -> Vec<IpAddr> {
        let held = |index: &Option<usize>| {
            index.and_then(|index| self.attributes.get(index)).is_some_and(|a| a.handle_id.as_deref() == Some(handle))
        };
        let positions = self.allocations.iter().enumerate().filter(|(_, index)| held(index));
        positions.filter_map(|(position, _)| range::nth(self.cidr, position as u64)).collect()
    }

    /// Takes a position that is no longer in the queue.
    fn hold(&mut self, position: usize, attribute: &Attribute) {
        let index = self.attributes.iter().position(|known| known == attribute).unwrap_or_else(|| {
            self.attributes.push(attribute.clone());
            self.attributes.len() - 1
        });
        self.sequence_number += 1;
        self.allocations[position] = Some(index);
        self.sequence_number_for_allocation.insert(position.to_string(), self.sequence_number);
    }

    fn release_where(&mut self, matches: impl Fn(usize, &Attribute) -> bool) -> BTreeMap<String, usize> {
        let nobody = Attribute::default();
        let mut released = BTreeMap::new();
        for position in 0..self.allocations.len() {
            let Some(index) = self.allocations[position] else { continue };
            let attribute = self.attributes.get(index).unwrap_or(&nobody);
            if !matches(position, attribute) {
                continue;
            }
            if let Some(handle) = &attribute.handle_id {
                *released.entry(handle.clone()).or_default() += 1;
            }
            self.allocations[position] = None;
            self.unallocated.push(position);
            self.sequence_number_for_allocation.remove(&position.to_string());
            self.sequence_number += 1;
        }
        self.drop_unused_attributes();
        released
    }

    fn drop_unused_attributes(&mut self) {
        let mut kept = Vec::new();
        let mut moved: BTreeMap<usize, usize> = BTreeMap::new();
        for allocation in self.allocations.iter_mut().flatten() {
            *allocation = *moved.entry(*allocation).or_insert_with(|| {
                kept.push(self.attributes.get(*allocation).cloned().unwrap_or_default());
                kept.len() - 1
            });
        }
        self.attributes = kept;
    }
}

pub(crate) fn affinity_of(host: &str) -> String {
    format!("host:{host}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute(handle: &str) -> Attribute {
        Attribute { handle_id: Some(handle.into()), secondary: BTreeMap::new() }
    }

    #[test]
    fn released_addresses_rest() {
        let mut block = Block::new("10.0.0.0/30".parse().unwrap(), Some("n1")).unwrap();
        let first = block.assign(2, &attribute("a"), &[]);
        assert_eq!(first, ["10.0.0.0".parse::<IpAddr>().unwrap(), "10.0.0.1".parse().unwrap()]);
        assert_eq!(block.release(&first[..1]), BTreeMap::from([("a".into(), 1)]));
        let texts = |addresses: Vec<IpAddr>| addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(block.assign(9, &attribute("b"), &[])), ["10.0.0.2", "10.0.0.3", "10.0.0.0"]);
        assert_eq!(block.release_handle("a"), 1);
        assert_eq!(block.release_handle("a"), 0);
        assert_eq!(texts(block.addresses_of("b")), ["10.0.0.0", "10.0.0.2", "10.0.0.3"]);
        assert_eq!(block.attributes, [attribute("b")]);
    }

    #[test]
    fn reserved_and_deleted_are_left_alone() {
        let mut block = Block::new("10.0.0.0/29".parse().unwrap(), None).unwrap();
        let reserved = ["10.0.0.0/30".parse().unwrap()];
        assert_eq!(block.assign(1, &attribute("a"), &reserved), ["10.0.0.4".parse::<IpAddr>().unwrap()]);
        assert!(block.assign_address("10.0.0.4".parse().unwrap(), &attribute("b")).is_err());
        assert!(block.assign_address("10.0.1.4".parse().unwrap(), &attribute("b")).is_err());
        block.assign_address("10.0.0.1".parse().unwrap(), &attribute("b")).unwrap();
        block.deleted = true;
        assert_eq!(block.assign(1, &attribute("a"), &[]), Vec::<IpAddr>::new());
        assert!(Block::new("10.0.0.0/16".parse().unwrap(), None).is_err());
    }

    #[test]
    fn the_json_is_calicos() {
        let mut block = Block::new("10.0.0.0/31".parse().unwrap(), Some("n1")).unwrap();
        block.assign(1, &attribute("h"), &[]);
        let json = serde_json::to_string(&block).unwrap();
        assert_eq!(
            json,
            r#"{"cidr":"10.0.0.0/31","affinity":"host:n1","allocations":[0,null],"unallocated":[1],"attributes":[{"handle_id":"h"}],"deleted":false,"sequenceNumber":1,"sequenceNumberForAllocation":{"0":1}}"#
        );
        assert_eq!(serde_json::from_str::<Block>(&json).unwrap(), block);
    }

    proptest! {
        #[test]
        fn no_address_is_held_twice(steps in proptest::collection::vec((0..4_u8, 0..3_usize, any::<bool>()), 0..60)) {
            let mut block = Block::new("10.0.0.0/29".parse().unwrap(), None).unwrap();
            let mut held: Vec<(IpAddr, u8)> = Vec::new();
            for (who, count, release) in steps {
                let handle = who.to_string();
                if release {
                    let before = held.iter().filter(|(_, holder)| *holder == who).count();
                    prop_assert_eq!(block.release_handle(&handle), before);
                    held.retain(|(_, holder)| *holder != who);
                } else {
                    let assigned = block.assign(count, &attribute(&handle), &[]);
                    prop_assert_eq!(assigned.len(), count.min(8 - held.len()));
                    for address in assigned {
                        prop_assert!(held.iter().all(|(other, _)| *other != address));
                        held.push((address, who));
                    }
                }
                prop_assert_eq!(block.assigned_count(), held.len());
                prop_assert_eq!(block.unallocated.len() + held.len(), 8);
                prop_assert!(block.attributes.len() <= 4);
            }
        }
    }
}
