//! `cargo xtask conformance`: upstream's suite against a fresh cluster, and the ratchet.
//!
//! `conformance/passing.txt` holds the names of the tests that pass. It only grows: with `--ratchet` these are run, and none may fail;
//! with `--update` all are run, and those that pass are added.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cluster::Cluster;
use crate::process::{self, root, say};

const PASSING: &str = "conformance/passing.txt";
/// How many tests run at once; more than cores, for most of them wait most of the time.
const PROCESSES: &str = "16";

pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let out = root().join("conformance/out");
    fs::create_dir_all(&out).map_err(|error| format!("{} cannot be made: {error}", out.display()))?;
    let kit = kit(&out)?;
    let (program, args) = program(args)?;
    let mode = args.first().map(String::as_str);
    let rest = match mode {
        Some("--ratchet" | "--update") => &args[1..],
        _ => &args,
    };
    let cluster = Cluster::start(&program, &out, &kit.join("images"))?;
    for archive in archives(&kit)? {
        cluster.import(&archive)?;
    }
    let suite = Suite { cluster: &cluster, kit: &kit, out: &out };
    let result = match mode {
        Some("--ratchet") => suite.ratchet(rest),
        Some("--update") => suite.run("report", rest).and_then(|_| update(&out)),
        _ => suite
            .run("report", rest)
            .and_then(|passed| if passed { Ok(()) } else { Err("some tests failed".to_owned()) }),
    };
    drop(cluster);
    result
}

/// The binary that is tried, and the arguments without it: the one of `--program`, or a release that is built.
fn program(args: &[String]) -> Result<(PathBuf, Vec<String>), String> {
    let Some(at) = args.iter().position(|arg| arg == "--program") else {
        process::cargo(["build", "--release", "--package", "windlass"])?;
        return Ok((process::target_dir().join("release/windlass"), args.to_vec()));
    };
    let program = args.get(at + 1).ok_or("--program takes a path")?;
    Ok((program.into(), [&args[..at], &args[at + 2..]].concat()))
}

struct Suite<'a> {
    cluster: &'a Cluster,
    kit: &'a Path,
    out: &'a Path,
}

impl Suite<'_> {
    /// Runs a part of the suite; whether all of it passed.
    fn run(&self, report: &str, args: &[String]) -> Result<bool, String> {
        // What an earlier run left says nothing of this one.
        #[expect(clippy::disallowed_methods, reason = "a tree that nobody else shapes")]
        let _ = fs::remove_dir_all(self.out.join(report));
        let mut suite = self.cluster.inside(&root().join("conformance/run.sh"));
        suite.arg(self.kit).arg("--kubeconfig").arg(self.cluster.kubeconfig());
        suite.arg("--report").arg(self.out.join(report));
        if !args.iter().any(|arg| arg == "--procs") {
            suite.args(["--procs", PROCESSES]);
        }
        let status = suite.args(args).status().map_err(|error| format!("the suite cannot be run: {error}"))?;
        Ok(status.success())
    }

    /// Arguments that make the suite run these tests.
    fn list(&self, file: &str, names: &BTreeSet<String>) -> Result<Vec<String>, String> {
        let path = self.out.join(file);
        let text: String = names.iter().map(|name| format!("{name}\n")).collect();
        fs::write(&path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        Ok(vec!["--list".to_owned(), path.display().to_string()])
    }

    /// Runs what has passed before; with `--parallel`, without the tests that run one after the other, with `--serial` only those. What fails is run once more by
    /// itself, and named even when it passes then: a test that depends on what else runs has a cause to be found.
    fn ratchet(&self, args: &[String]) -> Result<(), String> {
        let only = |flag: &str| args.iter().any(|arg| arg == flag);
        let (parallel, serial) = (only("--parallel"), only("--serial"));
        let mut args = args.to_vec();
        args.retain(|arg| arg != "--parallel" && arg != "--serial");
        let mut expected = names(&root().join(PASSING));
        expected.retain(|name| if name.contains("[Serial]") { !parallel } else { !serial });
        self.run("report", &[self.list("list.txt", &expected)?, args.clone()].concat())?;
        let mut passed = names(&self.out.join("report/passed.txt"));
        let unsteady: BTreeSet<String> = expected.difference(&passed).cloned().collect();
        if !unsteady.is_empty() {
            let shown: Vec<&str> = unsteady.iter().map(String::as_str).collect();
            say(format_args!("these failed and are run once more by themselves:\n{}", shown.join("\n")));
            self.run("again", &[self.list("again.txt", &unsteady)?, args].concat())?;
            passed.extend(names(&self.out.join("again/passed.txt")));
        }
        let lost: Vec<String> = expected.difference(&passed).map(|name| format!("  {name}")).collect();
        if lost.is_empty() {
            say(format_args!("{} tests of {PASSING} pass, {} at the second try", expected.len(), unsteady.len()));
            return Ok(());
        }
        Err(format!("{} of {} tests that passed once do not:\n{}", lost.len(), expected.len(), lost.join("\n")))
    }
}

/// Where the suite and its images are: `CONFORMANCE_KIT`, or built here.
pub(crate) fn kit(out: &Path) -> Result<PathBuf, String> {
    if let Some(kit) = std::env::var_os("CONFORMANCE_KIT") {
        return Ok(kit.into());
    }
    process::run(root().join("conformance/build.sh"), [out])?;
    Ok(out.to_owned())
}

fn archives(kit: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(kit.join("images")).map_err(|error| format!("the kit has no images: {error}"))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "tar")).collect())
}

fn names(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn update(out: &Path) -> Result<(), String> {
    let path = root().join(PASSING);
    let mut all = names(&path);
    let before = all.len();
    all.extend(names(&out.join("report/passed.txt")));
    let text: String = all.iter().map(|name| format!("{name}\n")).collect();
    fs::write(&path, text).map_err(|error| format!("{PASSING} cannot be written: {error}"))?;
    say(format_args!("{PASSING}: {before} tests before, {} now", all.len()));
    Ok(())
}
