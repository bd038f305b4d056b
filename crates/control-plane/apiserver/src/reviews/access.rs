//! What somebody may do: SubjectAccessReview and its kin.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_api::fields::{FieldSelector, Term};
use windlass_api::k8s::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use windlass_api::{Status, labels};
use windlass_auth::rbac::Rule;
use windlass_auth::{Attributes, User};
use windlass_machinery::tree::{put, text};

use super::validation::{self, About};
use crate::authorization::Outcome;
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
pub(super) async fn review_access(gate: &Gate, namespace: &str, mut object: Value) -> Result<Value, Status> {
    let about = if namespace.is_empty() { About::Somebody } else { About::SomebodyIn(namespace) };
    validation::check(&object, about)?;
    let spec = spec_of(&object)?;
    let user = User {
        name: spec.user.clone(),
        uid: spec.uid.clone(),
        groups: spec.groups.clone().unwrap_or_default(),
        extra: spec.extra.clone(),
    };
    put(&mut object, "status", access(gate, &user, &spec).await);
    Ok(object)
}

pub(super) async fn review_own_access(gate: &Gate, user: &User, mut object: Value) -> Result<Value, Status> {
    validation::check(&object, About::Oneself)?;
    let spec = spec_of(&object)?;
    put(&mut object, "status", access(gate, user, &spec).await);
    Ok(object)
}

async fn access(gate: &Gate, user: &User, spec: &Spec) -> Value {
    let nothing = Attributes::of(user, "");
    let of_resource = spec.resource_attributes.as_ref();
    let (fields, labels, mut problems) = of_resource.map(ResourceAttributes::selectors).unwrap_or_default();
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
            labels: labels.as_ref(),
            ..nothing
        },
        (None, Some(n)) => Attributes { verb: &n.verb, path: &n.path, ..nothing },
        (None, None) => nothing,
    };
    let verdict = gate.authorizer.verdict(&attributes).await;
    let mut status = json!({"allowed": verdict.is_allowed()});
    if verdict.outcome == Outcome::Deny {
        put(&mut status, "denied", true);
    }
    let reason = gate.authorizer.reason(&verdict, &attributes);
    if !reason.is_empty() {
        put(&mut status, "reason", reason);
    }
    problems.extend(verdict.error);
    if !problems.is_empty() {
        put(&mut status, "evaluationError", problems.join(", "));
    }
    status
}

impl ResourceAttributes {
    /// The fields and labels that are selected, and which selectors could not be understood. The question is then one about more objects.
    fn selectors(&self) -> (Option<FieldSelector>, Option<labels::Selector>, Vec<String>) {
        let mut problems = Vec::new();
        let fields = self.field_selector.as_ref().and_then(|selector| {
            let (fields, is_sound) = selector.fields();
            if !is_sound {
                problems.push("spec.resourceAttributes.fieldSelector ignored due to parse error".to_owned());
            }
            fields
        });
        let labels = self.label_selector.as_ref().and_then(|selector| {
            let (labels, is_sound) = selector.labels();
            if !is_sound {
                problems.push("spec.resourceAttributes.labelSelector ignored due to parse error".to_owned());
            }
            labels
        });
        (fields, labels, problems)
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

    /// The same for labels.
    fn labels(&self) -> (Option<labels::Selector>, bool) {
        if !self.raw_selector.is_empty() {
            let parsed = labels::Selector::parse(&self.raw_selector).ok();
            let is_sound = parsed.is_some();
            return (parsed, is_sound);
        }
        let is_known = |requirement: &&Requirement| {
            matches!(requirement.operator.as_str(), "In" | "NotIn" | "Exists" | "DoesNotExist")
        };
        let all = || self.requirements.iter().flatten();
        let expressions = all().filter(is_known).map(|requirement| LabelSelectorRequirement {
            key: requirement.key.clone(),
            operator: requirement.operator.clone(),
            values: requirement.values.clone(),
        });
        let structure = LabelSelector { match_expressions: Some(expressions.collect()), match_labels: None };
        let labels = labels::Selector::from_structure(Some(&structure)).ok();
        (labels, all().all(|requirement| is_known(&requirement)))
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
    let lack = gate.authorizer.rules_lack();
    let mut status = json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": lack.is_some()});
    if let Some(why) = lack {
        put(&mut status, "evaluationError", why);
    }
    // As upstream: the answer does not repeat the question.
    put(&mut object, "spec", json!({}));
    put(&mut object, "status", status);
    Ok(object)
}
