//! Server-side apply: what was applied is there, and applying it again changes nothing.

use serde_json::Value;
use windlass_machinery::managed::ApplyError;
use windlass_machinery::schema::Schema;
use windlass_machinery::{decode, managed};

use crate::memory::bounded;
use crate::object::{levels, parts, survives, type_of};

pub(super) fn run(input: &[u8]) {
    let Some((old, configuration)) = parts(input) else { return };
    let Ok(old) = serde_json::from_slice::<Value>(old) else { return };
    let Ok(configuration) = serde_json::from_slice::<Value>(configuration) else { return };
    let (schema, id) = (Schema::builtin(), type_of(&old));
    let (Ok(old), Ok(mut wanted)) =
        (decode::from_value(schema, id, old), decode::from_value(schema, id, configuration))
    else {
        return;
    };
    windlass_machinery::tree::remove(windlass_machinery::tree::child(&mut wanted.value, "metadata"), "managedFields");
    let change = |manager| managed::Change {
        schema,
        id,
        manager,
        api_version: "v1",
        subresource: "",
        now: "2026-01-01T00:00:00Z",
        reset: &[],
    };
    let applied = bounded(input.len(), || managed::apply(&change("one"), Some(&old.value), &wanted.value, true));
    let new = match applied {
        Ok(new) => new,
        // An item that stands twice claims the same as the other.
        Err(ApplyError::Typed(_)) => return,
        Err(error) => panic!("a forced apply has no conflicts: {error:?}"),
    };
    assert!(levels(&new) <= decode::DEPTH_MAX, "the result has {} levels", levels(&new));
    let new = decode::from_value(schema, id, new).expect("the result is an object").value;
    survives(id, &new);
    let again = managed::apply(&change("one"), Some(&new), &wanted.value, false).expect("nothing of others is changed");
    let again = decode::from_value(schema, id, again).expect("the result is an object").value;
    assert_eq!(again, new, "what is applied twice");
    // Another manager may agree, or must conflict; and the record survives an update.
    let _ = managed::apply(&change("two"), Some(&new), &wanted.value, false);
    let mut updated = old.value;
    managed::update(&change("three"), Some(&new), &mut updated);
}
