//! The rules that are there whatever Services there are: hooks, masquerade, refusals.

use ipnet::IpNet;
use windlass_dataplane::nftables::{
    Base, CT_STATE_NEW, CT_STATUS_DNAT, Chain, Ct, Expr, Family, FibAddress, Hook, Meta, Reg, Reject, Rule, SetSpec,
    Table, Type, Verdict, phrase, priority, via_mark,
};

use super::{TABLE, set};
use crate::options::{LocalTraffic, Options, of_family};

/// Clients that are remembered at a time.
const AFFINITY_CLIENTS_MAX: u32 = 1 << 18;
/// The API's default; rules say their own.
const AFFINITY_SECONDS_DEFAULT: u64 = 10_800;
/// Source ranges are looked at before addresses are translated.
const BEFORE_DSTNAT: i32 = priority::DSTNAT - 10;

/// What is rare enough to have rules only when it occurs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Occasional {
    /// Some frontends have source ranges.
    pub(super) restricted: bool,
    /// Some ClusterIPs are outside of the known ranges.
    pub(super) stray_cluster_ips: bool,
}

/// A table with all sets and no Services.
pub(super) fn table(family: Family, options: &Options) -> Table {
    let mut table = Table::new(family, TABLE);
    let address = family.address_type();
    let key = [address, Type::Protocol, Type::Port];
    let with = |last: Type| [address, Type::Protocol, Type::Port, last];
    let endpoint = [address, Type::Port];
    table.add_set(set::SERVICES, SetSpec::map(&key, &[Type::Mark]));
    table.add_set(set::DISPATCH, SetSpec::verdict_map(&[Type::Mark]));
    table.add_set(set::ENDPOINTS, SetSpec::map(&with(Type::Mark), &endpoint));
    table.add_set(set::STICKY_SLOTS, SetSpec::map(&with(Type::Mark), &[Type::Mark]));
    table.add_set(set::STICKY_ENDPOINTS, SetSpec::map(&with(Type::Mark), &endpoint));
    let affinity = SetSpec::map(&with(address), &[Type::Mark]);
    table.add_set(set::AFFINITY, affinity.dynamic(AFFINITY_SECONDS_DEFAULT, AFFINITY_CLIENTS_MAX));
    table.add_set(set::REJECTED, SetSpec::set(&key));
    table.add_set(set::DROPPED, SetSpec::set(&key));
    table.add_set(set::RESTRICTED, SetSpec::set(&key));
    table.add_set(set::SOURCES, SetSpec::set(&with(address)).interval());
    table.add_set(set::HAIRPIN, SetSpec::set(&[address, address]));
    table.add_set(set::CLUSTER_IPS, SetSpec::set(&[address]));
    set_chains(&mut table, options, Occasional::default());
    if family == Family::Ipv4 && options.localhost_node_ports {
        let base = Base::filter(Hook::Prerouting, priority::RAW);
        table.set_chain("guard-loopback", Chain { base: Some(base), rules: phrase::loopback_guard() });
    }
    table
}

/// Writes the chains anew; those that are as before cost nothing.
pub(super) fn set_chains(table: &mut Table, options: &Options, occasional: Occasional) {
    let family = table.family();
    let new = || phrase::ct_has(Ct::State, CT_STATE_NEW).to_vec();
    let jump = |mut when: Vec<Expr>, to: &str| {
        when.push(Expr::Verdict(Verdict::Jump(to.to_owned())));
        Rule::new(when)
    };
    let mut set = |name: &str, base: Option<Base>, rules: Vec<Rule>| table.set_chain(name, Chain { base, rules });

    set("services", None, services(family, options, occasional));
    for (name, hook) in [("nat-prerouting", Hook::Prerouting), ("nat-output", Hook::Output)] {
        set(name, Some(Base::nat(hook, priority::DSTNAT)), vec![jump(Vec::new(), "services")]);
    }
    set("nat-postrouting", Some(Base::nat(Hook::Postrouting, priority::SRCNAT)), masquerading(family, options));

    set("refuse-services", None, refuse(family, phrase::load_destination_key(family, Reg(0)).to_vec()));
    set("refuse-node-ports", None, refuse(family, phrase::load_any_address_key(family, Reg(0)).to_vec()));
    set("refuse-cluster-ips", None, refuse_cluster_ips(family, options, occasional));
    let mut local = new();
    local.extend(phrase::is_local(FibAddress::Destination));
    let input = vec![jump(new(), "refuse-services"), jump(local, "refuse-node-ports")];
    set("filter-input", Some(Base::filter(Hook::Input, priority::FILTER)), input);
    for (name, hook) in [("filter-forward", Hook::Forward), ("filter-output", Hook::Output)] {
        let rules = vec![jump(new(), "refuse-services"), jump(new(), "refuse-cluster-ips")];
        set(name, Some(Base::filter(hook, priority::FILTER)), rules);
    }
    for (name, hook) in [("sources-prerouting", Hook::Prerouting), ("sources-output", Hook::Output)] {
        let rules = if occasional.restricted { vec![restrict(family)] } else { Vec::new() };
        set(name, Some(Base::filter(hook, BEFORE_DSTNAT)), rules);
    }
}

/// Matches on packets of this cluster's own pods; any one of the phrases suffices.
pub(super) fn is_local_traffic(family: Family, options: &Options) -> Vec<Vec<Expr>> {
    match &options.local_traffic {
        LocalTraffic::Cidrs(cidrs) => {
            of_family(cidrs, family).map(|net| phrase::source_in(family, net, true)).collect()
        }
        LocalTraffic::InterfacePrefix(prefix) => {
            vec![phrase::interface_prefix(Meta::Iifname, prefix, true).to_vec()]
        }
        LocalTraffic::Interface(name) => vec![phrase::interface(Meta::Iifname, name, true).to_vec()],
        LocalTraffic::Unknown => Vec::new(),
    }
}

/// The opposite, as one phrase; `None` when it is not known.
fn is_not_local_traffic(family: Family, options: &Options) -> Option<Vec<Expr>> {
    match &options.local_traffic {
        LocalTraffic::Cidrs(cidrs) => {
            let outside: Vec<Expr> =
                of_family(cidrs, family).flat_map(|net| phrase::source_in(family, net, false)).collect();
            (!outside.is_empty()).then_some(outside)
        }
        LocalTraffic::InterfacePrefix(prefix) => Some(phrase::interface_prefix(Meta::Iifname, prefix, false).to_vec()),
        LocalTraffic::Interface(name) => Some(phrase::interface(Meta::Iifname, name, false).to_vec()),
        LocalTraffic::Unknown => None,
    }
}

/// Matches on ClusterIPs: one phrase for each range, and one for strays.
fn is_cluster_ip(family: Family, options: &Options, occasional: Occasional) -> Vec<Vec<Expr>> {
    let ranges = of_family(&options.service_cidrs, family);
    let mut phrases: Vec<_> = ranges.map(|net| phrase::destination_in(family, net, true)).collect();
    if occasional.stray_cluster_ips {
        let lookup = Expr::Lookup { set: set::CLUSTER_IPS.into(), sreg: Reg(0), dreg: None, invert: false };
        phrases.push(vec![phrase::load_destination(family, Reg(0)), lookup]);
    }
    phrases
}

fn services(family: Family, options: &Options, occasional: Occasional) -> Vec<Rule> {
    let mut rules = Vec::new();
    let outside = if options.masquerade_all { Some(Vec::new()) } else { is_not_local_traffic(family, options) };
    if let Some(outside) = outside {
        for mut rule in is_cluster_ip(family, options, occasional) {
            rule.extend(outside.clone());
            rule.extend(phrase::mark_set(options.masquerade_mark()));
            rules.push(Rule::new(rule).comment("masquerade what comes from outside of the cluster"));
        }
    }
    rules.push(dispatch(phrase::load_destination_key(family, Reg(0)).to_vec()).comment("addresses of services"));
    for mut rule in accepts_node_ports(family, options) {
        rule.extend(phrase::load_any_address_key(family, Reg(0)));
        rules.push(dispatch(rule).comment("node ports"));
    }
    rules
}

fn dispatch(mut rule: Vec<Expr>) -> Rule {
    let number = Reg(0);
    rule.push(Expr::Lookup { set: set::SERVICES.into(), sreg: Reg(0), dreg: Some(number), invert: false });
    rule.extend(via_mark(number, number, Reg(15)));
    rule.push(Expr::LookupVerdict { set: set::DISPATCH.into(), sreg: number });
    Rule::new(rule)
}

/// The node's addresses on which NodePorts answer.
fn accepts_node_ports(family: Family, options: &Options) -> Vec<Vec<Expr>> {
    let mut local = phrase::is_local(FibAddress::Destination).to_vec();
    let loopback: Option<IpNet> = match family {
        // Linux has no route_localnet for IPv6.
        Family::Ipv6 => Some(IpNet::V6(ipnet::Ipv6Net::new_assert(std::net::Ipv6Addr::LOCALHOST, 128))),
        _ => (!options.localhost_node_ports).then_some(phrase::LOOPBACK),
    };
    if let Some(loopback) = loopback {
        local.extend(phrase::destination_in(family, loopback, false));
    }
    if options.node_port_addresses.is_empty() {
        return vec![local];
    }
    let ranges = of_family(&options.node_port_addresses, family);
    ranges.map(|net| [local.clone(), phrase::destination_in(family, net, true)].concat()).collect()
}

fn masquerading(family: Family, options: &Options) -> Vec<Rule> {
    let mark = options.masquerade_mark();
    let mut marked = phrase::mark_has(mark).to_vec();
    marked.extend(phrase::mark_clear(mark));
    marked.push(Expr::Masquerade);
    let mut hairpin = phrase::ct_has(Ct::Status, CT_STATUS_DNAT).to_vec();
    hairpin.push(phrase::load_source(family, Reg(0)));
    hairpin.push(phrase::load_destination(family, Reg(family.address_registers())));
    hairpin.push(Expr::Lookup { set: set::HAIRPIN.into(), sreg: Reg(0), dreg: None, invert: false });
    hairpin.push(Expr::Masquerade);
    vec![Rule::new(marked), Rule::new(hairpin).comment("an endpoint that reaches itself")]
}

/// For what was not translated: there was nothing to translate it to.
fn refuse(family: Family, key: Vec<Expr>) -> Vec<Rule> {
    let rule = |set: &str, what: Expr| {
        let mut rule = key.clone();
        rule.push(Expr::Lookup { set: set.to_owned(), sreg: Reg(0), dreg: None, invert: false });
        rule.push(what);
        Rule::new(rule)
    };
    vec![rule(set::DROPPED, Expr::Verdict(Verdict::Drop)), rule(set::REJECTED, reject(family))]
}

/// Nothing to a ClusterIP may leave the node: unknown addresses and ports are refused like known ones without endpoints.
fn refuse_cluster_ips(family: Family, options: &Options, occasional: Occasional) -> Vec<Rule> {
    let phrases = is_cluster_ip(family, options, occasional).into_iter();
    phrases.map(|phrase| Rule::new([phrase, vec![reject(family)]].concat())).collect()
}

fn reject(family: Family) -> Expr {
    Expr::Reject { how: Reject::PortUnreachable, family }
}

/// Drops what comes from outside of a frontend's source ranges.
fn restrict(family: Family) -> Rule {
    let mut rule = phrase::ct_has(Ct::State, CT_STATE_NEW).to_vec();
    rule.extend(phrase::load_destination_key(family, Reg(0)));
    rule.push(Expr::Lookup { set: set::RESTRICTED.into(), sreg: Reg(0), dreg: None, invert: false });
    rule.push(phrase::load_source(family, Reg(family.address_registers() + 2)));
    rule.push(Expr::Lookup { set: set::SOURCES.into(), sreg: Reg(0), dreg: None, invert: true });
    rule.push(Expr::Verdict(Verdict::Drop));
    Rule::new(rule).comment("not within the source ranges")
}
