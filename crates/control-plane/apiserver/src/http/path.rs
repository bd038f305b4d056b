//! What a URL path names: a resource, or something that is none.
//!
//! Source: apiserver `endpoints/request/requestinfo.go`.

use percent_encoding::percent_decode_str;
use windlass_api::GroupVersionResource;

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
    }

    #[test]
    fn percent_encoding() {
        assert_eq!(decode("a%2Fb%zz%4"), "a/b%zz%4");
        assert_eq!(decode("%ff"), "\u{fffd}");
    }
}
