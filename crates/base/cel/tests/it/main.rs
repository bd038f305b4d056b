//! The language as upstream speaks it: what `conformance/facts/cel` recorded, replayed.

mod answers;
mod bounds;
mod render;
