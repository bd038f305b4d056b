//! What tests need of the machine: found, or installed, or named.
//!
//! The tables are xtask/needs.tsv, and beside what a part of the nightly run needs more. On Debian as root what is missing is installed; elsewhere each thing is named with the way to get it.

use std::path::{Path, PathBuf};

use crate::process;

/// What all tests need.
pub(crate) const TESTS: &str = include_str!("../needs.tsv");

/// A program, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Need {
    /// A name on the PATH, or a file.
    program: &'static str,
    /// Debian's package.
    package: &'static str,
    used_by: &'static str,
}

fn all(table: &'static str) -> impl Iterator<Item = Need> {
    table.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut columns = line.split('\t');
        Some(Need { program: columns.next()?, package: columns.next()?, used_by: columns.next()? })
    })
}

impl Need {
    fn is_here(self) -> bool {
        let program = Path::new(self.program);
        if program.is_absolute() {
            return program.exists();
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        // What an administrator runs is not on everybody's PATH.
        let directories = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
        directories.into_iter().any(|directory| directory.join(program).exists())
    }
}

/// Sees to it that everything of a table is there.
pub(crate) fn install(table: &'static str) -> Result<(), String> {
    let missing: Vec<Need> = all(table).filter(|need| !need.is_here()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = missing.iter().map(|need| format!("{} ({})", need.program, need.used_by)).collect();
    process::say(format_args!("missing: {}", names.join(", ")));
    if !is_root() || !Path::new("/etc/debian_version").exists() {
        return Err(advice(&missing));
    }
    process::run("apt-get", ["update", "-q"])?;
    let mut packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    packages.dedup();
    let install = ["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-q", "-y", "--no-install-recommends"];
    process::run("env", install.into_iter().chain(packages))?;
    match all(table).find(|need| !need.is_here()) {
        Some(need) => Err(format!("{} is still missing after {} was installed", need.program, need.package)),
        None => Ok(()),
    }
}

fn is_root() -> bool {
    // The owner of /proc/self is the effective user of this process.
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// How to get what is missing.
fn advice(missing: &[Need]) -> String {
    let lines: Vec<String> = missing
        .iter()
        .map(|need| format!("  {}: needed by {}; Debian's package {}", need.program, need.used_by, need.package))
        .collect();
    format!(
        "the tests need programs that are not here. Run this as root on Debian, where it installs them, or install them:\n{}",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let rows = TESTS.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(all(TESTS).count(), rows);
        assert!(all(TESTS).all(|need| !need.package.is_empty() && !need.used_by.is_empty()));
    }

    #[test]
    fn advice_names_each_thing() {
        let need = Need { program: "frobnicate", package: "frob", used_by: "tests of frobs" };
        assert!(!need.is_here());
        let advice = advice(&[need]);
        assert!(advice.contains("frobnicate: needed by tests of frobs; Debian's package frob"), "{advice}");
    }
}
