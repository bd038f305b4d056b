//! The node's address: what is configured, else what the default route uses, else any global address, else one of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use ipnet::Ipv4Net;
use windlass_dataplane::Netns;
use windlass_dataplane::route::{Requests, Rtnetlink, Scope};

use crate::error::Failure;

/// The address of a node that has none: what RFC 7600 gives to such nodes. It stands on the loopback device.
pub(crate) const WITHOUT_NETWORK: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);

/// The index of the loopback device in every network namespace.
const LOOPBACK: u32 = 1;

/// Finds the node's address. An address that was asked for must be one of the machine's.
pub(crate) fn node_ip(wanted: Option<Ipv4Addr>) -> Result<Ipv4Addr, Failure> {
    match wanted {
        Some(ip) if is_own(ip) => Ok(ip),
        Some(ip) => {
            let message = format!("--node-ip {ip} is no address of this machine");
            Err(Failure::new(message).hint("`ip address` lists what it has"))
        }
        None => Ok(of_default_route().or_else(first_global).unwrap_or(WITHOUT_NETWORK)),
    }
}

/// Makes sure that the address is there: the loopback device is up, and has the address of a node without any.
pub(crate) fn provide(ip: Ipv4Addr) -> Result<(), Failure> {
    let failed = |error| Failure::during("the loopback device cannot be set up", error).hint("run as root");
    let mut rtnetlink = Rtnetlink::open(&Netns::current()).map_err(failed)?;
    if !is_up() {
        let mut requests = Requests::new();
        requests.set_link_up(LOOPBACK);
        requests.send(&mut rtnetlink).map_err(failed)?;
    }
    // Only now: as long as a network namespace has no address at all, its kernel lets every address be bound.
    if ip == WITHOUT_NETWORK && !is_own(ip) {
        let mut requests = Requests::new();
        requests.add_address(LOOPBACK, Ipv4Net::from(ip).into(), Scope::Universe);
        requests.send(&mut rtnetlink).map_err(failed)?;
    }
    Ok(())
}

fn is_up() -> bool {
    let mut interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let up = nix::net::if_::InterfaceFlags::IFF_UP;
    interfaces.any(|interface| interface.interface_name == "lo" && interface.flags.contains(up))
}

fn is_own(ip: Ipv4Addr) -> bool {
    UdpSocket::bind(SocketAddr::from((ip, 0))).is_ok()
}

/// The source address of packets to the world. Connecting a UDP socket looks the route up and sends nothing.
fn of_default_route() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // An address of the documentation range: only a default route leads there.
    socket.connect((Ipv4Addr::new(203, 0, 113, 1), 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(ip) if !ip.is_loopback() => Some(ip),
        _ => None,
    }
}

fn first_global() -> Option<Ipv4Addr> {
    let interfaces = nix::ifaddrs::getifaddrs().ok()?;
    interfaces
        .filter(|interface| interface.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP))
        .filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()))
        .find(|ip| !ip.is_loopback() && !ip.is_link_local() && *ip != WITHOUT_NETWORK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_addresses() {
        assert!(node_ip(Some(Ipv4Addr::new(203, 0, 113, 7))).is_err());
        assert!(is_own(Ipv4Addr::LOCALHOST));
        assert!(!node_ip(None).unwrap().is_loopback());
    }
}
