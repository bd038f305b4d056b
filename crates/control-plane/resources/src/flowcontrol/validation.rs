//! What is wrong with the configuration of how requests are served.
//!
//! Source: upstream `pkg/apis/flowcontrol/validation/validation.go`.

use std::collections::BTreeSet;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, number, text};

use crate::rules::{at, complain, is_true, object_at, required, required_of, supported, texts};

const MOST_PRECEDENCE: i64 = 10_000;
const MOST_QUEUES: i64 = 10_000_000;
const MOST_HASH_BITS: f64 = 60.0;
const VERBS: [&str; 9] = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
const NOT_A_NAMESPACE: &str = "each member of this list must be '*' or a DNS-1123 label; ";

pub(super) fn validate_flow_schema(errors: &mut Errors, name: &str, spec: &Value, path: &Path<'_>) {
    let precedence = number(spec, "matchingPrecedence");
    let precedence_path = path.child("matchingPrecedence");
    if precedence <= 0 {
        errors.push(Error::invalid(&precedence_path, precedence, "must be a positive value"));
    }
    if precedence > MOST_PRECEDENCE {
        let detail = format!("must not be greater than {MOST_PRECEDENCE}");
        errors.push(Error::invalid(&precedence_path, precedence, detail));
    }
    if precedence == 1 && name != "exempt" {
        let detail = "only the schema named 'exempt' may have matchingPrecedence 1";
        errors.push(Error::invalid(&precedence_path, precedence, detail));
    }
    if let Some(method) = object_at(spec, "distinguisherMethod")
        && !matches!(text(method, "type"), "ByNamespace" | "ByUser")
    {
        let path = path.child("distinguisherMethod");
        let shown = serde_json::json!({"Type": text(method, "type")});
        errors.push(Error::not_supported(&path.child("type"), shown, &["ByNamespace", "ByUser"]));
    }
    let level_path = path.child("priorityLevelConfiguration");
    match spec.get("priorityLevelConfiguration").map_or("", |level| text(level, "name")) {
        "" => errors.push(Error::required(&level_path.child("name"), "must reference a priority level")),
        level => complain(errors, &level_path.child("name"), level, names::dns1123_subdomain(level)),
    }
    let rules = path.child("rules");
    for (index, rule) in items(spec, "rules").enumerate() {
        validate_rule(errors, rule, &rules.index(index));
    }
}

fn validate_rule(errors: &mut Errors, rule: &Value, path: &Path<'_>) {
    let subjects = path.child("subjects");
    if items(rule, "subjects").next().is_none() {
        errors.push(Error::required(&subjects, "subjects must contain at least one value"));
    }
    for (index, subject) in items(rule, "subjects").enumerate() {
        validate_subject(errors, subject, &subjects.index(index));
    }
    if items(rule, "resourceRules").chain(items(rule, "nonResourceRules")).next().is_none() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(Error::required(path, detail));
    }
    let resource_rules = path.child("resourceRules");
    for (index, rule) in items(rule, "resourceRules").enumerate() {
        validate_resource_rule(errors, rule, &resource_rules.index(index));
    }
    let url_rules = path.child("nonResourceRules");
    for (index, rule) in items(rule, "nonResourceRules").enumerate() {
        validate_url_rule(errors, rule, &url_rules.index(index));
    }
}

fn validate_subject(errors: &mut Errors, subject: &Value, path: &Path<'_>) {
    const FIELDS: [(&str, &str); 3] = [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];
    let kind = text(subject, "kind");
    let Some((_, own)) = FIELDS.iter().find(|(name, _)| *name == kind) else {
        supported(errors, &path.child("kind"), kind, &["Group", "ServiceAccount", "User"]);
        return;
    };
    let own_path = path.child(own);
    match object_at(subject, own) {
        None => {
            errors.push(Error::required(&own_path, format!("{own} is required when subject kind is '{kind}'")));
        }
        Some(value) => {
            let is_named = required(errors, value, &own_path, "name");
            if kind == "ServiceAccount" {
                let name = text(value, "name");
                if is_named && name != "*" {
                    complain(errors, &own_path.child("name"), name, names::dns1123_subdomain(name));
                }
                let path = own_path.child("namespace");
                match text(value, "namespace") {
                    "" => errors.push(Error::required(&path, "must specify namespace for service account")),
                    namespace => complain(errors, &path, namespace, names::dns1123_label(namespace)),
                }
            }
        }
    }
    for (other_kind, field) in FIELDS {
        if other_kind != kind && object_at(subject, field).is_some() {
            let detail = format!("{field} is forbidden when subject kind is not '{other_kind}'");
            errors.push(Error::forbidden(&path.child(field), detail));
        }
    }
}

fn shown(rule: &Value, field: &str) -> Value {
    rule.get(field).cloned().unwrap_or_default()
}

fn has_wildcard(rule: &Value, field: &str) -> bool {
    texts(rule, field).any(|text| text == "*")
}

fn validate_verbs(errors: &mut Errors, rule: &Value, path: &Path<'_>) {
    let path = path.child("verbs");
    let count = texts(rule, "verbs").count();
    if count == 0 {
        errors.push(Error::required(&path, "verbs must contain at least one value"));
    } else if has_wildcard(rule, "verbs") {
        if count > 1 {
            let detail = "if '*' is present, must not specify other verbs";
            errors.push(Error::invalid(&path, shown(rule, "verbs"), detail));
        }
    } else if !texts(rule, "verbs").all(|verb| VERBS.contains(&verb)) {
        errors.push(Error::not_supported(&path, shown(rule, "verbs"), &VERBS));
    }
}

fn validate_resource_rule(errors: &mut Errors, rule: &Value, path: &Path<'_>) {
    validate_verbs(errors, rule, path);
    for (field, one, many) in [("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")] {
        let path = path.child(field);
        let count = texts(rule, field).count();
        if count == 0 {
            errors.push(Error::required(&path, format!("resource rules must supply at least one {one}")));
        } else if count > 1 && has_wildcard(rule, field) {
            let detail = format!("if '*' is present, must not specify other {many}");
            errors.push(Error::invalid(&path, shown(rule, field), detail));
        }
    }
    let path = path.child("namespaces");
    let count = texts(rule, "namespaces").count();
    if count == 0 && !is_true(rule, "clusterScope") {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.push(Error::required(&path, detail));
    } else if has_wildcard(rule, "namespaces") {
        if count > 1 {
            let detail = "if '*' is present, must not specify other namespaces";
            errors.push(Error::invalid(&path, shown(rule, "namespaces"), detail));
        }
    } else {
        for (index, namespace) in texts(rule, "namespaces").enumerate() {
            for problem in names::dns1123_label(namespace) {
                let detail = format!("{NOT_A_NAMESPACE}{problem}");
                errors.push(Error::invalid(&path.index(index), namespace, detail));
            }
        }
    }
}

fn validate_url_rule(errors: &mut Errors, rule: &Value, path: &Path<'_>) {
    validate_verbs(errors, rule, path);
    let path = path.child("nonResourceURLs");
    let count = texts(rule, "nonResourceURLs").count();
    if count == 0 {
        errors.push(Error::required(&path, "nonResourceURLs must contain at least one value"));
    } else if has_wildcard(rule, "nonResourceURLs") {
        if count > 1 {
            let detail = "if '*' is present, must not specify other non-resource URLs";
            errors.push(Error::invalid(&path, shown(rule, "nonResourceURLs"), detail));
        }
    } else {
        for (index, url) in texts(rule, "nonResourceURLs").enumerate() {
            if let Some(detail) = url_problem(url) {
                errors.push(Error::invalid(&path.index(index), url, detail));
            }
        }
    }
}

fn url_problem(url: &str) -> Option<&'static str> {
    let wildcards = url.matches('*').count();
    let problems = [
        (url.is_empty(), "must not be empty"),
        (!url.starts_with('/'), "must start with slash"),
        (url.contains(' '), "must not contain white-space"),
        (url.contains("//"), "must not contain double slash"),
        (wildcards > 1 || (wildcards == 1 && !url.ends_with("/*")), "wildcard can only do suffix matching"),
    ];
    problems.into_iter().find(|(holds, _)| *holds).map(|(_, detail)| detail)
}

/// The conditions of both kinds: named, each once.
pub(super) fn validate_conditions(errors: &mut Errors, object: &Value) {
    let status = Path::new("status");
    let path = status.child("conditions");
    let mut seen = BTreeSet::new();
    for (index, condition) in items(object.get("status").unwrap_or(&Value::Null), "conditions").enumerate() {
        let path = path.index(index);
        let kind = text(condition, "type");
        if !seen.insert(kind) {
            errors.push(Error::duplicate(&path.child("type"), kind));
        }
        required(errors, condition, &path, "type");
    }
}

pub(super) fn validate_priority_level(errors: &mut Errors, name: &str, spec: &Value, path: &Path<'_>) {
    let kind = text(spec, "type");
    if (name == "exempt") != (kind == "Exempt") {
        let detail = "must be 'Exempt' if and only if `name` is 'exempt'";
        errors.push(Error::invalid(&path.child("type"), kind, detail));
    }
    let (limited, exempt) = (object_at(spec, "limited"), object_at(spec, "exempt"));
    let (limited_path, exempt_path) = (path.child("limited"), path.child("exempt"));
    match (kind, limited, exempt) {
        ("Exempt", _, Some(exempt)) => validate_shares(errors, exempt, &exempt_path),
        ("Limited", Some(limited), _) => {
            if number(limited, "nominalConcurrencyShares") < 0 {
                let shares = number(limited, "nominalConcurrencyShares");
                let detail = "must be a non-negative integer";
                errors.push(Error::invalid(&limited_path.child("nominalConcurrencyShares"), shares, detail));
            }
            let response = limited.get("limitResponse").unwrap_or(&Value::Null);
            validate_response(errors, response, &limited_path.child("limitResponse"));
            validate_lendable(errors, limited, &limited_path);
            let borrowed = number(limited, "borrowingLimitPercent");
            if borrowed < 0 {
                let detail = "if specified, must be a non-negative integer";
                errors.push(Error::invalid(&limited_path.child("borrowingLimitPercent"), borrowed, detail));
            }
        }
        ("Exempt" | "Limited" | "", ..) => {}
        (kind, ..) => supported(errors, &path.child("type"), kind, &["Exempt", "Limited"]),
    }
    validate_union(errors, spec, path);
}

fn validate_shares(errors: &mut Errors, exempt: &Value, path: &Path<'_>) {
    let shares = number(exempt, "nominalConcurrencyShares");
    if shares < 0 {
        let detail = "must be a non-negative integer";
        errors.push(Error::invalid(&path.child("nominalConcurrencyShares"), shares, detail));
    }
    validate_lendable(errors, exempt, path);
}

fn validate_lendable(errors: &mut Errors, owner: &Value, path: &Path<'_>) {
    if let Some(percent) = at(owner, "lendablePercent").and_then(Value::as_i64) {
        crate::rules::within(errors, &path.child("lendablePercent"), percent, 0, 100);
    }
}

fn validate_response(errors: &mut Errors, response: &Value, path: &Path<'_>) {
    let kind = text(response, "type");
    if !matches!(kind, "Queue" | "Reject" | "") {
        supported(errors, &path.child("type"), kind, &["Queue", "Reject"]);
    }
    let Some(queuing) = object_at(response, "queuing").filter(|_| kind == "Queue") else { return };
    let path = path.child("queuing");
    let length = number(queuing, "queueLengthLimit");
    if length <= 0 {
        errors.push(Error::invalid(&path.child("queueLengthLimit"), length, "must be positive"));
    }
    let queues = number(queuing, "queues");
    if queues <= 0 {
        errors.push(Error::invalid(&path.child("queues"), queues, "must be positive"));
    } else if queues > MOST_QUEUES {
        let detail = format!("must not be greater than {MOST_QUEUES}");
        errors.push(Error::invalid(&path.child("queues"), queues, detail));
    }
    let hand = number(queuing, "handSize");
    let entropy = |queues: i64, hand: i64| ((queues as f64).log2() * hand as f64).ceil();
    let detail = if hand <= 0 {
        "must be positive".to_owned()
    } else if hand > queues {
        format!("should not be greater than queues ({queues})")
    } else if entropy(queues, hand) > MOST_HASH_BITS {
        format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {MOST_HASH_BITS}"
        )
    } else {
        return;
    };
    errors.push(Error::invalid(&path.child("handSize"), hand, detail));
}

/// What upstream's generated validation finds: each type has its own field and no other.
fn validate_union(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let kind = text(spec, "type");
    let has = |field: &str| object_at(spec, field).is_some();
    if has("exempt") && kind != "Exempt" {
        errors.push(Error::forbidden(&path.child("exempt"), ""));
    }
    if kind == "Limited" && !has("limited") {
        errors.push(Error::required(&path.child("limited"), ""));
    } else if kind != "Limited" && has("limited") {
        errors.push(Error::forbidden(&path.child("limited"), ""));
    }
    let limited_path = path.child("limited");
    let response_path = limited_path.child("limitResponse");
    if let Some(limited) = object_at(spec, "limited") {
        let response = limited.get("limitResponse").unwrap_or(&Value::Null);
        let (kind, has_queuing) = (text(response, "type"), object_at(response, "queuing").is_some());
        if kind == "Queue" && !has_queuing {
            errors.push(Error::required(&response_path.child("queuing"), ""));
        } else if kind != "Queue" && has_queuing {
            errors.push(Error::forbidden(&response_path.child("queuing"), ""));
        }
        required(errors, response, &response_path, "type");
    }
    if kind.is_empty() {
        required_of(errors, &path.child("type"), kind, &["Exempt", "Limited"]);
    }
}
