//! Changes to links, addresses, routes and neighbours, sent together.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use ipnet::IpNet;

use super::types::{family, octets};
use super::{Mac, Route, RouteKind, Scope};
use crate::netlink::{Builder, Socket};
use crate::{Error, Result};

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const VETH_INFO_PEER: u16 = 1;
const RTAX_MTU: u16 = 2;
/// Ignored for IPv4.
const IFA_F_NODAD: u8 = 2;
const RTNH_F_ONLINK: u32 = 4;
const IFF_UP: u32 = libc::IFF_UP as u32;

/// A pair of virtual Ethernet devices to be made.
#[derive(Debug)]
pub struct Veth<'a> {
    pub name: &'a str,
    pub mac: Mac,
    pub mtu: u32,
    /// Both devices come up with the pair when the peer stays in this namespace; a peer elsewhere is brought up there.
    pub peer: VethPeer<'a>,
}

#[derive(Debug)]
pub struct VethPeer<'a> {
    pub name: &'a str,
    pub mac: Mac,
    /// The namespace that the peer is made in; `None` for the same.
    pub netns: Option<BorrowedFd<'a>>,
}

/// Requests that wait to be sent. Later ones are carried out even if earlier ones are refused.
#[derive(Debug, Default)]
pub struct Requests {
    builder: Builder,
    commands: Vec<Command>,
}

#[derive(Debug)]
struct Command {
    text: String,
    /// Refusals with these error numbers mean that things are already as asked.
    tolerated: &'static [i32],
}

const ALREADY_GONE: &[i32] = &[libc::ENOENT, libc::ESRCH, libc::ENODEV, libc::EADDRNOTAVAIL];

impl Requests {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Refused with EEXIST when either name is taken.
    pub fn add_veth(&mut self, veth: &Veth<'_>) {
        self.begin(libc::RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, format!("add veth pair {}", veth.name), &[]);
        let b = &mut self.builder;
        b.fixed(&link_header(0, 0));
        b.string(libc::IFLA_IFNAME, veth.name);
        b.u32(libc::IFLA_MTU, veth.mtu);
        b.attribute(libc::IFLA_ADDRESS, &veth.mac.0);
        b.nested(libc::IFLA_LINKINFO, |b| {
            b.string(libc::IFLA_INFO_KIND, "veth");
            b.nested(libc::IFLA_INFO_DATA, |b| {
                b.nested(VETH_INFO_PEER, |b| {
                    b.fixed(&link_header(0, 0));
                    b.string(libc::IFLA_IFNAME, veth.peer.name);
                    b.u32(libc::IFLA_MTU, veth.mtu);
                    b.attribute(libc::IFLA_ADDRESS, &veth.peer.mac.0);
                    if let Some(netns) = veth.peer.netns {
                        b.u32(libc::IFLA_NET_NS_FD, netns.as_raw_fd().cast_unsigned());
                    }
                });
            });
        });
        b.end();
    }

    pub fn set_link_up(&mut self, link: u32) {
        self.begin(libc::RTM_NEWLINK, 0, format!("bring up link {link}"), &[]);
        self.builder.fixed(&link_header(link, IFF_UP));
        self.builder.end();
    }

    /// Removes a link and, if it is half of a veth pair, its peer. One that is not there is fine.
    pub fn delete_link(&mut self, name: &str) {
        self.begin(libc::RTM_DELLINK, 0, format!("delete link {name}"), ALREADY_GONE);
        self.builder.fixed(&link_header(0, 0));
        self.builder.string(libc::IFLA_IFNAME, name);
        self.builder.end();
    }

    /// Adds an address; one that is there already is fine. IPv6 addresses are usable at once: whoever gives them out knows
    /// that nobody else has them, so the kernel does not spend a second on asking around.
    pub fn add_address(&mut self, link: u32, address: IpNet, scope: Scope) {
        let text = format!("add address {address} to link {link}");
        self.begin(libc::RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, text, &[]);
        self.address(link, address, scope);
    }

    pub fn delete_address(&mut self, link: u32, address: IpNet) {
        let text = format!("delete address {address} of link {link}");
        self.begin(libc::RTM_DELADDR, 0, text, ALREADY_GONE);
        self.address(link, address, Scope::Universe);
    }

    /// Adds a route or replaces the one with the same destination and metric.
    pub fn add_route(&mut self, route: &Route) {
        let text = format!("add route {}", route.destination);
        self.begin(libc::RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, text, &[]);
        self.route(route);
    }

    /// Removes a route; one that is not there is fine.
    pub fn delete_route(&mut self, route: &Route) {
        self.begin(libc::RTM_DELROUTE, 0, format!("delete route {}", route.destination), ALREADY_GONE);
        self.route(route);
    }

    /// Adds a neighbour that is never asked for by ARP or neighbour discovery.
    pub fn add_permanent_neighbour(&mut self, link: u32, address: IpAddr, mac: Mac) {
        let text = format!("add neighbour {address} to link {link}");
        self.begin(libc::RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, text, &[]);
        let b = &mut self.builder;
        let mut header = vec![family(address), 0, 0, 0];
        header.extend(link.to_ne_bytes());
        header.extend(libc::NUD_PERMANENT.to_ne_bytes());
        header.extend([0, 0]);
        b.fixed(&header);
        b.attribute(libc::NDA_DST, &octets(address));
        b.attribute(libc::NDA_LLADDR, &mac.0);
        b.end();
    }

    /// Sends all requests. The first refusal that is not tolerated is the error.
    pub(super) fn send_over(self, socket: &mut Socket) -> Result<()> {
        if self.commands.is_empty() {
            return Ok(());
        }
        let bytes = self.builder.bytes().ok_or(Error::Oversized { action: "change routes" })?;
        let refusals = socket.request(bytes, self.commands.len()).map_err(Error::socket("change links or routes"))?;
        for refusal in refusals {
            let position = (refusal.sequence as usize).checked_sub(1);
            let command = position.and_then(|position| self.commands.get(position));
            if !command.is_some_and(|command| command.tolerated.contains(&refusal.errno)) {
                let text = command.map_or("change links or routes", |command| command.text.as_str());
                return Err(Error::refused(text, refusal));
            }
        }
        Ok(())
    }

    fn begin(&mut self, kind: u16, flags: u16, text: String, tolerated: &'static [i32]) {
        self.commands.push(Command { text, tolerated });
        self.builder.begin(kind, NLM_F_REQUEST | NLM_F_ACK | flags, self.commands.len() as u32);
    }

    fn address(&mut self, link: u32, address: IpNet, scope: Scope) {
        let b = &mut self.builder;
        let mut header = vec![family(address.addr()), address.prefix_len(), IFA_F_NODAD, scope.number()];
        header.extend(link.to_ne_bytes());
        b.fixed(&header);
        b.attribute(libc::IFA_LOCAL, &octets(address.addr()));
        b.attribute(libc::IFA_ADDRESS, &octets(address.addr()));
        b.end();
    }

    fn route(&mut self, route: &Route) {
        let b = &mut self.builder;
        let destination = route.destination.trunc();
        let mut header = vec![family(destination.addr()), destination.prefix_len(), 0, 0];
        header.extend([libc::RT_TABLE_MAIN, route.protocol, route.scope.number(), route.kind.number()]);
        header.extend(if route.onlink { RTNH_F_ONLINK } else { 0 }.to_ne_bytes());
        b.fixed(&header);
        b.attribute(libc::RTA_DST, &octets(destination.addr()));
        if let Some(gateway) = route.gateway {
            b.attribute(libc::RTA_GATEWAY, &octets(gateway));
        }
        if let Some(link) = route.link.filter(|_| route.kind == RouteKind::Unicast) {
            b.u32(libc::RTA_OIF, link);
        }
        if let Some(source) = route.source {
            b.attribute(libc::RTA_PREFSRC, &octets(source));
        }
        if let Some(metric) = route.metric {
            b.u32(libc::RTA_PRIORITY, metric);
        }
        if let Some(mtu) = route.mtu {
            b.nested(libc::RTA_METRICS, |b| b.u32(RTAX_MTU, mtu));
        }
        b.end();
    }
}

/// `struct ifinfomsg`, changing only the flags that are set.
fn link_header(index: u32, flags: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&flags.to_ne_bytes());
    header
}
