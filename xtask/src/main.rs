//! Developer commands: `cargo xtask check | test | simulate | fuzz | nightly | bench | conformance | facts`.

#![allow(clippy::disallowed_methods, reason = "developer commands run programs and read the environment")]

mod arrows;
mod check;
mod circles;
mod cluster;
mod conformance;
mod deny;
mod fuzz;
mod needs;
mod nightly;
mod process;
mod recursion;
mod simulate;
mod sources;
mod test;
mod unused;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask check                    formatting, clippy, directions of dependencies, circles, recursion, what is unused, deny.toml
cargo xtask test [ARGS…]             installs what tests need, and runs all of them to the end (as root); ARGS go to cargo test
cargo xtask simulate [--seeds A..B]  the simulation of the control plane
cargo xtask simulate store [--seeds A..B]  the store on a disk that fails
cargo xtask fuzz [TARGET…] [--seconds N]  makes up what strangers could send, a minute for each target; without a name all targets
cargo xtask conformance [ARGS…]      upstream's suite against a fresh cluster; ARGS go to conformance/run.sh
cargo xtask conformance --ratchet    only the tests of conformance/passing.txt; none may fail (--parallel: without [Serial] ones; --serial: only those)
cargo xtask conformance --update     the whole suite; what passes is added to conformance/passing.txt
cargo xtask bench [ARGS…]            side by side with upstream; ARGS go to bench/run.sh
cargo xtask facts                    derives the tables of facts about upstream anew (conformance/facts)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = args.split_first().map_or(("", &[][..]), |(command, rest)| (command.as_str(), rest));
    let result = match command {
        "check" => check::run(),
        "test" => test::run(rest),
        "simulate" => simulate::run(rest),
        "fuzz" => fuzz::run(rest),
        "nightly" => nightly::run(rest),
        "conformance" => conformance::run(rest),
        "bench" => process::run(process::root().join("bench/run.sh"), rest),
        "facts" => process::run(process::root().join("conformance/facts/derive.sh"), rest),
        _ => Err(format!("usage:\n{USAGE}\n{}", nightly::USAGE)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            process::complain(&message);
            ExitCode::FAILURE
        }
    }
}
