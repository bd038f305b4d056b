//! Which block an address comes from: the decisions of Calico's IPAM, without its I/O.
//!
//! [`assign`] looks at all blocks and returns those that change: the node's own blocks first, then a block that nobody has,
//! then (unless affinity is strict) free addresses of other nodes' blocks. The caller writes the changed blocks with their
//! resourceVersion; on a conflict it reads again and asks again.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::block::{Attribute, Block, affinity_of};
use crate::hash::fnv1a;
use crate::range;

/// A range from which pods get addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    pub cidr: IpNet,
    /// The prefix length of its blocks. Calico's defaults are 26 for IPv4 and 122 for IPv6.
    pub block_size: u8,
    /// Keeps its addresses, gives out no more.
    #[serde(default)]
    pub disabled: bool,
}

/// How many addresses a handle holds in each block (Calico's `IPAMHandle`): what must be looked at to release them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handle {
    #[serde(rename = "handleID")]
    pub handle_id: String,
    pub block: BTreeMap<String, usize>,
}

impl Handle {
    pub fn new(handle_id: impl Into<String>) -> Self {
        Self { handle_id: handle_id.into(), block: BTreeMap::new() }
    }

    pub fn add(&mut self, block: IpNet, count: usize) {
        *self.block.entry(block.to_string()).or_default() += count;
    }

    pub fn remove(&mut self, block: IpNet, count: usize) {
        let key = block.to_string();
        if let Some(held) = self.block.get_mut(&key) {
            *held = held.saturating_sub(count);
            if *held == 0 {
                self.block.remove(&key);
            }
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub host: &'a str,
    pub count: usize,
    pub attribute: Attribute,
    /// Pools to use, the preferred one first.
    pub pools: &'a [Pool],
    /// Addresses that must not be given out.
    pub reserved: &'a [IpNet],
    /// Never take addresses of other nodes' blocks.
    pub strict_affinity: bool,
    /// The most blocks one node may have. Calico's default is 20.
    pub blocks_per_host_max: usize,
}

/// What is to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Fewer than asked for when there are no more.
    pub addresses: Vec<IpAddr>,
    /// Blocks that changed or are new.
    pub blocks: Vec<Block>,
}

/// Decides where `request.count` addresses come from. `blocks` holds all blocks of the cluster by their range.
pub fn assign(request: &Request<'_>, blocks: &BTreeMap<IpNet, Block>) -> Plan {
    let mut plan = Plan::default();
    let usable = |block: &Block| request.pools.iter().any(|pool| !pool.disabled && pool.cidr.contains(&block.cidr));
    let own: Vec<&Block> = blocks.values().filter(|block| block.belongs_to(request.host)).collect();
    for block in own.iter().filter(|block| usable(block)) {
        plan.take(request, (*block).clone());
    }
    let mut host_blocks = own.len();
    for pool in request.pools.iter().filter(|pool| !pool.disabled) {
        for cidr in candidates(pool, request.host) {
            if plan.is_complete(request) || host_blocks >= request.blocks_per_host_max {
                break;
            }
            let Some(block) = claim(cidr, request.host, blocks) else { continue };
            host_blocks += usize::from(plan.take(request, block));
        }
    }
    if !request.strict_affinity {
        for block in blocks.values().filter(|block| !block.belongs_to(request.host) && usable(block)) {
            // What was claimed above is in the plan already.
            if !plan.blocks.iter().any(|planned| planned.cidr == block.cidr) {
                plan.take(request, block.clone());
            }
        }
    }
    plan
}

/// Gives back all that a handle holds. The second list has blocks that are empty and belong to nobody: they can be removed.
pub fn release_handle<'a>(handle: &str, blocks: impl IntoIterator<Item = &'a Block>) -> (Vec<Block>, Vec<IpNet>) {
    let mut changed = Vec::new();
    let mut removable = Vec::new();
    for block in blocks {
        let mut block = block.clone();
        if block.release_handle(handle) == 0 {
            continue;
        }
        if block.is_empty() && block.affinity.is_none() {
            removable.push(block.cidr);
        } else {
            changed.push(block);
        }
    }
    (changed, removable)
}

/// Takes a node's blocks from it, because the node is gone: blocks with addresses lose their affinity, the others go.
pub fn release_host<'a>(host: &str, blocks: impl IntoIterator<Item = &'a Block>) -> (Vec<Block>, Vec<IpNet>) {
    let mine = blocks.into_iter().filter(|block| block.belongs_to(host));
    let (empty, used): (Vec<&Block>, Vec<&Block>) = mine.partition(|block| block.is_empty());
    let orphans = used.into_iter().map(|block| Block { affinity: None, ..block.clone() }).collect();
    (orphans, empty.into_iter().map(|block| block.cidr).collect())
}

impl Plan {
    fn is_complete(&self, request: &Request<'_>) -> bool {
        self.addresses.len() >= request.count
    }

    /// Takes what is still missing from a block; whether that was anything.
    fn take(&mut self, request: &Request<'_>, mut block: Block) -> bool {
        let missing = request.count - self.addresses.len();
        let addresses = block.assign(missing, &request.attribute, request.reserved);
        if addresses.is_empty() {
            return false;
        }
        self.addresses.extend(addresses);
        self.blocks.push(block);
        true
    }
}

/// The blocks of a pool in an order that begins at a different place for each node, so that nodes seldom race for one.
fn candidates(pool: &Pool, host: &str) -> impl Iterator<Item = IpNet> {
    let count = range::parts(pool.cidr, pool.block_size);
    let start = if count == 0 { 0 } else { fnv1a(host.as_bytes()) % count };
    let (cidr, block_size) = (pool.cidr, pool.block_size);
    (start..count).chain(0..start).filter_map(move |number| range::part(cidr, block_size, number))
}

/// A new block, or one that lost its node.
fn claim(cidr: IpNet, host: &str, blocks: &BTreeMap<IpNet, Block>) -> Option<Block> {
    match blocks.get(&cidr) {
        None => Block::new(cidr, Some(host)).ok(),
        Some(block) if block.affinity.is_none() && !block.deleted => {
            Some(Block { affinity: Some(affinity_of(host)), ..block.clone() })
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pool(cidr: &str, block_size: u8) -> Pool {
        Pool { cidr: cidr.parse().unwrap(), block_size, disabled: false }
    }

    fn request<'a>(host: &'a str, count: usize, pools: &'a [Pool]) -> Request<'a> {
        Request {
            host,
            count,
            attribute: Attribute { handle_id: Some(format!("{host}-handle")), ..Attribute::default() },
            pools,
            reserved: &[],
            strict_affinity: false,
            blocks_per_host_max: 20,
        }
    }

    fn write(blocks: &mut BTreeMap<IpNet, Block>, plan: Plan) -> Vec<IpAddr> {
        blocks.extend(plan.blocks.into_iter().map(|block| (block.cidr, block)));
        plan.addresses
    }

    #[test]
    fn own_blocks_then_new_ones_then_those_of_others() {
        let pools = [pool("10.0.0.0/28", 30)];
        let mut blocks = BTreeMap::new();
        let plan = assign(&request("a", 3, &pools), &blocks);
        assert_eq!((plan.addresses.len(), plan.blocks.len()), (3, 1));
        write(&mut blocks, plan);
        let plan = assign(&request("a", 2, &pools), &blocks);
        assert_eq!((plan.addresses.len(), plan.blocks.len()), (2, 2));
        write(&mut blocks, plan);
        let plan = assign(&request("b", 6, &pools), &blocks);
        write(&mut blocks, plan);
        assert_eq!(blocks.values().filter(|block| block.belongs_to("b")).count(), 2);
        // All blocks have a node now: b fills its own and borrows the rest from a.
        let plan = assign(&request("b", 9, &pools), &blocks);
        assert_eq!(plan.addresses.len(), 5);
        let strict = Request { strict_affinity: true, ..request("b", 9, &pools) };
        assert_eq!(assign(&strict, &blocks).addresses.len(), 2);
    }

    #[test]
    fn limits_hold() {
        let pools = [pool("10.0.0.0/26", 30), Pool { disabled: true, ..pool("10.1.0.0/26", 30) }];
        let limited = Request { blocks_per_host_max: 2, ..request("a", 20, &pools) };
        assert_eq!(assign(&limited, &BTreeMap::new()).addresses.len(), 8);
        let reserved = ["10.0.0.0/26".parse().unwrap()];
        let nothing = Request { reserved: &reserved, ..request("a", 1, &pools) };
        assert_eq!(assign(&nothing, &BTreeMap::new()), Plan::default());
        let too_small = [pool("10.0.0.0/30", 26)];
        assert_eq!(assign(&request("a", 1, &too_small), &BTreeMap::new()), Plan::default());
    }

    #[test]
    fn a_gone_node_leaves_its_pods_addresses() {
        let pools = [pool("10.0.0.0/28", 30)];
        let mut blocks = BTreeMap::new();
        let plan = assign(&request("a", 4, &pools), &blocks);
        write(&mut blocks, plan);
        let (orphans, removable) = release_host("a", blocks.values());
        assert_eq!((orphans.len(), removable.len()), (1, 0));
        let (changed, removable) = release_handle("a-handle", &orphans);
        assert_eq!((changed, removable), (vec![], vec![orphans[0].cidr]));
        // Another node takes the orphan over.
        blocks.insert(orphans[0].cidr, orphans[0].clone());
        let plan = assign(&request("b", 16, &pools), &blocks);
        assert_eq!(plan.addresses.len(), 12);
    }

    #[test]
    fn handles_count() {
        let mut handle = Handle::new("h");
        let cidr = "10.0.0.0/26".parse().unwrap();
        handle.add(cidr, 2);
        assert_eq!(serde_json::to_string(&handle).unwrap(), r#"{"handleID":"h","block":{"10.0.0.0/26":2}}"#);
        handle.remove(cidr, 3);
        assert_eq!(handle.block, BTreeMap::new());
    }

    proptest! {
        #[test]
        fn no_address_goes_to_two_nodes(steps in proptest::collection::vec((0..5_u8, 1..9_usize, any::<bool>()), 0..40)) {
            let pools = [pool("10.0.0.0/27", 29), pool("fd00::/123", 125)];
            let mut blocks: BTreeMap<IpNet, Block> = BTreeMap::new();
            let mut held: BTreeMap<IpAddr, String> = BTreeMap::new();
            for (node, count, release) in steps {
                let host = format!("node-{node}");
                let handle = format!("{host}-handle");
                if release {
                    let (changed, removable) = release_handle(&handle, blocks.values());
                    blocks.extend(changed.into_iter().map(|block| (block.cidr, block)));
                    removable.iter().for_each(|cidr| drop(blocks.remove(cidr)));
                    held.retain(|_, holder| *holder != handle);
                } else {
                    let plan = assign(&request(&host, count, &pools), &blocks);
                    prop_assert_eq!(plan.addresses.len(), count.min(64 - held.len()));
                    for address in write(&mut blocks, plan) {
                        prop_assert_eq!(held.insert(address, handle.clone()), None);
                    }
                }
                prop_assert_eq!(blocks.values().map(Block::assigned_count).sum::<usize>(), held.len());
            }
        }
    }
}
