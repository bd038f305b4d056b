//! What a URL path names: a resource, or something that is none.
//!
//! Source: apiserver `endpoints/request/requestinfo.go`.

use http::Method;
use percent_encoding::percent_decode_str;
use windlass_api::GroupVersionResource;
use windlass_auth::{Attributes, User};

use super::query::Selectors;
use crate::authorization::with_request_info;

/// A path below `/api` or `/apis` that names a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    pub resource: GroupVersionResource,
    pub namespace: String,
    pub name: String,
    pub subresource: String,
    /// What follows the subresource: the path behind a proxy.
    pub rest: String,
    /// The old `/watch/` form of a watch.
    pub watch: bool,
}

impl ResourcePath {
    /// What the method means here, as authorization names it; empty for what is no verb. `watch` says that the query asks for one.
    pub(crate) fn verb(&self, method: &Method, watch: bool) -> &'static str {
        match *method {
            _ if self.watch => "watch",
            Method::GET | Method::HEAD if !self.name.is_empty() => "get",
            Method::GET | Method::HEAD if watch => "watch",
            Method::GET | Method::HEAD => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if self.name.is_empty() => "deletecollection",
            Method::DELETE => "delete",
            _ => "",
        }
    }

    /// What authorization is asked about a request with this verb and these selectors.
    pub(crate) fn attributes<'a>(&'a self, user: &'a User, verb: &'a str, selectors: &'a Selectors) -> Attributes<'a> {
        with_request_info(Attributes {
            group: &self.resource.group,
            version: &self.resource.version,
            resource: &self.resource.resource,
            subresource: &self.subresource,
            namespace: &self.namespace,
            name: &self.name,
            fields: selectors.fields.as_ref(),
            labels: selectors.labels.as_ref(),
            ..Attributes::of(user, verb)
        })
    }
}

/// `None` when the path names no resource.
pub(crate) fn parse(path: &str) -> Option<ResourcePath> {
    let mut segments = path.strip_prefix('/')?.split('/').peekable();
    let group = match segments.next()? {
        "api" => String::new(),
        "apis" => decode(segments.next()?),
        _ => return None,
    };
    let version = decode(segments.next().filter(|version| !version.is_empty())?);
    let watch = segments.next_if_eq(&"watch").is_some();
    let mut found = ResourcePath { watch, ..ResourcePath::default() };
    let mut resource = segments.next().filter(|resource| !resource.is_empty())?;
    // `namespaces/NS/pods` scopes pods; `namespaces/NS` and its subresources are about the namespace itself.
    if resource == "namespaces"
        && let Some(namespace) = segments.next()
    {
        found.namespace = decode(namespace);
        match segments.peek() {
            None | Some(&"" | &"status" | &"finalize") => found.name.clone_from(&found.namespace),
            Some(_) => resource = segments.next()?,
        }
    }
    if found.name.is_empty() {
        found.name = segments.next().map(decode).unwrap_or_default();
    } else {
        found.namespace.clear();
    }
    found.subresource = segments.next().map(decode).unwrap_or_default();
    found.rest = segments.collect::<Vec<_>>().join("/");
    // Only objects and collections are watched.
    if found.watch && !found.subresource.is_empty() {
        return None;
    }
    found.resource =
        GroupVersionResource { group: group.into(), version: version.into(), resource: decode(resource).into() };
    Some(found)
}

/// Undoes percent-encoding.
pub(crate) fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources() {
        let cases = [
            ("/api/v1/pods", ("", "v1", "pods", "", "", "", "", false)),
            ("/api/v1/namespaces", ("", "v1", "namespaces", "", "", "", "", false)),
            ("/api/v1/namespaces/a", ("", "v1", "namespaces", "", "a", "", "", false)),
            ("/api/v1/namespaces/a/finalize", ("", "v1", "namespaces", "", "a", "finalize", "", false)),
            ("/api/v1/namespaces/a/pods", ("", "v1", "pods", "a", "", "", "", false)),
            ("/api/v1/namespaces/a/pods/p", ("", "v1", "pods", "a", "p", "", "", false)),
            ("/api/v1/namespaces/a/pods/p/log", ("", "v1", "pods", "a", "p", "log", "", false)),
            (
                "/api/v1/namespaces/a/services/http:s:80/proxy/x/y",
                ("", "v1", "services", "a", "http:s:80", "proxy", "x/y", false),
            ),
            ("/apis/apps/v1/watch/namespaces/a/deployments", ("apps", "v1", "deployments", "a", "", "", "", true)),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                ("rbac.authorization.k8s.io", "v1", "clusterroles", "", "system:node", "", "", false),
            ),
        ];
        for (path, (group, version, resource, namespace, name, subresource, rest, watch)) in cases {
            let expected = ResourcePath {
                resource: GroupVersionResource::of(group, version, resource),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                subresource: subresource.to_owned(),
                rest: rest.to_owned(),
                watch,
            };
            assert_eq!(parse(path), Some(expected), "{path}");
        }
        for path in ["/", "/api", "/api/v1", "/apis/apps", "/apis/apps/v1", "/version", "/api/v1/", ""] {
            assert_eq!(parse(path), None, "{path}");
        }
        for path in ["/api/v1/watch/namespaces/a/pods/p/exec", "/api/v1/watch/namespaces/a/status"] {
            assert_eq!(parse(path), None, "{path}");
        }
    }

    #[test]
    fn verbs() {
        let verb = |method: Method, path: &str, watch| parse(path).unwrap().verb(&method, watch);
        assert_eq!(verb(Method::GET, "/api/v1/pods", false), "list");
        assert_eq!(verb(Method::GET, "/api/v1/pods", true), "watch");
        assert_eq!(
            verb(Method::HEAD, "/api/v1/namespaces/a/pods/p", true),
            "get",
            "of one object there is no such watch"
        );
        assert_eq!(verb(Method::GET, "/api/v1/watch/namespaces/a/pods/p", false), "watch");
        assert_eq!(verb(Method::DELETE, "/api/v1/namespaces/a/pods", false), "deletecollection");
        assert_eq!(verb(Method::DELETE, "/api/v1/namespaces/a/pods/p", false), "delete");
        assert_eq!(verb(Method::OPTIONS, "/api/v1/pods", false), "");
    }

    #[test]
    fn percent_encoding() {
        assert_eq!(decode("a%2Fb%zz%4"), "a/b%zz%4");
        assert_eq!(decode("%ff"), "\u{fffd}");
    }
}
