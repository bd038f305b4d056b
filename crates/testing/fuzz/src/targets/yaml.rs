//! YAML documents: any tree is the same after writing and reading it, an object after every encoding.

use windlass_machinery::schema::Schema;
use windlass_machinery::{decode, yaml};

use crate::memory::bounded_by;
use crate::object::{levels, survives, type_of};

/// Aliases make trees that are larger than their text; the reader bounds them.
const BYTES_MAX: usize = 256 << 20;
/// Larger trees are not written and read again, which takes seconds and finds nothing.
const WRITTEN_BYTES_MAX: usize = 256 << 10;

pub(super) fn run(input: &[u8]) {
    let Ok(document) = bounded_by(BYTES_MAX, || yaml::parse(input)) else { return };
    assert!(levels(&document.value) <= decode::DEPTH_MAX, "a tree of {} levels was read", levels(&document.value));
    if document.value.to_string().len() > WRITTEN_BYTES_MAX {
        return;
    }
    let text = yaml::write(&document.value);
    let again = yaml::parse(text.as_bytes()).unwrap_or_else(|error| panic!("YAML is not read again: {error}\n{text}"));
    assert_eq!(again.value, document.value, "{text}");
    assert!(again.duplicates.is_empty(), "{:?}", again.duplicates);
    let id = type_of(&document.value);
    if let Ok(decoded) = decode::from_value(Schema::builtin(), id, document.value) {
        survives(id, &decoded.value);
    }
}
