//! Strategic merge patches of objects: the result is within bounds, and is read as an object or refused.

use serde_json::Value;
use windlass_machinery::schema::Schema;
use windlass_machinery::{decode, strategic};

use crate::memory::bounded;
use crate::object::{levels, parts, survives, type_of};

pub(super) fn run(input: &[u8]) {
    let Some((document, patch)) = parts(input) else { return };
    let Ok(document) = serde_json::from_slice::<Value>(document) else { return };
    let Ok(patch) = serde_json::from_slice::<Value>(patch) else { return };
    let (schema, id) = (Schema::builtin(), type_of(&document));
    let Ok(object) = decode::from_value(schema, id, document) else { return };
    let mut new = object.value;
    let applied = bounded(input.len(), || strategic::apply(schema, id, &mut new, &patch));
    if applied.is_err() {
        return;
    }
    assert!(levels(&new) <= decode::DEPTH_MAX, "the result has {} levels", levels(&new));
    if let Ok(decoded) = decode::from_value(schema, id, new) {
        survives(id, &decoded.value);
    }
}
