//! What a URL path names: a resource, or something that is none.
//!
//! Source: apiserver `endpoints/request/requestinfo.go`.

use http::Method;
use percent_encoding::percent_decode_str;
use windlass_api::GroupVersionResource;
use windlass_auth::{Attributes, User};
use windlass_resources::Subresource;

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
    /// Something follows that no resource has; it is not served, to whoever may ask.
    pub is_beyond: bool,
}

impl ResourcePath {
    /// The subresource that is named, if there is one of this name at all.
    pub(crate) fn subresource(&self) -> Option<Subresource> {
        Subresource::named(&self.subresource)
    }

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

/// `None` when the path names no resource. What is encoded is decoded first, as upstream does: who may ask for an object cannot reach another
/// one, or a subresource, by writing a slash in another way.
pub(crate) fn parse(path: &str) -> Option<ResourcePath> {
    let decoded = decode(path);
    let mut segments = decoded.trim_matches('/').split('/').peekable();
    let group = match segments.next()? {
        "api" => "",
        "apis" => segments.next()?,
        _ => return None,
    };
    let version = segments.next()?;
    segments.peek()?;
    let watch = segments.next_if_eq(&"watch").is_some();
    let mut found = ResourcePath { watch, ..ResourcePath::default() };
    // Upstream does not know what it should be the watch of.
    let mut resource = segments.next()?;
    // `namespaces/NS/pods` scopes pods; `namespaces/NS` and its subresources are about the namespace itself.
    if resource == "namespaces"
        && let Some(namespace) = segments.next()
    {
        match segments.peek() {
            None | Some(&("status" | "finalize")) => namespace.clone_into(&mut found.name),
            Some(_) => {
                namespace.clone_into(&mut found.namespace);
                resource = segments.next()?;
            }
        }
    }
    if found.name.is_empty() {
        found.name = segments.next().unwrap_or_default().to_owned();
    }
    let behind = segments.count();
    if watch {
        // Only objects and collections are watched.
        found.is_beyond = behind > 0;
    } else if behind > 0 {
        let rest = behind - 1;
        found.subresource = decoded.trim_matches('/').rsplit('/').nth(rest).unwrap_or_default().to_owned();
        found.rest = last_segments(path, rest).to_owned();
    }
    found.resource = GroupVersionResource {
        group: group.to_owned().into(),
        version: version.to_owned().into(),
        resource: resource.to_owned().into(),
    };
    Some(found)
}

/// The last segments of a path as it was written; slashes at the end, which are dropped before, belong to them.
fn last_segments(path: &str, count: usize) -> &str {
    if count == 0 {
        return "";
    }
    let bytes = path.as_bytes();
    let is_slash = |at: usize| {
        let encoded = bytes.get(at..at + 3).is_some_and(|bytes| bytes.eq_ignore_ascii_case(b"%2f"));
        if bytes[at] == b'/' { Some(at + 1) } else { encoded.then_some(at + 3) }
    };
    let end = path.trim_end_matches('/').len();
    let mut starts = (0..end).rev().filter_map(is_slash).filter(|start| *start <= end);
    starts.nth(count - 1).map_or(path, |start| &path[start..])
}

/// Undoes percent-encoding.
pub(crate) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
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
                is_beyond: false,
            };
            assert_eq!(parse(path), Some(expected), "{path}");
        }
        for path in ["/", "/api", "/api/v1", "/apis/apps", "/apis/apps/v1", "/version", "/api/v1/", ""] {
            assert_eq!(parse(path), None, "{path}");
        }
        for path in ["/api/v1/watch/namespaces/a/pods/p/exec", "/api/v1/watch/namespaces/a/status"] {
            assert!(parse(path).unwrap().is_beyond, "{path}");
        }
    }

    /// However a path is written, authorization is asked about what it names.
    #[test]
    fn tricks() {
        let named = |path: &str| {
            let ResourcePath { resource, namespace, name, subresource, rest, .. } = parse(path).unwrap();
            [resource.resource.into_owned(), namespace, name, subresource, rest].join(",")
        };
        assert_eq!(named("/apis/g/v1/namespaces/a/things/x%2Fsecret"), "things,a,x,secret,");
        assert_eq!(named("/apis/g/v1/namespaces/a/things/x%2f..%2Fy"), "things,a,x,..,y");
        assert_eq!(named("/apis/g/v1//namespaces/kube-system/things/x"), ",,namespaces,kube-system,things/x");
        assert_eq!(named("/apis/g/v1/namespaces/a//things"), ",a,things,,");
        assert_eq!(named("/apis/g/v1/watch/namespaces/kube-system/things/x/sub"), "things,kube-system,x,,");
        assert_eq!(named("/api/v1/namespaces%2Fa%2Fpods/p"), "pods,a,p,,");
        assert_eq!(named("/api/v1/pods/"), "pods,,,,");
        // What a proxy hands on stays as it was written.
        assert_eq!(named("/api/v1/namespaces/a/services/s/proxy/x%20y/%2Fz//w/"), "services,a,s,proxy,x%20y/%2Fz//w/");
        assert_eq!(named("/api/v1/namespaces/a/services/s/proxy/"), "services,a,s,proxy,");
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
