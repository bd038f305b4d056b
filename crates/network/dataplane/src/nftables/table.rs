//! A table as it is wanted, and what the kernel is known to hold of it.
//!
//! Changing the wanted table costs a hash-map operation and sends nothing. [`Table::apply`] sends the difference to what the
//! kernel holds in one atomic batch; its cost follows the number of changes, never the size of the table.
//!
//! # States
//!
//! - *unknown*: nothing is known of the kernel's table (at start, after [`Table::forget`], after an exchange that broke off).
//!   The next `apply` reads the table first and keeps whatever is right already.
//! - *known*: the kernel holds the wanted table except for the recorded differences.
//!
//! A batch that the kernel refuses because the table is not what we believed (somebody else changed it) leads back through
//! *unknown* once; a batch that it refuses on its merits is reported, and the differences stay recorded for the next attempt.
//!
//! What the kernel learns by itself (elements of dynamic sets) and what belongs to others is neither read nor written.

use std::collections::{BTreeMap, BTreeSet, hash_map::Entry};

use foldhash::{HashMap, HashMapExt};

use super::batch::Batch;
use super::dump::{ChainPrint, Reader, SetPrint, TablePrint, by_key};
use super::{Chain, Data, Element, Family, Key, Nftables, SetSpec};
use crate::{Error, Result};

/// What an [`Table::apply`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    pub chains_changed: usize,
    pub elements_added: usize,
    pub elements_removed: usize,
    /// The kernel's table was read, because it was not known or not what it was believed to be.
    pub resynced: bool,
}

#[derive(Debug)]
pub struct Table {
    family: Family,
    name: String,
    chains: BTreeMap<String, Chain>,
    sets: BTreeMap<String, Set>,
    kernel: TablePrint,
    known: bool,
    /// Chains that may differ from the kernel's.
    changed_chains: BTreeSet<String>,
}

#[derive(Debug)]
struct Set {
    spec: SetSpec,
    wanted: HashMap<Key, Data>,
    /// What the kernel holds under each key whose wanted data it does not hold.
    kernel_differs: HashMap<Key, Option<Data>>,
}

impl Table {
    pub fn new(family: Family, name: impl Into<String>) -> Self {
        Self {
            family,
            name: name.into(),
            chains: BTreeMap::new(),
            sets: BTreeMap::new(),
            kernel: TablePrint::default(),
            known: false,
            changed_chains: BTreeSet::new(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn family(&self) -> Family {
        self.family
    }

    /// Adds or replaces a chain with all its rules.
    pub fn set_chain(&mut self, name: &str, chain: Chain) {
        if self.chains.get(name) != Some(&chain) {
            self.chains.insert(name.to_owned(), chain);
            self.changed_chains.insert(name.to_owned());
        }
    }

    /// Removes a chain. Nothing may lead to it any more.
    pub fn remove_chain(&mut self, name: &str) {
        if self.chains.remove(name).is_some() {
            self.changed_chains.insert(name.to_owned());
        }
    }

    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.get(name)
    }

    /// Adds an empty set or map. To define one anew with another type makes the next `apply` rebuild the whole table.
    pub fn add_set(&mut self, name: &str, spec: SetSpec) {
        let set = Set { spec, wanted: HashMap::new(), kernel_differs: HashMap::new() };
        if self.sets.insert(name.to_owned(), set).is_some() {
            self.known = false;
        }
    }

    /// Adds an element or replaces its data. Unknown sets are a programming error and ignored.
    pub fn set_element(&mut self, set: &str, key: impl Into<Key>, data: Data) {
        let known = self.known;
        let Some(set) = self.set_mut(set) else { return };
        let (key, data) = set.normalized(key.into(), data);
        if !known {
            // The differences are found when the kernel's table is read.
            set.wanted.insert(key, data);
            return;
        }
        let before = set.wanted.insert(key.clone(), data.clone());
        set.note(key, before, Some(&data));
    }

    pub fn remove_element(&mut self, set: &str, key: impl Into<Key>) {
        let known = self.known;
        let Some(set) = self.set_mut(set) else { return };
        let (key, _) = set.normalized(key.into(), Data::None);
        if let Some(before) = set.wanted.remove(&key)
            && known
        {
            set.note(key, Some(before), None);
        }
    }

    /// The wanted data of an element.
    pub fn element(&self, set: &str, key: impl Into<Key>) -> Option<&Data> {
        let set = self.sets.get(set)?;
        let (key, _) = set.normalized(key.into(), Data::None);
        set.wanted.get(&key)
    }

    /// Whether anything waits to be applied.
    pub fn has_changes(&self) -> bool {
        !self.known || !self.changed_chains.is_empty() || self.sets.values().any(|set| !set.kernel_differs.is_empty())
    }

    /// Makes the next `apply` read the kernel's table and mend whatever differs.
    pub fn forget(&mut self) {
        self.known = false;
    }

    /// Makes the kernel's table the wanted one.
    pub fn apply(&mut self, nftables: &mut Nftables) -> Result<Applied> {
        const ATTEMPTS_MAX: u32 = 20;
        let mut resynced = !self.known;
        for _ in 0..ATTEMPTS_MAX {
            let generation = if self.known { None } else { Some(self.resync(nftables)?) };
            match self.send(nftables, generation) {
                Ok(mut applied) => {
                    self.remove_stale_chains(nftables)?;
                    applied.resynced = resynced;
                    return Ok(applied);
                }
                Err(error) => {
                    self.known = false;
                    let somebody_else = matches!(error.errno(), Some(libc::ERESTART | libc::EINTR | libc::EAGAIN));
                    let not_as_believed = matches!(error.errno(), Some(libc::ENOENT | libc::EEXIST | libc::EBUSY));
                    // A table that was just read cannot be another than believed: then the batch itself is wrong.
                    let worth_another_look = somebody_else || (not_as_believed && generation.is_none());
                    if !worth_another_look {
                        return Err(error);
                    }
                    tracing::debug!(table = %self.name, error = %error, "nftables table changed by others, reading it again");
                    resynced = true;
                }
            }
        }
        Err(Error::Unsettled { what: "nftables", attempts: ATTEMPTS_MAX })
    }

    fn set_mut(&mut self, name: &str) -> Option<&mut Set> {
        let set = self.sets.get_mut(name);
        debug_assert!(set.is_some(), "set {name} is not defined");
        set
    }

    /// Reads the kernel's table and records how it differs. Returns the generation that was read.
    fn resync(&mut self, nftables: &mut Nftables) -> Result<u32> {
        let mut reader = Reader { socket: &mut nftables.socket, family: self.family, table: &self.name };
        let sets = &self.sets;
        let ((print, elements), generation) = reader.settled(|reader| {
            let Some(print) = reader.table()? else { return Ok(None) };
            let mut all = HashMap::new();
            for (name, set) in sets {
                if set.spec.dynamic || set.spec.foreign || print.sets.get(name) != Some(&SetPrint::of(&set.spec)) {
                    continue;
                }
                let Some(elements) = reader.elements(name, &set.spec)? else { return Ok(None) };
                all.insert(name.clone(), by_key(elements));
            }
            Ok(Some((print, all)))
        })?;
        self.adopt(print, elements);
        Ok(generation)
    }

    fn adopt(&mut self, print: TablePrint, mut elements: HashMap<String, HashMap<Key, Data>>) {
        self.kernel = print;
        self.changed_chains = self.chains.keys().cloned().collect();
        for (name, set) in &mut self.sets {
            let mut kernel = elements.remove(name).unwrap_or_default();
            set.kernel_differs.clear();
            for (key, data) in &set.wanted {
                let held = kernel.remove(key);
                if held.as_ref() != Some(data) {
                    set.kernel_differs.insert(key.clone(), held);
                }
            }
            set.kernel_differs.extend(kernel.into_iter().map(|(key, data)| (key, Some(data))));
        }
        self.known = true;
    }

    /// Whether the kernel's table has parts that cannot be changed in place.
    fn must_rebuild(&self) -> bool {
        let set_differs = |(name, set): (&String, &Set)| {
            self.kernel.sets.get(name).is_some_and(|print| *print != SetPrint::of(&set.spec))
        };
        let chain_differs = |(name, chain): (&String, &Chain)| {
            self.kernel.chains.get(name).is_some_and(|print| print.base != base_of(chain))
        };
        self.sets.iter().any(set_differs) || self.chains.iter().any(chain_differs)
    }

    fn send(&mut self, nftables: &mut Nftables, generation: Option<u32>) -> Result<Applied> {
        let name = self.name.clone();
        let mut batch = match generation {
            Some(generation) => Batch::of_generation(self.family, &name, generation),
            None => Batch::new(self.family, &name),
        };
        // Definitions are compared only when the kernel's table was read: afterwards nobody but us changes them.
        if generation.is_some() && self.must_rebuild() {
            tracing::info!(table = %self.name, "rebuilding nftables table of another version");
            batch.add_table();
            batch.delete_table();
            self.adopt(TablePrint::default(), HashMap::new());
        }
        let applied = self.fill(&mut batch);
        batch.send(nftables)?;
        self.commit();
        Ok(applied)
    }

    /// Writes the differences into the batch, in an order in which nothing refers to what is not there yet or any more.
    fn fill(&self, batch: &mut Batch<'_>) -> Applied {
        let mut applied = Applied::default();
        let changed = self.changed_chains();
        let new_sets = || self.sets.iter().filter(|(name, _)| !self.kernel.sets.contains_key(*name));
        let old_sets = || self.kernel.sets.keys().filter(|name| !self.sets.contains_key(*name));
        let element_changes = self.sets.values().any(|set| !set.kernel_differs.is_empty());
        if changed.is_empty() && !element_changes && new_sets().next().is_none() && old_sets().next().is_none() {
            return applied;
        }
        batch.add_table();
        for (name, chain) in &changed {
            if let Some(chain) = chain
                && !self.kernel.chains.contains_key(*name)
            {
                batch.add_chain(name, chain);
            }
        }
        new_sets().for_each(|(name, set)| batch.add_set(name, &set.spec));
        for (name, _) in &changed {
            if self.kernel.chains.get(*name).is_some_and(|print| !print.rules.is_empty()) {
                batch.flush_chain(name);
            }
        }
        for (name, set) in &self.sets {
            applied.elements_removed += set.fill_removed(name, batch);
        }
        // Rules come before elements: the kernel walks the maps that a new rule looks into.
        for (name, chain) in &changed {
            chain.iter().flat_map(|chain| &chain.rules).for_each(|rule| batch.add_rule(name, rule));
        }
        for (name, set) in &self.sets {
            applied.elements_added += set.fill_added(name, batch);
        }
        old_sets().for_each(|name| batch.delete_set(name));
        applied.chains_changed = changed.len();
        applied
    }

    /// Chains whose rules the kernel does not hold as wanted, including those (`None`) that are not wanted at all.
    fn changed_chains(&self) -> Vec<(&String, Option<&Chain>)> {
        let wanted = self.changed_chains.iter().filter_map(|name| {
            let chain = self.chains.get(name)?;
            (self.kernel.chains.get(name) != Some(&print_of(chain))).then_some((name, Some(chain)))
        });
        let unwanted = self.kernel.chains.iter().filter_map(|(name, print)| {
            (!self.chains.contains_key(name) && !print.rules.is_empty()).then_some((name, None))
        });
        wanted.chain(unwanted).collect()
    }

    /// The batch went through: the kernel now holds the wanted table, and empty chains that nobody wants.
    fn commit(&mut self) {
        for name in std::mem::take(&mut self.changed_chains) {
            if let Some(chain) = self.chains.get(&name) {
                self.kernel.chains.insert(name, print_of(chain));
            }
        }
        for (name, print) in &mut self.kernel.chains {
            if !self.chains.contains_key(name) {
                print.rules.clear();
            }
        }
        self.kernel.sets.retain(|name, _| self.sets.contains_key(name));
        for (name, set) in &mut self.sets {
            self.kernel.sets.insert(name.clone(), SetPrint::of(&set.spec));
            set.kernel_differs.clear();
            set.kernel_differs.shrink_to(64);
        }
    }

    /// Before Linux 6.2 a chain counts as used for a moment after the last element that led to it was removed, so chains go
    /// in a batch of their own; those that are still in use go with a later `apply`.
    fn remove_stale_chains(&mut self, nftables: &mut Nftables) -> Result<()> {
        let stale: Vec<String> =
            self.kernel.chains.keys().filter(|name| !self.chains.contains_key(*name)).cloned().collect();
        if stale.is_empty() {
            return Ok(());
        }
        let name = self.name.clone();
        let mut batch = Batch::new(self.family, &name);
        stale.iter().for_each(|chain| batch.delete_chain(chain));
        match batch.send(nftables) {
            Ok(()) => stale.iter().for_each(|chain| drop(self.kernel.chains.remove(chain))),
            Err(error) if error.errno() == Some(libc::EBUSY) => {}
            Err(error) if error.errno() == Some(libc::ENOENT) => self.known = false,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Set {
    fn normalized(&self, key: Key, data: Data) -> (Key, Data) {
        let data = match data {
            Data::Value(value) => Data::Value(value.padded(self.spec.data_len())),
            other => other,
        };
        (key.padded(self.spec.key_len()), data)
    }

    /// Records a change of one element from `before` to `after`.
    fn note(&mut self, key: Key, before: Option<Data>, after: Option<&Data>) {
        match self.kernel_differs.entry(key) {
            Entry::Occupied(kernel) => {
                if kernel.get().as_ref() == after {
                    kernel.remove();
                }
            }
            Entry::Vacant(kernel) => {
                if before.as_ref() != after {
                    kernel.insert(before);
                }
            }
        }
    }

    /// Takes out what the kernel holds and should not, or should with other data. Returns how many elements those are.
    fn fill_removed(&self, name: &str, batch: &mut Batch<'_>) -> usize {
        let held = || self.kernel_differs.iter().filter(|(_, held)| held.is_some()).map(|(key, _)| key);
        batch.delete_elements(name, &self.spec, held().cloned());
        held().count()
    }

    fn fill_added(&self, name: &str, batch: &mut Batch<'_>) -> usize {
        let missing = || self.kernel_differs.keys().filter_map(|key| Some((key, self.wanted.get(key)?)));
        let elements = missing().map(|(key, data)| Element::new(key.clone(), data.clone()));
        batch.add_elements(name, &self.spec, elements);
        missing().count()
    }
}

fn base_of(chain: &Chain) -> Option<(u32, i32, String)> {
    chain.base.map(|base| (base.hook as u32, base.priority, base.kind.as_str().to_owned()))
}

fn print_of(chain: &Chain) -> ChainPrint {
    ChainPrint { base: base_of(chain), rules: chain.rules.iter().map(super::Rule::fingerprint).collect() }
}
