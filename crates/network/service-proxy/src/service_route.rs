//! A route for the ranges of Services, so that processes of the node reach ClusterIPs whatever other routes there are.
//!
//! Without it a node that has no default route cannot even send: the kernel looks for a route before nftables gets to
//! translate the address. And with a default route, a packet that nothing translated would leave by it.
//!
//! The route leads to a device of our own, one end of a veth pair. What is translated is routed again and never gets there;
//! what is not is refused by rules. The loopback device will not do: for packets on their way to it the kernel takes any
//! destination for a local one, and then fails to send "port unreachable" from it. The node's own devices come and go.

use windlass_dataplane::route::{Mac, Requests, Route, Rtnetlink, Veth, VethPeer};
use windlass_dataplane::{Netns, Result};

use crate::options::Options;

/// The protocol number of these routes.
pub const ROUTE_PROTOCOL: u8 = 88;
/// The device that they lead to.
pub const DEVICE: &str = "windlass0";

const PEER: &str = "windlass0p";
const MAC: Mac = Mac([0x0a, 0x58, 0, 0, 0, 0x10]);
const PEER_MAC: Mac = Mac([0x0a, 0x58, 0, 0, 0, 0x11]);
/// A route that somebody else made for the same range wins.
const METRIC: u32 = 1 << 10;

/// Makes device and routes what the options say. Returns how many routes were added and removed.
pub fn sync(netns: &Netns, options: &Options) -> Result<(usize, usize)> {
    let mut rtnetlink = Rtnetlink::open(netns)?;
    let device = match rtnetlink.link(DEVICE)? {
        Some(link) => link.index,
        None => add_device(&mut rtnetlink, options.mtu)?,
    };
    let mut up = Requests::new();
    up.set_link_up(device);
    up.send(&mut rtnetlink)?;
    let route =
        |net: &ipnet::IpNet| Route { metric: Some(METRIC), ..Route::on_link(net.trunc(), device, ROUTE_PROTOCOL) };
    let routes: Vec<Route> = options.service_cidrs.iter().map(route).collect();
    rtnetlink.sync_routes(ROUTE_PROTOCOL, &routes)
}

/// Removes the device, and the routes with it.
pub fn remove(netns: &Netns) -> Result<()> {
    let mut requests = Requests::new();
    requests.delete_link(DEVICE);
    requests.send(&mut Rtnetlink::open(netns)?)
}

fn add_device(rtnetlink: &mut Rtnetlink, mtu: u32) -> Result<u32> {
    let mut requests = Requests::new();
    requests.add_veth(&Veth { name: DEVICE, mac: MAC, mtu, peer: VethPeer { name: PEER, mac: PEER_MAC, netns: None } });
    requests.send(rtnetlink)?;
    let index = |link: Option<windlass_dataplane::route::Link>| link.map_or(0, |link| link.index);
    // A device whose peer is down has no carrier.
    let mut up = Requests::new();
    up.set_link_up(index(rtnetlink.link(PEER)?));
    up.send(rtnetlink)?;
    Ok(index(rtnetlink.link(DEVICE)?))
}
