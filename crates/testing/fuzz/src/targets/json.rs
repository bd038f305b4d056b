//! JSON objects: what is read is the same after every encoding.

use serde_json::Value;
use windlass_machinery::decode;
use windlass_machinery::schema::Schema;

use crate::memory::bounded;
use crate::object::{survives, type_of};

pub(super) fn run(input: &[u8]) {
    let id = type_of(&serde_json::from_slice(input).unwrap_or(Value::Null));
    let decoded = bounded(input.len(), || decode::from_json(Schema::builtin(), id, input));
    if let Ok(decoded) = decoded {
        survives(id, &decoded.value);
    }
}
