//! Names of kinds and resources.

use std::borrow::Cow;
use std::fmt;

/// An API group and version; the legacy `core` group is the empty string.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupVersion {
    pub group: Cow<'static, str>,
    pub version: Cow<'static, str>,
}

impl GroupVersion {
    pub const fn of(group: &'static str, version: &'static str) -> Self {
        Self { group: Cow::Borrowed(group), version: Cow::Borrowed(version) }
    }

    /// Reads the `apiVersion` of an object: `v1`, `apps/v1`.
    pub fn parse(api_version: &str) -> Option<Self> {
        let (group, version) = match api_version.split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", api_version),
        };
        let malformed = version.is_empty() || version.contains('/') || (group.is_empty() && api_version.contains('/'));
        (!malformed).then(|| Self { group: group.to_owned().into(), version: version.to_owned().into() })
    }
}

impl fmt::Display for GroupVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(&self.version) } else { write!(f, "{}/{}", self.group, self.version) }
    }
}

/// Where a version stands among those of its group, the one that clients should prefer first: stable ones, then beta, then alpha, each
/// from the highest number down, and then those with other names by the alphabet.
///
/// Source: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#version-priority>.
pub fn version_order(version: &str) -> impl Ord + use<> {
    use std::cmp::Reverse;
    let number = |text: &str| text.parse::<u32>().ok().filter(|_| !text.starts_with(['0', '+']));
    let parse = |version: &str| {
        let rest = version.strip_prefix('v')?;
        for (word, rank) in [("alpha", 2), ("beta", 1)] {
            if let Some((major, minor)) = rest.split_once(word) {
                return Some((
                    rank,
                    Reverse(number(major)?),
                    Reverse(if minor.is_empty() { 0 } else { number(minor)? }),
                ));
            }
        }
        Some((0, Reverse(number(rest)?), Reverse(0)))
    };
    match parse(version) {
        Some(order) => (order, String::new()),
        None => ((3, Reverse(0), Reverse(0)), version.to_owned()),
    }
}

/// A kind of object in a version: what `apiVersion` and `kind` say together.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupVersionKind {
    pub group: Cow<'static, str>,
    pub version: Cow<'static, str>,
    pub kind: Cow<'static, str>,
}

impl GroupVersionKind {
    pub const fn of(group: &'static str, version: &'static str, kind: &'static str) -> Self {
        Self { group: Cow::Borrowed(group), version: Cow::Borrowed(version), kind: Cow::Borrowed(kind) }
    }

    pub fn group_version(&self) -> GroupVersion {
        GroupVersion { group: self.group.clone(), version: self.version.clone() }
    }

    pub fn api_version(&self) -> String {
        self.group_version().to_string()
    }

    /// Whether this is [`api_version`](Self::api_version).
    pub fn is_of_version(&self, api_version: &str) -> bool {
        match api_version.strip_suffix(&*self.version) {
            Some(group) if self.group.is_empty() => group.is_empty(),
            Some(group) => group.strip_suffix('/') == Some(&*self.group),
            None => false,
        }
    }
}

impl fmt::Display for GroupVersionKind {
    /// As upstream prints it in messages: `apps/v1, Kind=Deployment`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, Kind={}", self.group_version(), self.kind)
    }
}

/// A resource without its version, as error messages and RBAC name it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupResource {
    pub group: Cow<'static, str>,
    pub resource: Cow<'static, str>,
}

impl GroupResource {
    pub const fn of(group: &'static str, resource: &'static str) -> Self {
        Self { group: Cow::Borrowed(group), resource: Cow::Borrowed(resource) }
    }
}

impl fmt::Display for GroupResource {
    /// `deployments.apps`, or `pods` in the core group.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(&self.resource) } else { write!(f, "{}.{}", self.resource, self.group) }
    }
}

/// A resource in a version: what a URL path names.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupVersionResource {
    pub group: Cow<'static, str>,
    pub version: Cow<'static, str>,
    pub resource: Cow<'static, str>,
}

impl GroupVersionResource {
    pub const fn of(group: &'static str, version: &'static str, resource: &'static str) -> Self {
        Self { group: Cow::Borrowed(group), version: Cow::Borrowed(version), resource: Cow::Borrowed(resource) }
    }

    pub fn group_version(&self) -> GroupVersion {
        GroupVersion { group: self.group.clone(), version: self.version.clone() }
    }

    pub fn group_resource(&self) -> GroupResource {
        GroupResource { group: self.group.clone(), resource: self.resource.clone() }
    }

    /// The path of the collection: `/api/v1/namespaces/NS/pods`, `/apis/apps/v1/deployments`.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        match namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.resource),
            None => format!("{root}/{}", self.resource),
        }
    }
}

impl fmt::Display for GroupVersionResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Resource={}", self.group, self.version, self.resource)
    }
}

/// The namespace and name of an object; the namespace of a cluster-wide object is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    pub namespace: String,
    pub name: String,
}

impl ObjectKey {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_versions() {
        assert_eq!(GroupVersion::parse("v1"), Some(GroupVersion::of("", "v1")));
        assert_eq!(GroupVersion::parse("apps/v1"), Some(GroupVersion::of("apps", "v1")));
        for bad in ["", "/", "apps/", "/v1", "a/b/c"] {
            assert_eq!(GroupVersion::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn spellings() {
        assert_eq!(GroupVersionKind::of("apps", "v1", "Deployment").to_string(), "apps/v1, Kind=Deployment");
        assert_eq!(GroupResource::of("", "pods").to_string(), "pods");
        assert_eq!(GroupResource::of("apps", "deployments").to_string(), "deployments.apps");
        assert_eq!(GroupVersionResource::of("", "v1", "pods").path(Some("x")), "/api/v1/namespaces/x/pods");
        assert_eq!(GroupVersionResource::of("apps", "v1", "deployments").path(None), "/apis/apps/v1/deployments");
    }

    #[test]
    fn versions_by_priority() {
        let mut versions =
            ["foo10", "v1alpha1", "v2", "v10", "v1beta2", "v11alpha2", "foo1", "v3beta1", "v1beta1", "v11beta2", "v01"];
        versions.sort_by_key(|version| version_order(version));
        let expected =
            ["v10", "v2", "v11beta2", "v3beta1", "v1beta2", "v1beta1", "v11alpha2", "v1alpha1", "foo1", "foo10", "v01"];
        assert_eq!(versions, expected);
    }
}
