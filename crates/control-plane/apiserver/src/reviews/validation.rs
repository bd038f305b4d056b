//! What is wrong with a question about access.
//!
//! Source: upstream `pkg/apis/authorization/validation`.

use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path, complaints};
use windlass_api::{Status, names};
use windlass_machinery::tree::{items, text};
use windlass_resources::requirement_values;

/// Whom the question is about, and where.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum About<'a> {
    /// Whoever asks.
    Oneself,
    Somebody,
    /// Somebody, in this namespace.
    SomebodyIn(&'a str),
}

/// Refuses a question that cannot be answered.
pub(super) fn check(review: &Value, about: About<'_>) -> Result<(), Status> {
    let spec = &review["spec"];
    let mut errors = Errors::new();
    one_kind_of_attributes(&mut errors, spec);
    if about != About::Oneself && text(spec, "user").is_empty() && items(spec, "groups").next().is_none() {
        let detail = "at least one of user or group must be specified";
        errors.push(Error::invalid(&Path::new("spec").child("user"), "", detail));
    }
    let path = Path::new("spec.resourceAttributes");
    let attributes = &spec["resourceAttributes"];
    field_selector(&mut errors, &attributes["fieldSelector"], &path.child("fieldSelector"));
    label_selector(&mut errors, &attributes["labelSelector"], &path.child("labelSelector"));
    metadata(&mut errors, &review["metadata"], about);
    if let About::SomebodyIn(namespace) = about {
        let asked = text(attributes, "namespace");
        if attributes.is_object() && asked != namespace {
            errors.push(Error::invalid(&path.child("namespace"), asked, "must match metadata.namespace"));
        }
        if spec["nonResourceAttributes"].is_object() {
            let (path, shown) = (Path::new("spec.nonResourceAttributes"), non_resource(spec));
            errors.push(Error::invalid(&path, shown, "disallowed on this kind of request"));
        }
    }
    // Upstream names the kind by the group alone.
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("authorization.k8s.io", "", "", &errors)) }
}

/// The attributes of a path as Go's internal structure shows them.
fn non_resource(spec: &Value) -> Value {
    let attributes = &spec["nonResourceAttributes"];
    match attributes.is_object() {
        true => json!({"Path": text(attributes, "path"), "Verb": text(attributes, "verb")}),
        false => Value::Null,
    }
}

fn one_kind_of_attributes(errors: &mut Errors, spec: &Value) {
    if spec["resourceAttributes"].is_object() == spec["nonResourceAttributes"].is_object() {
        let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        errors.push(Error::invalid(&Path::new("spec"), non_resource(spec), detail));
    }
}

/// A question has no name and no labels.
fn metadata(errors: &mut Errors, metadata: &Value, about: About<'_>) {
    let namespaced = matches!(about, About::SomebodyIn(_));
    let is_free = |field: &str| field == "managedFields" || (namespaced && field == "namespace");
    if metadata.as_object().into_iter().flatten().any(|(field, value)| !is_free(field) && !value.is_null()) {
        let detail = if namespaced { "must be empty except for namespace" } else { "must be empty" };
        errors.push(Error::invalid(&Path::new("metadata"), metadata.clone(), detail));
    }
}

/// Whether there is a selector with requirements to look at.
fn has_requirements(errors: &mut Errors, selector: &Value, path: &Path<'_>) -> bool {
    if !selector.is_object() {
        return false;
    }
    let (raw, count) = (text(selector, "rawSelector"), items(selector, "requirements").count());
    if !raw.is_empty() && count > 0 {
        let detail = "may not specified at the same time as requirements";
        errors.push(Error::invalid(&path.child("rawSelector"), raw, detail));
    }
    if raw.is_empty() && count == 0 {
        let detail = format!("when {path} is specified, requirements or rawSelector is required");
        errors.push(Error::required(&path.child("requirements"), detail));
    }
    true
}

fn field_selector(errors: &mut Errors, selector: &Value, path: &Path<'_>) {
    if !has_requirements(errors, selector, path) {
        return;
    }
    let path = path.child("requirements");
    for (index, requirement) in items(selector, "requirements").enumerate() {
        let path = path.index(index);
        if text(requirement, "key").is_empty() {
            errors.push(Error::required(&path.child("key"), "must be specified"));
        }
        // An operator that is not known is the authorizer's matter: newer clients may know more of them.
        requirement_values(errors, requirement, &path);
    }
}

fn label_selector(errors: &mut Errors, selector: &Value, path: &Path<'_>) {
    if !has_requirements(errors, selector, path) {
        return;
    }
    let path = path.child("requirements");
    for (index, requirement) in items(selector, "requirements").enumerate() {
        let path = path.index(index);
        requirement_values(errors, requirement, &path);
        let key = text(requirement, "key");
        errors.extend(complaints(&path.child("key"), key, names::qualified_name(key)));
        for (index, value) in items(requirement, "values").filter_map(Value::as_str).enumerate() {
            let path = path.child("values");
            errors.extend(complaints(&path.index(index), value, names::label_value(value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions() {
        let pods = json!({"verb": "get", "resource": "pods", "namespace": "a"});
        let with = |field: &str, selector: Value| {
            let mut attributes = pods.clone();
            attributes[field] = selector;
            json!({"spec": {"user": "u", "resourceAttributes": attributes}})
        };
        let path = json!({"path": "/", "verb": "get"});
        let somebody = json!({"spec": {"user": "u", "resourceAttributes": pods}});
        for (review, about, field) in [
            (somebody.clone(), About::Somebody, None),
            (somebody.clone(), About::SomebodyIn("a"), None),
            (somebody, About::SomebodyIn("b"), Some("spec.resourceAttributes.namespace")),
            (json!({"spec": {"groups": ["g"], "nonResourceAttributes": path}}), About::Somebody, None),
            (json!({"spec": {"nonResourceAttributes": path}}), About::Oneself, None),
            (json!({"spec": {"nonResourceAttributes": path}}), About::Somebody, Some("spec.user")),
            (
                json!({"spec": {"user": "u", "nonResourceAttributes": path}}),
                About::SomebodyIn("a"),
                Some("spec.nonResourceAttributes"),
            ),
            (json!({"spec": {"user": "u"}}), About::Somebody, Some("spec")),
            (
                json!({"metadata": {"name": "x"}, "spec": {"resourceAttributes": pods}}),
                About::Oneself,
                Some("metadata"),
            ),
            (with("fieldSelector", json!({"rawSelector": "a=b"})), About::Somebody, None),
            (
                with("fieldSelector", json!({})),
                About::Somebody,
                Some("spec.resourceAttributes.fieldSelector.requirements"),
            ),
            (
                with("fieldSelector", json!({"requirements": [{"key": "", "operator": "In", "values": ["x"]}]})),
                About::Somebody,
                Some("spec.resourceAttributes.fieldSelector.requirements[0].key"),
            ),
            (
                with("labelSelector", json!({"requirements": [{"key": "k", "operator": "Exists", "values": ["x"]}]})),
                About::Somebody,
                Some("spec.resourceAttributes.labelSelector.requirements[0].values"),
            ),
        ] {
            let found = check(&review, about).err();
            let causes = found.and_then(|status| status.details).map(|details| details.causes).unwrap_or_default();
            let fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
            assert_eq!(fields, Vec::from_iter(field), "{review}");
        }
    }
}
