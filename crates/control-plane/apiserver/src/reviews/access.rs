//! What somebody may do: SubjectAccessReview and its kin.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_api::fields::{FieldSelector, Term};
use windlass_api::{Status, labels};
use windlass_auth::rbac::Rule;
use windlass_auth::{Attributes, Decision, User};
use windlass_machinery::tree::{put, text};

use super::validation::{self, About};
use crate::gate::Gate;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    resource_attributes: Option<ResourceAttributes>,
    non_resource_attributes: Option<NonResourceAttributes>,
    user: String,
    groups: Option<Vec<String>>,
    uid: String,
    extra: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceAttributes {
    namespace: String,
    verb: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    name: String,
    field_selector: Option<Selector>,
    label_selector: Option<Selector>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Selector {
    raw_selector: String,
    requirements: Option<Vec<Requirement>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Requirement {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NonResourceAttributes {
    path: String,
    verb: String,
}

fn spec_of(object: &Value) -> Result<Spec, Status> {
    serde_json::from_value(object["spec"].clone()).map_err(|error| Status::bad_request(error.to_string()))
}

/// SubjectAccessReview, and with a namespace LocalSubjectAccessReview.
pub(super) fn review_access(gate: &Gate, namespace: &str, mut object: Value) -> Result<Value, Status> {
    let about = if namespace.is_empty() { About::Somebody } else { About::SomebodyIn(namespace) };
    validation::check(&object, about)?;
    let spec = spec_of(&object)?;
    let user = User {
        name: spec.user.clone(),
        uid: spec.uid.clone(),
        groups: spec.groups.clone().unwrap_or_default(),
        extra: spec.extra.clone(),
    };
    put(&mut object, "status", access(gate, &user, &spec));
    Ok(object)
}

pub(super) fn review_own_access(gate: &Gate, user: &User, mut object: Value) -> Result<Value, Status> {
    validation::check(&object, About::Oneself)?;
    let spec = spec_of(&object)?;
    put(&mut object, "status", access(gate, user, &spec));
    Ok(object)
}

fn access(gate: &Gate, user: &User, spec: &Spec) -> Value {
    let nothing = Attributes::of(user, "");
    let (fields, problems) = spec.resource_attributes.as_ref().map(ResourceAttributes::selectors).unwrap_or_default();
    let attributes = match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (Some(r), _) => Attributes {
            verb: &r.verb,
            group: &r.group,
            version: &r.version,
            resource: &r.resource,
            subresource: &r.subresource,
            namespace: &r.namespace,
            name: &r.name,
            fields: fields.as_ref(),
            ..nothing
        },
        (None, Some(n)) => Attributes { verb: &n.verb, path: &n.path, ..nothing },
        (None, None) => nothing,
    };
    let mut status = match gate.authorizer.decide(&attributes) {
        Decision::Allow => match gate.authorizer.why_allowed(&attributes) {
            why if why.is_empty() => json!({"allowed": true}),
            why => json!({"allowed": true, "reason": why}),
        },
        Decision::NoOpinion(why) if why.is_empty() => json!({"allowed": false}),
        Decision::NoOpinion(why) => json!({"allowed": false, "reason": why}),
    };
    if !problems.is_empty() {
        put(&mut status, "evaluationError", problems.join(", "));
    }
    status
}

impl ResourceAttributes {
    /// The fields that are selected, and which selectors could not be understood. The question is then one about more objects.
    fn selectors(&self) -> (Option<FieldSelector>, Vec<&'static str>) {
        let mut problems = Vec::new();
        let fields = self.field_selector.as_ref().and_then(|selector| {
            let (fields, is_sound) = selector.fields();
            if !is_sound {
                problems.push("spec.resourceAttributes.fieldSelector ignored due to parse error");
            }
            fields
        });
        if self.label_selector.as_ref().is_some_and(|selector| !selector.has_sound_labels()) {
            problems.push("spec.resourceAttributes.labelSelector ignored due to parse error");
        }
        (fields, problems)
    }
}

impl Selector {
    /// What of it is understood as a selector of fields, and whether that is all.
    fn fields(&self) -> (Option<FieldSelector>, bool) {
        if !self.raw_selector.is_empty() {
            let parsed = FieldSelector::parse(&self.raw_selector).ok();
            let is_sound = parsed.is_some();
            return (parsed, is_sound);
        }
        let terms: Vec<Option<Term>> = self.requirements.iter().flatten().map(Requirement::field_term).collect();
        let is_sound = terms.iter().all(Option::is_some);
        (Some(FieldSelector::from_terms(terms.into_iter().flatten().collect())), is_sound)
    }

    fn has_sound_labels(&self) -> bool {
        let is_known = |requirement: &Requirement| {
            matches!(requirement.operator.as_str(), "In" | "NotIn" | "Exists" | "DoesNotExist")
        };
        let raw = &self.raw_selector;
        (raw.is_empty() || labels::Selector::parse(raw).is_ok()) && self.requirements.iter().flatten().all(is_known)
    }
}

impl Requirement {
    /// As a term of a selector of fields, which knows equality alone.
    fn field_term(&self) -> Option<Term> {
        let equal = match self.operator.as_str() {
            "In" => true,
            "NotIn" => false,
            _ => return None,
        };
        match self.values.as_deref() {
            Some([value]) => Some(Term { field: self.key.clone(), value: value.clone(), equal }),
            _ => None,
        }
    }
}

pub(super) fn review_rules(gate: &Gate, user: &User, mut object: Value) -> Result<Value, Status> {
    let namespace = text(&object["spec"], "namespace").to_owned();
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let rules = gate.authorizer.rules_of(user, &namespace);
    let (paths, resources): (Vec<Rule>, Vec<Rule>) =
        rules.into_iter().partition(|rule| !rule.non_resource_urls.is_empty());
    let status = json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false});
    // As upstream: the answer does not repeat the question.
    put(&mut object, "spec", json!({}));
    put(&mut object, "status", status);
    Ok(object)
}
