//! `cargo xtask simulate`: the seeded simulations, of the control plane and of the store on a disk that fails, for any seeds.

use std::process::Command;

use crate::process::{cargo_program, root};

const CONTROL_PLANE: [&str; 4] = ["-p", "windlass-testing", "--test", "simulation"];
const STORE: [&str; 4] = ["-p", "windlass-store", "--test", "it"];

/// Runs the seeds of `--seeds A..B`; without it, those of the tests.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let (what, rest) = match args {
        [first, rest @ ..] if first == "store" => (STORE, rest),
        _ => (CONTROL_PLANE, args),
    };
    let mut command = Command::new(cargo_program());
    command.current_dir(root()).args(["test", "--profile", "simulation"]).args(what);
    command.args(["--", "--nocapture", "seeds_find_nothing"]);
    match rest {
        [] => {}
        [flag, seeds] if flag == "--seeds" && is_range(seeds) => _ = command.env("WINDLASS_SEEDS", seeds),
        _ => return Err("usage: cargo xtask simulate [store] [--seeds A..B], where A is below B".to_owned()),
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
