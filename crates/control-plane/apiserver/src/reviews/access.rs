//! What somebody may do: SubjectAccessReview and its kin.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_api::Status;
use windlass_api::field::{Error, Path};
use windlass_auth::rbac::Rule;
use windlass_auth::{Attributes, Decision, User};
use windlass_machinery::tree::{put, text};

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
#[serde(default)]
struct ResourceAttributes {
    namespace: String,
    verb: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    name: String,
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
    let spec = spec_of(&object)?;
    let path = Path::new("spec");
    let kind = if namespace.is_empty() { "SubjectAccessReview" } else { "LocalSubjectAccessReview" };
    let mut errors = exactly_one(&spec);
    if spec.user.is_empty() && spec.groups.as_ref().is_none_or(Vec::is_empty) {
        errors.push(Error::invalid(&path.child("user"), "", "at least one of user or group must be specified"));
    }
    if !errors.is_empty() {
        return Err(Status::invalid("authorization.k8s.io", kind, "", &errors));
    }
    if !namespace.is_empty() && spec.resource_attributes.as_ref().is_none_or(|r| r.namespace != namespace) {
        let text = format!("spec.resourceAttributes.namespace must match namespace: {namespace}");
        return Err(Status::bad_request(text));
    }
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
    let spec = spec_of(&object)?;
    let errors = exactly_one(&spec);
    if !errors.is_empty() {
        return Err(Status::invalid("authorization.k8s.io", "SelfSubjectAccessReview", "", &errors));
    }
    put(&mut object, "status", access(gate, user, &spec));
    Ok(object)
}

fn access(gate: &Gate, user: &User, spec: &Spec) -> Value {
    let nothing = Attributes::of(user, "");
    let attributes = match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (Some(r), _) => Attributes {
            verb: &r.verb,
            group: &r.group,
            version: &r.version,
            resource: &r.resource,
            subresource: &r.subresource,
            namespace: &r.namespace,
            name: &r.name,
            ..nothing
        },
        (None, Some(n)) => Attributes { verb: &n.verb, path: &n.path, ..nothing },
        (None, None) => nothing,
    };
    match gate.authorizer.decide(&attributes) {
        Decision::Allow => json!({"allowed": true}),
        Decision::NoOpinion(why) if why.is_empty() => json!({"allowed": false}),
        Decision::NoOpinion(why) => json!({"allowed": false, "reason": why}),
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
    put(&mut object, "status", status);
    Ok(object)
}

fn exactly_one(spec: &Spec) -> Vec<Error> {
    let path = Path::new("spec");
    match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (Some(_), None) | (None, Some(_)) => Vec::new(),
        (None, None) => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            vec![Error::invalid(&path.child("resourceAttributes"), Value::Null, detail)]
        }
        (Some(_), Some(_)) => {
            let detail = "cannot be specified in combination with resourceAttributes";
            vec![Error::invalid(&path.child("nonResourceAttributes"), Value::Null, detail)]
        }
    }
}
