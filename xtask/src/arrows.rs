//! Dependencies point one way: windlass -> node, network, control-plane -> base (ARCHITECTURE.md). Nobody imports a sibling, except
//! where the table below says why; `testing` imports whom it likes, and only tests import it. And the map names every crate and links only to
//! what exists.

use std::fs;
use std::path::Path;

use crate::process::root;

/// Who may know whom within a neighbourhood, for these are parts of one component.
const SIBLINGS: [(&str, &str); 35] = [
    // The language that everybody speaks lies at the bottom; a client speaks HTTP.
    ("base/cel", "base/api"),
    ("base/cel", "base/regexp"),
    ("base/client", "base/api"),
    ("base/client", "base/http"),
    ("base/http", "base/api"),
    ("base/machinery", "base/api"),
    ("base/machinery", "base/regexp"),
    ("base/pki", "base/tree"),
    // The API server is made of store, kinds, auth and admission.
    ("control-plane/apiserver", "control-plane/store"),
    ("control-plane/apiserver", "control-plane/resources"),
    ("control-plane/apiserver", "control-plane/auth"),
    ("control-plane/apiserver", "control-plane/admission"),
    ("control-plane/apiserver", "control-plane/webhook"),
    ("control-plane/apiserver", "control-plane/audit"),
    ("control-plane/apiserver", "control-plane/flow-control"),
    ("control-plane/flow-control", "control-plane/auth"),
    // The store says what it asks of encryption.
    ("control-plane/encryption", "control-plane/store"),
    ("control-plane/audit", "control-plane/auth"),
    ("control-plane/audit", "control-plane/webhook"),
    ("control-plane/admission", "control-plane/webhook"),
    ("control-plane/admission", "control-plane/auth"),
    ("control-plane/admission", "control-plane/resources"),
    // Admission charges quotas, and their controller counts again.
    ("control-plane/admission", "control-plane/quota"),
    ("control-plane/controllers", "control-plane/quota"),
    // The CRI's traits lie below all of the node.
    ("node/images", "node/cri"),
    ("node/runtime", "node/cri"),
    ("node/volumes", "node/cri"),
    ("node/kubelet", "node/cri"),
    ("node/kubelet", "node/volumes"),
    ("node/kubelet-api", "node/cri"),
    // The kubelet shows itself to the server of its API.
    ("node/kubelet", "node/kubelet-api"),
    // The pod network and Services are programmed by the same drivers.
    ("network/cni", "network/dataplane"),
    // What the runtime's sandboxes join.
    ("network/cni", "node/cri"),
    ("network/cni", "network/ipam"),
    ("network/service-proxy", "network/dataplane"),
];

pub(crate) fn check() -> Result<(), String> {
    let crates = crates()?;
    let (mut problems, mut needed) = (Vec::new(), Vec::new());
    for path in &crates {
        let (_, dependencies) = manifest(path)?;
        for dependency in dependencies {
            let Some(target) = crates.iter().find(|other| package(other) == dependency) else { continue };
            if !is_allowed(path, target) {
                problems.push(format!("crates/{path} must not depend on crates/{target}"));
            }
            needed.push((path.as_str(), target.as_str()));
        }
    }
    let idle = SIBLINGS.iter().filter(|pair| !needed.contains(pair));
    problems.extend(idle.map(|(from, to)| format!("crates/{from} may know crates/{to}, and does not")));
    problems.extend(check_map(&crates)?);
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// The crates, as `neighbourhood/name`, or `windlass` and `testing`.
fn crates() -> Result<Vec<String>, String> {
    let manifest = read(&root().join("Cargo.toml"))?;
    let manifest: toml::Table = manifest.parse().map_err(|error| format!("Cargo.toml: {error}"))?;
    let members = manifest["workspace"]["members"].as_array().cloned().unwrap_or_default();
    let paths = members.iter().filter_map(|member| member.as_str()?.strip_prefix("crates/").map(str::to_owned));
    Ok(paths.collect())
}

fn package(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((_, name)) => format!("windlass-{name}"),
        None if path == "windlass" => path.to_owned(),
        None => format!("windlass-{path}"),
    }
}

/// A crate's name and what it depends on, tests aside.
fn manifest(path: &str) -> Result<(String, Vec<String>), String> {
    let file = root().join("crates").join(path).join("Cargo.toml");
    let table: toml::Table = read(&file)?.parse().map_err(|error| format!("{}: {error}", file.display()))?;
    let name = table["package"]["name"].as_str().unwrap_or_default().to_owned();
    let dependencies = table.get("dependencies").and_then(|d| d.as_table()).into_iter().flatten();
    Ok((name, dependencies.map(|(name, _)| name.clone()).collect()))
}

fn is_allowed(from: &str, to: &str) -> bool {
    let level = |path: &str| match path.split('/').next() {
        Some("base") => 0,
        Some("windlass") => 2,
        // Dependencies of tests are not looked at, so nobody may have this one among the others.
        Some("testing") => 3,
        _ => 1,
    };
    level(from) > level(to) || SIBLINGS.contains(&(from, to))
}

/// ARCHITECTURE.md names every crate once as a heading of the code map, and every path that it links to exists.
fn check_map(crates: &[String]) -> Result<Vec<String>, String> {
    let map = read(&root().join("ARCHITECTURE.md"))?;
    let mut problems = Vec::new();
    for path in crates {
        let row = format!("| `crates/{path}` |");
        let count = map.matches(&row).count();
        if count != 1 {
            problems.push(format!("ARCHITECTURE.md has {count} rows for crates/{path} instead of one"));
        }
    }
    for link in map.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let path = link.split('#').next().unwrap_or_default();
        if !path.is_empty() && !path.contains("://") && !root().join(path).exists() {
            problems.push(format!("ARCHITECTURE.md links to {path}, which does not exist"));
        }
    }
    if map.lines().count() > 400 {
        problems.push("ARCHITECTURE.md is longer than 400 lines".to_owned());
    }
    Ok(problems)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_as_it_should_be() {
        check().unwrap();
    }

    #[test]
    fn arrows_point_down() {
        assert!(is_allowed("windlass", "node/kubelet"));
        assert!(is_allowed("node/kubelet", "base/client"));
        assert!(!is_allowed("base/client", "node/kubelet"));
        assert!(is_allowed("base/client", "base/http"));
        assert!(!is_allowed("base/pki", "base/http"));
        assert!(is_allowed("testing", "control-plane/controllers"));
        assert!(!is_allowed("windlass", "testing"));
        assert!(!is_allowed("control-plane/controllers", "testing"));
        assert!(!is_allowed("node/kubelet", "control-plane/store"));
        assert!(!is_allowed("node/kubelet", "node/runtime"));
    }
}
