//! Nothing is carried along that nobody uses: dependencies that no source names, items that no other place names.
//!
//! The compiler sees neither: a dependency is not missed, and a public item may be used by anybody. The check is textual. An item
//! whose name stands once in all programs is unused for certain; one that shares its name with something is not found. Tests do not
//! count, but for the crates that are there for tests.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::process::root;
use crate::sources::{self, Source, read, uses, without_tests, words};

/// What is there for tests, or for later, although nothing else names it.
const KEPT: [(&str, &str); 10] = [
    ("PRIORITY_CLASSES", "a name of a resource that tests share"),
    ("SERVICE_CIDRS", "a name of a resource that tests share"),
    ("open_on", "a store on a disk on paper"),
    ("all_from_pem", "tests read what is published"),
    ("delete_address", "tests take an address away"),
    ("flush_set", "tests take ports away"),
    ("release_host", "ipam: pools that several nodes share"),
    ("assigned_count", "ipam: pools that several nodes share"),
    ("assign_address", "ipam: pools that several nodes share"),
    ("addresses_of", "ipam: pools that several nodes share"),
];

pub(crate) fn check() -> Result<(), String> {
    let mut all = sources::below("crates")?;
    // The developer's commands name what is kept, and use nothing of the crates.
    let (product, tests) = texts(&all);
    all.extend(sources::below("xtask")?);
    let mut problems = dependencies(&all)?;
    problems.extend(judged(&unused(&product, &tests)));
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn dependencies(all: &[Source]) -> Result<Vec<String>, String> {
    let workspace = manifest(&root().join("Cargo.toml"))?;
    let members = workspace["workspace"]["members"].as_array().cloned().unwrap_or_default();
    let (mut problems, mut named) = (Vec::new(), BTreeSet::new());
    for member in members.iter().filter_map(toml::Value::as_str) {
        let manifest = manifest(&root().join(member).join("Cargo.toml"))?;
        let list = |section: &str| manifest.get(section).and_then(toml::Value::as_table).cloned().unwrap_or_default();
        let (regular, tests, build) = (list("dependencies"), list("dev-dependencies"), list("build-dependencies"));
        named.extend([&regular, &tests, &build].into_iter().flat_map(|list| list.keys().cloned()));
        let in_folder = |folder: &str| {
            let folder = Path::new(member).join(folder);
            all.iter().filter(move |source| source.path.starts_with(&folder))
        };
        // Tests may take a module from a neighbour.
        let borrowed: Vec<String> = in_folder("").flat_map(borrowed_folders).collect();
        let in_tests = || {
            let is_borrowed =
                |source: &&Source| borrowed.iter().any(|folder| source.path.to_string_lossy().contains(folder));
            in_folder("").chain(all.iter().filter(is_borrowed))
        };
        for name in regular.keys().filter(|name| !in_folder("src").any(|source| mentions(&source.text, name))) {
            problems.push(format!("{member}/Cargo.toml names {name}, which nothing in src uses"));
        }
        // What is named twice is there for its features.
        for name in tests.keys().filter(|name| !regular.contains_key(*name)) {
            if !in_tests().any(|source| mentions(&source.text, name)) {
                problems.push(format!("{member}/Cargo.toml names {name} for tests, and none uses it"));
            }
        }
    }
    let offered = workspace["workspace"]["dependencies"].as_table().cloned().unwrap_or_default();
    for name in offered.keys().filter(|name| !named.contains(*name)) {
        problems.push(format!("Cargo.toml offers {name}, and no crate takes it"));
    }
    Ok(problems)
}

fn manifest(path: &Path) -> Result<toml::Table, String> {
    read(path)?.parse().map_err(|error| format!("{}: {error}", path.display()))
}

/// Whether a text names a package's library: as the head of a path, or in a `use` or an attribute.
fn mentions(text: &str, package: &str) -> bool {
    let library = package.replace('-', "_");
    text.match_indices(&library).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = &text[at + library.len()..];
        let is_whole = !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"');
        is_whole && (after.starts_with("::") || after.starts_with(';') || after.starts_with(" as "))
    })
}

/// The folders below other crates from which a file takes modules by `#[path = "…"]`.
fn borrowed_folders(source: &Source) -> Vec<String> {
    let paths = source.text.lines().filter_map(|line| line.trim().strip_prefix("#[path = \"../")?.strip_suffix("\"]"));
    let folders = paths.filter_map(|path| Some(path.trim_start_matches("../").rsplit_once('/')?.0.to_owned()));
    folders.collect()
}

/// What is found of items, but for what is kept; and what is kept without need.
fn judged(found: &[Unused<'_>]) -> Vec<String> {
    let is_kept = |name: &str| KEPT.iter().any(|(kept, _)| *kept == name);
    let unused = found.iter().filter(|unused| !is_kept(unused.name));
    let needless = KEPT.iter().filter(|(kept, _)| !found.iter().any(|unused| unused.name == *kept));
    let unused = unused.map(|unused| format!("{}: nothing uses {}", unused.path.display(), unused.name));
    unused.chain(needless.map(|(kept, _)| format!("{kept} need not be kept: it is used, or gone"))).collect()
}

/// A public item that nothing else names.
#[derive(Debug, PartialEq, Eq)]
struct Unused<'a> {
    path: &'a Path,
    name: &'a str,
}

/// What a source says, in parts.
struct Text {
    path: PathBuf,
    /// Imports: who imports something uses it; who hands it on does not.
    uses: Vec<String>,
    rest: String,
}

/// The sources of programs, without the tests at their ends, and those of tests.
fn texts(all: &[Source]) -> (Vec<Text>, Vec<Text>) {
    let modules = test_modules(all);
    let is_test =
        |source: &Source| is_of_tests(&source.path) || modules.iter().any(|path| source.path.starts_with(path));
    let (tests, product): (Vec<&Source>, Vec<&Source>) = all.iter().partition(|source| is_test(source));
    let product = product.into_iter().map(|source| Text::of(&source.path, &without_tests(&source.text).0));
    (product.collect(), tests.into_iter().map(|source| Text::of(&source.path, &source.text)).collect())
}

/// Items that nothing else names; of the crates for tests and of tests themselves, those that no test names either.
fn unused<'t>(product: &'t [Text], tests: &'t [Text]) -> Vec<Unused<'t>> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    product.iter().for_each(|text| text.count(&mut counts));
    let (for_tests, product): (Vec<&Text>, Vec<&Text>) =
        product.iter().partition(|text| text.path.starts_with("crates/testing"));
    let mut found: Vec<Unused<'_>> = product.into_iter().flat_map(|text| text.unused(&counts)).collect();
    tests.iter().for_each(|text| text.count(&mut counts));
    found.extend(for_tests.into_iter().chain(tests).flat_map(|text| text.unused(&counts)));
    found
}

/// Tests in folders of their own. What the crates of `testing` and a crate's hooks for the fuzzer name is there for them, and so used.
fn is_of_tests(path: &Path) -> bool {
    path.iter().any(|part| part == "tests" || part == "tests.rs")
}

/// Where the modules are that are declared for tests only, without `.rs`.
fn test_modules(all: &[Source]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for source in all {
        let is_front = source.path.file_stem().is_some_and(|stem| stem == "mod" || stem == "lib" || stem == "main");
        let folder = if is_front { source.path.with_file_name("") } else { source.path.with_extension("") };
        for name in without_tests(&source.text).1 {
            found.extend([folder.join(name), folder.join(format!("{name}.rs"))]);
        }
    }
    found
}

impl Text {
    fn of(path: &Path, text: &str) -> Self {
        let (uses, rest) = uses(text);
        let uses = uses.into_iter().filter(|(handed_on, _)| !handed_on).map(|(_, statement)| statement).collect();
        Self { path: path.to_owned(), uses, rest }
    }

    fn count<'t>(&'t self, counts: &mut HashMap<&'t str, usize>) {
        for word in words(&self.rest).chain(self.uses.iter().flat_map(|statement| words(statement))) {
            *counts.entry(word).or_default() += 1;
        }
    }

    fn unused(&self, counts: &HashMap<&str, usize>) -> Vec<Unused<'_>> {
        let mut found = Vec::new();
        let mut is_for_tests = false;
        for line in self.rest.lines().map(str::trim_start) {
            if line.starts_with("#[") {
                is_for_tests |= line == "#[cfg(test)]";
                continue;
            }
            let name = public_item(line).filter(|name| !is_for_tests && counts.get(name) == Some(&1));
            found.extend(name.map(|name| Unused { path: &self.path, name }));
            is_for_tests = false;
        }
        found
    }
}

/// The name of the public item that a line begins.
fn public_item(line: &str) -> Option<&str> {
    let mut words = line.strip_prefix("pub ")?.split_whitespace().peekable();
    while words.next_if(|word| matches!(*word, "unsafe" | "async" | "extern" | "\"C\"")).is_some() {}
    let kind = words.next()?;
    let named = if kind == "const" && words.peek() == Some(&"fn") { words.nth(1)? } else { words.next()? };
    let is_item = matches!(kind, "fn" | "struct" | "enum" | "const" | "static" | "trait" | "type" | "union");
    let end = named.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(named.len());
    (is_item && end > 0).then(|| &named[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_carries_nothing_along() {
        check().unwrap();
    }

    #[test]
    fn mentions_of_libraries() {
        for text in
            ["use serde_json::Value;", "x = serde_json::from_str(y)", "use serde_json as json;", "#[serde_json::a]"]
        {
            assert!(mentions(text, "serde-json"), "{text}");
        }
        for text in ["use my_serde_json::a;", "serde_json_x::a", "let serde_json = 1", "\"serde_json::a\""] {
            assert!(!mentions(text, "serde-json"), "{text}");
        }
    }

    #[test]
    fn items_that_stand_once() {
        let of = |path: &str, text: &str| Source { path: path.into(), text: text.to_owned() };
        let all = [
            of(
                "a/src/lib.rs",
                "#[cfg(test)]\nmod paper;\npub fn used() {}\npub fn alone<T>() {}\npub(crate) fn seen_by_rustc() {}\n",
            ),
            of(
                "a/src/x.rs",
                "pub use a::alone;\nuse a::used;\npub const fn also_alone() {}\npub struct Lone;\npub mod m;\n",
            ),
            of("a/src/y.rs", "impl Y {\n    pub fn method() {}\n    #[cfg(test)]\n    pub fn of_tests() {}\n}\n"),
            of("a/src/z.rs", "pub fn tested() {}\n#[cfg(test)]\nmod tests {\n    use super::tested;\n}\n"),
            of("a/src/paper.rs", "use a::tested;\npub fn on_paper() {}\n"),
            of("a/tests/it/main.rs", "use a::tested;\n"),
            of("crates/testing/src/lib.rs", "pub fn helps() {}\npub fn idles() {}\n"),
            of("crates/testing/tests/it.rs", "use testing::helps;\n"),
        ];
        let (product, tests) = texts(&all);
        let names: Vec<&str> = unused(&product, &tests).iter().map(|unused| unused.name).collect();
        assert_eq!(names, ["alone", "also_alone", "Lone", "method", "tested", "idles", "on_paper"]);
    }
}
