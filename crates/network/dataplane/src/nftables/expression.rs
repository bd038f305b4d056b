//! The expressions that rules are made of, typed, and their encoding for the kernel.
//!
//! A rule is a list of expressions that share sixteen 32-bit registers. Loads fill registers; comparisons and lookups end the
//! rule when they do not match; statements act. Registers carry nothing from one rule to the next. A concatenation is a run
//! of consecutive registers in which every part starts on a register of its own.
//!
//! What `nft list` can show matters, because operators and other programs list all tables. nft 1.0.6 dies on a rule that looks
//! up the result of a map in another set or map; [`via_mark`] is the way around.

use crate::netlink::Builder;

use super::wire::{
    NFT_REG_VERDICT, NFT_REG32_00, NFTA_DATA_VALUE, NFTA_DATA_VERDICT, NFTA_EXPR_DATA, NFTA_EXPR_NAME, NFTA_LIST_ELEM,
    NFTA_VERDICT_CHAIN, NFTA_VERDICT_CODE, bitwise, cmp, ct, dynset, fib, hash, immediate, lookup, masq, meta, nat,
    numgen, payload, reject,
};
use super::{Family, Verdict};

/// One of the sixteen 32-bit registers, 0 to 15. A value longer than four bytes spans the registers that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reg(pub u8);

impl Reg {
    fn number(self) -> u32 {
        NFT_REG32_00 + u32::from(self.0)
    }
}

/// A property of the packet's handling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Meta {
    /// The packet's mark, four bytes in host order.
    Mark = 3,
    /// Input interface's name, sixteen bytes.
    Iifname = 6,
    /// Output interface's name, sixteen bytes.
    Oifname = 7,
    /// Transport protocol, one byte.
    L4Proto = 16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Header {
    Network = 1,
    Transport = 2,
}

/// A property of the packet's connection; four bytes in host order unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Ct {
    /// A bit set of [`CT_STATE_ESTABLISHED`] and its kin.
    State = 0,
    /// A bit set of [`CT_STATUS_DNAT`] and its kin.
    Status = 2,
    Mark = 3,
    /// The destination port of the direction given by the load: two bytes in network order.
    ProtoDst = 12,
    /// The IPv4 destination in the direction given by the load.
    DstIp = 20,
    /// The IPv6 destination in the direction given by the load.
    DstIp6 = 22,
}

pub const CT_STATE_NEW: u32 = 1 << 3;
pub const CT_STATUS_DNAT: u32 = 1 << 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CmpOp {
    Eq = 0,
    Neq = 1,
    Lt = 2,
    Lte = 3,
    Gt = 4,
    Gte = 5,
}

/// What a route lookup compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FibAddress {
    Source,
    Destination,
}

/// `RTN_LOCAL` as [`Expr::FibType`] loads it: the address is one of this node's.
pub const FIB_TYPE_LOCAL: u32 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// ICMP or ICMPv6 "port unreachable", which a connecting client sees as "connection refused".
    PortUnreachable,
    HostUnreachable,
    AdminProhibited,
    TcpReset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    Source,
    Destination,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Numgen {
    Incremental = 0,
    Random = 1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum DynsetOp {
    Add = 0,
    /// Adds, or restarts the timeout of what is there (its data stays).
    Update = 1,
    Delete = 2,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    Meta {
        key: Meta,
        dreg: Reg,
    },
    MetaSet {
        key: Meta,
        sreg: Reg,
    },
    Payload {
        base: Header,
        offset: u32,
        len: u32,
        dreg: Reg,
    },
    Cmp {
        sreg: Reg,
        op: CmpOp,
        data: Vec<u8>,
    },
    /// `dreg = (sreg & mask) ^ xor`; mask and xor have the same length.
    Bitwise {
        sreg: Reg,
        dreg: Reg,
        mask: Vec<u8>,
        xor: Vec<u8>,
    },
    /// Continues when the key is in the set (or is not, if `invert`); with `dreg` also loads the map's data.
    Lookup {
        set: String,
        sreg: Reg,
        dreg: Option<Reg>,
        invert: bool,
    },
    /// Looks up a verdict map and takes the verdict.
    LookupVerdict {
        set: String,
        sreg: Reg,
    },
    Immediate {
        dreg: Reg,
        data: Vec<u8>,
    },
    Verdict(Verdict),
    Nat {
        kind: Nat,
        family: Family,
        address: Reg,
        port: Option<Reg>,
    },
    /// Source NAT to the outgoing interface's address, on a port chosen at random.
    Masquerade,
    Ct {
        key: Ct,
        dreg: Reg,
    },
    /// A property that differs by direction, of the direction in which the connection began.
    CtOriginal {
        key: Ct,
        dreg: Reg,
    },
    CtSet {
        key: Ct,
        sreg: Reg,
    },
    /// A number from `offset` to `offset + modulus - 1`, four bytes in host order.
    Numgen {
        kind: Numgen,
        modulus: u32,
        offset: u32,
        dreg: Reg,
    },
    /// Jenkins' hash of `len` bytes from `sreg`, reduced to 0 ..= `modulus - 1`.
    Hash {
        sreg: Reg,
        len: u32,
        dreg: Reg,
        modulus: u32,
        seed: u32,
    },
    /// The kind of route that leads to the address, such as [`FIB_TYPE_LOCAL`].
    FibType {
        address: FibAddress,
        dreg: Reg,
    },
    Counter,
    Reject {
        how: Reject,
        family: Family,
    },
    /// Changes a dynamic set from the packet path. Maps need `data` even for removals.
    Dynset {
        set: String,
        op: DynsetOp,
        key: Reg,
        data: Option<Reg>,
        timeout_seconds: u64,
    },
}

/// `NF_NAT_RANGE_PROTO_RANDOM_FULLY`
const RANDOM_FULLY: u32 = 1 << 4;
/// `NF_NAT_RANGE_PROTO_SPECIFIED`
const PROTO_SPECIFIED: u32 = 1 << 1;
/// `NF_NAT_RANGE_MAP_IPS`
const MAP_IPS: u32 = 1;
const LOOKUP_INVERT: u32 = 1;
const FIB_RESULT_ADDRTYPE: u32 = 3;
const FIB_SADDR: u32 = 1;
const FIB_DADDR: u32 = 2;
const CT_DIRECTION_ORIGINAL: u8 = 0;

impl Expr {
    fn name(&self) -> &'static str {
        match self {
            Self::Meta { .. } | Self::MetaSet { .. } => "meta",
            Self::Payload { .. } => "payload",
            Self::Cmp { .. } => "cmp",
            Self::Bitwise { .. } => "bitwise",
            Self::Lookup { .. } | Self::LookupVerdict { .. } => "lookup",
            Self::Immediate { .. } | Self::Verdict(_) => "immediate",
            Self::Nat { .. } => "nat",
            Self::Masquerade => "masq",
            Self::Ct { .. } | Self::CtOriginal { .. } | Self::CtSet { .. } => "ct",
            Self::Numgen { .. } => "numgen",
            Self::Hash { .. } => "hash",
            Self::FibType { .. } => "fib",
            Self::Counter => "counter",
            Self::Reject { .. } => "reject",
            Self::Dynset { .. } => "dynset",
        }
    }

    /// Appends the expression as one element of a rule's list.
    pub(super) fn encode(&self, b: &mut Builder) {
        b.nested(NFTA_LIST_ELEM, |b| {
            b.string(NFTA_EXPR_NAME, self.name());
            b.nested(NFTA_EXPR_DATA, |b| self.encode_data(b));
        });
    }

    fn encode_data(&self, b: &mut Builder) {
        match self {
            Self::Meta { key, dreg } => {
                b.be32(meta::DREG, dreg.number());
                b.be32(meta::KEY, *key as u32);
            }
            Self::MetaSet { key, sreg } => {
                b.be32(meta::KEY, *key as u32);
                b.be32(meta::SREG, sreg.number());
            }
            Self::Payload { base, offset, len, dreg } => {
                b.be32(payload::DREG, dreg.number());
                b.be32(payload::BASE, *base as u32);
                b.be32(payload::OFFSET, *offset);
                b.be32(payload::LEN, *len);
            }
            Self::Cmp { sreg, op, data } => {
                b.be32(cmp::SREG, sreg.number());
                b.be32(cmp::OP, *op as u32);
                value(b, cmp::DATA, data);
            }
            Self::Bitwise { sreg, dreg, mask, xor } => {
                b.be32(bitwise::SREG, sreg.number());
                b.be32(bitwise::DREG, dreg.number());
                b.be32(bitwise::LEN, mask.len() as u32);
                value(b, bitwise::MASK, mask);
                value(b, bitwise::XOR, xor);
            }
            Self::Lookup { set, sreg, dreg, invert } => {
                b.string(lookup::SET, set);
                b.be32(lookup::SREG, sreg.number());
                if let Some(dreg) = dreg {
                    b.be32(lookup::DREG, dreg.number());
                }
                if *invert {
                    b.be32(lookup::FLAGS, LOOKUP_INVERT);
                }
            }
            Self::LookupVerdict { set, sreg } => {
                b.string(lookup::SET, set);
                b.be32(lookup::SREG, sreg.number());
                b.be32(lookup::DREG, NFT_REG_VERDICT);
            }
            Self::Immediate { dreg, data } => {
                b.be32(immediate::DREG, dreg.number());
                value(b, immediate::DATA, data);
            }
            Self::Verdict(verdict) => {
                b.be32(immediate::DREG, NFT_REG_VERDICT);
                encode_verdict(b, immediate::DATA, verdict);
            }
            Self::Counter => {}
            _ => self.encode_statement(b),
        }
    }

    fn encode_statement(&self, b: &mut Builder) {
        match self {
            Self::Nat { kind, family, address, port } => {
                b.be32(nat::TYPE, u32::from(*kind == Nat::Destination));
                b.be32(nat::FAMILY, u32::from(family.number()));
                b.be32(nat::REG_ADDR_MIN, address.number());
                if let Some(port) = port {
                    b.be32(nat::REG_PROTO_MIN, port.number());
                }
                b.be32(nat::FLAGS, MAP_IPS | if port.is_some() { PROTO_SPECIFIED } else { 0 });
            }
            Self::Masquerade => b.be32(masq::FLAGS, RANDOM_FULLY),
            Self::Ct { key, dreg } => {
                b.be32(ct::DREG, dreg.number());
                b.be32(ct::KEY, *key as u32);
            }
            Self::CtOriginal { key, dreg } => {
                b.be32(ct::DREG, dreg.number());
                b.be32(ct::KEY, *key as u32);
                b.u8(ct::DIRECTION, CT_DIRECTION_ORIGINAL);
            }
            Self::CtSet { key, sreg } => {
                b.be32(ct::KEY, *key as u32);
                b.be32(ct::SREG, sreg.number());
            }
            Self::Numgen { kind, modulus, offset, dreg } => {
                b.be32(numgen::DREG, dreg.number());
                b.be32(numgen::MODULUS, *modulus);
                b.be32(numgen::TYPE, *kind as u32);
                b.be32(numgen::OFFSET, *offset);
            }
            Self::Hash { sreg, len, dreg, modulus, seed } => {
                b.be32(hash::SREG, sreg.number());
                b.be32(hash::DREG, dreg.number());
                b.be32(hash::LEN, *len);
                b.be32(hash::MODULUS, *modulus);
                b.be32(hash::SEED, *seed);
                b.be32(hash::OFFSET, 0);
                b.be32(hash::TYPE, 0);
            }
            Self::FibType { address, dreg } => {
                b.be32(fib::DREG, dreg.number());
                b.be32(fib::RESULT, FIB_RESULT_ADDRTYPE);
                b.be32(fib::FLAGS, if *address == FibAddress::Source { FIB_SADDR } else { FIB_DADDR });
            }
            Self::Reject { how, family } => encode_reject(b, *how, *family),
            Self::Dynset { set, op, key, data, timeout_seconds } => {
                b.string(dynset::SET_NAME, set);
                b.be32(dynset::OP, *op as u32);
                b.be32(dynset::SREG_KEY, key.number());
                if let Some(data) = data {
                    b.be32(dynset::SREG_DATA, data.number());
                }
                if *timeout_seconds > 0 {
                    b.be64(dynset::TIMEOUT, timeout_seconds * 1000);
                }
            }
            _ => {}
        }
    }
}

/// Carries four bytes from `from` to `to` through the packet's mark, and puts the mark back at once; `scratch` holds it
/// meanwhile. The bytes are the same afterwards, but to `nft` they are the packet's mark and no longer the result of a map,
/// which it cannot list as a key (see the head of this file).
pub fn via_mark(from: Reg, to: Reg, scratch: Reg) -> [Expr; 4] {
    [
        Expr::Meta { key: Meta::Mark, dreg: scratch },
        Expr::MetaSet { key: Meta::Mark, sreg: from },
        Expr::Meta { key: Meta::Mark, dreg: to },
        Expr::MetaSet { key: Meta::Mark, sreg: scratch },
    ]
}

/// Each family has its own evaluator in the kernel, and only that of `inet` knows the codes that fit both.
fn encode_reject(b: &mut Builder, how: Reject, family: Family) {
    const ICMP: u32 = 0;
    const TCP_RST: u32 = 1;
    const ICMPX: u32 = 2;
    let (kind, code) = match (how, family) {
        (Reject::TcpReset, _) => (TCP_RST, 0),
        (Reject::PortUnreachable, Family::Ipv4) => (ICMP, 3),
        (Reject::HostUnreachable, Family::Ipv4) => (ICMP, 1),
        (Reject::AdminProhibited, Family::Ipv4) => (ICMP, 13),
        (Reject::PortUnreachable, Family::Ipv6) => (ICMP, 4),
        (Reject::HostUnreachable, Family::Ipv6) => (ICMP, 3),
        (Reject::AdminProhibited, Family::Ipv6) => (ICMP, 1),
        (Reject::PortUnreachable, Family::Inet) => (ICMPX, 1),
        (Reject::HostUnreachable, Family::Inet) => (ICMPX, 2),
        (Reject::AdminProhibited, Family::Inet) => (ICMPX, 3),
    };
    b.be32(reject::TYPE, kind);
    b.u8(reject::ICMP_CODE, code);
}

fn value(b: &mut Builder, kind: u16, data: &[u8]) {
    b.nested(kind, |b| b.attribute(NFTA_DATA_VALUE, data));
}

pub(super) fn encode_verdict(b: &mut Builder, kind: u16, verdict: &Verdict) {
    b.nested(kind, |b| {
        b.nested(NFTA_DATA_VERDICT, |b| {
            b.be32(NFTA_VERDICT_CODE, verdict.code().cast_unsigned());
            if let Some(chain) = verdict.chain() {
                b.string(NFTA_VERDICT_CHAIN, chain);
            }
        });
    });
}
