//! Cluster addresses: an IPAddress object for each that is taken.
//!
//! Source: KEP-1880; upstream `pkg/registry/core/service/ipallocator`.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use serde_json::{Value, json};
use windlass_api::Chance;
use windlass_machinery::json::Template;
use windlass_machinery::names;
use windlass_machinery::tree::{items, text};
use windlass_store::{Expect, Op, Range, Store};

use super::Holder;

pub(super) const TABLE: &str = "ipaddresses.networking.k8s.io";
const CIDRS: &str = "servicecidrs.networking.k8s.io";

/// The ranges that addresses come from: those of the ServiceCIDR objects, or `fallback` as long as there is none.
pub(super) fn ranges(store: &Store, fallback: Ipv4Net) -> Vec<Ipv4Net> {
    let state = store.table(CIDRS).state();
    let mut ranges = Vec::new();
    for item in state.iter(&Range::default()) {
        let Ok(object) = serde_json::from_slice::<Value>(&item.value) else { continue };
        if object["metadata"].get("deletionTimestamp").is_some() {
            continue;
        }
        ranges.extend(
            items(&object["spec"], "cidrs").filter_map(Value::as_str).filter_map(|cidr| cidr.parse::<Ipv4Net>().ok()),
        );
    }
    if ranges.is_empty() { vec![fallback] } else { ranges }
}

pub(super) fn is_taken(store: &Store, address: IpAddr) -> bool {
    store.table(TABLE).get(&address.to_string()).is_some()
}

/// A free address; the lower part of a range is left to those who choose their address themselves (KEP-3070), as long as there are others.
/// `seed` makes different callers look at different places.
pub(super) fn pick(store: &Store, ranges: &[Ipv4Net], seed: u64) -> Option<Ipv4Addr> {
    for range in ranges {
        let size = 1_u64 << (32 - range.prefix_len());
        let first = u64::from(u32::from(range.network()));
        // Neither the network's own address nor the broadcast address.
        let usable = size.saturating_sub(2).max(1);
        let reserved = reserved_for_choice(size);
        let upper = usable.saturating_sub(reserved).max(1);
        let start = seed % upper;
        let places = (0..upper).map(|n| reserved + (start + n) % upper).chain(0..reserved);
        for place in places.take(usable as usize) {
            let address = Ipv4Addr::from((first + 1 + place) as u32);
            if !is_taken(store, address.into()) {
                return Some(address);
            }
        }
    }
    None
}

/// How many addresses at the beginning are given out last: a sixteenth, at least 16, at most 256.
fn reserved_for_choice(size: u64) -> u64 {
    if size < 32 { 0 } else { (size / 16).clamp(16, 256) }
}

/// The write that takes an address.
pub(super) fn take(address: IpAddr, holder: &Holder<'_>, now: &str, chance: &Chance) -> Op {
    let Holder { group, resource, namespace, name } = holder;
    let object = json!({
        "metadata": {
            "name": address.to_string(),
            "uid": names::new_uid(chance),
            "creationTimestamp": now,
            "labels": {
                "ipaddress.kubernetes.io/ip-family": if address.is_ipv4() { "IPv4" } else { "IPv6" },
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            },
        },
        "spec": {"parentRef": {"group": group, "resource": resource, "namespace": namespace, "name": name}},
    });
    Op {
        table: TABLE.into(),
        key: address.to_string(),
        expect: Expect::Absent,
        put: Some(Template::new(&object)),
        last: None,
        expires: 0,
    }
}

/// The write that gives an address back, if it is this holder's.
pub(super) fn give_back(store: &Store, address: IpAddr, holder: &Holder<'_>) -> Option<Op> {
    let item = store.table(TABLE).get(&address.to_string())?;
    let object: Value = serde_json::from_slice(&item.value).ok()?;
    let parent = &object["spec"]["parentRef"];
    let ours = text(parent, "namespace") == holder.namespace && text(parent, "name") == holder.name;
    ours.then(|| Op {
        table: TABLE.into(),
        key: address.to_string(),
        expect: Expect::Revision(item.revision),
        put: None,
        last: None,
        expires: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserved_part() {
        assert_eq!(reserved_for_choice(65_536), 256);
        assert_eq!(reserved_for_choice(4096), 256);
        assert_eq!(reserved_for_choice(256), 16);
        assert_eq!(reserved_for_choice(16), 0);
    }
}
