//! Links, addresses, routes, neighbours and kernel parameters.

use std::net::IpAddr;

use windlass_dataplane::route::*;
use windlass_dataplane::{Netns, sysctl};

use super::netns;

const PROTOCOL: u8 = 99;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Two namespaces joined by a veth pair, up, with 10.0.0.1 and 10.0.0.2.
fn pair(here: &Netns, there: &Netns) -> (u32, u32) {
    let mut rt = Rtnetlink::open(here).unwrap();
    let mut requests = Requests::new();
    requests.add_veth(&Veth {
        name: "near",
        mac: Mac([2, 0, 0, 0, 0, 1]),
        mtu: 1400,
        peer: VethPeer { name: "far", mac: Mac([2, 0, 0, 0, 0, 2]), netns: there.fd() },
    });
    requests.send(&mut rt).unwrap();
    let mut indexes = Vec::new();
    for (netns, name, address) in [(here, "near", "10.0.0.1/24"), (there, "far", "10.0.0.2/24")] {
        let mut rt = Rtnetlink::open(netns).unwrap();
        let index = rt.link(name).unwrap().expect("the link was just made").index;
        let mut requests = Requests::new();
        requests.set_link_up(index);
        requests.set_link_up(1);
        requests.add_address(index, address.parse().unwrap(), Scope::Universe);
        requests.send(&mut rt).unwrap();
        indexes.push(index);
    }
    (indexes[0], indexes[1])
}

#[test]
fn a_veth_pair_with_addresses_routes_and_neighbours() {
    let (here, there) = (netns(), netns());
    let (near, _) = pair(&here, &there);
    let mut rt = Rtnetlink::open(&here).unwrap();
    let link = rt.link("near").unwrap().unwrap();
    assert_eq!((link.mtu, link.up, link.kind.as_str(), link.mac), (1400, true, "veth", Some(Mac([2, 0, 0, 0, 0, 1]))));
    assert_eq!(rt.link("nothing").unwrap(), None);
    assert_eq!(rt.links().unwrap().len(), 2);
    let address = Address { link: near, address: "10.0.0.1/24".parse().unwrap(), scope: Scope::Universe };
    assert!(rt.addresses().unwrap().contains(&address));

    let listener = there.run(|| std::net::TcpListener::bind("10.0.0.2:80")).unwrap().unwrap();
    let client = here.run(|| std::net::TcpStream::connect("10.0.0.2:80")).unwrap().unwrap();
    assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());

    let mut requests = Requests::new();
    requests.add_permanent_neighbour(near, ip("10.0.0.9"), Mac([2, 0, 0, 0, 0, 9]));
    requests.add_route(&Route::via("10.1.0.0/16".parse().unwrap(), ip("10.0.0.9"), PROTOCOL));
    requests.delete_address(near, "10.9.9.9/32".parse().unwrap());
    requests.delete_link("nothing");
    requests.send(&mut rt).unwrap();
    let route = rt.routes().unwrap().into_iter().find(|route| route.protocol == PROTOCOL).unwrap();
    assert_eq!((route.gateway, route.link), (Some(ip("10.0.0.9")), Some(near)));

    let mut requests = Requests::new();
    requests.delete_link("near");
    requests.delete_link("near");
    requests.send(&mut rt).unwrap();
    assert_eq!(Rtnetlink::open(&there).unwrap().link("far").unwrap(), None);
}

#[test]
fn a_refusal_names_the_request() {
    let (here, there) = (netns(), netns());
    pair(&here, &there);
    let mut rt = Rtnetlink::open(&here).unwrap();
    let mut requests = Requests::new();
    requests.add_route(&Route::via("10.1.0.0/16".parse().unwrap(), ip("172.16.0.1"), PROTOCOL));
    let error = requests.send(&mut rt).unwrap_err().to_string();
    assert!(error.starts_with("the kernel refused to add route 10.1.0.0/16"), "{error}");
    let mut requests = Requests::new();
    requests.add_veth(&Veth {
        name: "near",
        mac: Mac([2, 0, 0, 0, 0, 3]),
        mtu: 1500,
        peer: VethPeer { name: "other", mac: Mac([2, 0, 0, 0, 0, 4]), netns: None },
    });
    assert!(requests.send(&mut rt).unwrap_err().is_already_there());
}

#[test]
fn routes_of_one_protocol_are_kept_as_wanted() {
    let (here, there) = (netns(), netns());
    let (near, _) = pair(&here, &there);
    let mut rt = Rtnetlink::open(&here).unwrap();
    let mut wanted = vec![
        Route::via("10.1.0.0/24".parse().unwrap(), ip("10.0.0.2"), PROTOCOL),
        Route::unreachable("10.1.0.0/16".parse().unwrap(), PROTOCOL),
        Route {
            mtu: Some(1300),
            source: Some(ip("10.0.0.1")),
            ..Route::on_link("10.2.0.0/16".parse().unwrap(), near, PROTOCOL)
        },
        Route { metric: Some(50), ..Route::on_link("10.2.0.0/16".parse().unwrap(), near, PROTOCOL) },
    ];
    wanted[0].link = Some(near);
    assert_eq!(rt.sync_routes(PROTOCOL, &wanted).unwrap(), (4, 0));
    assert_eq!(rt.sync_routes(PROTOCOL, &wanted).unwrap(), (0, 0));
    wanted.remove(3);
    wanted[0].gateway = Some(ip("10.0.0.3"));
    assert_eq!(rt.sync_routes(PROTOCOL, &wanted).unwrap(), (1, 1));
    assert_eq!(rt.sync_routes(PROTOCOL, &wanted).unwrap(), (0, 0));
    // Routes of others stay.
    assert_eq!(rt.sync_routes(PROTOCOL, &[]).unwrap(), (0, 3));
    assert!(rt.routes().unwrap().iter().any(|route| route.destination == "10.0.0.0/24".parse().unwrap()));
}

#[test]
fn kernel_parameters_belong_to_the_namespace() {
    let (here, there) = (netns(), netns());
    let name = "net/ipv4/ip_forward";
    here.run(|| sysctl::set(name, "1")).unwrap().unwrap();
    assert_eq!(here.run(|| sysctl::get(name)).unwrap().unwrap(), "1");
    assert_eq!(there.run(|| sysctl::get(name)).unwrap().unwrap(), "0");
}
