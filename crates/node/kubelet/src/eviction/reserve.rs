//! What pods cannot have of the node: what is reserved, and what hard thresholds would take away from them anyway. Pure.

use std::collections::BTreeMap;

use windlass_api::Quantity;
use windlass_tree::FileSystem;

use crate::facts::machine::Machine;
use crate::options::{Options, Signal, Threshold, ThresholdValue};

/// What is kept back, thresholds not yet in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Reserved {
    amounts: BTreeMap<String, Quantity>,
    hard: Vec<Threshold>,
}

pub(crate) fn reserved(options: &Options) -> Reserved {
    Reserved { amounts: options.reserved.clone(), hard: options.eviction.hard.clone() }
}

/// A threshold in the units of its capacity.
pub(crate) fn amount(value: ThresholdValue, capacity: i64) -> i64 {
    match value {
        ThresholdValue::Quantity(quantity) => quantity.units(),
        ThresholdValue::Fraction(fraction) => (capacity as f64 * fraction) as i64,
    }
}

/// By resource, for this machine.
pub(crate) fn resolve(reserved: &Reserved, machine: &Machine, storage: FileSystem) -> BTreeMap<String, Quantity> {
    let mut all = reserved.amounts.clone();
    let disk = i64::try_from(storage.capacity_bytes).unwrap_or(i64::MAX);
    for Threshold { signal, value } in &reserved.hard {
        let (name, capacity) = match signal {
            Signal::MemoryAvailable => ("memory", machine.memory_bytes),
            Signal::NodeFsAvailable => ("ephemeral-storage", disk),
            _ => continue,
        };
        *all.entry(name.to_owned()).or_insert(Quantity::from_bytes(0)) +=
            Quantity::from_bytes(amount(*value, capacity));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_kept_back() {
        let options = Options::new("n", Vec::new(), "/nowhere");
        let machine = Machine { memory_bytes: 1 << 30, ..Machine::default() };
        let storage = FileSystem { capacity_bytes: 1000, ..FileSystem::default() };
        let all = resolve(&reserved(&options), &machine, storage);
        assert_eq!(all["memory"].units(), 100 << 20);
        assert_eq!(all["ephemeral-storage"].units(), 100);
    }
}
