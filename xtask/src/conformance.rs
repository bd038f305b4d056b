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
    let kit = kit(&out)?;
    process::cargo(["build", "--release", "--package", "windlass"])?;
    let mode = args.first().map(String::as_str);
    let rest = match mode {
        Some("--ratchet" | "--update") => &args[1..],
        _ => args,
    };
    let cluster = Cluster::start(&root().join("target/release/windlass"), &out)?;
    for archive in archives(&kit)? {
        cluster.import(&archive)?;
    }
    let mut suite = cluster.inside(&root().join("conformance/run.sh"));
    suite.arg(&kit).arg("--kubeconfig").arg(cluster.kubeconfig()).arg("--report").arg(out.join("report"));
    if !rest.iter().any(|arg| arg == "--procs") {
        suite.args(["--procs", PROCESSES]);
    }
    if mode == Some("--ratchet") {
        suite.arg("--list").arg(root().join(PASSING));
    }
    let status = suite.args(rest).status().map_err(|error| format!("the suite cannot be run: {error}"))?;
    drop(cluster);
    match mode {
        Some("--ratchet") => ratchet(&out),
        Some("--update") => update(&out),
        _ if status.success() => Ok(()),
        _ => Err("some tests failed".to_owned()),
    }
}

/// Where the suite and its images are: `CONFORMANCE_KIT`, or built here.
fn kit(out: &Path) -> Result<PathBuf, String> {
    if let Some(kit) = std::env::var_os("CONFORMANCE_KIT") {
        return Ok(kit.into());
    }
    fs::create_dir_all(out).map_err(|error| format!("{} cannot be made: {error}", out.display()))?;
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

fn ratchet(out: &Path) -> Result<(), String> {
    let expected = names(&root().join(PASSING));
    let passed = names(&out.join("report/passed.txt"));
    let lost: Vec<&String> = expected.difference(&passed).collect();
    if lost.is_empty() {
        say(format_args!("all {} tests of {PASSING} pass", expected.len()));
        return Ok(());
    }
    let list: Vec<String> = lost.iter().map(|name| format!("  {name}")).collect();
    Err(format!("{} of {} tests that passed once do not:\n{}", lost.len(), expected.len(), list.join("\n")))
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
