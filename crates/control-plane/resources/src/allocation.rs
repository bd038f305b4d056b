//! What objects take from stocks that the whole cluster shares: addresses and ports.
//!
//! A kind whose objects take something says so with an [`Allocation`], which is pure: it sees what is free through [`Stock`], and
//! returns what the object takes and gives back. Who writes the object writes these in the same transaction, and makes the
//! allocation anew when somebody else was quicker.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde_json::Value;
use windlass_api::field::Errors;

/// Something that one object holds and no other can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// An address of the Service ranges.
    Address(IpAddr),
    NodePort(u16),
}

/// What a write changes in the stocks.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    pub taken: Vec<Holding>,
    pub given_back: Vec<Holding>,
}

/// What there is to take.
pub trait Stock {
    /// The families of the cluster's Service ranges (`IPv4`, `IPv6`), the primary one first; at least one.
    fn families(&self) -> &[&'static str];

    /// A free address of the primary family.
    fn pick_address(&self) -> Option<IpAddr>;

    /// Says why an address cannot be taken: it is in no range, or it is taken.
    fn check_address(&self, address: IpAddr) -> Result<(), String>;

    /// The range of node ports.
    fn ports(&self) -> RangeInclusive<u16>;

    /// A free node port that is not in `except`.
    fn pick_port(&self, except: &[u16]) -> Option<u16>;

    fn is_port_taken(&self, port: u16) -> bool;
}

/// How objects of a kind are completed with what they take.
pub trait Allocation: Send + Sync {
    /// Completes a new object, or one that is to replace `old`.
    fn allocate(&self, stock: &dyn Stock, old: Option<&Value>, new: &mut Value) -> Result<Exchange, Errors>;

    /// Everything that an object holds.
    fn holdings(&self, object: &Value) -> Vec<Holding>;
}
