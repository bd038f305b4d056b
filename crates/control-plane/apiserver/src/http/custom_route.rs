//! Which requests for custom resources lead somewhere. Built-in resources have a route for each method and path, and what has none is
//! refused; custom ones have a single handler, which looks at the verb alone.
//!
//! Source: apiextensions-apiserver `apiserver/customresource_handler.go`.

use windlass_api::Status;
use windlass_resources::{Resource, Subresource};

use crate::message::path::ResourcePath;

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Here,
    /// Nobody serves the path.
    Nowhere,
}

/// Finds the way of a request; `verb` is as authorization names it. Who creates is not asked for the name in the path.
pub(super) fn check(resource: &Resource, found: &mut ResourcePath, verb: &str) -> Result<Route, Status> {
    let is_over_all = resource.is_namespaced() && found.namespace.is_empty() && !matches!(verb, "list" | "watch");
    let is_scoped_in_vain = !resource.is_namespaced() && !found.namespace.is_empty();
    if is_over_all || is_scoped_in_vain {
        return Ok(Route::Nowhere);
    }
    let offers = match found.subresource.as_str() {
        "" => !verb.is_empty(),
        part if offers(resource, part) => matches!(verb, "get" | "update" | "patch"),
        _ => return Err(Status::not_found(&resource.group_resource(), &found.name)),
    };
    if !offers {
        return Err(Status::method_not_supported(&resource.group_resource(), verb));
    }
    if verb == "create" {
        found.name.clear();
    }
    Ok(Route::Here)
}

fn offers(resource: &Resource, part: &str) -> bool {
    let is_it = |subresource: &Subresource| subresource.name() == part;
    resource.subresources.iter().any(is_it)
}
