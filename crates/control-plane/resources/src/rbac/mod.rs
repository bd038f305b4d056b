//! `rbac.authorization.k8s.io/v1`: who may do what.

pub(crate) mod cluster_role;
pub(crate) mod cluster_role_binding;
pub(crate) mod role;
pub(crate) mod role_binding;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;

use crate::Grants;
use crate::rules::complain;
use windlass_machinery::tree::{items, items_mut, set, set_text, text};

const GROUP: &str = "rbac.authorization.k8s.io";

/// The rights that a role gives.
fn rules(role: &Value) -> Grants<'_> {
    let aggregates = role.get("aggregationRule").is_some_and(|rule| !rule.is_null());
    Grants::Rules { rules: &role["rules"], aggregates }
}

/// What a rule must say: at least one verb, and either resources or, in a ClusterRole, URLs.
fn validate_rules(object: &Value, namespaced: bool) -> Errors {
    let mut errors = Errors::new();
    let rules = Path::new("rules");
    // Upstream looks for the verbs in a second pass.
    let mut of_verbs = Errors::new();
    for (index, rule) in items(object, "rules").enumerate() {
        let rule_path = rules.index(index);
        let is_empty = |field: &str| items(rule, field).next().is_none();
        if is_empty("verbs") {
            of_verbs.push(Error::required(&rule_path.child("verbs"), ""));
        }
        if !is_empty("nonResourceURLs") {
            let urls = rule_path.child("nonResourceURLs");
            let value = rule["nonResourceURLs"].clone();
            if namespaced {
                let detail = "namespaced rules cannot apply to non-resource URLs";
                errors.push(Error::invalid(&urls, value.clone(), detail));
            }
            if !is_empty("apiGroups") || !is_empty("resources") || !is_empty("resourceNames") {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                errors.push(Error::invalid(&urls, value, detail));
            }
            continue;
        }
        if is_empty("apiGroups") {
            let groups = rule_path.child("apiGroups");
            errors.push(Error::required(&groups, "resource rules must supply at least one api group"));
        }
        if is_empty("resources") {
            let resources = rule_path.child("resources");
            errors.push(Error::required(&resources, "resource rules must supply at least one resource"));
        }
    }
    errors.extend(of_verbs);
    errors
}

fn set_binding_defaults(object: &mut Value) {
    if let Some(role) = object.get_mut("roleRef") {
        set_text(role, "apiGroup", GROUP);
    }
    for subject in items_mut(object, "subjects") {
        match text(subject, "kind") {
            "User" | "Group" => set_text(subject, "apiGroup", GROUP),
            _ => set(subject, "apiGroup", ""),
        }
        if text(subject, "apiGroup").is_empty() {
            windlass_machinery::tree::remove(subject, "apiGroup");
        }
    }
}

fn validate_binding(object: &Value, namespaced: bool) -> Errors {
    let mut errors = Errors::new();
    let role_path = Path::new("roleRef");
    let role = &object["roleRef"];
    if text(role, "apiGroup") != GROUP {
        errors.push(Error::not_supported(&role_path.child("apiGroup"), text(role, "apiGroup"), &[GROUP]));
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&text(role, "kind")) {
        errors.push(Error::not_supported(&role_path.child("kind"), text(role, "kind"), kinds));
    }
    let name = text(role, "name");
    complain(&mut errors, &role_path.child("name"), name, names::path_segment(name));
    let subjects = Path::new("subjects");
    for (index, subject) in items(object, "subjects").enumerate() {
        errors.extend(validate_subject(subject, &subjects.index(index), namespaced));
    }
    // Upstream finds these by declarative validation, which comes after all else.
    for (index, _) in items(object, "subjects").enumerate().filter(|(_, subject)| text(subject, "name").is_empty()) {
        errors.push(Error::required(&subjects.index(index).child("name"), ""));
    }
    if name.is_empty() {
        errors.push(Error::required(&role_path.child("name"), ""));
    }
    errors
}

fn validate_subject(subject: &Value, path: &Path<'_>, namespaced: bool) -> Errors {
    let mut errors = Errors::new();
    let name = text(subject, "name");
    match text(subject, "kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                complain(&mut errors, &path.child("name"), name, names::dns1123_subdomain(name));
            }
            if !text(subject, "apiGroup").is_empty() {
                errors.push(Error::not_supported(&path.child("apiGroup"), text(subject, "apiGroup"), &[""]));
            }
            if !namespaced && text(subject, "namespace").is_empty() {
                errors.push(Error::required(&path.child("namespace"), ""));
            }
        }
        "User" | "Group" => {
            if text(subject, "apiGroup") != GROUP {
                errors.push(Error::not_supported(&path.child("apiGroup"), text(subject, "apiGroup"), &[GROUP]));
            }
        }
        other => errors.push(Error::not_supported(&path.child("kind"), other, &["ServiceAccount", "User", "Group"])),
    }
    errors
}

fn validate_binding_update(object: &Value, old: &Value, namespaced: bool) -> Errors {
    let mut errors = validate_binding(object, namespaced);
    if object.get("roleRef") != old.get("roleRef") {
        let role = &object["roleRef"];
        let shown = serde_json::json!({"APIGroup": text(role, "apiGroup"), "Kind": text(role, "kind"), "Name": text(role, "name")});
        errors.push(Error::invalid(&Path::new("roleRef"), shown, "field is immutable"));
    }
    errors
}

/// `Role/name`, as tables show what is bound.
fn role_cell(object: &Value) -> Value {
    let role = &object["roleRef"];
    Value::from(format!("{}/{}", text(role, "kind"), text(role, "name")))
}

/// The names of the bound users, groups and service accounts, each kind in one cell.
fn subject_cells(object: &Value) -> [Value; 3] {
    ["User", "Group", "ServiceAccount"].map(|kind| {
        let names: Vec<String> = items(object, "subjects")
            .filter(|subject| text(subject, "kind") == kind)
            .map(|subject| match kind {
                "ServiceAccount" => format!("{}/{}", text(subject, "namespace"), text(subject, "name")),
                _ => text(subject, "name").to_owned(),
            })
            .collect();
        Value::from(names.join(", "))
    })
}

/// Columns of both kinds of bindings.
fn binding_columns() -> Vec<crate::columns::Column> {
    use crate::columns::Column;
    vec![
        Column::name(),
        Column::string("Role", "The role that is bound."),
        Column::age(),
        Column::string("Users", "The users that it is bound to.").wide(),
        Column::string("Groups", "The groups that it is bound to.").wide(),
        Column::string("ServiceAccounts", "The service accounts that it is bound to.").wide(),
    ]
}
