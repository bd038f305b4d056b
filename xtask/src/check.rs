//! `cargo xtask check`: what must hold before a commit and needs no cluster.

use crate::{arrows, process};

pub(crate) fn run() -> Result<(), String> {
    process::cargo(["fmt", "--all", "--check"])?;
    arrows::check()?;
    process::cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}
