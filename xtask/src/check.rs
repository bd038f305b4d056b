//! `cargo xtask check`: what must hold before a commit and needs no cluster.

use crate::{arrows, circles, deny, process, recursion, unused};

pub(crate) fn run() -> Result<(), String> {
    process::cargo(["fmt", "--all", "--check"])?;
    arrows::check()?;
    circles::check()?;
    unused::check()?;
    recursion::check()?;
    deny::check()?;
    process::cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}
