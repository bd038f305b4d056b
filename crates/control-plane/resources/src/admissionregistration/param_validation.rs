//! What is wrong with the kind of a policy's parameters, and with a binding's choice among them.
//!
//! Source: upstream `pkg/apis/admissionregistration/validation/validation.go`.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::text;

use crate::rules::{at, complain, label_selector, required_of};

pub(super) fn validate_param_kind(errors: &mut Errors, kind: &Value, path: &Path<'_>) {
    validate_api_version(errors, text(kind, "apiVersion"), &path.child("apiVersion"));
    let (kind, path) = (text(kind, "kind"), path.child("kind"));
    if kind.is_empty() {
        errors.push(Error::required(&path, ""));
        return;
    }
    let problems = names::dns1035_label(&kind.to_lowercase());
    if !problems.is_empty() {
        let detail = format!("may have mixed case, but should otherwise match: {}", problems.join(","));
        errors.push(Error::invalid(&path, kind, detail));
    }
}

fn validate_api_version(errors: &mut Errors, api_version: &str, path: &Path<'_>) {
    if api_version.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    let (group, version) = match api_version.split_once('/') {
        None => ("", api_version),
        Some(("", "")) => ("", ""),
        Some((_, version)) if version.contains('/') => {
            let detail = format!("unexpected GroupVersion string: {api_version}");
            errors.push(Error::invalid(path, api_version, detail));
            return;
        }
        Some(parts) => parts,
    };
    if !group.is_empty() {
        joined(errors, path, group, names::dns1123_subdomain(group));
    }
    if version.is_empty() {
        errors.push(Error::invalid(path, api_version, "version must be specified"));
    } else {
        joined(errors, path, version, names::dns1035_label(version));
    }
}

/// All complaints as one.
fn joined(errors: &mut Errors, path: &Path<'_>, value: &str, problems: Vec<String>) {
    if !problems.is_empty() {
        errors.push(Error::invalid(path, value, problems.join(",")));
    }
}

/// The `paramRef` of a binding, if it has one.
pub(super) fn validate_param_ref(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    const EITHER: &str = "name and selector are mutually exclusive";
    let Some(reference) = at(spec, "paramRef") else { return };
    let path = path.child("paramRef");
    let (name, selector) = (text(reference, "name"), at(reference, "selector"));
    if !name.is_empty() {
        complain(errors, &path.child("name"), name, names::path_segment(name));
        if selector.is_some() {
            errors.push(Error::forbidden(&path.child("name"), EITHER));
        }
    }
    if selector.is_some() {
        label_selector(errors, &path.child("selector"), selector);
        if !name.is_empty() {
            errors.push(Error::forbidden(&path.child("selector"), EITHER));
        }
    }
    if name.is_empty() && selector.is_none() {
        errors.push(Error::required(&path, "one of name or selector must be specified"));
    }
    let action = text(reference, "parameterNotFoundAction");
    required_of(errors, &path.child("parameterNotFoundAction"), action, &["Deny", "Allow"]);
}
