//! Modules of a crate depend on each other in one direction, and so do its folders: whoever reads one need not read a circle of them.
//!
//! The check is textual, file by file: what a file says with `use crate::…`, `super::…` or a path in its code. A name that a module
//! only hands on (`pub use`) is looked up where it is defined. A folder's front (`mod.rs`, `lib.rs`) and the files below it are one
//! thing and may know each other. Tests do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::process::root;
use crate::sources::{self, Source, read, uses, without_tests};

type Module = Vec<String>;

/// A crate's files as modules, and what each of them names.
#[derive(Debug, Default)]
struct Graph {
    /// What a module hands on: names, and where they come from.
    handed_on: BTreeMap<Module, BTreeMap<String, Module>>,
    paths: BTreeMap<Module, BTreeSet<Module>>,
}

pub(crate) fn check() -> Result<(), String> {
    let manifest: toml::Table =
        read(&root().join("Cargo.toml"))?.parse().map_err(|error| format!("Cargo.toml: {error}"))?;
    let members = manifest["workspace"]["members"].as_array().cloned().unwrap_or_default();
    let mut problems = Vec::new();
    for member in members.iter().filter_map(toml::Value::as_str) {
        let folder = format!("{member}/src");
        let graph = graph(&sources::below(&folder)?, Path::new(&folder));
        for circle in circles(&graph) {
            problems.push(format!("{folder}: modules import each other in a circle: {}", circle.join(", ")));
        }
        for (circle, edges) in circles_of_families(&graph) {
            let (circle, edges) = (circle.join(", "), edges.join(", "));
            problems.push(format!("{folder}: families import each other in a circle: {circle} ({edges})"));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn graph(sources: &[Source], folder: &Path) -> Graph {
    let mut graph = Graph::default();
    let mut of_tests = BTreeSet::new();
    let mut texts = Vec::new();
    for source in sources {
        let module = module_of(source.path.strip_prefix(folder).unwrap_or(&source.path));
        let (text, elsewhere) = without_tests(&source.text);
        of_tests.extend(elsewhere.into_iter().map(|name| child(&module, name)));
        graph.paths.insert(module.clone(), BTreeSet::new());
        texts.push((module, text));
    }
    graph.paths.retain(|module, _| !of_tests.contains(module));
    for (module, text) in texts {
        if !graph.paths.contains_key(&module) {
            continue;
        }
        let (uses, rest) = uses(&text);
        let mut paths = BTreeSet::new();
        for (is_handed_on, statement) in uses {
            for (path, name) in expand(&statement) {
                let Some(path) = absolute(&graph, &module, &path) else { continue };
                if is_handed_on {
                    graph.handed_on.entry(module.clone()).or_default().insert(name, path);
                } else {
                    paths.insert(path);
                }
            }
        }
        paths.extend(inline(&rest).iter().filter_map(|path| absolute(&graph, &module, path)));
        graph.paths.insert(module, paths);
    }
    graph
}

fn child(module: &[String], name: &str) -> Module {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

/// `a/b.rs` and `a/b/mod.rs` are `a::b`; `lib.rs` and `main.rs` are the root.
fn module_of(path: &Path) -> Module {
    let mut parts: Module = path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let is_root = parts.len() == 1 && parts.first().is_some_and(|name| matches!(name.as_str(), "lib" | "main"));
    if is_root || parts.last().is_some_and(|name| name == "mod") {
        parts.pop();
    }
    parts
}

/// The paths of a `use`, each with the name that it gives.
fn expand(statement: &str) -> Vec<(Vec<String>, String)> {
    let statement = statement.trim().trim_end_matches(',');
    let Some((prefix, list)) = statement.split_once('{') else {
        let (path, renamed) = statement.split_once(" as ").map_or((statement, None), |(path, name)| (path, Some(name)));
        let mut path: Vec<String> = path.split("::").map(|part| part.trim().to_owned()).collect();
        if path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let name = renamed.map(str::to_owned).or_else(|| path.last().cloned()).unwrap_or_default();
        return vec![(path, name)];
    };
    let list = list.trim_end().strip_suffix('}').unwrap_or(list);
    let (mut depth, mut start, mut all) = (0, 0, Vec::new());
    for (at, next) in list.char_indices().chain([(list.len(), ',')]) {
        match next {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !list[start..at].trim().is_empty() {
                    all.extend(expand(&format!("{prefix}{}", list[start..at].trim())));
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    all
}

/// Paths of this crate that stand in code.
fn inline(text: &str) -> Vec<Vec<String>> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let candidates = text.split(|c: char| !is_part(c)).filter(|path| path.contains("::"));
    candidates.map(|path| path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect()).collect()
}

/// A path from the crate's root, when it is one of this crate.
fn absolute(graph: &Graph, module: &[String], path: &[String]) -> Option<Module> {
    let mut base: Module = module.to_vec();
    let mut parts = path.iter();
    match parts.next().map(String::as_str)? {
        "crate" => base.clear(),
        "self" => {}
        "super" => {
            base.pop()?;
        }
        // A child of the module; anything else is another crate's.
        name if graph.paths.contains_key(&child(module, name)) => base.push(name.to_owned()),
        _ => return None,
    }
    for part in parts {
        if part == "super" {
            base.pop()?;
        } else {
            base.push(part.clone());
        }
    }
    Some(base)
}

/// The module in which the named item is defined.
fn home(graph: &Graph, path: &Module, steps_max: usize) -> Module {
    let known = (0..=path.len()).rev().find(|length| graph.paths.contains_key(&path[..*length])).unwrap_or(0);
    let module = path[..known].to_vec();
    let handed_on = path.get(known).and_then(|name| graph.handed_on.get(&module)?.get(name));
    match handed_on {
        Some(target) if steps_max > 0 => home(graph, target, steps_max - 1),
        _ => module,
    }
}

type Edges = BTreeMap<Module, BTreeSet<Module>>;

/// Who names whom. A front and the files below it are one thing.
fn edges(graph: &Graph) -> Edges {
    const HOPS_MAX: usize = 8;
    let mut edges = Edges::new();
    for (module, paths) in &graph.paths {
        let is_family = |other: &Module| other.starts_with(module) || module.starts_with(other);
        let targets = paths.iter().map(|path| home(graph, path, HOPS_MAX)).filter(|target| !is_family(target));
        edges.insert(module.clone(), targets.collect());
    }
    edges
}

/// The circles of modules, each as a sorted list.
fn circles(graph: &Graph) -> Vec<Vec<String>> {
    circles_in(&edges(graph))
}

/// The circles of families: a folder with all that is in it is one, and so is a file beside it. With the names that make the circle.
fn circles_of_families(graph: &Graph) -> Vec<(Vec<String>, Vec<String>)> {
    let edges = edges(graph);
    let mut families = Edges::new();
    for (from, to) in edges.iter().flat_map(|(from, all)| all.iter().map(move |to| (from, to))) {
        let (from, to) = families_of(from, to);
        families.entry(to.clone()).or_default();
        families.entry(from).or_default().insert(to);
    }
    let mut found = Vec::new();
    for circle in circles_in(&families) {
        let is_in = |family: &Module| circle.contains(&family.join("::"));
        let mut named = Vec::new();
        for (from, to) in edges.iter().flat_map(|(from, all)| all.iter().map(move |to| (from, to))) {
            let (one, other) = families_of(from, to);
            if is_in(&one) && is_in(&other) {
                named.push(format!("{} -> {}", from.join("::"), to.join("::")));
            }
        }
        found.push((circle, named));
    }
    found
}

/// The families of two modules below the last folder that both are in.
fn families_of(from: &Module, to: &Module) -> (Module, Module) {
    let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    (from[..=common].to_vec(), to[..=common].to_vec())
}

fn circles_in(edges: &Edges) -> Vec<Vec<String>> {
    let reach: BTreeMap<&Module, BTreeSet<&Module>> = edges.keys().map(|from| (from, reached(edges, from))).collect();
    let mut found = BTreeSet::new();
    for (module, targets) in &reach {
        let circle: Vec<String> = targets
            .iter()
            .filter(|target| reach.get(*target).is_some_and(|back| back.contains(module)))
            .map(|module| module.join("::"))
            .collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

fn reached<'g>(edges: &'g Edges, from: &Module) -> BTreeSet<&'g Module> {
    let mut seen = BTreeSet::new();
    let mut next: Vec<&Module> = edges.get(from).into_iter().flatten().collect();
    while let Some(module) = next.pop() {
        if seen.insert(module) {
            next.extend(edges.get(module).into_iter().flatten());
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| Source { path: path.into(), text: (*text).to_owned() }).collect();
        circles(&graph(&sources, Path::new("")))
    }

    #[test]
    fn the_tree_has_none() {
        check().unwrap();
    }

    #[test]
    fn circles_of_files() {
        let one_way = [("lib.rs", "mod a;\nmod b;\n"), ("a.rs", "use crate::b::X;\n"), ("b.rs", "pub struct X;\n")];
        assert!(found(&one_way).is_empty());
        let both = [("a.rs", "use crate::b::{X, y::Z};\n"), ("b.rs", "fn f() { super::a::g() }\n")];
        assert_eq!(found(&both), [["a", "b"]]);
        let in_tests =
            [("a.rs", "use crate::b::X;\n"), ("b.rs", "#[cfg(test)]\nmod tests {\n    use crate::a::X;\n}\n")];
        assert!(found(&in_tests).is_empty());
    }

    #[test]
    fn circles_of_folders() {
        let families = |files: &[(&str, &str)]| {
            let source = |(path, text): &(&str, &str)| Source { path: path.into(), text: (*text).to_owned() };
            let sources: Vec<Source> = files.iter().map(source).collect();
            circles_of_families(&graph(&sources, Path::new("")))
        };
        let [there, back] = [("a/x.rs", "use crate::b::y::Y;\n"), ("b/z.rs", "use crate::a::w::W;\n")];
        let [w, y] = [("a/w.rs", "pub struct W;\n"), ("b/y.rs", "pub struct Y;\n")];
        assert_eq!(families(&[there, w, y, ("b/z.rs", "")]), []);
        let both = families(&[there, w, y, back]);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(both, [(names(&["a", "b"]), names(&["a::x -> b::y", "b::z -> a::w"]))]);
        let within =
            [("p/mod.rs", "mod a;\nmod b;\n"), ("p/a/x.rs", "use crate::p::b;\n"), ("p/b.rs", "use super::a::w;\n")];
        assert_eq!(families(&[within[0], within[1], within[2], ("p/a/w.rs", "")])[0].0, ["p::a", "p::b"]);
    }

    #[test]
    fn a_name_is_looked_up_where_it_is_defined() {
        let front = [
            ("a/mod.rs", "mod x;\nmod y;\npub(crate) use x::X;\n"),
            ("a/x.rs", "pub struct X;\n"),
            ("a/y.rs", "use super::X;\nuse crate::b::B;\n"),
            ("b.rs", "use crate::a::X;\n"),
        ];
        assert!(found(&front).is_empty());
        let real = [
            ("a/mod.rs", "mod x;\nmod y;\npub(crate) use y::Y as X;\n"),
            ("a/x.rs", ""),
            ("a/y.rs", "use crate::b::B;\n"),
            ("b.rs", "use crate::a::X;\n"),
        ];
        assert_eq!(found(&real), [["a::y", "b"]]);
    }

    #[test]
    fn uses_are_expanded() {
        let names: Vec<String> = expand("crate::a::{self, b::{C, D as E}, f}")
            .into_iter()
            .map(|(path, name)| format!("{} {name}", path.join(".")))
            .collect();
        assert_eq!(names, ["crate.a a", "crate.a.b.C C", "crate.a.b.D E", "crate.a.f f"]);
    }
}
