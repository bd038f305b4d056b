//! A port's plan as elements of maps and sets.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use windlass_dataplane::nftables::{Data, Key, Value};

use super::chains::{Pick, PickEndpoint};
use super::set;
use super::slots::{LOCAL_OFFSET, numbers};
use crate::endpoints::Target;
use crate::plan::{Dispatch, Frontend, FrontendKey, PortPlan, Refusal};

/// An element of one of the table's sets.
pub(super) type Element = (&'static str, Key, Data);

/// How the frontend's endpoint is picked.
pub(super) fn pick(plan: &PortPlan, frontend: &Frontend) -> Option<Pick> {
    let node_port = frontend.key.is_node_port();
    let affinity_seconds = plan.affinity_seconds;
    let (cluster, local) = (plan.cluster.len() as u32, plan.local.len() as u32);
    let endpoint = |local, masquerade, count| {
        (count > 0).then_some(Pick::Endpoint(PickEndpoint { node_port, local, masquerade, count, affinity_seconds }))
    };
    match frontend.dispatch? {
        Dispatch::Cluster { masquerade } => endpoint(false, masquerade, cluster),
        Dispatch::Local => endpoint(true, false, local),
        Dispatch::ExternalLocal => {
            (cluster > 0).then_some(Pick::ExternalLocal { node_port, cluster, local, affinity_seconds })
        }
    }
}

/// Everything that a frontend needs. `number` is that of its [`pick`]; `in_range` says that the address is within the known
/// ranges of ClusterIPs, where what is unknown is rejected anyway.
pub(super) fn of_frontend(plan: &PortPlan, frontend: &Frontend, number: Option<u32>, in_range: bool) -> Vec<Element> {
    let key = || key(&frontend.key);
    let mut elements = Vec::new();
    if let Some(number) = number {
        elements.push((set::SERVICES, key().into(), Data::Value(Value::new().mark(number))));
        let (cluster, local) = match frontend.dispatch {
            Some(Dispatch::Cluster { .. }) => (true, false),
            Some(Dispatch::Local) => (false, true),
            Some(Dispatch::ExternalLocal) => (true, true),
            None => (false, false),
        };
        let groups = [(cluster, 0, &plan.cluster), (local, LOCAL_OFFSET, &plan.local)];
        let groups = groups.into_iter().filter(|(used, _, _)| *used);
        let slots: Vec<(u32, Target)> =
            groups.flat_map(|(_, offset, targets)| (offset..).zip(targets.iter().copied())).collect();
        match plan.affinity_seconds {
            None => elements.extend(
                slots
                    .into_iter()
                    .map(|(slot, target)| (set::ENDPOINTS, key().mark(slot).into(), Data::Value(endpoint(target)))),
            ),
            Some(_) => sticky(&mut elements, key, &slots),
        }
    }
    match frontend.refusal {
        Some(Refusal::Drop) => elements.push((set::DROPPED, key().into(), Data::None)),
        Some(Refusal::Reject) if !in_range => elements.push((set::REJECTED, key().into(), Data::None)),
        _ => {}
    }
    if !frontend.sources.is_empty() {
        elements.push((set::RESTRICTED, key().into(), Data::None));
        elements.extend(frontend.sources.iter().map(|net| (set::SOURCES, source(key(), *net), Data::None)));
    }
    elements
}

fn sticky(elements: &mut Vec<Element>, key: impl Fn() -> Value, slots: &[(u32, Target)]) {
    let numbers = numbers(&slots.iter().map(|(_, target)| *target).collect::<BTreeSet<_>>());
    for (target, number) in &numbers {
        let data = Data::Value(endpoint(*target));
        elements.push((set::STICKY_ENDPOINTS, key().mark(*number).into(), data));
    }
    for (slot, target) in slots {
        // Both lists come from the same targets and this one is sorted, so the search succeeds.
        if let Ok(found) = numbers.binary_search_by(|(other, _)| other.cmp(target)) {
            let data = Data::Value(Value::new().mark(numbers[found].1));
            elements.push((set::STICKY_SLOTS, key().mark(*slot).into(), data));
        }
    }
}

pub(super) fn hairpin(address: IpAddr) -> Key {
    Value::new().address(address).address(address).into()
}

fn key(frontend: &FrontendKey) -> Value {
    Value::new().address(frontend.address).protocol(frontend.protocol.number()).port(frontend.port)
}

fn endpoint(target: Target) -> Value {
    Value::new().address(target.address).port(target.port)
}

fn source(key: Value, net: IpNet) -> Key {
    Key::range(key.clone().address(net.network()), key.address(net.broadcast()))
}
