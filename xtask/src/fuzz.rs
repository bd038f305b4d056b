//! `cargo xtask fuzz`: libFuzzer on the targets of crates/testing/fuzz, guided by the code that inputs reach.
//!
//! It runs on the stable compiler: coverage comes from LLVM's own pass (`-C passes=sancov-module`), which is stable, and libFuzzer from the
//! crate `libfuzzer-sys`, which carries its source. What is not stable are the sanitizers of memory errors; safe Rust gains
//! little from them, and the targets measure memory by themselves. bolero was weighed: on stable it has its own
//! random engine, without coverage, and for coverage it starts the same libFuzzer through a command to be installed.
//!
//! A new input that breaks a property is left in `target/fuzz/found`. Once the fault is mended it goes into crates/testing/fuzz/corpus,
//! where every run of the tests replays it. Inputs that reach new code are kept in `target/fuzz/corpus` for the next run.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{cargo_program, root, say, target_dir};

/// LLVM's instrumentation, as libFuzzer expects it.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
const CRATE: &str = "crates/testing/fuzz";
const SECONDS: u64 = 60;
/// Longer inputs find little that shorter ones do not.
const INPUT_BYTES_MAX: usize = 32 << 10;
/// An input that takes longer has found something: readers take time in proportion to what they read.
const INPUT_SECONDS_MAX: u64 = 20;
const MEMORY_MB_MAX: u64 = 2048;

/// Runs targets for some time each; all of them when none is named. One that finds something does not stop the others.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let Request { targets, seconds } = read(args, &names()?)?;
    // Beside the other crates, which must not be instrumented.
    let target_dir = target_dir().join("fuzz");
    let program = build(&target_dir)?;
    let broken: Vec<String> = targets
        .into_iter()
        .filter(|target| match fuzz(&program, &target_dir, target, seconds) {
            Ok(()) => false,
            Err(message) => {
                say(message);
                true
            }
        })
        .collect();
    if broken.is_empty() { Ok(()) } else { Err(format!("these found something: {}", broken.join(", "))) }
}

#[derive(Debug, PartialEq, Eq)]
struct Request {
    targets: Vec<String>,
    seconds: u64,
}

fn read(args: &[String], known: &[String]) -> Result<Request, String> {
    let mut request = Request { targets: Vec::new(), seconds: SECONDS };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--seconds" {
            let seconds = args.next().and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0);
            request.seconds = seconds.ok_or("--seconds takes a number")?;
        } else if known.contains(arg) {
            request.targets.push(arg.clone());
        } else {
            return Err(format!("there is no target {arg}; there are {}", known.join(", ")));
        }
    }
    if request.targets.is_empty() {
        request.targets = known.to_vec();
    }
    Ok(request)
}

/// The targets, which are the folders of the corpus.
fn names() -> Result<Vec<String>, String> {
    let corpus = root().join(CRATE).join("corpus");
    let entries = std::fs::read_dir(&corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.sort();
    Ok(names)
}

fn build(target_dir: &Path) -> Result<PathBuf, String> {
    let host = host()?;
    let mut command = Command::new(cargo_program());
    // With a target named, build scripts and macros are left as they are.
    command.current_dir(root()).args([
        "build",
        "--profile",
        "fuzz",
        "--package",
        "windlass-fuzz",
        "--features",
        "engine",
    ]);
    command.args(["--target", &host]).arg("--target-dir").arg(target_dir).env("RUSTFLAGS", FLAGS);
    match command.status() {
        Ok(status) if status.success() => Ok(target_dir.join(host).join("fuzz/windlass-fuzz")),
        Ok(status) => Err(format!("the fuzzer cannot be built: {status}")),
        Err(error) => Err(format!("cargo cannot be run: {error}")),
    }
}

/// The machine that the compiler runs on, in its own words.
fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|error| format!("rustc cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not say its host".to_owned())
}

fn fuzz(program: &Path, target_dir: &Path, target: &str, seconds: u64) -> Result<(), String> {
    let (kept, found) = (target_dir.join("corpus").join(target), target_dir.join("found"));
    for directory in [&kept, &found] {
        std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    say(format_args!("fuzzing {target} for {seconds} seconds"));
    let mut command = Command::new(program);
    command.current_dir(root()).env("WINDLASS_FUZZ_TARGET", target);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={INPUT_BYTES_MAX}"));
    command.arg(format!("-timeout={INPUT_SECONDS_MAX}")).arg(format!("-rss_limit_mb={MEMORY_MB_MAX}"));
    command.args(["-print_final_stats=1", "-verbosity=0", "-close_fd_mask=1"]);
    command.arg(format!("-artifact_prefix={}/{target}-", found.display()));
    // The first folder takes what is new.
    command.arg(kept).arg(root().join(CRATE).join("corpus").join(target));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{target}: {status}; the input lies in {}", found.display())),
        Err(error) => Err(format!("{} cannot be run: {error}", program.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        let known = ["json".to_owned(), "yaml".to_owned()];
        let read = |args: &[&str]| read(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>(), &known);
        assert_eq!(read(&[]).unwrap(), Request { targets: known.to_vec(), seconds: 60 });
        let one = Request { targets: vec!["yaml".to_owned()], seconds: 5 };
        assert_eq!(read(&["yaml", "--seconds", "5"]).unwrap(), one);
        assert!(read(&["toml"]).unwrap_err().contains("json, yaml"));
        for bad in [&["--seconds"][..], &["--seconds", "0"], &["--seconds", "x"]] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
