//! `cargo xtask test`: everything that tests need is installed or built, then all tests run to the end, whichever fail, and a summary
//! says which.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::{needs, process};

pub(crate) fn run(args: &[String]) -> Result<(), String> {
    needs::install(needs::TESTS)?;
    // kubectl 1.37, which the everyday session speaks to the cluster with.
    process::run(process::root().join("conformance/build.sh"), ["conformance/out", "kubectl"])?;
    // Upstream's pods for the Pod Security Standards, which admission is held against.
    process::run(process::root().join("conformance/build.sh"), ["conformance/out", "fixtures"])?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "--workspace", "--no-fail-fast"]).args(args).current_dir(process::root());
    // Both streams through one pipe, in their order: cargo says on the second which program runs, the program on the first how it ends.
    let (reader, writer) = std::io::pipe().map_err(|error| format!("no pipe: {error}"))?;
    let copy = writer.try_clone().map_err(|error| format!("no pipe: {error}"))?;
    command.stdin(Stdio::null()).stdout(writer).stderr(copy);
    let mut child = command.spawn().map_err(|error| format!("cargo cannot be run: {error}"))?;
    // The command holds the writing ends until it is dropped, and the reader would wait for them.
    drop(command);
    let mut summary = Summary::default();
    for line in BufReader::new(reader).lines() {
        let line = line.map_err(|error| format!("cargo's output cannot be read: {error}"))?;
        summary.take(&line);
        process::say(line);
    }
    let status = child.wait().map_err(|error| format!("cargo does not end: {error}"))?;
    summary.say();
    if status.success() { Ok(()) } else { Err(format!("cargo test failed: {status}")) }
}

/// What the test programs said of themselves.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    /// The program that runs now.
    program: String,
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Tests that failed, with their program; and programs that ended without a result.
    failures: Vec<String>,
}

impl Summary {
    fn take(&mut self, line: &str) {
        let line = line.trim_start();
        if let Some(program) = line.strip_prefix("Running ").or_else(|| line.strip_prefix("Doc-tests ")) {
            program.clone_into(&mut self.program);
        } else if let Some(result) = line.strip_prefix("test result: ") {
            let mut counts = result.split(['.', ';']).filter_map(|part| {
                let (number, what) = part.trim().split_once(' ')?;
                Some((number.parse::<u64>().ok()?, what.to_owned()))
            });
            counts.by_ref().for_each(|(number, what)| match what.as_str() {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            });
        } else if let Some(name) = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED")) {
            self.failures.push(format!("{name} ({})", self.program));
        } else if line.starts_with("error: could not compile") {
            self.failures.push(line.to_owned());
        }
    }

    fn say(&self) {
        process::say("");
        for failure in &self.failures {
            process::say(format_args!("FAILED {failure}"));
        }
        process::say(format_args!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.ignored));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_names() {
        let mut summary = Summary::default();
        for line in [
            "     Running unittests src/lib.rs (target/debug/deps/a-1)",
            "test one ... ok",
            "test two::three ... FAILED",
            "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "   Doc-tests b",
            "test result: ok. 4 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            summary.take(line);
        }
        assert_eq!((summary.passed, summary.failed, summary.ignored), (5, 1, 2));
        assert_eq!(summary.failures, ["two::three (unittests src/lib.rs (target/debug/deps/a-1))"]);
    }
}
