//! Ranges for nodes: the cluster's range cut into equal parts, one for each node (`spec.podCIDR`).
//!
//! As upstream's range allocator it is kept in memory, and made anew from the Node objects at start: [`NodeCidrs::occupy`] for every
//! node that has a range, [`NodeCidrs::allocate`] for those without, [`NodeCidrs::release`] for those that have gone. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

/// More parts than this need too much memory; upstream has the same bound (16 bits between the two masks).
const PARTS_MAX: u64 = 1 << 16;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("node mask size {node_mask} is not longer than the prefix of cluster range {cluster}")]
    MaskTooShort { cluster: IpNet, node_mask: u8 },
    #[error("cluster range {cluster} has more than 65536 parts of node mask size {node_mask}: use a shorter mask")]
    TooManyParts { cluster: IpNet, node_mask: u8 },
    #[error("cluster range {cluster} has no part left for another node")]
    Exhausted { cluster: IpNet },
    #[error("{cidr} is not within cluster range {cluster}")]
    Outside { cluster: IpNet, cidr: IpNet },
}

#[derive(Clone, Debug)]
pub(super) struct NodeCidrs {
    cluster: IpNet,
    node_mask: u8,
    used: Vec<bool>,
    /// Where the next search starts, so that a part that was just given back is the last to be used again.
    next: usize,
}

impl NodeCidrs {
    pub(super) fn new(cluster: IpNet, node_mask: u8) -> Result<Self, Error> {
        let cluster = cluster.trunc();
        if node_mask < cluster.prefix_len() || node_mask > cluster.max_prefix_len() {
            return Err(Error::MaskTooShort { cluster, node_mask });
        }
        let parts = 1_u64.checked_shl((node_mask - cluster.prefix_len()).into()).filter(|parts| *parts <= PARTS_MAX);
        let Some(parts) = parts else { return Err(Error::TooManyParts { cluster, node_mask }) };
        Ok(Self { cluster, node_mask, used: vec![false; parts as usize], next: 0 })
    }

    pub(super) fn allocate(&mut self) -> Result<IpNet, Error> {
        let parts = self.used.len();
        let free = (0..parts).map(|step| (self.next + step) % parts).find(|number| !self.used[*number]);
        let Some(number) = free else { return Err(Error::Exhausted { cluster: self.cluster }) };
        self.used[number] = true;
        self.next = (number + 1) % parts;
        Ok(self.part(number))
    }

    /// Marks all parts that `cidr` touches as used; it may be larger or smaller than a part.
    pub(super) fn occupy(&mut self, cidr: IpNet) -> Result<(), Error> {
        self.mark(cidr, true)
    }

    pub(super) fn release(&mut self, cidr: IpNet) -> Result<(), Error> {
        self.mark(cidr, false)
    }

    fn mark(&mut self, cidr: IpNet, used: bool) -> Result<(), Error> {
        let outside = Error::Outside { cluster: self.cluster, cidr };
        if cidr.addr().is_ipv4() != self.cluster.addr().is_ipv4() {
            return Err(outside);
        }
        if cidr.contains(&self.cluster) {
            self.used.fill(used);
            return Ok(());
        }
        if !self.cluster.contains(&cidr) {
            return Err(outside);
        }
        let (first, last) = (self.number(cidr.network()), self.number(cidr.broadcast()));
        self.used[first..=last].fill(used);
        Ok(())
    }

    /// How far the number of a part is to the left in an address.
    fn shift(&self) -> u32 {
        (self.cluster.max_prefix_len() - self.node_mask).into()
    }

    /// The number of the part that an address of the cluster's range is in.
    fn number(&self, address: IpAddr) -> usize {
        ((bits(address) - bits(self.cluster.network())) >> self.shift()) as usize
    }

    fn part(&self, number: usize) -> IpNet {
        let first = bits(self.cluster.network()) + ((number as u128) << self.shift());
        let address = match self.cluster {
            IpNet::V4(_) => IpAddr::V4((first as u32).into()),
            IpNet::V6(_) => IpAddr::V6(first.into()),
        };
        IpNet::new_assert(address, self.node_mask)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn parts_go_round() {
        let mut cidrs = NodeCidrs::new(net("10.244.0.0/22"), 24).unwrap();
        cidrs.occupy(net("10.244.1.0/24")).unwrap();
        assert_eq!(cidrs.allocate().unwrap(), net("10.244.0.0/24"));
        cidrs.release(net("10.244.0.0/24")).unwrap();
        assert_eq!(cidrs.allocate().unwrap(), net("10.244.2.0/24"));
        assert_eq!(cidrs.allocate().unwrap(), net("10.244.3.0/24"));
        assert_eq!(cidrs.allocate().unwrap(), net("10.244.0.0/24"));
        assert_eq!(cidrs.allocate(), Err(Error::Exhausted { cluster: net("10.244.0.0/22") }));
    }

    #[test]
    fn ranges_of_other_sizes_are_marked_whole() {
        let mut cidrs = NodeCidrs::new(net("10.0.0.0/22"), 24).unwrap();
        cidrs.occupy(net("10.0.0.128/25")).unwrap();
        cidrs.occupy(net("10.0.2.0/23")).unwrap();
        assert_eq!(cidrs.allocate().unwrap(), net("10.0.1.0/24"));
        cidrs.release(net("10.0.0.0/8")).unwrap();
        assert_eq!(cidrs.used, [false; 4]);
        assert!(cidrs.occupy(net("10.0.4.0/24")).is_err());
        assert!(cidrs.occupy(net("fd00::/64")).is_err());
    }

    #[test]
    fn bad_masks_are_refused() {
        assert!(NodeCidrs::new(net("10.0.0.0/16"), 15).is_err());
        assert!(NodeCidrs::new(net("10.0.0.0/16"), 33).is_err());
        assert!(NodeCidrs::new(net("10.0.0.0/8"), 25).is_err());
        assert!(NodeCidrs::new(net("fd00::/48"), 64).is_ok());
    }
}
