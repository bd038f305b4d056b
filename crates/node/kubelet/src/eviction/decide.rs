//! Which thresholds are met, since when, and what that means. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use windlass_api::Quantity;

use super::reserve::amount;
use super::signals::{Left, Observations};
use crate::facts::Pressure;
use crate::options::{EvictionOptions, Signal, Threshold};

/// What is remembered from one look to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// Since when soft thresholds are met, by their place in the options.
    soft_since: BTreeMap<usize, Timestamp>,
    /// When a pressure was last there.
    seen: BTreeMap<Kind, Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Memory,
    Disk,
    Pids,
}

fn kind(signal: Signal) -> Kind {
    match signal {
        Signal::MemoryAvailable => Kind::Memory,
        Signal::PidAvailable => Kind::Pids,
        _ => Kind::Disk,
    }
}

/// The resource that a signal is about, as messages name it.
pub(super) fn resource(signal: Signal) -> &'static str {
    match signal {
        Signal::MemoryAvailable => "memory",
        Signal::NodeFsAvailable | Signal::ImageFsAvailable => "ephemeral-storage",
        Signal::NodeFsInodesFree | Signal::ImageFsInodesFree => "inodes",
        Signal::PidAvailable => "pids",
    }
}

/// The name of a signal, as settings and metrics have it.
pub(super) fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::MemoryAvailable => "memory.available",
        Signal::NodeFsAvailable => "nodefs.available",
        Signal::NodeFsInodesFree => "nodefs.inodesFree",
        Signal::ImageFsAvailable => "imagefs.available",
        Signal::ImageFsInodesFree => "imagefs.inodesFree",
        Signal::PidAvailable => "pid.available",
    }
}

/// What must be won back now.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reclaim {
    pub(super) signal: Signal,
    pub(super) grace_seconds: i64,
    pub(super) threshold: Quantity,
    pub(super) available: Quantity,
}

/// Not even a hard threshold ends a pod without a moment.
const IMMEDIATE_GRACE_SECONDS: i64 = 1;

fn quantity(signal: Signal, value: i64) -> Quantity {
    match signal {
        Signal::MemoryAvailable | Signal::NodeFsAvailable | Signal::ImageFsAvailable => Quantity::from_bytes(value),
        _ => Quantity::from_units(value),
    }
}

fn met(threshold: &Threshold, observations: &Observations) -> Option<Reclaim> {
    let Left { capacity, available } = *observations.get(&threshold.signal)?;
    let bound = amount(threshold.value, capacity);
    (available < bound).then(|| Reclaim {
        signal: threshold.signal,
        grace_seconds: IMMEDIATE_GRACE_SECONDS,
        threshold: quantity(threshold.signal, bound),
        available: quantity(threshold.signal, available),
    })
}

/// The pressures, and the most urgent thing to do: memory first, since the kernel kills when it runs out.
pub(super) fn decide(
    options: &EvictionOptions,
    observations: &Observations,
    memory: &mut Memory,
    now: Timestamp,
) -> (Pressure, Option<Reclaim>) {
    let mut reclaim: Vec<Reclaim> = options.hard.iter().filter_map(|it| met(it, observations)).collect();
    let mut under: Vec<Kind> = reclaim.iter().map(|it| kind(it.signal)).collect();
    for (index, soft) in options.soft.iter().enumerate() {
        let Some(found) = met(&soft.threshold, observations) else {
            memory.soft_since.remove(&index);
            continue;
        };
        under.push(kind(found.signal));
        let since = *memory.soft_since.entry(index).or_insert(now);
        if passed(since, now) >= soft.grace {
            reclaim.push(Reclaim { grace_seconds: options.max_pod_grace_seconds, ..found });
        }
    }
    for kind in under {
        memory.seen.insert(kind, now);
    }
    let is_under = |kind| {
        memory
            .seen
            .get(&kind)
            .is_some_and(|seen| *seen == now || passed(*seen, now) < options.pressure_transition_period)
    };
    let pressure = Pressure { memory: is_under(Kind::Memory), disk: is_under(Kind::Disk), pids: is_under(Kind::Pids) };
    reclaim.sort_by_key(|it| (it.signal, it.grace_seconds));
    (pressure, reclaim.into_iter().next())
}

fn passed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{SoftThreshold, ThresholdValue};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn memory_left(available: i64) -> Observations {
        Observations::from([(Signal::MemoryAvailable, Left { capacity: 1 << 30, available })])
    }

    #[test]
    fn pressure_stays_for_a_while() {
        let options = EvictionOptions::default();
        let mut memory = Memory::default();
        let (pressure, reclaim) = decide(&options, &memory_left(200 << 20), &mut memory, at(0));
        assert_eq!((pressure, reclaim), (Pressure::default(), None));
        let (pressure, reclaim) = decide(&options, &memory_left(50 << 20), &mut memory, at(10));
        let reclaim = reclaim.unwrap();
        assert!(pressure.memory && !pressure.disk);
        assert_eq!((reclaim.threshold.to_string(), reclaim.available.to_string()), ("100Mi".into(), "50Mi".into()));
        let (pressure, reclaim) = decide(&options, &memory_left(200 << 20), &mut memory, at(309));
        assert!(pressure.memory && reclaim.is_none());
        assert_eq!(decide(&options, &memory_left(200 << 20), &mut memory, at(310)).0, Pressure::default());
    }

    #[test]
    fn soft_thresholds_have_patience() {
        let threshold = Threshold { signal: Signal::MemoryAvailable, value: ThresholdValue::Fraction(0.5) };
        let soft = SoftThreshold { threshold, grace: Duration::from_secs(60) };
        let options = EvictionOptions { soft: vec![soft], max_pod_grace_seconds: 20, ..EvictionOptions::default() };
        let mut memory = Memory::default();
        let mut look = |left: i64, now| decide(&options, &memory_left(left), &mut memory, at(now)).1;
        assert_eq!(look(400 << 20, 0), None);
        assert_eq!(look(400 << 20, 59), None);
        assert_eq!(look(400 << 20, 60).unwrap().grace_seconds, 20);
        assert_eq!(look(900 << 20, 70), None);
        assert_eq!(look(400 << 20, 80), None);
    }
}
