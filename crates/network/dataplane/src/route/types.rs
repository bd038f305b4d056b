//! What rtnetlink moves: links, addresses and routes as plain values.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub up: bool,
    pub mtu: u32,
    pub mac: Option<Mac>,
    /// `veth`, `bridge` and so on; empty for physical devices and loopback.
    pub kind: String,
    /// For one half of a veth pair, the index of the other half in its namespace.
    pub peer: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The index of the link that carries it.
    pub link: u32,
    /// The address with the length of its network's prefix.
    pub address: IpNet,
    pub scope: Scope,
}

/// How far a route or an address is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    Universe,
    Link,
    Host,
}

impl Scope {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Universe => libc::RT_SCOPE_UNIVERSE,
            Self::Link => libc::RT_SCOPE_LINK,
            Self::Host => libc::RT_SCOPE_HOST,
        }
    }

    pub(super) fn from_number(number: u8) -> Self {
        match number {
            libc::RT_SCOPE_LINK => Self::Link,
            libc::RT_SCOPE_HOST => Self::Host,
            _ => Self::Universe,
        }
    }
}

/// What a route does with packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteKind {
    Unicast,
    /// Refused with "host unreachable".
    Unreachable,
    /// Dropped silently.
    Blackhole,
}

impl RouteKind {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Unicast => libc::RTN_UNICAST,
            Self::Unreachable => libc::RTN_UNREACHABLE,
            Self::Blackhole => libc::RTN_BLACKHOLE,
        }
    }

    pub(super) fn from_number(number: u8) -> Option<Self> {
        match number {
            libc::RTN_UNICAST => Some(Self::Unicast),
            libc::RTN_UNREACHABLE => Some(Self::Unreachable),
            libc::RTN_BLACKHOLE => Some(Self::Blackhole),
            _ => None,
        }
    }
}

/// A route of the main table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route {
    pub destination: IpNet,
    pub kind: RouteKind,
    pub gateway: Option<IpAddr>,
    /// The index of the outgoing link.
    pub link: Option<u32>,
    /// The source address of packets that this node sends on the route.
    pub source: Option<IpAddr>,
    pub scope: Scope,
    /// Of several routes to one destination the smallest wins; `None` is the kernel's default.
    pub metric: Option<u32>,
    /// The largest packet, where that is not the link's.
    pub mtu: Option<u32>,
    /// Who made the route: a number of our own.
    pub protocol: u8,
    /// The gateway counts as reachable on the link whatever the addresses say.
    pub onlink: bool,
}

impl Route {
    /// A route to addresses that are directly on a link.
    pub fn on_link(destination: IpNet, link: u32, protocol: u8) -> Self {
        Self {
            destination,
            kind: RouteKind::Unicast,
            gateway: None,
            link: Some(link),
            source: None,
            scope: Scope::Link,
            metric: None,
            mtu: None,
            protocol,
            onlink: false,
        }
    }

    pub fn via(destination: IpNet, gateway: IpAddr, protocol: u8) -> Self {
        Self { gateway: Some(gateway), link: None, scope: Scope::Universe, ..Self::on_link(destination, 0, protocol) }
    }

    /// A route that refuses packets, for ranges in which nothing but more specific routes may answer.
    pub fn unreachable(destination: IpNet, protocol: u8) -> Self {
        Self {
            kind: RouteKind::Unreachable,
            link: None,
            scope: Scope::Universe,
            ..Self::on_link(destination, 0, protocol)
        }
    }
}

pub(super) fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

pub(super) fn from_octets(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(bytes.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}
