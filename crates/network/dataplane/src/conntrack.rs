//! Tracked connections: finding them and making the kernel forget them.
//!
//! Needed for UDP, which has no end of its own: a flow that was sent to an endpoint keeps going there while packets come,
//! even after the endpoint is gone.

use std::net::IpAddr;

use crate::netlink::{Attributes, Builder, Dump, Message, Protocol, Socket, read_u16};
use crate::{Error, Netns, Result};

const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const IPCTNL_MSG_CT_GET: u16 = 1;
const IPCTNL_MSG_CT_DELETE: u16 = 2;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_FILTER: u16 = 25;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
/// `CTA_FILTER_F_CTA_PROTO_NUM`: compare the transport protocol.
const FILTER_PROTO_NUM: u32 = 1 << 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NFGENMSG_BYTES: usize = 4;

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// `IPPROTO_UDP` and so on.
    pub protocol: u8,
    pub source_port: u16,
    pub destination_port: u16,
}

/// A tracked connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// As the first packet came.
    pub original: Tuple,
    /// As answers come: after destination NAT its source is the real endpoint.
    pub reply: Tuple,
    id: Option<Vec<u8>>,
    zone: Option<Vec<u8>>,
}

/// An open ctnetlink socket.
#[derive(Debug)]
pub struct Conntrack {
    socket: Socket,
}

impl Conntrack {
    pub fn open(netns: &Netns) -> Result<Self> {
        let socket = netns.run(|| Socket::open(Protocol::Netfilter)).and_then(|socket| socket);
        Ok(Self { socket: socket.map_err(Error::socket("open a connection tracking socket"))? })
    }

    /// The flows of one transport protocol and address family for which `matches` holds. When connections come and go
    /// meanwhile, some may be missing: callers that must catch all ask again.
    pub fn flows(&mut self, ipv6: bool, protocol: u8, mut matches: impl FnMut(&Flow) -> bool) -> Result<Vec<Flow>> {
        let family = if ipv6 { libc::AF_INET6 } else { libc::AF_INET } as u8;
        let mut builder = Builder::default();
        let kind = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
        builder.begin(kind, NLM_F_REQUEST | NLM_F_DUMP, self.socket.next_sequence());
        builder.fixed(&[family, 0, 0, 0]);
        // Kernels before 5.8 do not know the filter and send everything, so the protocol is compared here as well.
        builder.nested(CTA_TUPLE_ORIG, |b| b.nested(CTA_TUPLE_PROTO, |b| b.u8(CTA_PROTO_NUM, protocol)));
        builder.nested(CTA_FILTER, |b| {
            b.u32(CTA_FILTER_ORIG_FLAGS, FILTER_PROTO_NUM);
            b.u32(CTA_FILTER_REPLY_FLAGS, 0);
        });
        builder.end();
        let bytes = builder.bytes().ok_or(Error::Oversized { action: "list connections" })?;
        let mut flows = Vec::new();
        let dump = self.socket.dump(bytes, |message| {
            flows.extend(flow(message).filter(|flow| flow.original.protocol == protocol && matches(flow)));
        });
        match dump.map_err(Error::socket("list connections"))? {
            Dump::Refused(refusal) => Err(Error::refused("list connections", refusal)),
            Dump::Complete | Dump::Interrupted => Ok(flows),
        }
    }

    /// Makes the kernel forget flows. Returns how many were still there.
    pub fn delete(&mut self, flows: &[Flow]) -> Result<usize> {
        let mut builder = Builder::default();
        for (sequence, flow) in (1..).zip(flows) {
            let kind = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
            builder.begin(kind, NLM_F_REQUEST | NLM_F_ACK, sequence);
            let family = if flow.original.source.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
            builder.fixed(&[family as u8, 0, 0, 0]);
            encode_tuple(&mut builder, CTA_TUPLE_ORIG, &flow.original);
            // The id keeps a new connection with the same addresses and ports from being mistaken for this one.
            if let Some(id) = &flow.id {
                builder.attribute(CTA_ID, id);
            }
            if let Some(zone) = &flow.zone {
                builder.attribute(CTA_ZONE, zone);
            }
            builder.end();
        }
        if flows.is_empty() {
            return Ok(0);
        }
        let bytes = builder.bytes().ok_or(Error::Oversized { action: "delete connections" })?;
        let refusals = self.socket.request(bytes, flows.len()).map_err(Error::socket("delete connections"))?;
        let deleted = flows.len() - refusals.len();
        match refusals.into_iter().find(|refusal| refusal.errno != libc::ENOENT) {
            Some(refusal) => Err(Error::refused("delete a connection", refusal)),
            None => Ok(deleted),
        }
    }
}

fn encode_tuple(builder: &mut Builder, kind: u16, tuple: &Tuple) {
    builder.nested(kind, |b| {
        b.nested(CTA_TUPLE_IP, |b| match (tuple.source, tuple.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                b.attribute(CTA_IP_V4_SRC, &source.octets());
                b.attribute(CTA_IP_V4_DST, &destination.octets());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                b.attribute(CTA_IP_V6_SRC, &source.octets());
                b.attribute(CTA_IP_V6_DST, &destination.octets());
            }
            _ => {}
        });
        b.nested(CTA_TUPLE_PROTO, |b| {
            b.u8(CTA_PROTO_NUM, tuple.protocol);
            b.attribute(CTA_PROTO_SRC_PORT, &tuple.source_port.to_be_bytes());
            b.attribute(CTA_PROTO_DST_PORT, &tuple.destination_port.to_be_bytes());
        });
    });
}

fn flow(message: Message<'_>) -> Option<Flow> {
    let attributes = message.attributes(NFGENMSG_BYTES);
    Some(Flow {
        original: tuple(attributes.nested(CTA_TUPLE_ORIG))?,
        reply: tuple(attributes.nested(CTA_TUPLE_REPLY))?,
        id: attributes.find(CTA_ID).map(<[u8]>::to_vec),
        zone: attributes.find(CTA_ZONE).map(<[u8]>::to_vec),
    })
}

fn tuple(attributes: Attributes<'_>) -> Option<Tuple> {
    let ip = attributes.nested(CTA_TUPLE_IP);
    let proto = attributes.nested(CTA_TUPLE_PROTO);
    let v4 = |kind| ip.find(kind).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(IpAddr::from);
    let v6 = |kind| ip.find(kind).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()).map(IpAddr::from);
    let port = |kind| proto.find(kind).and_then(|bytes| read_u16(bytes, 0)).map_or(0, u16::from_be);
    Some(Tuple {
        source: v4(CTA_IP_V4_SRC).or_else(|| v6(CTA_IP_V6_SRC))?,
        destination: v4(CTA_IP_V4_DST).or_else(|| v6(CTA_IP_V6_DST))?,
        protocol: *proto.find(CTA_PROTO_NUM)?.first()?,
        source_port: port(CTA_PROTO_SRC_PORT),
        destination_port: port(CTA_PROTO_DST_PORT),
    })
}
