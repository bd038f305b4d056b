//! What holds of any request's path and query. Only the fuzzer and the replay of its corpus call it.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use windlass_client::Verb;

use crate::message::path::{self, ResourcePath};
use crate::message::query::Query;

/// Reads a path with a query, and panics when what it means depends on how it is spelt.
pub fn request(target: &str) {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    if let Some(found) = path::parse(path) {
        assert!(path.ends_with(&found.rest), "what is behind a proxy is not decoded");
        // Where parts are empty there is more than one way to write it.
        let is_whole = !path.contains("//") && !path.ends_with('/');
        assert!(!is_whole || path::parse(&spelt(&found)).as_ref() == Some(&found), "{found:?} {:?}", spelt(&found));
    }
    let query = Query::parse(query);
    if let Ok(options) = query.options(Verb::Create) {
        assert!(options.field_manager == query.get("fieldManager").unwrap_or_default());
        assert_eq!(options.dry_run, query.all("dryRun").any(|value| value == "All"));
    }
    let _ = query.options(Verb::List);
    let _ = query.delete_options();
}

/// The path with everything encoded that can be.
fn spelt(path: &ResourcePath) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let resource = &path.resource;
    // `/apis//v1` leads to the same resources as `/api/v1`.
    let mut out = match resource.group.as_ref() {
        "" => "/api".to_owned(),
        group => format!("/apis/{}", encode(group)),
    };
    out.push('/');
    out.push_str(&encode(&resource.version));
    if path.watch {
        out.push_str("/watch");
    }
    let named_namespace = resource.resource == "namespaces" && path.namespace.is_empty();
    if !path.namespace.is_empty() {
        out.push_str(&format!("/namespaces/{}", encode(&path.namespace)));
    }
    let resource = if named_namespace { "namespaces".to_owned() } else { encode(&resource.resource) };
    out.push_str(&format!("/{resource}"));
    for part in [&path.name, &path.subresource] {
        out.push('/');
        out.push_str(&encode(part));
    }
    if !path.rest.is_empty() {
        out.push('/');
        out.push_str(&path.rest);
    }
    out
}
