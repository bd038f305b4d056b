//! Tables in the kernel: what is applied is there, differences are found again, and errors say what was refused.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use windlass_dataplane::Netns;
use windlass_dataplane::nftables::*;

use super::netns;

fn service_key(last: u8, port: u16) -> Value {
    Value::new().ipv4(Ipv4Addr::new(10, 96, 0, last)).protocol(6).port(port)
}

fn goto(chain: &str) -> Data {
    Data::Verdict(Verdict::Goto(chain.into()))
}

fn drop_rule() -> Rule {
    Rule::new(vec![Expr::Counter, Expr::Verdict(Verdict::Drop)])
}

const KEY: [Type; 3] = [Type::Ipv4, Type::Protocol, Type::Port];

/// A table with something of everything.
fn sample() -> Table {
    let mut table = Table::new(Family::Ipv4, "sample");
    table.add_set("verdicts", SetSpec::verdict_map(&KEY));
    table.add_set("values", SetSpec::map(&[Type::Mark, Type::Mark], &[Type::Ipv4, Type::Port]));
    table.add_set("marks", SetSpec::map(&KEY, &[Type::Mark]));
    table.add_set("addresses", SetSpec::set(&[Type::Ipv4]));
    table.add_set("ranges", SetSpec::set(&[Type::Ipv4]).interval());
    table.add_set("sources", SetSpec::set(&[Type::Ipv4, Type::Port, Type::Ipv4]).interval());
    table.add_set("learned", SetSpec::map(&[Type::Mark, Type::Ipv4], &[Type::Ipv4, Type::Port]).dynamic(60, 100));
    table.set_chain("stop", Chain { base: None, rules: vec![drop_rule()] });
    let lookup = vec![
        Expr::Payload { base: Header::Network, offset: 16, len: 4, dreg: Reg(0) },
        Expr::Meta { key: Meta::L4Proto, dreg: Reg(1) },
        Expr::Payload { base: Header::Transport, offset: 2, len: 2, dreg: Reg(2) },
        Expr::LookupVerdict { set: "verdicts".into(), sreg: Reg(0) },
    ];
    let base = Base { kind: ChainKind::Filter, hook: Hook::Prerouting, priority: priority::RAW };
    table.set_chain("entry", Chain { base: Some(base), rules: vec![Rule::new(lookup).comment("look up")] });
    table.set_element("verdicts", service_key(1, 443), goto("stop"));
    table.set_element(
        "values",
        Value::new().mark(1).mark(2),
        Data::Value(Value::new().ipv4([1, 2, 3, 4].into()).port(5)),
    );
    table.set_element("marks", service_key(2, 53), Data::Value(Value::new().mark(7)));
    table.set_element("addresses", Value::new().ipv4([9, 9, 9, 9].into()), Data::None);
    table
}

fn every_expression() -> Vec<Expr> {
    let four = |value: u32| value.to_ne_bytes().to_vec();
    let mut expressions = vec![
        Expr::Counter,
        Expr::Meta { key: Meta::Iifname, dreg: Reg(0) },
        Expr::Cmp { sreg: Reg(0), op: CmpOp::Neq, data: b"lo\0".to_vec() },
        Expr::Ct { key: Ct::State, dreg: Reg(0) },
        Expr::Bitwise { sreg: Reg(0), dreg: Reg(0), mask: four(CT_STATE_NEW), xor: four(0) },
        Expr::Cmp { sreg: Reg(0), op: CmpOp::Neq, data: four(0) },
        Expr::Immediate { dreg: Reg(3), data: four(5) },
        Expr::CtSet { key: Ct::Mark, sreg: Reg(3) },
        Expr::CtOriginal { key: Ct::DstIp, dreg: Reg(4) },
        Expr::Lookup { set: "ranges".into(), sreg: Reg(4), dreg: None, invert: true },
        Expr::FibType { address: FibAddress::Destination, dreg: Reg(5) },
        Expr::Cmp { sreg: Reg(5), op: CmpOp::Eq, data: four(FIB_TYPE_LOCAL) },
        Expr::Hash { sreg: Reg(4), len: 4, dreg: Reg(5), modulus: 16, seed: 1 },
        Expr::Numgen { kind: Numgen::Incremental, modulus: 3, offset: 1 << 31, dreg: Reg(6) },
        Expr::Payload { base: Header::Network, offset: 12, len: 4, dreg: Reg(7) },
        Expr::Immediate { dreg: Reg(8), data: vec![1; 4] },
        Expr::Immediate { dreg: Reg(9), data: vec![1; 2] },
        Expr::Dynset {
            set: "learned".into(),
            op: DynsetOp::Delete,
            key: Reg(6),
            data: Some(Reg(8)),
            timeout_seconds: 0,
        },
        Expr::Dynset {
            set: "learned".into(),
            op: DynsetOp::Update,
            key: Reg(6),
            data: Some(Reg(8)),
            timeout_seconds: 9,
        },
    ];
    expressions.extend(via_mark(Reg(0), Reg(1), Reg(2)));
    expressions.push(Expr::Nat { kind: Nat::Destination, family: Family::Ipv4, address: Reg(8), port: Some(Reg(9)) });
    expressions
}

#[test]
fn what_is_applied_is_there_and_applying_again_changes_nothing() {
    let netns = netns();
    let mut nftables = Nftables::open(&netns).unwrap();
    let mut table = sample();
    let nat = Base { kind: ChainKind::Nat, hook: Hook::Output, priority: priority::DSTNAT };
    table.set_chain("nat", Chain { base: Some(nat), rules: vec![Rule::new(every_expression())] });
    let masquerade = Base { kind: ChainKind::Nat, hook: Hook::Postrouting, priority: priority::SRCNAT };
    table.set_chain("masquerade", Chain { base: Some(masquerade), rules: vec![Rule::new(vec![Expr::Masquerade])] });
    for how in [Reject::PortUnreachable, Reject::HostUnreachable, Reject::AdminProhibited] {
        let reject = Rule::new(vec![Expr::Reject { how, family: Family::Ipv4 }]);
        table.set_chain(&format!("{how:?}"), Chain { base: None, rules: vec![reject] });
    }
    let applied = table.apply(&mut nftables).unwrap();
    assert!(applied.resynced);
    assert_eq!((applied.chains_changed, applied.elements_added, applied.elements_removed), (7, 4, 0));
    assert_eq!(table.apply(&mut nftables).unwrap(), Applied::default());

    table.forget();
    assert_eq!(table.apply(&mut nftables).unwrap(), Applied { resynced: true, ..Applied::default() });

    let spec = SetSpec::verdict_map(&KEY);
    let verdicts = nftables.elements(Family::Ipv4, "sample", "verdicts", &spec).unwrap();
    assert_eq!(verdicts, vec![Element::new(spec.key(service_key(1, 443)), goto("stop"))]);
    assert_nft_lists(&netns, &["look up", "goto stop", "masquerade fully-random", "reject", "update @learned"]);
    nftables.delete_table(Family::Ipv4, "sample").unwrap();
    nftables.delete_table(Family::Ipv4, "sample").unwrap();
    assert!(!nftables.table_exists(Family::Ipv4, "sample").unwrap());
}

/// Where `nft` is installed, it must be able to show what we wrote.
fn assert_nft_lists(netns: &Netns, wanted: &[&str]) {
    let namespace = format!("--net={}", netns.path().display());
    let output = std::process::Command::new("nsenter").arg(namespace).args(["nft", "list", "ruleset"]).output();
    let Ok(output) = output else { return };
    if output.status.code() == Some(127) {
        return;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr));
    for part in wanted {
        assert!(text.contains(part), "nft does not show {part}:\n{text}");
    }
}

#[test]
fn ranges_come_back_as_they_went() {
    let netns = netns();
    let mut nftables = Nftables::open(&netns).unwrap();
    let mut table = sample();
    let range = |from: [u8; 4], to: [u8; 4]| Key::range(Value::new().ipv4(from.into()), Value::new().ipv4(to.into()));
    // Neighbouring ranges, a single address, and one that ends with the last address of all.
    for key in [
        range([10, 0, 0, 0], [10, 0, 0, 255]),
        range([10, 0, 1, 0], [10, 0, 1, 7]),
        range([192, 168, 0, 1], [192, 168, 0, 1]),
        range([224, 0, 0, 0], [255, 255, 255, 255]),
    ] {
        table.set_element("ranges", key, Data::None);
    }
    let source = |from: [u8; 4]| Value::new().ipv4([10, 96, 0, 1].into()).port(80).ipv4(from.into());
    table.set_element("sources", Key::range(source([172, 16, 0, 0]), source([172, 31, 255, 255])), Data::None);
    table.set_element("sources", source([8, 8, 8, 8]), Data::None);
    table.apply(&mut nftables).unwrap();
    table.forget();
    assert_eq!(table.apply(&mut nftables).unwrap(), Applied { resynced: true, ..Applied::default() });
    table.remove_element("ranges", range([10, 0, 1, 0], [10, 0, 1, 7]));
    assert_eq!(table.apply(&mut nftables).unwrap().elements_removed, 1);
    table.forget();
    assert_eq!(table.apply(&mut nftables).unwrap(), Applied { resynced: true, ..Applied::default() });
}

#[test]
fn a_restarted_daemon_sends_only_what_differs() {
    let netns = netns();
    let mut nftables = Nftables::open(&netns).unwrap();
    sample().apply(&mut nftables).unwrap();
    let mut table = sample();
    table.set_element("marks", service_key(2, 53), Data::Value(Value::new().mark(8)));
    table.set_element("addresses", Value::new().ipv4([9, 9, 9, 8].into()), Data::None);
    table.set_chain("stop", Chain { base: None, rules: vec![drop_rule(), drop_rule()] });
    table.remove_element("values", Value::new().mark(1).mark(2));
    let applied = table.apply(&mut Nftables::open(&netns).unwrap()).unwrap();
    assert_eq!(applied, Applied { chains_changed: 1, elements_added: 2, elements_removed: 2, resynced: true });
}

#[test]
fn what_others_changed_is_mended() {
    let netns = netns();
    let mut nftables = Nftables::open(&netns).unwrap();
    let mut table = sample();
    table.apply(&mut nftables).unwrap();

    // An element vanished: to remove it fails, the table is read again, and everything is as wanted afterwards.
    let marks = SetSpec::map(&KEY, &[Type::Mark]);
    let mut other = Nftables::open(&netns).unwrap();
    let mut batch = Batch::new(Family::Ipv4, "sample");
    batch.delete_elements("marks", &marks, [Key::from(service_key(2, 53))]);
    batch.add_elements("marks", &marks, [Element::new(service_key(3, 53), Data::Value(Value::new().mark(1)))]);
    batch.send(&mut other).unwrap();
    table.remove_element("marks", service_key(2, 53));
    assert!(table.apply(&mut nftables).unwrap().resynced);
    assert_eq!(nftables.elements(Family::Ipv4, "sample", "marks", &marks).unwrap(), vec![]);

    // The whole table vanished, as after `nft flush ruleset`.
    other.delete_table(Family::Ipv4, "sample").unwrap();
    table.set_element("addresses", Value::new().ipv4([9, 9, 9, 7].into()), Data::None);
    let applied = table.apply(&mut nftables).unwrap();
    assert_eq!((applied.resynced, applied.chains_changed, applied.elements_added), (true, 2, 4));

    // Somebody added a chain and a set; they go, as the table is ours alone.
    let mut batch = Batch::new(Family::Ipv4, "sample");
    batch.add_chain("stranger", &Chain::default());
    batch.add_rule("stranger", &drop_rule());
    batch.add_rule("stop", &drop_rule());
    batch.add_set("strange", &SetSpec::set(&[Type::Port]));
    batch.send(&mut other).unwrap();
    table.forget();
    table.apply(&mut nftables).unwrap();
    assert_eq!(nftables.chains(Family::Ipv4, "sample").unwrap(), ["entry", "stop"]);
    table.forget();
    assert_eq!(table.apply(&mut nftables).unwrap(), Applied { resynced: true, ..Applied::default() });
}

#[test]
fn a_table_of_another_version_is_rebuilt() {
    let netns = netns();
    let mut nftables = Nftables::open(&netns).unwrap();
    sample().apply(&mut nftables).unwrap();
    let mut table = sample();
    table.add_set("addresses", SetSpec::set(&[Type::Ipv6]));
    let base = Base { kind: ChainKind::Filter, hook: Hook::Input, priority: 5 };
    let rules = table.chain("entry").unwrap().rules.clone();
    table.set_chain("entry", Chain { base: Some(base), rules });
    let applied = table.apply(&mut nftables).unwrap();
    assert_eq!((applied.chains_changed, applied.elements_added), (2, 3));
    table.forget();
    assert_eq!(table.apply(&mut nftables).unwrap(), Applied { resynced: true, ..Applied::default() });
}

#[test]
fn a_refusal_names_the_command() {
    let netns = netns();
    let mut nftables = Nftables::open(&netns).unwrap();
    let mut table = sample();
    table.apply(&mut nftables).unwrap();
    table.set_chain(
        "lost",
        Chain { base: None, rules: vec![Rule::new(vec![Expr::Verdict(Verdict::Goto("nowhere".into()))])] },
    );
    let error = table.apply(&mut nftables).unwrap_err();
    assert_eq!(error.to_string(), "the kernel refused to add a rule to chain ip sample lost");

    let spec = SetSpec::set(&[Type::Ipv4]);
    let mut batch = Batch::new(Family::Ipv4, "sample");
    let key = |last| Key::from(Value::new().ipv4([10, 0, 0, last].into()));
    batch.add_elements("addresses", &spec, [Element::new(key(1), Data::None)]);
    batch.delete_elements("addresses", &spec, [key(1), key(2)]);
    let error = batch.send(&mut nftables).unwrap_err();
    assert_eq!(error.to_string(), "the kernel refused to delete element 0a000002 of set ip sample addresses");
    assert!(error.is_not_found());
    // Nothing of a refused batch took effect.
    assert_eq!(nftables.elements(Family::Ipv4, "sample", "addresses", &spec).unwrap().len(), 1);

    // The mistake does not stay behind once it is taken back.
    table.remove_chain("lost");
    table.apply(&mut nftables).unwrap();
}

#[derive(Clone, Debug)]
enum Change {
    Value(u8, u8),
    NoValue(u8),
    Verdict(u8, u8),
    NoVerdict(u8),
    Rules(u8, u8),
    Range(u8, u8),
    NoRange(u8),
    Apply,
    Forget,
    Meddle(u8),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0..6_u8, 0..4_u8).prop_map(|(key, value)| Change::Value(key, value)),
        (0..6_u8).prop_map(Change::NoValue),
        (0..6_u8, 0..3_u8).prop_map(|(key, chain)| Change::Verdict(key, chain)),
        (0..6_u8).prop_map(Change::NoVerdict),
        (0..3_u8, 1..3_u8).prop_map(|(chain, rules)| Change::Rules(chain, rules)),
        (0..4_u8, 1..9_u8).prop_map(|(key, length)| Change::Range(key, length)),
        (0..4_u8).prop_map(Change::NoRange),
        Just(Change::Apply),
        Just(Change::Forget),
        (0..6_u8).prop_map(Change::Meddle),
    ]
}

/// Chains exist exactly while a verdict leads to them.
fn perform(table: &mut Table, verdicts: &mut [Option<u8>; 6], ranges: &mut [Option<u8>; 4], change: &Change) {
    let chain = |number: u8| format!("chain-{number}");
    let range = |key: u8, length: u8| {
        Key::range(Value::new().ipv4([7, key, 0, 0].into()), Value::new().ipv4([7, key, 0, length - 1].into()))
    };
    match *change {
        Change::Value(key, value) => {
            table.set_element("marks", service_key(key, 1), Data::Value(Value::new().mark(value.into())));
        }
        Change::NoValue(key) => table.remove_element("marks", service_key(key, 1)),
        Change::Verdict(key, to) => {
            if table.chain(&chain(to)).is_none() {
                table.set_chain(&chain(to), Chain { base: None, rules: vec![drop_rule()] });
            }
            table.set_element("verdicts", service_key(key, 1), goto(&chain(to)));
            let from = verdicts[usize::from(key)].replace(to);
            forget_chain(table, verdicts, from);
        }
        Change::NoVerdict(key) => {
            table.remove_element("verdicts", service_key(key, 1));
            let from = verdicts[usize::from(key)].take();
            forget_chain(table, verdicts, from);
        }
        Change::Rules(to, rules) => {
            if table.chain(&chain(to)).is_some() {
                let rules = vec![drop_rule(); rules.into()];
                table.set_chain(&chain(to), Chain { base: None, rules });
            }
        }
        Change::Range(key, length) => {
            if let Some(before) = ranges[usize::from(key)].replace(length) {
                table.remove_element("ranges", range(key, before));
            }
            table.set_element("ranges", range(key, length), Data::None);
        }
        Change::NoRange(key) => {
            if let Some(before) = ranges[usize::from(key)].take() {
                table.remove_element("ranges", range(key, before));
            }
        }
        Change::Apply | Change::Forget | Change::Meddle(_) => {}
    }
}

fn forget_chain(table: &mut Table, verdicts: &[Option<u8>; 6], chain: Option<u8>) {
    if let Some(chain) = chain.filter(|chain| !verdicts.contains(&Some(*chain))) {
        table.remove_chain(&format!("chain-{chain}"));
    }
}

/// Everything the kernel holds of the sample table, in order.
fn dump(netns: &Netns) -> Vec<String> {
    let mut nftables = Nftables::open(netns).unwrap();
    let mut all = nftables.chains(Family::Ipv4, "sample").unwrap();
    let sets = [
        ("verdicts", SetSpec::verdict_map(&KEY)),
        ("marks", SetSpec::map(&KEY, &[Type::Mark])),
        ("ranges", SetSpec::set(&[Type::Ipv4]).interval()),
    ];
    for (name, spec) in sets {
        let elements = nftables.elements(Family::Ipv4, "sample", name, &spec).unwrap();
        let mut elements: Vec<String> = elements.iter().map(|element| format!("{name} {element:?}")).collect();
        elements.sort();
        all.extend(elements);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn any_history_ends_as_a_cold_start(changes in proptest::collection::vec(change(), 1..60)) {
        let (lived, cold) = (netns(), netns());
        let mut nftables = Nftables::open(&lived).unwrap();
        let mut table = sample();
        let mut fresh = sample();
        let (mut verdicts, mut ranges) = ([None; 6], [None; 4]);
        let (mut fresh_verdicts, mut fresh_ranges) = ([None; 6], [None; 4]);
        table.apply(&mut nftables).unwrap();
        for change in &changes {
            perform(&mut table, &mut verdicts, &mut ranges, change);
            perform(&mut fresh, &mut fresh_verdicts, &mut fresh_ranges, change);
            match change {
                Change::Apply => drop(table.apply(&mut nftables).unwrap()),
                Change::Forget => table.forget(),
                Change::Meddle(key) => {
                    let mut batch = Batch::new(Family::Ipv4, "sample");
                    let spec = SetSpec::map(&KEY, &[Type::Mark]);
                    let element = Element::new(service_key(*key, 2), Data::Value(Value::new().mark(1)));
                    batch.add_elements("marks", &spec, [element]);
                    batch.send(&mut Nftables::open(&lived).unwrap()).unwrap();
                    table.forget();
                }
                _ => {}
            }
        }
        table.apply(&mut nftables).unwrap();
        fresh.apply(&mut Nftables::open(&cold).unwrap()).unwrap();
        prop_assert_eq!(dump(&lived), dump(&cold));
        // And the shadow believes what is true.
        table.forget();
        prop_assert_eq!(table.apply(&mut nftables).unwrap(), Applied { resynced: true, ..Applied::default() });
    }
}
