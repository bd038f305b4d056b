//! The life of an object that goes.
//!
//! It stays while it has finalizers, a grace period to wait for, or contents of its own (namespaces); then its `deletionTimestamp` says
//! that it is going, and the last update that leaves nothing to wait for removes it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use windlass_api::time;
use windlass_api::well_known::finalizer;
use windlass_machinery::tree::{child, items, number, put, remove};

use crate::{Moment, Resource};

/// What a client wants of a deletion; where it says nothing, the object and its kind decide.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    pub grace_seconds: Option<i64>,
    pub dependents: Option<Dependents>,
}

/// What becomes of the objects that the deleted one owns (`propagationPolicy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependents {
    /// They stay (`Orphan`).
    Orphaned,
    /// They go before their owner (`Foreground`).
    First,
    /// They go when their owner has gone (`Background`).
    Afterwards,
}

/// Marks an object as going. Returns whether nothing holds it, so that it goes now.
pub fn delete(resource: &Resource, object: &mut Value, wishes: Wishes, moment: Moment) -> bool {
    if object["metadata"].get("deletionTimestamp").is_none() {
        resource.strategy.begin_deletion(object, moment);
    }
    set_finalizers(resource, object, wishes.dependents);
    if !resource.deletes_gracefully && !is_held(resource, object) {
        return true;
    }
    mark(resource, object, wishes.grace_seconds, moment);
    is_released(resource, object)
}

/// Whether an object that was waiting to be deleted waits for nothing any more.
pub fn is_released(resource: &Resource, object: &Value) -> bool {
    let metadata = &object["metadata"];
    metadata.get("deletionTimestamp").is_some()
        && metadata.get("deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0) == 0
        && !is_held(resource, object)
}

/// Whether something has still to happen before an object may go.
fn is_held(resource: &Resource, object: &Value) -> bool {
    items(&object["metadata"], "finalizers").next().is_some() || resource.strategy.is_deletion_pending(object)
}

/// Says that the object is going, and when.
fn mark(resource: &Resource, object: &mut Value, wished_seconds: Option<i64>, moment: Moment) {
    let strategy = &resource.strategy;
    let grace = if resource.deletes_gracefully { strategy.deletion_grace_seconds(object, wished_seconds) } else { 0 };
    let metadata = child(object, "metadata");
    let already = metadata.get("deletionTimestamp").is_some();
    // A deletion that is under way can be made quicker, not slower.
    let quicker = number(metadata, "deletionGracePeriodSeconds") > grace;
    if !already || quicker {
        // Some ask for longer than there are dates.
        let at = moment.now.saturating_add(SignedDuration::from_secs(grace)).unwrap_or(Timestamp::MAX);
        put(metadata, "deletionTimestamp", time::rfc3339(at));
        if strategy.waits_for_contents() {
            return;
        }
        put(metadata, "deletionGracePeriodSeconds", grace);
        if !already && resource.counts_generations {
            // Who has never been counted is not counted now.
            let generation = number(metadata, "generation");
            if generation > 0 {
                put(metadata, "generation", generation + 1);
            }
        }
    }
}

/// Turns the wish for dependents into the finalizer that the garbage collector acts on.
fn set_finalizers(resource: &Resource, object: &mut Value, wish: Option<Dependents>) {
    let metadata = child(object, "metadata");
    let mut finalizers: Vec<Value> = items(metadata, "finalizers").cloned().collect();
    let had = |name: &str| items(metadata, "finalizers").any(|finalizer| finalizer == name);
    let (orphan, foreground) = match wish {
        Some(wish) => (wish == Dependents::Orphaned, wish == Dependents::First),
        // Without a wish, what an earlier request asked for stands, else the kind's own way.
        None if had(finalizer::ORPHAN) => (true, false),
        None if had(finalizer::FOREGROUND) => (false, true),
        None => (resource.strategy.orphans_by_default(), false),
    };
    finalizers.retain(|name| name != finalizer::ORPHAN && name != finalizer::FOREGROUND);
    for (wanted, name) in [(orphan, finalizer::ORPHAN), (foreground, finalizer::FOREGROUND)] {
        if wanted {
            finalizers.push(json!(name));
        }
    }
    if finalizers.is_empty() {
        remove(metadata, "finalizers");
    } else {
        put(metadata, "finalizers", finalizers);
    }
}

#[cfg(test)]
mod tests {
    use windlass_api::Timestamp;

    use super::*;

    /// What becomes of an object: whether it goes now, and its metadata.
    fn deleted(plural: &str, mut object: Value, wishes: Wishes) -> (bool, Value) {
        let resource = crate::all().into_iter().find(|resource| &*resource.plural == plural).unwrap();
        let gone = delete(&resource, &mut object, wishes, Moment { now: Timestamp::from_second(100).unwrap() });
        (gone, object["metadata"].take())
    }

    #[test]
    fn what_holds_an_object() {
        let by = |grace: i64| Wishes { grace_seconds: Some(grace), ..Wishes::default() };
        let running =
            json!({"metadata": {"generation": 1}, "spec": {"nodeName": "n", "terminationGracePeriodSeconds": 30}});
        let marked = |seconds: &str, grace: i64| json!({"deletionTimestamp": seconds, "deletionGracePeriodSeconds": grace, "generation": 2});
        assert_eq!(deleted("configmaps", json!({"metadata": {}}), Wishes::default()), (true, json!({})));
        assert_eq!(deleted("pods", running.clone(), Wishes::default()), (false, marked("1970-01-01T00:02:10Z", 30)));
        assert_eq!(deleted("pods", running.clone(), by(0)), (true, marked("1970-01-01T00:01:40Z", 0)));
        // Quicker, and not slower.
        let mut going = running;
        going["metadata"] = marked("1970-01-01T00:02:10Z", 30);
        assert_eq!(deleted("pods", going.clone(), by(5)), (false, marked("1970-01-01T00:01:45Z", 5)));
        assert_eq!(deleted("pods", going, by(60)), (false, marked("1970-01-01T00:02:10Z", 30)));
        let (gone, metadata) = deleted("configmaps", json!({"metadata": {"finalizers": ["a/b"]}}), Wishes::default());
        assert_eq!(
            (gone, &metadata["deletionGracePeriodSeconds"], &metadata["finalizers"]),
            (false, &json!(0), &json!(["a/b"]))
        );
        assert!(metadata.get("generation").is_none(), "nobody counts");
    }

    #[test]
    fn wishes_for_dependents_are_finalizers() {
        let finalizers = |plural: &str, had: Value, dependents: Option<Dependents>| {
            let object = json!({"metadata": {"finalizers": had}});
            deleted(plural, object, Wishes { dependents, ..Wishes::default() }).1["finalizers"].take()
        };
        let cases = [
            ("configmaps", json!(["a/b"]), Some(Dependents::Orphaned), json!(["a/b", "orphan"])),
            ("configmaps", json!(["a/b", "orphan"]), Some(Dependents::First), json!(["a/b", "foregroundDeletion"])),
            ("configmaps", json!(["a/b", "orphan"]), Some(Dependents::Afterwards), json!(["a/b"])),
            ("configmaps", json!(["foregroundDeletion", "a/b"]), None, json!(["a/b", "foregroundDeletion"])),
            ("jobs", json!([]), None, json!(["orphan"])),
            ("jobs", json!([]), Some(Dependents::Afterwards), Value::Null),
        ];
        for (plural, had, wish, expected) in cases {
            assert_eq!(finalizers(plural, had.clone(), wish), expected, "{plural} {had} {wish:?}");
        }
    }
}
