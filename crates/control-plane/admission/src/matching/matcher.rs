//! What a configuration says of the writes that it is about.

use std::borrow::Cow;

use serde_json::Value;
use windlass_api::labels::{Labels, Selector};
use windlass_api::{GroupResource, GroupVersionKind, GroupVersionResource, Status};
use windlass_machinery::tree::{items, text};

use super::rule::Rule;
use crate::review::{Cluster, Equivalent, Operation, Review};

/// The `rules` and selectors of a webhook, or the match resources of a policy or binding.
#[derive(Debug)]
pub struct Matcher {
    rules: Vec<Rule>,
    excluded: Vec<Rule>,
    /// A binding without rules is about everything that its policy is about.
    is_open: bool,
    /// Writes of the same objects by other resources count as well.
    takes_equivalents: bool,
    namespaces: Result<Selector, String>,
    objects: Result<Selector, String>,
}

/// The resource and the kind as which a webhook or policy sees a write: those of the request, or equivalent ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched<'a> {
    pub resource: Cow<'a, GroupVersionResource>,
    pub kind: Cow<'a, GroupVersionKind>,
}

impl Matcher {
    /// Reads an entry of `webhooks`. One without rules is about nothing.
    pub fn of_webhook(webhook: &Value) -> Self {
        Self { rules: rules(webhook, "rules"), is_open: false, ..Self::read(webhook) }
    }

    /// Reads `matchConstraints` or `matchResources`. Without rules it is about everything.
    pub fn of_match_resources(resources: &Value) -> Self {
        Self::read(resources)
    }

    fn read(owner: &Value) -> Self {
        let rules_of_resources = rules(owner, "resourceRules");
        Self {
            is_open: rules_of_resources.is_empty(),
            rules: rules_of_resources,
            excluded: rules(owner, "excludeResourceRules"),
            takes_equivalents: text(owner, "matchPolicy") == "Equivalent",
            namespaces: selector(owner, "namespaceSelector"),
            objects: selector(owner, "objectSelector"),
        }
    }

    /// Whether the write is one that this is about, and as what. Cost when it is not: some comparisons of words, and no allocation, but for
    /// the few resources that have equivalent ones.
    pub fn matches<'a>(&self, review: &Review<'a>, cluster: &dyn Cluster) -> Result<Option<Matched<'a>>, Status> {
        let exact = || Matched { resource: Cow::Borrowed(review.resource), kind: Cow::Borrowed(review.kind) };
        let matched = if self.is_open { Some(exact()) } else { self.find(&self.rules, review, cluster) };
        let Some(matched) = matched else { return Ok(None) };
        if !self.excluded.is_empty() && self.find(&self.excluded, review, cluster).is_some() {
            return Ok(None);
        }
        // A namespace that cannot be looked at matters only when the object is one that is selected.
        let in_namespace = self.is_in_namespace(review, cluster);
        let is_selected = self.is_selected(review);
        if matches!(in_namespace, Ok(false)) || matches!(is_selected, Ok(false)) {
            return Ok(None);
        }
        in_namespace.and(is_selected).map(|_| Some(matched))
    }

    /// The first rule that the write fulfils as it is, or else the first that it fulfils as one of an equivalent resource.
    fn find<'a>(&self, rules: &[Rule], review: &Review<'a>, cluster: &dyn Cluster) -> Option<Matched<'a>> {
        if rules.iter().any(|rule| rule.matches(review, review.resource)) {
            return Some(Matched { resource: Cow::Borrowed(review.resource), kind: Cow::Borrowed(review.kind) });
        }
        if !self.takes_equivalents {
            return None;
        }
        let equivalents = cluster.equivalents(review.resource, review.subresource);
        let mut pairs = rules.iter().flat_map(|rule| equivalents.iter().map(move |other| (rule, other)));
        let (_, Equivalent { resource, kind }) = pairs.find(|(rule, other)| rule.matches(review, &other.resource))?;
        Some(Matched { resource: Cow::Owned(resource.clone()), kind: Cow::Owned(kind.clone()) })
    }

    fn is_in_namespace(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Result<bool, Status> {
        let is_namespace = review.resource.resource == "namespaces";
        // What is in no namespace is never excluded by one.
        if review.namespace.is_empty() && !is_namespace {
            return Ok(true);
        }
        let selector = self.namespaces.as_ref().map_err(Status::internal)?;
        if selector.is_everything() {
            return Ok(true);
        }
        let is_written = matches!(review.operation, Operation::Create | Operation::Update);
        if let Some(object) = review.object.as_deref().filter(|_| {
            // The store does not have the labels that a namespace is about to get.
            is_namespace && review.subresource.is_empty() && is_written
        }) {
            return Ok(selector.matches(&LabelsOf(object)));
        }
        let name = review.object_namespace();
        let namespace = cluster.object("namespaces", "", name);
        let namespace = namespace.ok_or_else(|| Status::not_found(&GroupResource::of("", "namespaces"), name))?;
        Ok(selector.matches(&LabelsOf(&namespace)))
    }

    fn is_selected(&self, review: &Review<'_>) -> Result<bool, Status> {
        let selector = self.objects.as_ref().map_err(Status::internal)?;
        let selects = |object: Option<&Value>| object.is_some_and(|object| selector.matches(&LabelsOf(object)));
        Ok(selector.is_everything() || selects(review.object.as_deref()) || selects(review.old))
    }
}

fn rules(owner: &Value, field: &str) -> Vec<Rule> {
    items(owner, field).map(Rule::read).collect()
}

/// A selector, or why it is none. Defaults are set, but for objects that were stored without them.
fn selector(owner: &Value, field: &str) -> Result<Selector, String> {
    let Some(structure) = owner.get(field).filter(|structure| structure.is_object()) else {
        return Ok(Selector::nothing());
    };
    let structure = serde_json::from_value(structure.clone()).map_err(|error| error.to_string())?;
    Selector::from_structure(Some(&structure)).map_err(|error| error.to_string())
}

/// The labels of an object, where they are.
pub(crate) struct LabelsOf<'a>(pub &'a Value);

impl Labels for LabelsOf<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        self.0.get("metadata")?.get("labels")?.get(key)?.as_str()
    }
}
