//! OpenAPI of aggregated servers: what they have, and what of a document belongs to a group version.
//!
//! Source: kube-openapi `pkg/aggregator`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

pub(super) const DEFINITIONS: &str = "#/definitions/";
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
pub(crate) fn path_in_index(index: &[u8], group: &str, version: &str) -> serde_json::Result<Option<Arc<str>>> {
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

pub(super) fn take_map(document: &mut Value, field: &str) -> Map<String, Value> {
    match document.get_mut(field).map(Value::take) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// Keeps the paths that are wanted, and of the definitions those that these need or that no path ever needed.
pub(super) fn keep_paths(document: &mut Value, wanted: impl Fn(&str) -> bool) {
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
pub(crate) fn select(document: &[u8], group: &str, version: &str) -> serde_json::Result<Bytes> {
    let mut document: Map<String, Value> = serde_json::from_slice(document)?;
    const KEPT: [&str; 5] = ["info", "paths", "definitions", "parameters", "securityDefinitions"];
    document.retain(|field, _| KEPT.contains(&field.as_str()));
    let mut document = Value::Object(document);
    let prefix = format!("/apis/{group}/{version}/");
    keep_paths(&mut document, |path| path.starts_with(&prefix));
    serde_json::to_vec(&document).map(Bytes::from)
}

/// Makes a document of version 2 into one of version 3.
pub(crate) fn convert(v2: &[u8]) -> serde_json::Result<Bytes> {
    let document: Value = serde_json::from_slice(v2)?;
    let converted = super::openapi_v3::of_v2(document);
    serde_json::to_vec(&converted).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
    fn an_index() {
        let index = json!({"paths": {"apis/a/v1": {"serverRelativeURL": "/openapi/v3/apis/a/v1?hash=X"}}}).to_string();
        let found = |index: &str, version| path_in_index(index.as_bytes(), "a", version).unwrap();
        assert_eq!(found(&index, "v1").as_deref(), Some("/openapi/v3/apis/a/v1?hash=X"));
        assert_eq!(found(&index, "v2"), None);
        assert_eq!(found("{}", "v1"), None);
        assert!(path_in_index(b"<html>", "a", "v1").is_err());
    }
}
