//! `cargo xtask simulate`: the seeded simulation of the control plane, for any seeds.

use std::process::Command;

use crate::process::{cargo_program, root};

/// Runs the seeds of `--seeds A..B`; without it, those of the tests.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let mut command = Command::new(cargo_program());
    command.current_dir(root()).args(["test", "--profile", "simulation", "-p", "windlass-testing"]);
    command.args(["--test", "simulation", "--", "--nocapture", "seeds_find_nothing"]);
    match args {
        [] => {}
        [flag, seeds] if flag == "--seeds" && is_range(seeds) => _ = command.env("WINDLASS_SEEDS", seeds),
        _ => return Err("usage: cargo xtask simulate [--seeds A..B], where A is below B".to_owned()),
    }
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err("a seed has failed; its story is above".to_owned()),
        Err(error) => Err(format!("cargo cannot be run: {error}")),
    }
}

pub(crate) fn is_range(text: &str) -> bool {
    let number = |text: &str| text.parse::<u64>().ok();
    text.split_once("..").and_then(|(start, end)| Some(number(start)? < number(end)?)).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert!(is_range("0..1000"));
        for bad in ["", "5", "5..5", "7..2", "a..b", "1...3"] {
            assert!(!is_range(bad), "{bad}");
        }
    }
}
