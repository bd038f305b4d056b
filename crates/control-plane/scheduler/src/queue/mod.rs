//! Pods that wait for a node.
//!
//! A pod is *active* (to be tried next, by rank and then by time), in *back-off* (to be tried after a pause that doubles with each
//! failure), *unschedulable* (until something happens that may help, or some minutes have passed), *gated* (not to be tried), or
//! *underway* (it was taken, and what becomes of it is not known yet).
//!
//! The queue holds a pod once at most and is bounded by the number of pods.

mod back_off;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use windlass_api::ObjectKey;

use crate::framework::PluginSet;
use crate::object::Pod;

/// After this time an unschedulable pod is tried again even if nothing seems to have happened.
const UNSCHEDULABLE_MAX: Duration = Duration::from_secs(5 * 60);
/// How often it is looked whether there are such pods, while there are unschedulable ones.
pub(crate) const FLUSH_PERIOD: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(crate) struct Queue {
    pods: HashMap<ObjectKey, Entry>,
    active: BTreeMap<(i64, u64), ObjectKey>,
    back_off: BTreeMap<(Instant, u64), ObjectKey>,
    unschedulable: BTreeSet<ObjectKey>,
    gated: usize,
    /// Orders what came at the same time.
    sequence: u64,
}

#[derive(Debug)]
struct Entry {
    pod: Arc<Pod>,
    rank: i64,
    place: Place,
    attempts: u32,
    first_seen: Instant,
    failed_at: Option<Instant>,
    /// The last failure was not the pod's fault: its back-off is not cut short.
    after_error: bool,
    refused_by: PluginSet,
    /// Pods are being sent away for it: it waits until that is under way.
    preempting: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Active(i64, u64),
    BackOff(Instant, u64),
    Unschedulable,
    Gated,
    Underway,
}

/// A pod that was taken from the queue.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub pod: Arc<Pod>,
    /// How many there were, with this one.
    pub number: u32,
    pub first_seen: Instant,
}

/// How many pods wait where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lengths {
    pub active: usize,
    pub back_off: usize,
    pub unschedulable: usize,
    pub gated: usize,
}

impl Queue {
    pub(crate) fn lengths(&self) -> Lengths {
        Lengths {
            active: self.active.len(),
            back_off: self.back_off.len(),
            unschedulable: self.unschedulable.len(),
            gated: self.gated,
        }
    }

    pub(crate) fn pod(&self, key: &ObjectKey) -> Option<&Arc<Pod>> {
        self.pods.get(key).map(|entry| &entry.pod)
    }

    /// Takes a pod in, or its new version. One that asks for something else than before is tried again.
    pub(crate) fn put(&mut self, pod: Arc<Pod>, rank: i64, gated: bool, now: Instant) {
        let key = pod.key.clone();
        if self.pods.get(&key).is_some_and(|entry| entry.pod.uid != pod.uid) {
            self.remove(&key);
        }
        let Some(entry) = self.pods.get_mut(&key) else {
            let entry = Entry {
                pod,
                rank,
                place: Place::Underway,
                attempts: 0,
                first_seen: now,
                failed_at: None,
                after_error: false,
                refused_by: PluginSet::default(),
                preempting: false,
            };
            self.pods.insert(key.clone(), entry);
            return if gated { self.move_to(&key, Place::Gated) } else { self.activate(&key, now) };
        };
        let differs = entry.pod.asks_differently(&pod);
        (entry.pod, entry.rank) = (pod, rank);
        match entry.place {
            Place::Underway => {}
            _ if gated => self.move_to(&key, Place::Gated),
            Place::Gated => self.activate(&key, now),
            Place::Unschedulable if differs => self.activate(&key, now),
            Place::Active(before, _) if before != rank => self.move_to(&key, Place::Active(rank, 0)),
            _ => {}
        }
    }

    pub(crate) fn remove(&mut self, key: &ObjectKey) {
        self.leave(key);
        self.pods.remove(key);
    }

    fn leave(&mut self, key: &ObjectKey) {
        let Some(entry) = self.pods.get_mut(key) else { return };
        match entry.place {
            Place::Active(rank, sequence) => drop(self.active.remove(&(rank, sequence))),
            Place::BackOff(at, sequence) => drop(self.back_off.remove(&(at, sequence))),
            Place::Unschedulable => drop(self.unschedulable.remove(key)),
            Place::Gated => self.gated -= 1,
            Place::Underway => {}
        }
        entry.place = Place::Underway;
    }

    fn move_to(&mut self, key: &ObjectKey, place: Place) {
        self.leave(key);
        self.sequence += 1;
        let Some(entry) = self.pods.get_mut(key) else { return };
        entry.place = match place {
            Place::Active(..) => Place::Active(entry.rank, self.sequence),
            Place::BackOff(at, _) => Place::BackOff(at, self.sequence),
            other => other,
        };
        match entry.place {
            Place::Active(rank, sequence) => drop(self.active.insert((rank, sequence), key.clone())),
            Place::BackOff(at, sequence) => drop(self.back_off.insert((at, sequence), key.clone())),
            Place::Unschedulable => drop(self.unschedulable.insert(key.clone())),
            Place::Gated => self.gated += 1,
            Place::Underway => {}
        }
    }

    /// To be tried, as soon as its pause is over.
    fn activate(&mut self, key: &ObjectKey, now: Instant) {
        let Some(entry) = self.pods.get(key) else { return };
        let ends = entry.failed_at.map(|failed| failed + back_off::pause(entry.attempts));
        match ends.filter(|ends| *ends > now) {
            Some(ends) => self.move_to(key, Place::BackOff(ends, 0)),
            None => self.move_to(key, Place::Active(0, 0)),
        }
    }

    /// The next pod to try. What becomes of it must be told: [`Queue::failed`], [`Queue::remove`].
    pub(crate) fn take(&mut self, now: Instant) -> Option<Attempt> {
        while let Some((&(ends, _), key)) = self.back_off.first_key_value() {
            if ends > now {
                break;
            }
            let key = key.clone();
            self.move_to(&key, Place::Active(0, 0));
        }
        let key = match self.active.first_key_value() {
            Some((_, key)) => key.clone(),
            // Nobody else is waiting: a pause would only cost time, unless something is wrong with us.
            None => {
                let pods = &self.pods;
                let impatient = |key: &&ObjectKey| pods.get(*key).is_some_and(|entry| !entry.after_error);
                self.back_off.values().find(impatient)?.clone()
            }
        };
        self.move_to(&key, Place::Underway);
        let entry = self.pods.get_mut(&key)?;
        entry.attempts += 1;
        Some(Attempt { pod: entry.pod.clone(), number: entry.attempts, first_seen: entry.first_seen })
    }

    /// The pod could not be scheduled, for the reasons that plugins have.
    pub(crate) fn refused(&mut self, pod: &Pod, refused_by: PluginSet, preempting: bool, now: Instant) {
        let Some(entry) = self.pods.get_mut(&pod.key).filter(|entry| entry.pod.uid == pod.uid) else { return };
        (entry.failed_at, entry.after_error, entry.preempting) = (Some(now), false, preempting);
        entry.refused_by = refused_by;
        // While it was tried, it may have come to ask for something else.
        let differs = pod.asks_differently(&entry.pod);
        if differs { self.activate(&pod.key, now) } else { self.move_to(&pod.key, Place::Unschedulable) }
    }

    /// Something went wrong that is not the pod's fault; it is tried again after a pause.
    pub(crate) fn failed(&mut self, pod: &Pod, now: Instant) {
        let Some(entry) = self.pods.get_mut(&pod.key).filter(|entry| entry.pod.uid == pod.uid) else { return };
        (entry.failed_at, entry.after_error) = (Some(now), true);
        self.activate(&pod.key, now);
    }

    /// The pods that had to go for this one have been told.
    pub(crate) fn preempted(&mut self, key: &ObjectKey, now: Instant) {
        if let Some(entry) = self.pods.get_mut(key).filter(|entry| entry.preempting) {
            entry.preempting = false;
            if entry.place == Place::Unschedulable {
                self.activate(key, now);
            }
        }
    }

    /// Makes those pods active that `helped` says something has happened for, by who refused them. Returns how many.
    pub(crate) fn wake(&mut self, now: Instant, helped: impl Fn(&Pod, PluginSet) -> bool) -> usize {
        let woken: Vec<ObjectKey> = self
            .unschedulable
            .iter()
            .filter(|key| {
                self.pods.get(*key).is_some_and(|entry| !entry.preempting && helped(&entry.pod, entry.refused_by))
            })
            .cloned()
            .collect();
        woken.iter().for_each(|key| self.activate(key, now));
        woken.len()
    }

    /// Makes those pods active that have been unschedulable for too long.
    pub(crate) fn flush(&mut self, now: Instant) {
        let pods = &self.pods;
        let late = |key: &&ObjectKey| {
            let entry = pods.get(*key);
            entry.and_then(|entry| entry.failed_at).is_none_or(|failed| failed + UNSCHEDULABLE_MAX <= now)
        };
        let late: Vec<ObjectKey> = self.unschedulable.iter().filter(late).cloned().collect();
        for key in late {
            if let Some(entry) = self.pods.get_mut(&key) {
                entry.preempting = false;
            }
            self.activate(&key, now);
        }
    }

    /// When the first pause ends, or when [`Queue::flush`] is worth calling, counted from the last time.
    pub(crate) fn next_due(&self, flushed: Instant) -> Option<Instant> {
        let back_off = self.back_off.first_key_value().map(|((ends, _), _)| *ends);
        let flush = (!self.unschedulable.is_empty()).then(|| flushed + FLUSH_PERIOD);
        back_off.into_iter().chain(flush).min()
    }
}

#[cfg(test)]
mod tests;
