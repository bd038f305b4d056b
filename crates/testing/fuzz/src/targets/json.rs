//! JSON objects: what is read is the same after every encoding.

use serde_json::Value;
use windlass_machinery::schema::Schema;
use windlass_machinery::{decode, go_json, strict};

use crate::memory::bounded;
use crate::object::{survives, type_of};

pub(super) fn run(input: &[u8]) {
    let parsed: Result<Value, _> = serde_json::from_slice(input);
    if let Ok(parsed) = &parsed {
        assert_eq!(go_json::syntax_error(input), None, "what is read is JSON in Go's eyes");
        let strict = strict::parse(input).expect("what is read can be read strictly").0;
        assert!(strict == *parsed, "strict reading reads the same");
    }
    let id = type_of(&parsed.unwrap_or(Value::Null));
    let decoded = bounded(input.len(), || decode::from_json(Schema::builtin(), id, input));
    if let Ok(decoded) = decoded {
        survives(id, &decoded.value);
    }
}
