//! Integration tests of the crate.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests may fail, and this one is told by its environment what to show"
)]

mod golden;
