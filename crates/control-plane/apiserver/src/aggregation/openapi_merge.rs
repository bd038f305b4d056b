//! Several OpenAPI documents of version 2 as one.
//!
//! Source: kube-openapi `pkg/aggregator/aggregator.go`.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};

use super::openapi::{DEFINITIONS, keep_paths, take_map};

const PARAMETERS: &str = "#/parameters/";
const KINDS: &str = "x-kubernetes-group-version-kind";

/// Adds a server's document to that of all: paths that are there already stay as they are, definitions and parameters with the name of
/// another one get one of their own.
pub(crate) fn merge(all: &mut Value, more: &[u8]) {
    let Ok(mut more) = serde_json::from_slice::<Value>(more) else { return };
    let taken = all["paths"].as_object();
    let is_taken = |path: &str| taken.is_some_and(|taken| taken.contains_key(path));
    let paths = more["paths"].as_object();
    if paths.is_none_or(|paths| paths.keys().all(|path| is_taken(path))) {
        return;
    }
    if paths.is_some_and(|paths| paths.keys().any(|path| is_taken(path))) {
        keep_paths(&mut more, |path| !is_taken(path));
    }
    for (field, prefix) in [("definitions", DEFINITIONS), ("parameters", PARAMETERS)] {
        let renames = renames(&all[field], &more[field]);
        if !renames.is_empty() {
            rename(&mut more, field, prefix, &renames);
        }
    }
    for (field, mut added) in ["definitions", "parameters", "paths"].map(|field| (field, take_map(&mut more, field))) {
        if added.is_empty() {
            continue;
        }
        if !all[field].is_object() {
            all[field] = json!({});
        }
        let Some(known) = all[field].as_object_mut() else { continue };
        added.retain(|name, value| match known.get_mut(name) {
            Some(known) => {
                add_kinds(known, value);
                false
            }
            None => true,
        });
        known.extend(added);
    }
}

/// Which names of one map stand for something else in the other, and what they become.
fn renames(all: &Value, more: &Value) -> BTreeMap<String, String> {
    let (Some(all), Some(more)) = (all.as_object(), more.as_object()) else { return BTreeMap::new() };
    let mut renames = BTreeMap::new();
    let mut new: HashSet<String> = HashSet::new();
    for (name, value) in more {
        if all.get(name).is_none_or(|known| is_same(known, value)) {
            continue;
        }
        let mut candidates = (2..).map(|number| format!("{name}_v{number}"));
        let free = candidates.find(|candidate| match all.get(candidate) {
            Some(known) => is_same(known, value),
            None => !more.contains_key(candidate) && !new.contains(candidate),
        });
        if let Some(free) = free {
            new.insert(free.clone());
            renames.insert(name.clone(), free);
        }
    }
    renames
}

/// Whether two definitions differ in nothing but the kinds that they are for.
fn is_same(one: &Value, other: &Value) -> bool {
    let (Some(a), Some(b)) = (one.as_object(), other.as_object()) else { return one == other };
    let fields = |map: &Map<String, Value>| map.len() - usize::from(map.contains_key(KINDS));
    fields(a) == fields(b) && a.iter().all(|(name, value)| name == KINDS || b.get(name) == Some(value))
}

fn rename(document: &mut Value, field: &str, prefix: &str, renames: &BTreeMap<String, String>) {
    let renamed = take_map(document, field).into_iter();
    let renamed = renamed.map(|(name, value)| (renames.get(&name).cloned().unwrap_or(name), value)).collect();
    document[field] = Value::Object(renamed);
    let mut rest = vec![document];
    while let Some(value) = rest.pop() {
        match value {
            Value::Array(items) => rest.extend(items),
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get_mut("$ref")
                    && let Some(new) = reference.strip_prefix(prefix).and_then(|name| renames.get(name))
                {
                    *reference = format!("{prefix}{new}");
                }
                rest.extend(map.values_mut());
            }
            _ => {}
        }
    }
}

/// Has a definition name the kinds that the same one of another document is for as well.
fn add_kinds(known: &mut Value, more: &Value) {
    let Some(more) = more.get(KINDS).and_then(Value::as_array) else { return };
    let Some(known) = known.as_object_mut() else { return };
    let kinds = known.entry(KINDS).or_insert_with(|| json!([]));
    let Some(kinds) = kinds.as_array_mut() else { return };
    let key = |kind: &Value| ["group", "version", "kind"].map(|field| kind[field].as_str().unwrap_or("").to_owned());
    let seen: HashSet<_> = kinds.iter().map(key).collect();
    let before = kinds.len();
    kinds.extend(more.iter().filter(|kind| !seen.contains(&key(kind))).cloned());
    if kinds.len() > before {
        kinds.sort_by_key(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_become_one() {
        let mut all = json!({"paths": {"/apis/a/v1/xs": {"get": 1}}, "definitions": {
            "Same": {"type": "object", "x-kubernetes-group-version-kind": [{"group": "b", "version": "v1", "kind": "Same"}]},
            "Other": {"type": "string"}, "Twice": {"type": "string"}, "Twice_v2": {"type": "integer"}}});
        let more = json!({"paths": {
            "/apis/a/v1/xs": {"get": {"schema": {"$ref": "#/definitions/OnlyTheirs"}}},
            "/apis/c/v1/ys": {"get": [{"schema": {"$ref": "#/definitions/Other"}}, {"schema": {"$ref": "#/definitions/Same"}}, {"schema": {"$ref": "#/definitions/Twice"}}]}},
            "definitions": {
                "Same": {"type": "object", "x-kubernetes-group-version-kind": [{"group": "a", "version": "v1", "kind": "Same"}]},
                "OnlyTheirs": {}, "Other": {"type": "number", "items": {"$ref": "#/definitions/Other"}},
                "Twice": {"type": "integer"}}});
        merge(&mut all, more.to_string().as_bytes());
        assert_eq!(
            all,
            json!({"paths": {"/apis/a/v1/xs": {"get": 1}, "/apis/c/v1/ys": {"get": [
                    {"schema": {"$ref": "#/definitions/Other_v2"}}, {"schema": {"$ref": "#/definitions/Same"}}, {"schema": {"$ref": "#/definitions/Twice_v2"}}]}},
                "definitions": {
                    "Same": {"type": "object", "x-kubernetes-group-version-kind": [
                        {"group": "a", "version": "v1", "kind": "Same"}, {"group": "b", "version": "v1", "kind": "Same"}]},
                    "Other": {"type": "string"}, "Other_v2": {"type": "number", "items": {"$ref": "#/definitions/Other_v2"}},
                    "Twice": {"type": "string"}, "Twice_v2": {"type": "integer"}}})
        );
        let before = all.clone();
        merge(&mut all, json!({"paths": {"/apis/a/v1/xs": {}}, "definitions": {"New": {}}}).to_string().as_bytes());
        merge(&mut all, b"garbage");
        assert_eq!(all, before);
    }
}
