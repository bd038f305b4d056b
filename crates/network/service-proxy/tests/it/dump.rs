//! What the kernel holds, in a form that does not depend on history: which frontend leads by which chain to which endpoints.

use std::collections::BTreeMap;

use windlass_dataplane::Netns;
use windlass_dataplane::nftables::{Data, Element, Family, Nftables, SetSpec, Type, Verdict};

const TABLE: &str = "windlass-services";
const KEY: [Type; 3] = [Type::Ipv4, Type::Protocol, Type::Port];
const ENDPOINT: [Type; 2] = [Type::Ipv4, Type::Port];

fn with(last: Type) -> [Type; 4] {
    [Type::Ipv4, Type::Protocol, Type::Port, last]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn value(element: &Element) -> &[u8] {
    match &element.data {
        Data::Value(value) => value.as_bytes(),
        _ => &[],
    }
}

fn mark(bytes: &[u8]) -> u32 {
    u32::from_ne_bytes(bytes.try_into().unwrap())
}

/// Each line is a fact. Slots are checked to be dense, then forgotten.
pub(crate) fn facts(netns: &Netns) -> Vec<String> {
    let mut nftables = Nftables::open(netns).unwrap();
    let mut elements = |set: &str, spec: SetSpec| nftables.elements(Family::Ipv4, TABLE, set, &spec).unwrap();
    let chains: BTreeMap<u32, String> = elements("dispatch", SetSpec::verdict_map(&[Type::Mark]))
        .iter()
        .map(|element| match &element.data {
            Data::Verdict(Verdict::Goto(chain)) => (mark(element.key.start().as_bytes()), chain.clone()),
            other => panic!("dispatch leads to {other:?}"),
        })
        .collect();
    let mut facts: Vec<String> = Vec::new();
    for element in elements("services", SetSpec::map(&KEY, &[Type::Mark])) {
        facts.push(format!("{} by {}", hex(element.key.start().as_bytes()), chains[&mark(value(&element))]));
    }
    for (set, spec) in [
        ("endpoints", SetSpec::map(&with(Type::Mark), &ENDPOINT)),
        ("sticky-slots", SetSpec::map(&with(Type::Mark), &[Type::Mark])),
    ] {
        let mut slots: BTreeMap<(String, bool), BTreeMap<u32, String>> = BTreeMap::new();
        for element in elements(set, spec) {
            let (key, slot) = element.key.start().as_bytes().split_at(12);
            let slot = mark(slot);
            let group = slots.entry((hex(key), slot >= 1 << 31)).or_default();
            group.insert(slot & !(1 << 31), hex(value(&element)));
        }
        for ((key, local), group) in slots {
            let dense: Vec<u32> = (0..group.len() as u32).collect();
            assert_eq!(group.keys().copied().collect::<Vec<_>>(), dense, "{set} {key} has holes");
            let mut values: Vec<String> = group.into_values().collect();
            values.sort();
            facts.push(format!("{set} {key} local={local} {values:?}"));
        }
    }
    let exact = [
        ("sticky-endpoints", SetSpec::map(&with(Type::Mark), &ENDPOINT)),
        ("rejected", SetSpec::set(&KEY)),
        ("dropped", SetSpec::set(&KEY)),
        ("restricted", SetSpec::set(&KEY)),
        ("sources", SetSpec::set(&with(Type::Ipv4)).interval()),
        ("hairpin", SetSpec::set(&[Type::Ipv4, Type::Ipv4])),
        ("cluster-ips", SetSpec::set(&[Type::Ipv4])),
    ];
    for (set, spec) in exact {
        for element in elements(set, spec) {
            let key = &element.key;
            let (start, end) = (hex(key.start().as_bytes()), hex(key.end().as_bytes()));
            facts.push(format!("{set} {start}-{end} {}", hex(value(&element))));
        }
    }
    facts.extend(nftables.chains(Family::Ipv4, TABLE).unwrap().into_iter().map(|chain| format!("chain {chain}")));
    facts.sort();
    facts
}

/// How many clients are remembered.
pub(crate) fn affinity_count(netns: &Netns) -> usize {
    let spec = SetSpec::map(&with(Type::Ipv4), &[Type::Mark]).dynamic(10_800, 1 << 18);
    Nftables::open(netns).unwrap().elements(Family::Ipv4, TABLE, "affinity", &spec).unwrap().len()
}
