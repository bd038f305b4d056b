//! What is programmed in one address family, and how it changes.
//!
//! Every change is a change of one Service's plan. Its cost follows the size of that Service alone: elements of the old and
//! the new plan are compared, and the table gets the difference.
//!
//! Two Services may claim one frontend (the same external address; a NodePort that was just given to another). The one whose
//! name comes first has it; when that goes, the next gets it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use windlass_dataplane::nftables::{Applied, Data, Family, Key, Nftables, Table, Value, Verdict};

use super::base::{self, Occasional};
use super::chains::Pick;
use super::elements::{self, Element};
use super::{set, slots};
use crate::endpoints::{PortName, Target};
use crate::object::Protocol;
use crate::options::{Options, of_family};
use crate::plan::{Dispatch, Frontend, FrontendKey, PortPlan};
use windlass_api::ObjectKey;

/// One port of one Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortKey {
    pub service: ObjectKey,
    pub port: PortName,
}

/// UDP flows to these frontends may only go on to these endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpTargets {
    pub frontend: FrontendKey,
    pub serving: Vec<Target>,
}

/// The table of one family.
#[derive(Debug)]
pub struct Program {
    family: Family,
    options: Options,
    table: Table,
    plans: HashMap<ObjectKey, Plans>,
    claims: HashMap<FrontendKey, Claim>,
    picks: HashMap<Pick, Used>,
    numbers: HashMap<u32, Pick>,
    hairpins: HashMap<IpAddr, usize>,
    stray_cluster_ips: HashMap<IpAddr, usize>,
    restricted: usize,
    occasional: Occasional,
}

type Plans = Vec<(Arc<PortKey>, PortPlan)>;

/// Who wants a frontend, in the order of their names, and whose elements the table has.
#[derive(Debug, Default)]
struct Claim {
    claimants: Vec<Arc<PortKey>>,
    programmed: Option<Arc<PortKey>>,
}

/// How many frontends use a way to pick, and the number by which they find it.
#[derive(Debug)]
struct Used {
    number: u32,
    count: usize,
}

/// What one change takes out of the table and puts into it.
#[derive(Default)]
struct Difference {
    old: HashMap<(&'static str, Key), Data>,
    new: Vec<Element>,
    /// Released only at the end, so that a chain that is still needed is not made anew.
    released: Vec<Pick>,
}

impl Program {
    pub fn new(family: Family, options: &Options) -> Self {
        Self {
            family,
            options: options.clone(),
            table: base::table(family, options),
            plans: HashMap::new(),
            claims: HashMap::new(),
            picks: HashMap::new(),
            numbers: HashMap::new(),
            hairpins: HashMap::new(),
            stray_cluster_ips: HashMap::new(),
            restricted: 0,
            occasional: Occasional::default(),
        }
    }

    pub fn family(&self) -> Family {
        self.family
    }

    /// Replaces a Service's plan; an empty one removes it. Returns what UDP flows may now do, for frontends whose endpoints
    /// changed.
    pub fn change(&mut self, service: &ObjectKey, plans: Vec<PortPlan>) -> Vec<UdpTargets> {
        let before = self.plans.remove(service).unwrap_or_default();
        let after: Plans = plans.into_iter().map(|plan| adopt(service, &before, plan)).collect();
        if before == after {
            self.keep(service, after);
            return Vec::new();
        }
        let udp = udp_targets(&before, &after);
        self.count_hairpins(&before, &after);
        self.change_frontends(service, &before, after);
        let occasional =
            Occasional { restricted: self.restricted > 0, stray_cluster_ips: !self.stray_cluster_ips.is_empty() };
        if occasional != self.occasional {
            self.occasional = occasional;
            base::set_chains(&mut self.table, &self.options, occasional);
        }
        udp
    }

    /// Sends what changed to the kernel.
    pub fn apply(&mut self, nftables: &mut Nftables) -> windlass_dataplane::Result<Applied> {
        self.table.apply(nftables)
    }

    /// Whether anything waits to be sent.
    pub fn has_changes(&self) -> bool {
        self.table.has_changes()
    }

    /// Makes the next `apply` read the kernel's table and mend what others changed.
    pub fn forget(&mut self) {
        self.table.forget();
    }

    fn keep(&mut self, service: &ObjectKey, plans: Plans) {
        if !plans.is_empty() {
            self.plans.insert(service.clone(), plans);
        }
    }

    fn change_frontends(&mut self, service: &ObjectKey, before: &Plans, after: Plans) {
        let mut difference = Difference::default();
        let touched: BTreeSet<FrontendKey> =
            frontends(before).chain(frontends(&after)).map(|(_, _, f)| f.key).collect();
        for (key, plan, frontend) in frontends(before) {
            let Some(claim) = self.claims.get_mut(&frontend.key) else { continue };
            claim.claimants.retain(|claimant| claimant != key);
            if claim.programmed.as_ref() == Some(key) {
                claim.programmed = None;
                self.take_out(plan, frontend, &mut difference);
            }
        }
        for (key, _, frontend) in frontends(&after) {
            let claimants = &mut self.claims.entry(frontend.key).or_default().claimants;
            if let Err(position) = claimants.binary_search(key) {
                claimants.insert(position, Arc::clone(key));
            }
        }
        self.keep(service, after);
        for key in touched {
            self.settle(&key, &mut difference);
        }
        let Difference { mut old, new, released } = difference;
        for (set, key, data) in new {
            if !old.is_empty() {
                old.remove(&(set, key.clone()));
            }
            self.table.set_element(set, key, data);
        }
        for (set, key) in old.into_keys() {
            self.table.remove_element(set, key);
        }
        released.into_iter().for_each(|pick| self.release(pick));
    }

    /// Gives a frontend to the first that claims it.
    fn settle(&mut self, frontend: &FrontendKey, difference: &mut Difference) {
        let Some(claim) = self.claims.get(frontend) else { return };
        let (winner, programmed) = (claim.claimants.first().cloned(), claim.programmed.clone());
        if winner == programmed && winner.is_some() {
            return;
        }
        if let Some((plan, frontend)) = programmed.and_then(|owner| self.find(&owner, frontend)) {
            self.take_out(&plan, &frontend, difference);
        }
        let Some(winner) = winner else {
            self.claims.remove(frontend);
            return;
        };
        if let Some((plan, frontend)) = self.find(&winner, frontend) {
            self.put_in(&plan, &frontend, difference);
        }
        if let Some(claim) = self.claims.get_mut(frontend) {
            claim.programmed = Some(winner);
        }
    }

    fn find(&self, owner: &Arc<PortKey>, frontend: &FrontendKey) -> Option<(PortPlan, Frontend)> {
        let plans = self.plans.get(&owner.service)?;
        let (_, plan) = plans.iter().find(|(key, _)| key == owner)?;
        let frontend = plan.frontends.iter().find(|candidate| candidate.key == *frontend)?;
        Some((plan.clone(), frontend.clone()))
    }

    fn take_out(&mut self, plan: &PortPlan, frontend: &Frontend, difference: &mut Difference) {
        let elements = self.elements(plan, frontend);
        difference.old.extend(elements.into_iter().map(|(set, key, data)| ((set, key), data)));
        difference.released.extend(elements::pick(plan, frontend));
        if !frontend.sources.is_empty() {
            self.restricted = self.restricted.saturating_sub(1);
        }
        let address = frontend.key.address;
        if self.is_stray(frontend) && forget_one(&mut self.stray_cluster_ips, address) {
            self.table.remove_element(set::CLUSTER_IPS, Value::new().address(address));
        }
    }

    fn put_in(&mut self, plan: &PortPlan, frontend: &Frontend, difference: &mut Difference) {
        if let Some(pick) = elements::pick(plan, frontend) {
            self.acquire(pick);
        }
        difference.new.extend(self.elements(plan, frontend));
        if !frontend.sources.is_empty() {
            self.restricted += 1;
        }
        if self.is_stray(frontend) {
            let address = frontend.key.address;
            *self.stray_cluster_ips.entry(address).or_default() += 1;
            self.table.set_element(set::CLUSTER_IPS, Value::new().address(address), Data::None);
        }
    }

    fn elements(&self, plan: &PortPlan, frontend: &Frontend) -> Vec<Element> {
        let number = elements::pick(plan, frontend).and_then(|pick| self.picks.get(&pick)).map(|used| used.number);
        elements::of_frontend(plan, frontend, number, self.is_in_range(frontend.key.address))
    }

    fn is_in_range(&self, address: IpAddr) -> bool {
        of_family(&self.options.service_cidrs, self.family).any(|net| net.contains(&address))
    }

    /// A ClusterIP outside of the known ranges: the rules for these ranges do not hold for it. Without endpoints it has an
    /// element of its own that rejects.
    fn is_stray(&self, frontend: &Frontend) -> bool {
        let internal = matches!(frontend.dispatch, Some(Dispatch::Cluster { masquerade: false } | Dispatch::Local));
        internal && !self.is_in_range(frontend.key.address)
    }

    /// Makes sure that the chain is there.
    fn acquire(&mut self, pick: Pick) {
        if let Some(used) = self.picks.get_mut(&pick) {
            used.count += 1;
            return;
        }
        pick.successors().into_iter().for_each(|successor| self.acquire(successor));
        let mut number = pick.preferred_number();
        while self.numbers.contains_key(&number) {
            number = number.wrapping_add(1);
        }
        self.numbers.insert(number, pick);
        self.picks.insert(pick, Used { number, count: 1 });
        self.table.set_chain(&pick.to_string(), pick.chain(self.family, &self.options));
        let verdict = Data::Verdict(Verdict::Goto(pick.to_string()));
        self.table.set_element(set::DISPATCH, Value::new().mark(number), verdict);
    }

    /// Removes the chain when nobody needs it any more.
    fn release(&mut self, pick: Pick) {
        let Some(used) = self.picks.get_mut(&pick) else { return };
        used.count -= 1;
        if used.count > 0 {
            return;
        }
        let number = used.number;
        self.picks.remove(&pick);
        self.numbers.remove(&number);
        self.table.remove_element(set::DISPATCH, Value::new().mark(number));
        self.table.remove_chain(&pick.to_string());
        pick.successors().into_iter().for_each(|successor| self.release(successor));
    }

    fn count_hairpins(&mut self, before: &Plans, after: &Plans) {
        for address in after.iter().flat_map(|(_, plan)| &plan.hairpin) {
            *self.hairpins.entry(*address).or_default() += 1;
            self.table.set_element(set::HAIRPIN, elements::hairpin(*address), Data::None);
        }
        for address in before.iter().flat_map(|(_, plan)| &plan.hairpin) {
            if forget_one(&mut self.hairpins, *address) {
                self.table.remove_element(set::HAIRPIN, elements::hairpin(*address));
            }
        }
    }
}

/// The plan with endpoints in the slots that they had.
fn adopt(service: &ObjectKey, before: &Plans, mut plan: PortPlan) -> (Arc<PortKey>, PortPlan) {
    match before.iter().find(|(key, _)| key.port == plan.name) {
        Some((key, known)) => {
            plan.cluster = slots::assign(&known.cluster, &plan.cluster);
            plan.local = slots::assign(&known.local, &plan.local);
            (Arc::clone(key), plan)
        }
        None => (Arc::new(PortKey { service: service.clone(), port: plan.name.clone() }), plan),
    }
}

fn frontends(plans: &Plans) -> impl Iterator<Item = (&Arc<PortKey>, &PortPlan, &Frontend)> {
    plans.iter().flat_map(|(key, plan)| plan.frontends.iter().map(move |frontend| (key, plan, frontend)))
}

/// Whether that was the last one.
fn forget_one(counts: &mut HashMap<IpAddr, usize>, address: IpAddr) -> bool {
    let Some(count) = counts.get_mut(&address) else { return false };
    *count -= 1;
    if *count == 0 {
        counts.remove(&address);
        return true;
    }
    false
}

/// For UDP frontends whose endpoints changed or that are gone: where flows may still go.
fn udp_targets(before: &Plans, after: &Plans) -> Vec<UdpTargets> {
    let udp = |(key, _): &&(Arc<PortKey>, PortPlan)| key.port.protocol == Protocol::Udp;
    let mut targets = Vec::new();
    for (key, plan) in after.iter().filter(udp) {
        let same = before.iter().any(|(other, old)| {
            other == key && old.serving == plan.serving && old.frontends.len() == plan.frontends.len()
        });
        if !same {
            let of = |frontend: &Frontend| UdpTargets { frontend: frontend.key, serving: plan.serving.clone() };
            targets.extend(plan.frontends.iter().map(of));
        }
    }
    for (_, plan) in before.iter().filter(udp) {
        let gone = |frontend: &&Frontend| {
            !after.iter().any(|(_, plan)| plan.frontends.iter().any(|other| other.key == frontend.key))
        };
        let of = |frontend: &Frontend| UdpTargets { frontend: frontend.key, serving: Vec::new() };
        targets.extend(plan.frontends.iter().filter(gone).map(of));
    }
    targets
}
