//! One rule: operations on resources.

use serde_json::Value;
use windlass_api::GroupVersionResource;
use windlass_machinery::tree::{items, text};

use crate::review::Review;

/// A `RuleWithOperations`, with the names that a policy's rule may add.
#[derive(Debug)]
pub(super) struct Rule {
    operations: Words,
    groups: Words,
    versions: Words,
    resources: Vec<Resource>,
    scope: Scope,
    /// Empty for all.
    names: Vec<String>,
}

/// Words, one of which has to be the one that is asked for.
#[derive(Debug)]
enum Words {
    Any,
    OneOf(Vec<String>),
}

/// A resource and a subresource; `None` is any.
#[derive(Debug)]
struct Resource {
    resource: Option<String>,
    subresource: Option<String>,
}

#[derive(Debug)]
enum Scope {
    All,
    Cluster,
    Namespaced,
    /// One that nobody knows, and that nothing is in.
    Unknown,
}

impl Words {
    fn read(rule: &Value, field: &str) -> Self {
        let words: Vec<String> = items(rule, field).filter_map(Value::as_str).map(str::to_owned).collect();
        if words.iter().any(|word| word == "*") { Self::Any } else { Self::OneOf(words) }
    }

    fn has(&self, asked: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(words) => words.iter().any(|word| word == asked),
        }
    }
}

impl Resource {
    fn read(both: &str) -> Self {
        let (resource, subresource) = both.split_once('/').unwrap_or((both, ""));
        let unless_any = |word: &str| (word != "*").then(|| word.to_owned());
        Self { resource: unless_any(resource), subresource: unless_any(subresource) }
    }

    fn is(&self, resource: &str, subresource: &str) -> bool {
        self.resource.as_deref().is_none_or(|wanted| wanted == resource)
            && self.subresource.as_deref().is_none_or(|wanted| wanted == subresource)
    }
}

impl Scope {
    fn has(&self, review: &Review<'_>) -> bool {
        // A Namespace is of the cluster, although it counts as in itself elsewhere.
        let is_of_cluster = review.namespace.is_empty() || review.is_namespace();
        match self {
            Self::All => true,
            Self::Cluster => is_of_cluster,
            Self::Namespaced => !is_of_cluster,
            Self::Unknown => false,
        }
    }
}

impl Rule {
    pub(super) fn read(rule: &Value) -> Self {
        Self {
            operations: Words::read(rule, "operations"),
            groups: Words::read(rule, "apiGroups"),
            versions: Words::read(rule, "apiVersions"),
            resources: items(rule, "resources").filter_map(Value::as_str).map(Resource::read).collect(),
            scope: match text(rule, "scope") {
                "" | "*" => Scope::All,
                "Cluster" => Scope::Cluster,
                "Namespaced" => Scope::Namespaced,
                _ => Scope::Unknown,
            },
            names: items(rule, "resourceNames").filter_map(Value::as_str).map(str::to_owned).collect(),
        }
    }

    /// Whether the rule is about a write, seen as one of `resource`.
    pub(super) fn matches(&self, review: &Review<'_>, resource: &GroupVersionResource) -> bool {
        self.operations.has(review.operation.name())
            && self.groups.has(&resource.group)
            && self.versions.has(&resource.version)
            && self.resources.iter().any(|wanted| wanted.is(&resource.resource, review.subresource))
            && self.scope.has(review)
            && (self.names.is_empty() || self.names.iter().any(|name| name == review.object_name()))
    }
}
