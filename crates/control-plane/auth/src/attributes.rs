//! What is to be decided about.

use std::fmt;

use windlass_api::fields::FieldSelector;
use windlass_api::labels::Selector;

use crate::User;

/// A request as an authorizer sees it.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    pub user: &'a User,
    /// `get`, `list`, …; for a path that is no resource, the HTTP method in lower case.
    pub verb: &'a str,
    pub group: &'a str,
    pub version: &'a str,
    /// Empty for a path that is no resource.
    pub resource: &'a str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    /// Only for a path that is no resource.
    pub path: &'a str,
    /// What a list, a watch or a deletion of a collection is restricted to.
    pub fields: Option<&'a FieldSelector>,
    pub labels: Option<&'a Selector>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow,
    /// It is not allowed, whatever others would say. The text may say why.
    Deny(String),
    /// This authorizer does not allow it; another one may. The text may say why.
    NoOpinion(String),
}

impl Decision {
    pub fn is_allowed(&self) -> bool {
        *self == Self::Allow
    }
}

impl<'a> Attributes<'a> {
    /// A user and a verb; everything else is to be filled in.
    pub fn of(user: &'a User, verb: &'a str) -> Self {
        Self {
            user,
            verb,
            group: "",
            version: "",
            resource: "",
            subresource: "",
            namespace: "",
            name: "",
            path: "",
            fields: None,
            labels: None,
        }
    }
}

impl Attributes<'_> {
    /// `pods` or `pods/log`.
    pub fn resource_path(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

impl fmt::Display for Attributes<'_> {
    /// Upstream's words for what is not allowed: `User "x" cannot list resource "pods" in API group "" in the namespace "y"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, verb) = (&self.user.name, self.verb);
        if self.resource.is_empty() {
            return write!(f, "User {user:?} cannot {verb} path {:?}", self.path);
        }
        let resource = self.resource_path();
        write!(f, "User {user:?} cannot {verb} resource {resource:?} in API group {:?}", self.group)?;
        if self.namespace.is_empty() {
            f.write_str(" at the cluster scope")
        } else {
            write!(f, " in the namespace {:?}", self.namespace)
        }
    }
}
