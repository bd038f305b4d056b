//! JSON patches and merge patches: the result is within bounds.

use serde_json::Value;
use windlass_machinery::rfc6902::{self, COPIED_BYTES_MAX};
use windlass_machinery::{decode, rfc7386};

use crate::memory::bounded_by;
use crate::object::{levels, parts};

/// What copies may add becomes a tree, beside the one that it is copied from.
const BYTES_MAX: usize = 512 << 20;

pub(super) fn run(input: &[u8]) {
    let Some((document, patch)) = parts(input) else { return };
    let Ok(old) = serde_json::from_slice::<Value>(document) else { return };
    let Ok(patch) = serde_json::from_slice::<Value>(patch) else { return };
    let mut new = old.clone();
    let applied = bounded_by(BYTES_MAX, || rfc6902::apply(&mut new, &patch));
    if applied.is_ok() {
        assert!(levels(&new) <= decode::DEPTH_MAX, "the result has {} levels", levels(&new));
        // Numbers and escapes may be written longer than they came.
        let (bytes, bytes_max) = (new.to_string().len(), COPIED_BYTES_MAX + 64 * input.len());
        assert!(bytes <= bytes_max, "the result has {bytes} bytes of {bytes_max}");
    }
    let mut merged = old;
    rfc7386::merge(&mut merged, &patch);
    assert!(levels(&merged) <= decode::DEPTH_MAX, "the merged document has {} levels", levels(&merged));
    let once = merged.clone();
    rfc7386::merge(&mut merged, &patch);
    assert_eq!(merged, once, "a merge patch that is applied twice");
}
