//! Endpoints in numbered slots, so that a random number picks one.

use std::collections::{BTreeSet, HashSet};

use crate::endpoints::Target;

/// Slots of traffic policy Local start here.
pub(super) const LOCAL_OFFSET: u32 = 1 << 31;

/// Puts `wanted` into slots, each endpoint in the slot that it had if that still exists. Endpoints that left make room for
/// those at the end and for new ones, so few slots change.
pub(super) fn assign(before: &[Target], wanted: &[Target]) -> Vec<Target> {
    let target_set: HashSet<&Target> = wanted.iter().collect();
    let mut slots: Vec<Option<Target>> = vec![None; wanted.len()];
    let mut placed = HashSet::new();
    for (slot, target) in slots.iter_mut().zip(before) {
        if target_set.contains(target) && placed.insert(*target) {
            *slot = Some(*target);
        }
    }
    let missing: BTreeSet<Target> = wanted.iter().filter(|target| !placed.contains(target)).copied().collect();
    let mut missing = missing.into_iter();
    slots.into_iter().filter_map(|slot| slot.or_else(|| missing.next())).collect()
}

/// A number for each endpoint, in the order given, which does not depend on slots: FNV-1a of address and port. Two endpoints
/// of one port that clash get neighbouring numbers in the order of their addresses.
pub(super) fn numbers(targets: &BTreeSet<Target>) -> Vec<(Target, u32)> {
    let mut taken = HashSet::new();
    targets
        .iter()
        .map(|target| {
            let mut number = hash(target);
            while !taken.insert(number) {
                number = number.wrapping_add(1);
            }
            (*target, number)
        })
        .collect()
}

fn hash(target: &Target) -> u32 {
    let text = format!("{}|{}", target.address, target.port);
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(number: u8) -> Target {
        Target { address: [10, 0, 0, number].into(), port: 80 }
    }

    fn targets(numbers: &[u8]) -> Vec<Target> {
        numbers.iter().map(|number| target(*number)).collect()
    }

    #[test]
    fn few_slots_change() {
        for (before, wanted, after) in [
            (&[][..], &[1, 2, 3][..], &[1, 2, 3][..]),
            (&[1, 2, 3], &[1, 3], &[1, 3]),
            (&[1, 2, 3, 4], &[1, 2, 4], &[1, 2, 4]),
            (&[3, 1, 2], &[2, 3], &[3, 2]),
            (&[1, 2], &[1, 2, 9], &[1, 2, 9]),
            (&[1, 2, 3], &[1, 5, 3], &[1, 5, 3]),
            (&[1, 2], &[], &[]),
        ] {
            assert_eq!(assign(&targets(before), &targets(wanted)), targets(after), "{before:?} {wanted:?}");
        }
    }

    proptest! {
        #[test]
        fn every_endpoint_has_one_slot_and_stays_if_it_can(
            before in proptest::collection::hash_set(0..20_u8, 0..12),
            wanted in proptest::collection::hash_set(0..20_u8, 0..12),
        ) {
            let before = targets(&before.into_iter().collect::<Vec<_>>());
            let wanted = targets(&wanted.into_iter().collect::<Vec<_>>());
            let after = assign(&before, &wanted);
            prop_assert_eq!(after.iter().collect::<BTreeSet<_>>(), wanted.iter().collect::<BTreeSet<_>>());
            prop_assert_eq!(after.len(), wanted.len());
            for (slot, target) in before.iter().enumerate().take(after.len()) {
                prop_assert!(!wanted.contains(target) || after[slot] == *target);
            }
            let numbers = numbers(&after.iter().copied().collect());
            prop_assert_eq!(numbers.iter().map(|(_, number)| number).collect::<HashSet<_>>().len(), after.len());
        }
    }
}
