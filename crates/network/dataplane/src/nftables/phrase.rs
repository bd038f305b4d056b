//! Phrases that most rules are made of: loads of addresses and ports, and matches on them.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::{
    Base, ChainKind, CmpOp, Ct, Expr, FIB_TYPE_LOCAL, Family, FibAddress, Header, Hook, Meta, Nat, Reg, Rule, Type,
    Value, Verdict,
};

/// Register for what a match needs only for itself.
const SCRATCH: Reg = Reg(15);

impl Family {
    /// How many registers an address takes. Tables of the `inet` family have no one length; they count as IPv4.
    pub fn address_registers(self) -> u8 {
        if self == Self::Ipv6 { 4 } else { 1 }
    }

    /// The type of an address in sets.
    pub fn address_type(self) -> Type {
        if self == Self::Ipv6 { Type::Ipv6 } else { Type::Ipv4 }
    }

    /// `0.0.0.0` or `::`
    pub fn unspecified(self) -> IpAddr {
        if self == Self::Ipv6 { [0; 16].into() } else { [0; 4].into() }
    }

    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv6() { Self::Ipv6 } else { Self::Ipv4 }
    }
}

/// `ip saddr`
pub fn load_source(family: Family, dreg: Reg) -> Expr {
    let (offset, len) = if family == Family::Ipv6 { (8, 16) } else { (12, 4) };
    Expr::Payload { base: Header::Network, offset, len, dreg }
}

/// `ip daddr`
pub fn load_destination(family: Family, dreg: Reg) -> Expr {
    let (offset, len) = if family == Family::Ipv6 { (24, 16) } else { (16, 4) };
    Expr::Payload { base: Header::Network, offset, len, dreg }
}

/// `meta l4proto`
pub fn load_protocol(dreg: Reg) -> Expr {
    Expr::Meta { key: Meta::L4Proto, dreg }
}

/// `th dport`
pub fn load_destination_port(dreg: Reg) -> Expr {
    Expr::Payload { base: Header::Transport, offset: 2, len: 2, dreg }
}

/// `ip daddr . meta l4proto . th dport`, from `dreg` on.
pub fn load_destination_key(family: Family, dreg: Reg) -> [Expr; 3] {
    let after = dreg.0 + family.address_registers();
    [load_destination(family, dreg), load_protocol(Reg(after)), load_destination_port(Reg(after + 1))]
}

/// The same with the unspecified address, which stands for "any address of the node" in our maps.
pub fn load_any_address_key(family: Family, dreg: Reg) -> [Expr; 3] {
    let [_, protocol, port] = load_destination_key(family, dreg);
    [Expr::Immediate { dreg, data: Value::new().address(family.unspecified()).as_bytes().to_vec() }, protocol, port]
}

/// `ip saddr 10.0.0.0/8`, or `!=` when `inside` is false. A range of all addresses matches without looking.
pub fn source_in(family: Family, net: IpNet, inside: bool) -> Vec<Expr> {
    in_prefix(load_source(family, SCRATCH_ADDRESS), net, inside)
}

/// `ip daddr 10.0.0.0/8`, or `!=` when `inside` is false.
pub fn destination_in(family: Family, net: IpNet, inside: bool) -> Vec<Expr> {
    in_prefix(load_destination(family, SCRATCH_ADDRESS), net, inside)
}

/// The four last registers, so that an IPv6 address fits.
const SCRATCH_ADDRESS: Reg = Reg(12);

fn in_prefix(load: Expr, net: IpNet, inside: bool) -> Vec<Expr> {
    let net = net.trunc();
    let mask = Value::new().address(net.netmask()).as_bytes().to_vec();
    let xor = vec![0; mask.len()];
    let data = Value::new().address(net.addr()).as_bytes().to_vec();
    vec![
        load,
        Expr::Bitwise { sreg: SCRATCH_ADDRESS, dreg: SCRATCH_ADDRESS, mask, xor },
        Expr::Cmp { sreg: SCRATCH_ADDRESS, op: if inside { CmpOp::Eq } else { CmpOp::Neq }, data },
    ]
}

/// `fib daddr type local`, or `saddr`
pub fn is_local(address: FibAddress) -> [Expr; 2] {
    [
        Expr::FibType { address, dreg: SCRATCH },
        Expr::Cmp { sreg: SCRATCH, op: CmpOp::Eq, data: FIB_TYPE_LOCAL.to_ne_bytes().to_vec() },
    ]
}

/// `ct status dnat`, `ct state new` and so on: any of the bits.
pub fn ct_has(key: Ct, bits: u32) -> [Expr; 3] {
    let [bitwise, compare] = has_bits(bits);
    [Expr::Ct { key, dreg: SCRATCH }, bitwise, compare]
}

/// `meta mark and BITS != 0`
pub fn mark_has(bits: u32) -> [Expr; 3] {
    let [bitwise, compare] = has_bits(bits);
    [Expr::Meta { key: Meta::Mark, dreg: SCRATCH }, bitwise, compare]
}

/// `meta mark set mark or BITS`
pub fn mark_set(bits: u32) -> [Expr; 3] {
    change_mark(bits, bits)
}

/// `meta mark set mark and not BITS`
pub fn mark_clear(bits: u32) -> [Expr; 3] {
    change_mark(bits, 0)
}

fn change_mark(bits: u32, value: u32) -> [Expr; 3] {
    [
        Expr::Meta { key: Meta::Mark, dreg: SCRATCH },
        Expr::Bitwise {
            sreg: SCRATCH,
            dreg: SCRATCH,
            mask: (!bits).to_ne_bytes().to_vec(),
            xor: value.to_ne_bytes().to_vec(),
        },
        Expr::MetaSet { key: Meta::Mark, sreg: SCRATCH },
    ]
}

fn has_bits(bits: u32) -> [Expr; 2] {
    [
        Expr::Bitwise { sreg: SCRATCH, dreg: SCRATCH, mask: bits.to_ne_bytes().to_vec(), xor: vec![0; 4] },
        Expr::Cmp { sreg: SCRATCH, op: CmpOp::Neq, data: vec![0; 4] },
    ]
}

/// `iifname NAME` (`!=` when `is` is false), or `oifname` with [`Meta::Oifname`].
pub fn interface(key: Meta, name: &str, is: bool) -> [Expr; 2] {
    let op = if is { CmpOp::Eq } else { CmpOp::Neq };
    [Expr::Meta { key, dreg: SCRATCH_ADDRESS }, compare(op, Value::new().ifname(name).as_bytes())]
}

/// `iifname "PREFIX*"`
pub fn interface_prefix(key: Meta, prefix: &str, is: bool) -> [Expr; 2] {
    let op = if is { CmpOp::Eq } else { CmpOp::Neq };
    [Expr::Meta { key, dreg: SCRATCH_ADDRESS }, compare(op, prefix.as_bytes())]
}

fn compare(op: CmpOp, data: &[u8]) -> Expr {
    Expr::Cmp { sreg: SCRATCH_ADDRESS, op, data: data.to_vec() }
}

/// Destination NAT to the address in `address` and the port in the register after it.
pub fn dnat(family: Family, address: Reg) -> Expr {
    let port = Reg(address.0 + family.address_registers());
    Expr::Nat { kind: Nat::Destination, family, address, port: Some(port) }
}

/// `127.0.0.0/8`
pub const LOOPBACK: IpNet = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8));

/// Rules that drop packets from outside which pretend to come from the node's loopback address, or want to go there. Whoever
/// sets `route_localnet` needs them in a chain before connection tracking ([`super::priority::RAW`]), where answers to
/// redirected connections still carry another address.
pub fn loopback_guard() -> Vec<Rule> {
    let guard = |addresses: Vec<Expr>| {
        let mut expressions = interface(Meta::Iifname, "lo", false).to_vec();
        expressions.extend(addresses);
        expressions.push(Expr::Verdict(Verdict::Drop));
        Rule::new(expressions).comment("route_localnet is for this node only")
    };
    vec![guard(destination_in(Family::Ipv4, LOOPBACK, true)), guard(source_in(Family::Ipv4, LOOPBACK, true))]
}

/// `reg = reg`, which leaves `to` a value that `nft` can list as part of a key. `from` must not be the result of a map.
pub fn copy(from: Reg, to: Reg) -> Expr {
    Expr::Bitwise { sreg: from, dreg: to, mask: vec![0xff; 4], xor: vec![0; 4] }
}

impl Base {
    pub fn filter(hook: Hook, priority: i32) -> Self {
        Self { kind: ChainKind::Filter, hook, priority }
    }

    pub fn nat(hook: Hook, priority: i32) -> Self {
        Self { kind: ChainKind::Nat, hook, priority }
    }
}
