//! `cargo xtask nightly`: what the gate has no time for.
//!
//! Each part has a name and can be run alone. A part that fails does not stop the others; the end says which failed.

mod apparmor;
mod churn;
mod options;
mod sample;

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use crate::{conformance, fuzz, process, simulate};

use options::Options;
pub(crate) use options::USAGE;

/// What a part does.
type Part = fn(&Options) -> Result<(), String>;

const PARTS: [(&str, Part); 7] = [
    ("apparmor", confining),
    ("conformance", serial_conformance),
    ("fuzz", fuzzing),
    ("store", store_seeds),
    ("simulation", simulation_seeds),
    ("users", users),
    ("churn", churning),
];

/// Runs the parts that are named; all of them when none is.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let names = PARTS.map(|(name, _)| name);
    let options = Options::read(args, &names)?;
    let mut failed = Vec::new();
    for (name, part) in PARTS.iter().filter(|(name, _)| options.wants(name)) {
        process::say(format_args!("== nightly {name}"));
        let since = Instant::now();
        let result = part(&options);
        let minutes = since.elapsed().as_secs().div_ceil(60);
        match result {
            Ok(()) => process::say(format_args!("== {name} is well, after {minutes} min")),
            Err(message) => {
                process::complain(format_args!("{name}, after {minutes} min: {message}"));
                failed.push(*name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("of the nightly parts these failed: {}", failed.join(", "))) }
}

/// The tests of the ratchet that run one after the other, which the gate leaves out.
fn serial_conformance(options: &Options) -> Result<(), String> {
    let mut args = vec!["--ratchet".to_owned(), "--serial".to_owned()];
    args.extend(options.program.iter().flat_map(|program| ["--program".to_owned(), program.display().to_string()]));
    conformance::run(&args)
}

/// Containers on a kernel that has AppArmor.
fn confining(_options: &Options) -> Result<(), String> {
    apparmor::run()
}

fn fuzzing(options: &Options) -> Result<(), String> {
    fuzz::run(&["--seconds".to_owned(), options.fuzz_seconds.to_string()])
}

fn store_seeds(options: &Options) -> Result<(), String> {
    simulate::run(&["store".to_owned(), "--seeds".to_owned(), options.store_seeds()])
}

fn simulation_seeds(options: &Options) -> Result<(), String> {
    simulate::run(&["--seeds".to_owned(), options.simulation_seeds()])
}

fn churning(options: &Options) -> Result<(), String> {
    churn::run(&program(options)?, options.churn)
}

/// Operators, clients and definitions of others, built from package registries.
fn users(options: &Options) -> Result<(), String> {
    let mut command = Command::new(process::root().join("conformance/users/run.sh"));
    match command.env("WINDLASS", program(options)?).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("conformance/users/run.sh failed: {status}")),
        Err(error) => Err(format!("conformance/users/run.sh cannot be run: {error}")),
    }
}

/// The binary that is tried: the one that was named, or one that is built.
fn program(options: &Options) -> Result<PathBuf, String> {
    if let Some(program) = &options.program {
        return Ok(program.clone());
    }
    process::cargo(["build", "--profile", &options.profile, "--package", "windlass"])?;
    // The folder of the profile for developers has an older name.
    let folder = if options.profile == "dev" { "debug" } else { &options.profile };
    Ok(process::target_dir().join(folder).join("windlass"))
}
