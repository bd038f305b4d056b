//! The ways to pick an endpoint. Each is a chain that all Services of the same shape share.

use std::fmt;

use windlass_dataplane::nftables::{
    Chain, DynsetOp, Expr, Family, FibAddress, Numgen, Reg, Rule, Verdict, phrase, via_mark,
};

use super::base::is_local_traffic;
use super::set;
use super::slots::LOCAL_OFFSET;
use crate::options::Options;

/// What distinguishes one way to pick from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Pick {
    /// One of `count` endpoints.
    Endpoint(PickEndpoint),
    /// By who asks: pods and processes of this node get any endpoint, others a local one.
    ExternalLocal { node_port: bool, cluster: u32, local: u32, affinity_seconds: Option<u32> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PickEndpoint {
    /// Keys have the unspecified address.
    pub(super) node_port: bool,
    /// Of the slots of traffic policy Local.
    pub(super) local: bool,
    pub(super) masquerade: bool,
    pub(super) count: u32,
    pub(super) affinity_seconds: Option<u32>,
}

/// The chain's name.
impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node_port, affinity_seconds) = match self {
            Self::Endpoint(pick) => (pick.node_port, pick.affinity_seconds),
            Self::ExternalLocal { node_port, affinity_seconds, .. } => (*node_port, *affinity_seconds),
        };
        if node_port {
            f.write_str("node-port-")?;
        }
        match self {
            Self::Endpoint(pick) => {
                let masquerade = if pick.masquerade { "masquerade-" } else { "" };
                let local = if pick.local { "local-" } else { "" };
                write!(f, "{masquerade}pick-{local}{}", pick.count)?;
            }
            Self::ExternalLocal { cluster, local, .. } => write!(f, "external-{cluster}-or-local-{local}")?,
        }
        match affinity_seconds {
            Some(seconds) => write!(f, "-affinity-{seconds}"),
            None => Ok(()),
        }
    }
}

impl Pick {
    /// The chains that this one leads to.
    pub(super) fn successors(self) -> Vec<Pick> {
        let Self::ExternalLocal { node_port, cluster, local, affinity_seconds } = self else { return Vec::new() };
        let any = PickEndpoint { node_port, local: false, masquerade: false, count: cluster, affinity_seconds };
        let mut successors = vec![Self::Endpoint(any), Self::Endpoint(PickEndpoint { masquerade: true, ..any })];
        if local > 0 {
            successors.push(Self::Endpoint(PickEndpoint { local: true, count: local, ..any }));
        }
        successors
    }

    /// The number by which `dispatch` knows the chain, unless another has it: FNV-1a of the name, so that it is the same after
    /// a restart.
    pub(super) fn preferred_number(self) -> u32 {
        let name = self.to_string();
        name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }

    pub(super) fn chain(self, family: Family, options: &Options) -> Chain {
        let rules = match self {
            Self::Endpoint(pick) => pick.rules(Registers::new(family), options.masquerade_mark()),
            Self::ExternalLocal { .. } => self.external_rules(family, options),
        };
        Chain { base: None, rules }
    }

    fn external_rules(self, family: Family, options: &Options) -> Vec<Rule> {
        let goto = |mut expressions: Vec<Expr>, to: &Pick| {
            expressions.push(Expr::Verdict(Verdict::Goto(to.to_string())));
            Rule::new(expressions)
        };
        let successors = self.successors();
        let mut rules = Vec::new();
        if let [any, any_masqueraded, local @ ..] = successors.as_slice() {
            for mine in is_local_traffic(family, options) {
                rules.push(goto(mine, any).comment("pods of this cluster"));
            }
            // The address is the node's own, so an answer would not come back this way without masquerade.
            let node = phrase::is_local(FibAddress::Source).to_vec();
            rules.push(goto(node, any_masqueraded).comment("processes of this node"));
            rules.extend(local.iter().map(|local| goto(Vec::new(), local)));
        }
        rules
    }
}

/// Where things stand while a rule runs: the key of a frontend from register 0 on, followed by a slot, a number or a client's
/// address; then the number; then the endpoint.
struct Registers {
    family: Family,
    tail: Reg,
    number: Reg,
    endpoint: Reg,
}

const SCRATCH: Reg = Reg(15);

impl Registers {
    fn new(family: Family) -> Self {
        let address = family.address_registers();
        let tail = address + 2;
        Self { family, tail: Reg(tail), number: Reg(tail + address), endpoint: Reg(tail + address + 1) }
    }

    fn lookup(set: &str, dreg: Reg) -> Expr {
        Expr::Lookup { set: set.to_owned(), sreg: Reg(0), dreg: Some(dreg), invert: false }
    }

    fn dnat(&self) -> Expr {
        phrase::dnat(self.family, self.endpoint)
    }
}

impl PickEndpoint {
    fn rules(self, registers: Registers, mark: u32) -> Vec<Rule> {
        let mut rules = Vec::new();
        if self.masquerade {
            rules.push(Rule::new(phrase::mark_set(mark).to_vec()).comment("masquerade"));
        }
        match self.affinity_seconds {
            None => {
                rules.push(self.pick(&registers, self.random_slot(registers.tail)));
                // The set may have shrunk between the lookups of one packet; the first slot is the last to go.
                rules.push(self.pick(&registers, self.first_slot(registers.tail)).comment("the slot has just gone"));
            }
            Some(seconds) => {
                rules.push(self.remembered(&registers, seconds));
                rules.push(self.learn(&registers, seconds));
                let forgetful = self.pick_by_number(&registers, self.random_slot(registers.tail));
                rules.push(forgetful.comment("affinity has no room for another client"));
                let first = self.pick_by_number(&registers, self.first_slot(registers.tail));
                rules.push(first.comment("the slot has just gone"));
            }
        }
        rules
    }

    fn offset(self) -> u32 {
        if self.local { LOCAL_OFFSET } else { 0 }
    }

    fn random_slot(self, dreg: Reg) -> Expr {
        Expr::Numgen { kind: Numgen::Random, modulus: self.count.max(1), offset: self.offset(), dreg }
    }

    fn first_slot(self, dreg: Reg) -> Expr {
        Expr::Immediate { dreg, data: self.offset().to_ne_bytes().to_vec() }
    }

    fn key(self, family: Family) -> Vec<Expr> {
        if self.node_port {
            phrase::load_any_address_key(family, Reg(0)).to_vec()
        } else {
            phrase::load_destination_key(family, Reg(0)).to_vec()
        }
    }

    fn pick(self, registers: &Registers, slot: Expr) -> Rule {
        let mut rule = self.key(registers.family);
        rule.push(slot);
        rule.push(Registers::lookup(set::ENDPOINTS, registers.endpoint));
        rule.push(registers.dnat());
        Rule::new(rule)
    }

    /// The client's number still has an endpoint: go there, and remember for as long again.
    fn remembered(self, registers: &Registers, seconds: u32) -> Rule {
        let mut rule = self.key(registers.family);
        rule.push(phrase::load_source(registers.family, registers.tail));
        rule.push(Registers::lookup(set::AFFINITY, registers.number));
        rule.extend(via_mark(registers.number, registers.number, SCRATCH));
        rule.push(phrase::copy(registers.number, registers.tail));
        rule.push(Registers::lookup(set::STICKY_ENDPOINTS, registers.endpoint));
        rule.push(phrase::load_source(registers.family, registers.tail));
        rule.push(dynset(DynsetOp::Update, registers, seconds));
        rule.push(registers.dnat());
        Rule::new(rule).comment("a client that was here before")
    }

    /// Pick an endpoint and remember it. An entry that leads nowhere any more goes first: an update would keep its number.
    fn learn(self, registers: &Registers, seconds: u32) -> Rule {
        let mut rule = self.number_of(registers, self.random_slot(registers.tail));
        rule.push(phrase::load_source(registers.family, registers.tail));
        rule.push(dynset(DynsetOp::Delete, registers, 0));
        rule.push(dynset(DynsetOp::Update, registers, seconds));
        rule.push(registers.dnat());
        Rule::new(rule).comment("a new client")
    }

    fn pick_by_number(self, registers: &Registers, slot: Expr) -> Rule {
        let mut rule = self.number_of(registers, slot);
        rule.push(registers.dnat());
        Rule::new(rule)
    }

    /// From a slot to the endpoint's number, and from there to the endpoint.
    fn number_of(self, registers: &Registers, slot: Expr) -> Vec<Expr> {
        let mut rule = self.key(registers.family);
        rule.push(slot);
        rule.push(Registers::lookup(set::STICKY_SLOTS, registers.number));
        rule.extend(via_mark(registers.number, registers.number, SCRATCH));
        rule.push(phrase::copy(registers.number, registers.tail));
        rule.push(Registers::lookup(set::STICKY_ENDPOINTS, registers.endpoint));
        rule
    }
}

fn dynset(op: DynsetOp, registers: &Registers, seconds: u32) -> Expr {
    Expr::Dynset {
        set: set::AFFINITY.to_owned(),
        op,
        key: Reg(0),
        data: Some(registers.number),
        timeout_seconds: u64::from(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_how() {
        let pick = PickEndpoint { node_port: false, local: false, masquerade: false, count: 3, affinity_seconds: None };
        for (pick, name) in [
            (Pick::Endpoint(pick), "pick-3"),
            (
                Pick::Endpoint(PickEndpoint { node_port: true, local: true, affinity_seconds: Some(60), ..pick }),
                "node-port-pick-local-3-affinity-60",
            ),
            (Pick::Endpoint(PickEndpoint { masquerade: true, ..pick }), "masquerade-pick-3"),
            (
                Pick::ExternalLocal { node_port: true, cluster: 3, local: 1, affinity_seconds: None },
                "node-port-external-3-or-local-1",
            ),
        ] {
            assert_eq!(pick.to_string(), name);
        }
    }

    #[test]
    fn registers_suffice() {
        for (family, last) in [(Family::Ipv4, 6), (Family::Ipv6, 15)] {
            let registers = Registers::new(family);
            assert_eq!(registers.endpoint.0 + family.address_registers(), last);
        }
    }
}
