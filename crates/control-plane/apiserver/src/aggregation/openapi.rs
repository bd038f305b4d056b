//! OpenAPI of aggregated servers: what of a document belongs to a group version, how documents become one, and how an older document
//! is made into a newer one.
//!
//! Source: kube-openapi `pkg/aggregator`, `pkg/openapiconv`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

const DEFINITIONS: &str = "#/definitions/";
const PARAMETERS: &str = "#/parameters/";
const KINDS: &str = "x-kubernetes-group-version-kind";
/// A link longer than this is none.
const URL_BYTES_MAX: usize = 1024;

/// What a server has said.
#[derive(Clone, Default)]
pub(crate) struct OpenApi {
    pub v2: Option<V2>,
    pub v3: Option<V3>,
}

#[derive(Clone)]
pub(crate) struct V2 {
    /// The paths of the group version and the definitions that these need, as JSON: parsed, they would take many times the room.
    pub text: Bytes,
    pub etag: Arc<str>,
}

#[derive(Clone)]
pub(crate) enum V3 {
    /// The server has a document, at this path and query.
    Served(Arc<str>),
    /// It has none, and this is made from the older one.
    Converted(Bytes),
}

/// Where an index says that a group version's document is.
pub(super) fn path_in_index(index: &[u8], group: &str, version: &str) -> serde_json::Result<Option<Arc<str>>> {
    #[derive(Deserialize)]
    struct Index {
        #[serde(default)]
        paths: HashMap<String, Entry>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry {
        #[serde(rename = "serverRelativeURL")]
        url: String,
    }
    let index: Index = serde_json::from_slice(index)?;
    let entry = index.paths.get(&format!("apis/{group}/{version}")).filter(|entry| entry.url.len() <= URL_BYTES_MAX);
    Ok(entry.map(|entry| entry.url.as_str().into()))
}

/// The names below `prefix` that a document refers to, in all depths of it.
fn references<'a>(document: impl IntoIterator<Item = &'a Value>, prefix: &str) -> HashSet<&'a str> {
    let mut found = HashSet::new();
    let mut rest: Vec<&Value> = document.into_iter().collect();
    while let Some(value) = rest.pop() {
        match value {
            Value::Array(items) => rest.extend(items),
            Value::Object(map) => {
                let reference = map.get("$ref").and_then(Value::as_str);
                found.extend(reference.and_then(|name| name.strip_prefix(prefix)));
                rest.extend(map.values());
            }
            _ => {}
        }
    }
    found
}

/// The definitions that paths need, by way of others too.
fn used<'a>(paths: &'a Map<String, Value>, definitions: &'a Map<String, Value>) -> HashSet<&'a str> {
    let mut all = references(paths.values(), DEFINITIONS);
    let mut rest: Vec<&str> = all.iter().copied().collect();
    while let Some(name) = rest.pop() {
        let more = references(definitions.get(name), DEFINITIONS);
        rest.extend(more.into_iter().filter(|name| all.insert(name)));
    }
    all
}

fn take_map(document: &mut Value, field: &str) -> Map<String, Value> {
    match document.get_mut(field).map(Value::take) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// Keeps the paths that are wanted, and of the definitions those that these need or that no path ever needed.
fn keep_paths(document: &mut Value, wanted: impl Fn(&str) -> bool) {
    let mut paths = take_map(document, "paths");
    let definitions = take_map(document, "definitions");
    let needed_once: HashSet<String> = used(&paths, &definitions).into_iter().map(str::to_owned).collect();
    paths.retain(|path, _| wanted(path));
    let needed: HashSet<String> = used(&paths, &definitions).into_iter().map(str::to_owned).collect();
    let kept = definitions.into_iter().filter(|(name, _)| needed.contains(name) || !needed_once.contains(name));
    let kept: Map<String, Value> = kept.collect();
    document["paths"] = Value::Object(paths);
    document["definitions"] = Value::Object(kept);
}

/// What of a server's document is about a group version.
pub(super) fn select(document: &[u8], group: &str, version: &str) -> serde_json::Result<Bytes> {
    let mut document: Map<String, Value> = serde_json::from_slice(document)?;
    document.retain(|field, _| matches!(field.as_str(), "paths" | "definitions" | "parameters"));
    let mut document = Value::Object(document);
    let prefix = format!("/apis/{group}/{version}/");
    keep_paths(&mut document, |path| path.starts_with(&prefix));
    serde_json::to_vec(&document).map(Bytes::from)
}

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

/// Makes a document of version 2 into one of version 3.
pub(super) fn convert(v2: &[u8]) -> serde_json::Result<Bytes> {
    let document: Value = serde_json::from_slice(v2)?;
    let converted = super::openapi_v3::of_v2(document);
    serde_json::to_vec(&converted).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_group_version() {
        let document = json!({"swagger": "2.0", "info": {}, "paths": {
            "/apis/a/v1/xs": {"get": {"responses": {"200": {"schema": {"$ref": "#/definitions/X"}}}}},
            "/apis/a/v10/xs": {"get": {"schema": {"$ref": "#/definitions/X10"}}},
            "/apis/": {"get": {"schema": {"$ref": "#/definitions/Groups"}}}},
            "definitions": {"X": {"properties": {"y": {"items": {"$ref": "#/definitions/Y"}}}}, "Y": {"properties": {"x":
                {"$ref": "#/definitions/X"}}}, "X10": {}, "Groups": {}, "Unused": {}}});
        let selected = select(document.to_string().as_bytes(), "a", "v1").unwrap();
        let selected: Value = serde_json::from_slice(&selected).unwrap();
        let names = |field: &str| selected[field].as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!((names("paths").as_str(), names("definitions").as_str()), ("/apis/a/v1/xs", "Unused X Y"));
        assert!(select(b"[]", "a", "v1").is_err());
    }

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
                "parameters": {},
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

    #[test]
    fn an_index() {
        let index = json!({"paths": {"apis/a/v1": {"serverRelativeURL": "/openapi/v3/apis/a/v1?hash=X"}}}).to_string();
        let found = |index: &str, version| path_in_index(index.as_bytes(), "a", version).unwrap();
        assert_eq!(found(&index, "v1").as_deref(), Some("/openapi/v3/apis/a/v1?hash=X"));
        assert_eq!(found(&index, "v2"), None);
        assert_eq!(found("{}", "v1"), None);
        assert!(path_in_index(b"<html>", "a", "v1").is_err());
    }
}
