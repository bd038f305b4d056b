//! DNS messages of pods, and of the servers that are asked for others' names.

use crate::memory::bounded;

pub(super) fn run(input: &[u8]) {
    bounded(input.len(), || windlass_dns::fuzz::message(input));
}
