//! What objects of some kinds take from stocks when they are written ([`windlass_resources::allocation`]), as writes to the store.
//!
//! Everything that is taken is an object of its own (an IPAddress, or a row of a hidden table), written in the same transaction as
//! the object that takes it. So nothing is ever taken twice, nothing leaks, and a crash leaves no half of it.

mod addresses;
mod ports;

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::Ipv4Net;
use serde_json::Value;
use windlass_api::Status;
use windlass_machinery::tree::text;
use windlass_resources::allocation::{Exchange, Holding, Stock};
use windlass_store::Op;

use crate::registry::Served;
use crate::storage::Storage;

/// Completes an object that is to be written with what it takes; returns the writes that take and give back.
pub(crate) fn write(
    storage: &Storage,
    served: &Served,
    old: Option<&Value>,
    new: &mut Value,
) -> Result<Vec<Op>, Status> {
    let resource = &served.resource;
    let Some(allocation) = resource.strategy.allocation() else { return Ok(Vec::new()) };
    let stock = Shelf {
        storage,
        ranges: addresses::ranges(&storage.store, storage.service_cidr),
        seed: storage.chance.number(),
    };
    let name = text(&new["metadata"], "name").to_owned();
    let exchange = allocation
        .allocate(&stock, old, new)
        .map_err(|errors| Status::invalid(&resource.kind.group, &resource.kind.kind, &name, &errors))?;
    Ok(writes(storage, &Holder::of(served, new), exchange))
}

/// The writes that give everything back that an object holds.
pub(crate) fn delete(storage: &Storage, served: &Served, old: &Value) -> Vec<Op> {
    let Some(allocation) = served.resource.strategy.allocation() else { return Vec::new() };
    let exchange = Exchange { given_back: allocation.holdings(old), ..Exchange::default() };
    writes(storage, &Holder::of(served, old), exchange)
}

/// The object that holds something.
struct Holder<'a> {
    group: &'a str,
    resource: &'a str,
    namespace: &'a str,
    name: &'a str,
}

impl<'a> Holder<'a> {
    fn of(served: &'a Served, object: &'a Value) -> Self {
        let metadata = &object["metadata"];
        Self {
            group: &served.resource.kind.group,
            resource: &served.resource.plural,
            namespace: text(metadata, "namespace"),
            name: text(metadata, "name"),
        }
    }
}

fn writes(storage: &Storage, holder: &Holder<'_>, exchange: Exchange) -> Vec<Op> {
    let now = storage.clock.now_rfc3339();
    let taken = exchange.taken.into_iter().map(|holding| match holding {
        Holding::Address(address) => addresses::take(address, holder, &now, &storage.chance),
        Holding::NodePort(port) => ports::take(port, holder),
    });
    let given_back = exchange.given_back.into_iter().filter_map(|holding| match holding {
        Holding::Address(address) => addresses::give_back(&storage.store, address, holder),
        Holding::NodePort(port) => ports::give_back(&storage.store, port, holder),
    });
    taken.chain(given_back).collect()
}

/// The stocks as they are now.
struct Shelf<'a> {
    storage: &'a Storage,
    ranges: Vec<Ipv4Net>,
    /// Makes different callers look at different places.
    seed: u64,
}

impl Stock for Shelf<'_> {
    fn families(&self) -> &[&'static str] {
        &["IPv4"]
    }

    fn pick_address(&self) -> Option<IpAddr> {
        addresses::pick(&self.storage.store, &self.ranges, self.seed).map(IpAddr::from)
    }

    fn check_address(&self, address: IpAddr) -> Result<(), String> {
        let within = matches!(address, IpAddr::V4(v4) if self.ranges.iter().any(|range| range.contains(&v4)));
        if !within {
            let all: Vec<String> = self.ranges.iter().map(ToString::to_string).collect();
            return Err(format!(
                "the provided IP ({address}) is not in the valid range. The range of valid IPs is {}",
                all.join(",")
            ));
        }
        if addresses::is_taken(&self.storage.store, address) {
            return Err("provided IP is already allocated".to_owned());
        }
        Ok(())
    }

    fn ports(&self) -> RangeInclusive<u16> {
        self.storage.node_ports.clone()
    }

    fn pick_port(&self, except: &[u16]) -> Option<u16> {
        ports::pick(&self.storage.store, &self.storage.node_ports, except, self.seed)
    }

    fn is_port_taken(&self, port: u16) -> bool {
        ports::is_taken(&self.storage.store, port)
    }
}
