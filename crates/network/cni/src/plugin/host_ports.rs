//! Host ports: the capability `portMappings`.
//!
//! A map leads from address, protocol and port of the node to address and port of the sandbox; the unspecified address stands
//! for all of the node's. Elements carry their attachment in the comment, so that DEL and GC find them again. Plugin processes
//! share the map: each adds and removes only its own elements.
//!
//! Connections from the node's loopback address leave it towards a sandbox, which the kernel allows with `route_localnet`;
//! the same parameter would let neighbours reach the node's loopback address, so a rule drops what comes from outside.

use std::net::IpAddr;

use windlass_dataplane::conntrack::{Conntrack, Flow};
use windlass_dataplane::nftables::{
    Base, Batch, CT_STATUS_DNAT, Chain, Ct, Data, Element, Expr, Family, FibAddress, Hook, Nftables, Reg, Rule,
    SetSpec, Table, Type, Value, Verdict, phrase, priority,
};
use windlass_dataplane::{Netns, sysctl};

use super::node::{HOST_PORTS_TABLE as TABLE, kernel, parameter};
use crate::{CniError, PortMapping, code};

const PORTS: &str = "host-ports";
/// Sandboxes that may reach themselves by a host port.
const HAIRPIN: &str = "hairpin";
const IPPROTO_UDP: u8 = libc::IPPROTO_UDP as u8;

/// A mapping as the kernel takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Port {
    host_ip: IpAddr,
    protocol: u8,
    host_port: u16,
    container: IpAddr,
    container_port: u16,
}

/// Leads host ports to a sandbox. A port that another sandbox has is taken over: the scheduler gives a port to one pod at a
/// time, so the other one is on its way out.
pub(super) fn add(
    nftables: &mut Nftables,
    owner: &str,
    mappings: &[PortMapping],
    addresses: &[IpAddr],
) -> Result<(), CniError> {
    let ports = resolve(mappings, addresses)?;
    for address in addresses {
        let family = Family::of(*address);
        let mine: Vec<Port> = ports.iter().filter(|port| Family::of(port.container) == family).copied().collect();
        if mine.is_empty() {
            continue;
        }
        ensure_table(nftables, family)?;
        let (ports_spec, hairpin_spec) = (ports_spec(family), hairpin_spec(family));
        let present = nftables.elements(family, TABLE, PORTS, &ports_spec).map_err(kernel)?;
        let mut batch = Batch::new(family, TABLE);
        let keys: Vec<_> = mine.iter().map(|port| ports_spec.key(port.key())).collect();
        let taken = present.into_iter().filter(|element| keys.contains(&element.key)).map(|element| element.key);
        batch.delete_elements(PORTS, &ports_spec, taken);
        batch.add_elements(PORTS, &ports_spec, mine.iter().map(|port| port.element(owner)));
        batch.add_elements(HAIRPIN, &hairpin_spec, [hairpin(*address, owner)]);
        batch.send(nftables).map_err(kernel)?;
        // Packets that came before the sandbox did have made the kernel remember a way that leads nowhere.
        forget_flows(family, &mine, |flow, port| flow.original.destination_port == port.host_port)?;
    }
    Ok(())
}

/// Removes the host ports of the owners that match.
pub(super) fn remove(nftables: &mut Nftables, matches: impl Fn(&str) -> bool) -> Result<(), CniError> {
    for family in [Family::Ipv4, Family::Ipv6] {
        if !nftables.table_exists(family, TABLE).map_err(kernel)? {
            continue;
        }
        let (ports_spec, hairpin_spec) = (ports_spec(family), hairpin_spec(family));
        let mut owned = |set: &str, spec: &SetSpec| {
            let elements = nftables.elements(family, TABLE, set, spec).map_err(kernel)?;
            Ok(elements.into_iter().filter(|element| matches(&element.comment)).collect::<Vec<_>>())
        };
        let (ports, hairpins) = (owned(PORTS, &ports_spec)?, owned(HAIRPIN, &hairpin_spec)?);
        let gone: Vec<Port> = ports.iter().filter_map(|element| Port::from_element(family, element)).collect();
        let mut batch = Batch::new(family, TABLE);
        batch.delete_elements(PORTS, &ports_spec, ports.into_iter().map(|element| element.key));
        batch.delete_elements(HAIRPIN, &hairpin_spec, hairpins.into_iter().map(|element| element.key));
        match batch.send(nftables) {
            // Another process was quicker.
            Err(error) if error.is_not_found() => {}
            result => result.map_err(kernel)?,
        }
        forget_flows(family, &gone, |flow, port| {
            flow.reply.source == port.container && flow.reply.source_port == port.container_port
        })?;
    }
    Ok(())
}

/// Whether all host ports of a sandbox are in place.
pub(super) fn check(nftables: &mut Nftables, mappings: &[PortMapping], addresses: &[IpAddr]) -> Result<(), CniError> {
    for port in resolve(mappings, addresses)? {
        let family = Family::of(port.container);
        let spec = ports_spec(family);
        let present = nftables.elements(family, TABLE, PORTS, &spec).map_err(kernel)?;
        let data = Data::Value(spec.value(port.target()));
        if !present.iter().any(|element| element.key == spec.key(port.key()) && element.data == data) {
            let text = format!("host port {} does not lead to {}", port.host_port, port.container);
            return Err(CniError::new(code::INTERNAL, text));
        }
    }
    Ok(())
}

fn resolve(mappings: &[PortMapping], addresses: &[IpAddr]) -> Result<Vec<Port>, CniError> {
    let mut ports = Vec::new();
    for mapping in mappings.iter().filter(|mapping| mapping.host_port != 0) {
        let invalid = |what: &str, value: &str| {
            CniError::new(code::INVALID_CONFIG, format!("invalid {what} in portMappings")).details(value)
        };
        let protocol = match mapping.protocol.to_ascii_lowercase().as_str() {
            "" | "tcp" => libc::IPPROTO_TCP as u8,
            "udp" => IPPROTO_UDP,
            "sctp" => libc::IPPROTO_SCTP as u8,
            other => return Err(invalid("protocol", other)),
        };
        if mapping.container_port == 0 {
            return Err(invalid("containerPort", "0"));
        }
        let host_ip: Option<IpAddr> = match mapping.host_ip.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| invalid("hostIP", text))?),
        };
        // An unspecified address means all of its family.
        for container in addresses {
            if host_ip.is_some_and(|host_ip| host_ip.is_ipv4() != container.is_ipv4()) {
                continue;
            }
            ports.push(Port {
                host_ip: host_ip.unwrap_or(Family::of(*container).unspecified()),
                protocol,
                host_port: mapping.host_port,
                container: *container,
                container_port: mapping.container_port,
            });
        }
    }
    Ok(ports)
}

impl Port {
    fn key(&self) -> Value {
        Value::new().address(self.host_ip).protocol(self.protocol).port(self.host_port)
    }

    fn target(&self) -> Value {
        Value::new().address(self.container).port(self.container_port)
    }

    fn element(&self, owner: &str) -> Element {
        Element { comment: comment(owner), ..Element::new(self.key(), Data::Value(self.target())) }
    }

    fn from_element(family: Family, element: &Element) -> Option<Self> {
        let Data::Value(target) = &element.data else { return None };
        let (key, target) = (element.key.start().as_bytes(), target.as_bytes());
        let length = usize::from(family.address_registers()) * 4;
        let address = |bytes: &[u8]| -> Option<IpAddr> {
            match family {
                Family::Ipv6 => Some(<[u8; 16]>::try_from(bytes.get(..16)?).ok()?.into()),
                _ => Some(<[u8; 4]>::try_from(bytes.get(..4)?).ok()?.into()),
            }
        };
        let port = |bytes: &[u8], at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        Some(Self {
            host_ip: address(key)?,
            protocol: *key.get(length)?,
            host_port: port(key, length + 4)?,
            container: address(target)?,
            container_port: port(target, length)?,
        })
    }
}

/// What identifies an attachment in comments. The kernel keeps 256 bytes with their header.
pub(super) fn comment(owner: &str) -> String {
    owner.chars().take(200).collect()
}

fn hairpin(address: IpAddr, owner: &str) -> Element {
    Element { comment: comment(owner), ..Element::new(Value::new().address(address).address(address), Data::None) }
}

fn ports_spec(family: Family) -> SetSpec {
    let address = family.address_type();
    SetSpec::map(&[address, Type::Protocol, Type::Port], &[address, Type::Port]).foreign()
}

fn hairpin_spec(family: Family) -> SetSpec {
    SetSpec::set(&[family.address_type(), family.address_type()]).foreign()
}

fn ensure_table(nftables: &mut Nftables, family: Family) -> Result<(), CniError> {
    if family == Family::Ipv4 {
        let name = "net/ipv4/conf/all/route_localnet";
        sysctl::set(name, "1").map_err(|error| parameter(name, &error))?;
    }
    if nftables.table_exists(family, TABLE).map_err(kernel)? {
        return Ok(());
    }
    table(family).apply(nftables).map(drop).map_err(kernel)
}

fn table(family: Family) -> Table {
    let mut table = Table::new(family, TABLE);
    table.add_set(PORTS, ports_spec(family));
    table.add_set(HAIRPIN, hairpin_spec(family));
    let lookup = |key: [Expr; 3]| {
        let mut expressions = phrase::is_local(FibAddress::Destination).to_vec();
        expressions.extend(key);
        expressions.push(Expr::Lookup { set: PORTS.into(), sreg: Reg(0), dreg: Some(Reg(8)), invert: false });
        expressions.push(phrase::dnat(family, Reg(8)));
        Rule::new(expressions)
    };
    let rules = vec![
        lookup(phrase::load_destination_key(family, Reg(0))).comment("ports of one address"),
        lookup(phrase::load_any_address_key(family, Reg(0))).comment("ports of all addresses"),
    ];
    table.set_chain("host-ports", Chain { base: None, rules });
    for (name, hook) in [("nat-prerouting", Hook::Prerouting), ("nat-output", Hook::Output)] {
        let rule = Rule::new(vec![Expr::Verdict(Verdict::Jump("host-ports".into()))]);
        table.set_chain(name, Chain { base: Some(Base::nat(hook, priority::DSTNAT)), rules: vec![rule] });
    }
    table.set_chain("nat-postrouting", postrouting(family));
    if family == Family::Ipv4 {
        let base = Base::filter(Hook::Prerouting, priority::RAW);
        let rules = phrase::loopback_guard();
        table.set_chain("guard-loopback", Chain { base: Some(base), rules });
    }
    table
}

fn postrouting(family: Family) -> Chain {
    let redirected = || phrase::ct_has(Ct::Status, CT_STATUS_DNAT).to_vec();
    let mut hairpin = redirected();
    hairpin.push(phrase::load_source(family, Reg(0)));
    hairpin.push(phrase::load_destination(family, Reg(family.address_registers())));
    hairpin.push(Expr::Lookup { set: HAIRPIN.into(), sreg: Reg(0), dreg: None, invert: false });
    hairpin.push(Expr::Masquerade);
    let mut rules = vec![Rule::new(hairpin).comment("a sandbox that reaches itself")];
    if family == Family::Ipv4 {
        let mut local = redirected();
        local.extend(phrase::source_in(family, phrase::LOOPBACK, true));
        local.push(Expr::Masquerade);
        rules.push(Rule::new(local).comment("the node's loopback address"));
    }
    Chain { base: Some(Base::nat(Hook::Postrouting, priority::SRCNAT)), rules }
}

/// UDP flows have no end that the kernel sees; those of a port that changed hands must be forgotten.
fn forget_flows(family: Family, ports: &[Port], matches: impl Fn(&Flow, &Port) -> bool) -> Result<(), CniError> {
    let udp: Vec<&Port> = ports.iter().filter(|port| port.protocol == IPPROTO_UDP).collect();
    if udp.is_empty() {
        return Ok(());
    }
    let mut conntrack = Conntrack::open(&Netns::current()).map_err(kernel)?;
    let stale = |flow: &Flow| udp.iter().any(|port| matches(flow, port));
    let flows = conntrack.flows(family == Family::Ipv6, IPPROTO_UDP, stale).map_err(kernel)?;
    conntrack.delete(&flows).map(drop).map_err(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(protocol: &str, host_ip: &str) -> PortMapping {
        PortMapping { host_port: 80, container_port: 8080, protocol: protocol.into(), host_ip: host_ip.into() }
    }

    #[test]
    fn mappings_are_resolved_for_each_family() {
        let addresses: [IpAddr; 2] = ["10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap()];
        let hosts = |mapping: PortMapping| -> Vec<String> {
            resolve(&[mapping], &addresses).unwrap().iter().map(|port| port.host_ip.to_string()).collect()
        };
        assert_eq!(hosts(mapping("TCP", "")), ["0.0.0.0", "::"]);
        assert_eq!(hosts(mapping("udp", "0.0.0.0")), ["0.0.0.0"]);
        assert_eq!(hosts(mapping("", "127.0.0.1")), ["127.0.0.1"]);
        assert_eq!(hosts(PortMapping { host_port: 0, ..mapping("tcp", "") }), Vec::<String>::new());
        for bad in
            [mapping("icmp", ""), mapping("tcp", "localhost"), PortMapping { container_port: 0, ..mapping("tcp", "") }]
        {
            assert_eq!(resolve(&[bad], &addresses).unwrap_err().code, code::INVALID_CONFIG);
        }
        for port in resolve(&[mapping("udp", "")], &addresses).unwrap() {
            let family = Family::of(port.container);
            let (spec, element) = (ports_spec(family), port.element("owner"));
            let Data::Value(target) = element.data else { panic!("a map has data") };
            let element = Element::new(spec.key(element.key), Data::Value(spec.value(target)));
            assert_eq!(Port::from_element(family, &element), Some(port));
        }
    }
}
