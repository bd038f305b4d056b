//! Amounts of resources, as the scheduler counts them.
//!
//! CPU is in millicores, everything else in whole units; both are rounded up when they are read. Additions saturate, so that
//! absurd requests cannot wrap around.

use std::collections::BTreeMap;

use windlass_api::Quantity;
use windlass_api::pod::resources::{CPU, EPHEMERAL_STORAGE, MEMORY};
use windlass_api::pod::{AnyList, Total};

/// What upstream's scores assume of a container that requests no CPU or no memory (`pkg/scheduler/util/pod_resources.go`).
pub(crate) const MISSING: [(&str, Quantity); 2] =
    [(CPU, Quantity::from_milli(100)), (MEMORY, Quantity::from_bytes(200 * 1024 * 1024))];

/// What a pod requests or a node has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Resources {
    pub milli_cpu: i64,
    pub memory: i64,
    pub ephemeral_storage: i64,
    /// Every other resource by name: extended ones, huge pages. Sorted; most pods have none.
    pub scalar: Vec<(Box<str>, i64)>,
}

impl Resources {
    pub(crate) fn from_list(list: &BTreeMap<String, Quantity>) -> Self {
        Self::from_sorted(list.amounts())
    }

    pub(crate) fn from_total(total: &Total<'_>) -> Self {
        Self::from_sorted(total.iter())
    }

    fn from_sorted<'a>(list: impl Iterator<Item = (&'a str, Quantity)>) -> Self {
        let mut resources = Self::default();
        for (name, quantity) in list {
            match name {
                CPU => resources.milli_cpu = quantity.milli(),
                MEMORY => resources.memory = quantity.units(),
                EPHEMERAL_STORAGE => resources.ephemeral_storage = quantity.units(),
                "pods" => {}
                // The list is sorted, and so is what becomes of it.
                _ => resources.scalar.push((name.into(), quantity.units())),
            }
        }
        resources
    }

    pub(crate) fn scalar(&self, name: &str) -> i64 {
        self.scalar.binary_search_by(|(have, _)| have.as_ref().cmp(name)).map_or(0, |at| self.scalar[at].1)
    }

    pub(crate) fn set_scalar(&mut self, name: &str, amount: i64) {
        match self.scalar.binary_search_by(|(have, _)| have.as_ref().cmp(name)) {
            Ok(at) => self.scalar[at].1 = amount,
            Err(at) => self.scalar.insert(at, (name.into(), amount)),
        }
    }

    fn combine(&mut self, other: &Self, with: impl Fn(i64, i64) -> i64) {
        self.milli_cpu = with(self.milli_cpu, other.milli_cpu);
        self.memory = with(self.memory, other.memory);
        self.ephemeral_storage = with(self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.scalar {
            let sum = with(self.scalar(name), *amount);
            self.set_scalar(name, sum);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[(&str, &str)]) -> Resources {
        Resources::from_list(&list.iter().map(|(n, q)| ((*n).to_owned(), q.parse().unwrap())).collect())
    }

    #[test]
    fn arithmetic() {
        let mut sum = of(&[("cpu", "1500m"), ("memory", "1Gi"), ("example.com/gpu", "2")]);
        sum.add(&of(&[("cpu", "0.5"), ("hugepages-2Mi", "4Mi")]));
        assert_eq!(sum, of(&[("cpu", "2"), ("memory", "1Gi"), ("example.com/gpu", "2"), ("hugepages-2Mi", "4194304")]));
        sum.subtract(&of(&[("example.com/gpu", "2"), ("hugepages-2Mi", "4Mi"), ("memory", "1Gi"), ("cpu", "2")]));
        assert_eq!(
            (sum.milli_cpu, sum.memory, sum.scalar("example.com/gpu"), sum.scalar("hugepages-2Mi")),
            (0, 0, 0, 0)
        );
    }
}
