//! Regular expressions with the syntax and the classes of RE2, as Go has them.
//!
//! The `regex` crate matches the same way, in linear time and leftmost-first, but reads a few things differently: classes of letters
//! and digits are those of Unicode, and there is more syntax. So patterns are read here (`translate`), which also finds Go's words for
//! what is wrong with them, and are written anew for it.
//!
//! Patterns come from strangers: schemas and expressions have any number of them, and a few characters (`\pL{300}`) can stand for
//! megabytes. So each is weighed before it is compiled (`weight`), all of a definition together have a budget ([`Patterns`]), and a
//! [`Pattern`] is compiled when the first text is held against it.

mod class;
mod error;
mod escape;
mod pattern;
mod patterns;
#[cfg(test)]
mod tests;
mod translate;
mod weight;

pub use error::PatternError;
pub use pattern::Pattern;
pub use patterns::{Limits, Patterns};
