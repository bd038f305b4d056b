//! deny.toml, held against all dependencies by cargo-deny: licences, bans, sources. The database of advisories is left aside; it would have
//! to be fetched from outside the registry.
//!
//! Where cargo-deny is missing it is built from its crate, once: unoptimized, for it runs for seconds (two minutes of processor time).

use std::path::PathBuf;
use std::process::Command;

use crate::process::{cargo_program, root, run, say, target_dir};

const VERSION: &str = "0.20.2";

pub(crate) fn check() -> Result<(), String> {
    run(program()?, ["check", "--hide-inclusion-graph", "licenses", "bans", "sources"])
}

/// The one of the path, or our own.
fn program() -> Result<PathBuf, String> {
    let is_here = |program: &PathBuf| Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
    let tools = target_dir().join("tools");
    let own = tools.join("bin/cargo-deny");
    if let Some(found) = ["cargo-deny".into(), own.clone()].into_iter().find(is_here) {
        return Ok(found);
    }
    say(format_args!("cargo-deny is missing: building {VERSION}"));
    let mut install = Command::new(cargo_program());
    install.current_dir(root()).args(["install", "--locked", "--debug", "--quiet", "cargo-deny", "--version", VERSION]);
    install.arg("--root").arg(&tools).env("CARGO_PROFILE_DEV_DEBUG", "0").env_remove("CARGO_TARGET_DIR");
    match install.status() {
        Ok(status) if status.success() => Ok(own),
        Ok(status) => {
            Err(format!("cargo-deny cannot be built: {status}; cargo install --locked cargo-deny may say why"))
        }
        Err(error) => Err(format!("cargo cannot be run: {error}")),
    }
}
