//! What strangers can send, held against properties.
//!
//! A [`Target`] takes any bytes, gives them to one of the program's readers, and panics when a property does not hold: what was read
//! and written again is the same, encodings agree, results stay within bounds, memory stays within a multiple of the input. The
//! properties of what a crate keeps to itself stand in that crate's `fuzz` module.
//!
//! Two programs run the targets. `tests/corpus.rs` replays the inputs in `corpus/`, in every run of the tests: real inputs, and each that
//! once broke something. `main.rs`, which `cargo xtask fuzz` builds, is libFuzzer, which makes up more of them, guided by the code
//! that they reach.

mod memory;
mod object;
mod targets;

pub use memory::Counting;
pub use targets::{Target, all};
