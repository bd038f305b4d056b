//! Writing messages by hand, for the few that have no schema.

use super::wire::{DELIMITED, VARINT, delimit, push_tag};

pub use super::wire::push_bytes;

/// A nested message.
pub fn message(out: &mut Vec<u8>, number: u32, body: impl FnOnce(&mut Vec<u8>)) {
    push_tag(out, number, DELIMITED);
    let start = out.len();
    body(out);
    delimit(out, start);
}

/// A boolean that is true.
pub fn push_flag(out: &mut Vec<u8>, number: u32) {
    push_tag(out, number, VARINT);
    out.push(1);
}
