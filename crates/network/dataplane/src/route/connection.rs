//! The connection to one network namespace's links and routes, and what can be read from it.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::types::{from_octets, octets};
use super::{Address, Link, Mac, Requests, Route, RouteKind, Scope};
use crate::netlink::{Attributes, Builder, Dump, Message, Protocol, Socket, read_u32};
use crate::{Error, Netns, Result};

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const IFINFOMSG_BYTES: usize = 16;
const IFADDRMSG_BYTES: usize = 8;
const RTMSG_BYTES: usize = 12;
const RTAX_MTU: u16 = 2;
const RTNH_F_ONLINK: u32 = 4;
const ATTEMPTS_MAX: u32 = 20;

/// An open rtnetlink socket. Changes need CAP_NET_ADMIN in the namespace's user namespace; reading needs nothing.
#[derive(Debug)]
pub struct Rtnetlink {
    pub(super) socket: Socket,
}

impl Rtnetlink {
    pub fn open(netns: &Netns) -> Result<Self> {
        let socket = netns.run(|| Socket::open(Protocol::Route)).and_then(|socket| socket);
        Ok(Self { socket: socket.map_err(Error::socket("open an rtnetlink socket"))? })
    }

    /// The link of that name, if there is one.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>> {
        let sequence = self.socket.next_sequence();
        let mut builder = Builder::default();
        builder.begin(libc::RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK, sequence);
        builder.fixed(&[0; IFINFOMSG_BYTES]);
        builder.string(libc::IFLA_IFNAME, name);
        builder.end();
        let bytes = builder.bytes().ok_or(Error::Oversized { action: "look for a link" })?;
        let mut found = None;
        let refusal =
            self.socket.query(bytes, |message| found = link(message)).map_err(Error::socket("look for a link"))?;
        match refusal {
            None => Ok(found),
            Some(refusal) if refusal.errno == libc::ENODEV => Ok(None),
            Some(refusal) => Err(Error::refused(format!("show link {name}"), refusal)),
        }
    }

    pub fn links(&mut self) -> Result<Vec<Link>> {
        self.dump(libc::RTM_GETLINK, &[0; IFINFOMSG_BYTES], "links", link)
    }

    pub fn addresses(&mut self) -> Result<Vec<Address>> {
        self.dump(libc::RTM_GETADDR, &[0; IFADDRMSG_BYTES], "addresses", address)
    }

    /// The main table's unicast, unreachable and blackhole routes.
    pub fn routes(&mut self) -> Result<Vec<Route>> {
        self.dump(libc::RTM_GETROUTE, &[0; RTMSG_BYTES], "routes", route)
    }

    /// Makes the routes that carry `protocol` those that are wanted. Returns how many were added and removed.
    pub fn sync_routes(&mut self, protocol: u8, wanted: &[Route]) -> Result<(usize, usize)> {
        let wanted: Vec<Route> = wanted.iter().map(as_read_back).collect();
        let wanted: BTreeSet<&Route> = wanted.iter().collect();
        let present = self.routes()?;
        let present: BTreeSet<&Route> = present.iter().filter(|route| route.protocol == protocol).collect();
        let mut requests = Requests::new();
        let identity = |route: &Route| (route.destination.trunc(), route.metric);
        let missing: Vec<_> = wanted.difference(&present).collect();
        let kept: BTreeSet<_> = wanted.iter().map(|route| identity(route)).collect();
        // What has the destination and metric of a wanted route is replaced, so that there is no moment without a route.
        let stale: Vec<_> = present.difference(&wanted).filter(|route| !kept.contains(&identity(route))).collect();
        missing.iter().for_each(|route| requests.add_route(route));
        stale.iter().for_each(|route| requests.delete_route(route));
        requests.send(self)?;
        Ok((missing.len(), stale.len()))
    }

    fn dump<T>(
        &mut self,
        kind: u16,
        header: &[u8],
        what: &'static str,
        parse: impl Fn(Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>> {
        for _ in 0..ATTEMPTS_MAX {
            let sequence = self.socket.next_sequence();
            let mut builder = Builder::default();
            builder.begin(kind, NLM_F_REQUEST | NLM_F_DUMP, sequence);
            builder.fixed(header);
            builder.end();
            let bytes = builder.bytes().ok_or(Error::Oversized { action: "list links or routes" })?;
            let mut found = Vec::new();
            let dump = self
                .socket
                .dump(bytes, |message| found.extend(parse(message)))
                .map_err(Error::socket("list links or routes"))?;
            match dump {
                Dump::Complete => return Ok(found),
                Dump::Interrupted => {}
                Dump::Refused(refusal) => return Err(Error::refused(format!("list {what}"), refusal)),
            }
        }
        Err(Error::Unsettled { what, attempts: ATTEMPTS_MAX })
    }
}

/// IPv6 knows no scopes, and the kernel keeps no bits beyond the prefix.
fn as_read_back(route: &Route) -> Route {
    let destination = route.destination.trunc();
    let scope = if destination.addr().is_ipv6() { Scope::Universe } else { route.scope };
    Route { destination, scope, ..route.clone() }
}

fn link(message: Message<'_>) -> Option<Link> {
    if message.kind != libc::RTM_NEWLINK {
        return None;
    }
    let attributes = message.attributes(IFINFOMSG_BYTES);
    let info = attributes.nested(libc::IFLA_LINKINFO);
    Some(Link {
        index: read_u32(message.payload, 4)?,
        name: attributes.string(libc::IFLA_IFNAME)?,
        up: read_u32(message.payload, 8)? & libc::IFF_UP as u32 != 0,
        mtu: attributes.u32(libc::IFLA_MTU).unwrap_or(0),
        mac: attributes.find(libc::IFLA_ADDRESS).and_then(|bytes| bytes.try_into().ok()).map(Mac),
        kind: info.string(libc::IFLA_INFO_KIND).unwrap_or_default(),
        peer: attributes.u32(libc::IFLA_LINK),
    })
}

fn address(message: Message<'_>) -> Option<Address> {
    if message.kind != libc::RTM_NEWADDR {
        return None;
    }
    let attributes = message.attributes(IFADDRMSG_BYTES);
    let own = attributes.find(libc::IFA_LOCAL).or(attributes.find(libc::IFA_ADDRESS))?;
    Some(Address {
        link: read_u32(message.payload, 4)?,
        address: IpNet::new(from_octets(own)?, *message.payload.get(1)?).ok()?,
        scope: Scope::from_number(*message.payload.get(3)?),
    })
}

fn route(message: Message<'_>) -> Option<Route> {
    let [family, prefix_len, _, _, _, protocol, scope, kind, ..] = *message.payload else { return None };
    let attributes = message.attributes(RTMSG_BYTES);
    let table = attributes.u32(libc::RTA_TABLE)?;
    if message.kind != libc::RTM_NEWROUTE || table != u32::from(libc::RT_TABLE_MAIN) {
        return None;
    }
    let unspecified: &[u8] = if i32::from(family) == libc::AF_INET { &[0; 4] } else { &[0; 16] };
    let destination = from_octets(attributes.find(libc::RTA_DST).unwrap_or(unspecified))?;
    let address = |kind| attributes.find(kind).and_then(from_octets);
    let kind = RouteKind::from_number(kind)?;
    let metrics: Attributes<'_> = attributes.nested(libc::RTA_METRICS);
    Some(Route {
        destination: IpNet::new(destination, prefix_len).ok()?,
        kind,
        gateway: address(libc::RTA_GATEWAY),
        // IPv6 hangs routes that refuse packets on the loopback device.
        link: attributes.u32(libc::RTA_OIF).filter(|_| kind == RouteKind::Unicast),
        source: address(libc::RTA_PREFSRC),
        scope: Scope::from_number(scope),
        metric: attributes.u32(libc::RTA_PRIORITY).filter(|metric| *metric != default_metric(destination)),
        mtu: metrics.u32(RTAX_MTU),
        protocol,
        onlink: read_u32(message.payload, 8)? & RTNH_F_ONLINK != 0,
    })
}

/// IPv6 gives every route without a metric this one.
fn default_metric(destination: std::net::IpAddr) -> u32 {
    if octets(destination).len() == 4 { 0 } else { 1024 }
}

impl Requests {
    /// Sends all requests. The first refusal that is not tolerated is the error.
    pub fn send(self, rtnetlink: &mut Rtnetlink) -> Result<()> {
        self.send_over(&mut rtnetlink.socket)
    }
}
