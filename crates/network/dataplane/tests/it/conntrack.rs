//! UDP flows that were sent to an endpoint are found and forgotten.

use std::net::UdpSocket;
use std::time::Duration;

use windlass_dataplane::conntrack::Conntrack;
use windlass_dataplane::nftables::*;
use windlass_dataplane::route::{Requests, Rtnetlink};
use windlass_dataplane::{Netns, sysctl};

use super::netns;

const IPPROTO_UDP: u8 = 17;

/// Packets of this node to port 1000 go to port 2000.
fn redirect(netns: &Netns) {
    let mut table = Table::new(Family::Ipv4, "redirect");
    let base = Base { kind: ChainKind::Nat, hook: Hook::Output, priority: priority::DSTNAT };
    let rule = Rule::new(vec![
        Expr::Payload { base: Header::Transport, offset: 2, len: 2, dreg: Reg(0) },
        Expr::Cmp { sreg: Reg(0), op: CmpOp::Eq, data: 1000_u16.to_be_bytes().to_vec() },
        Expr::Immediate { dreg: Reg(0), data: vec![127, 0, 0, 1] },
        Expr::Immediate { dreg: Reg(1), data: 2000_u16.to_be_bytes().to_vec() },
        Expr::Nat { kind: Nat::Destination, family: Family::Ipv4, address: Reg(0), port: Some(Reg(1)) },
    ]);
    table.set_chain("output", Chain { base: Some(base), rules: vec![rule] });
    table.apply(&mut Nftables::open(netns).unwrap()).unwrap();
}

#[test]
fn a_flow_to_a_gone_endpoint_is_forgotten() {
    let netns = netns();
    let mut up = Requests::new();
    up.set_link_up(1);
    up.send(&mut Rtnetlink::open(&netns).unwrap()).unwrap();
    redirect(&netns);
    let (client, endpoint) = netns
        .run(|| {
            sysctl::get("net/netfilter/nf_conntrack_count").unwrap();
            (UdpSocket::bind("127.0.0.1:999").unwrap(), UdpSocket::bind("127.0.0.1:2000").unwrap())
        })
        .unwrap();
    endpoint.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.send_to(b"hello", "127.0.0.1:1000").unwrap();
    let mut buffer = [0; 16];
    assert_eq!(endpoint.recv(&mut buffer).unwrap(), 5);

    let mut conntrack = Conntrack::open(&netns).unwrap();
    let flows = conntrack.flows(false, IPPROTO_UDP, |flow| flow.original.destination_port == 1000).unwrap();
    assert_eq!(flows.len(), 1);
    assert_eq!((flows[0].reply.source_port, flows[0].original.source_port), (2000, 999));
    assert_eq!(conntrack.flows(false, 6, |_| true).unwrap(), vec![]);
    assert_eq!(conntrack.delete(&flows).unwrap(), 1);
    assert_eq!(conntrack.delete(&flows).unwrap(), 0);
    assert_eq!(conntrack.flows(false, IPPROTO_UDP, |_| true).unwrap(), vec![]);
}
