//! What is wrong with a ResourceQuota or a LimitRange.
//!
//! Source: upstream `pkg/apis/core/validation/validation.go`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use windlass_api::Quantity;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_api::pod::resources::is_huge_pages;
use windlass_machinery::tree::{items, text};

use crate::pod_spec::validation::resources::{validate_container_name, validate_name, validate_quantity};
use crate::rules::{IMMUTABLE, complain, map_at, object_at, texts};

const QUOTA_NAMES: [&str; 19] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];
const OF_PODS: [&str; 7] = ["pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
const OF_CLAIMS: [&str; 2] = ["persistentvolumeclaims", "requests.storage"];
const CONTRARY: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["NotTerminating", "Terminating"]];
const MUST_EXIST: &str = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
                          ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, \
                          ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";

fn is_quota_name(name: &str) -> bool {
    QUOTA_NAMES.contains(&name) || is_huge_pages(name) || name.starts_with("requests.hugepages-")
}

pub(crate) fn validate_quota(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    validate_amounts(errors, spec, path, "hard");
    let hard: Vec<&str> = map_at(spec, "hard").into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let scopes: Vec<&str> = texts(spec, "scopes").collect();
    let scopes_path = path.child("scopes");
    let shown = || spec.get("scopes").cloned().unwrap_or_default();
    // Counted once for each scope that there is; what is none applies to nothing.
    let mut unfit: BTreeMap<&str, usize> = BTreeMap::new();
    for scope in &scopes {
        let known = if is_scope(scope) { *scope } else { "" };
        let unfit = *unfit
            .entry(known)
            .or_insert_with(|| hard.iter().filter(|name| is_quota_name(name) && !applies(known, name)).count());
        if known.is_empty() {
            errors.push_with(|| Error::invalid(&scopes_path, shown(), "unsupported scope"));
        }
        for _ in 0..unfit {
            errors.push_with(|| Error::invalid(&scopes_path, shown(), "unsupported scope applied to resource"));
        }
    }
    validate_contrary(errors, &scopes, &scopes_path, &shown());
    if let Some(selector) = object_at(spec, "scopeSelector") {
        let path = path.child("scopeSelector");
        validate_scope_selector(errors, selector, &path.child("matchExpressions"), &hard, &shown());
    }
}

fn validate_contrary(errors: &mut Errors, scopes: &[&str], path: &Path<'_>, shown: &Value) {
    for pair in CONTRARY {
        if pair.iter().all(|scope| scopes.contains(scope)) {
            errors.push(Error::invalid(path, shown.clone(), "conflicting scopes"));
        }
    }
}

fn validate_scope_selector(errors: &mut Errors, selector: &Value, path: &Path<'_>, hard: &[&str], scopes: &Value) {
    let mut seen = Vec::new();
    for requirement in items(selector, "matchExpressions") {
        let (scope, operator) = (text(requirement, "scopeName"), text(requirement, "operator"));
        if !is_scope(scope) {
            errors.push(Error::invalid(&path.child("scopeName"), scope, "unsupported scope"));
        }
        for _ in hard.iter().filter(|name| is_quota_name(name) && !applies(scope, name)) {
            let detail = "unsupported scope applied to resource";
            errors.push(Error::invalid(path, selector.clone(), detail));
        }
        let is_plain = is_scope(scope) && !matches!(scope, "PriorityClass" | "VolumeAttributesClass");
        if is_plain && operator != "Exists" {
            errors.push(Error::invalid(&path.child("operator"), operator, MUST_EXIST));
        }
        let count = items(requirement, "values").count();
        match operator {
            "In" | "NotIn" if count == 0 => {
                let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.push(Error::required(&path.child("values"), detail));
            }
            "Exists" | "DoesNotExist" if count > 0 => {
                let values = requirement.get("values").cloned().unwrap_or_default();
                let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                errors.push(Error::invalid(&path.child("values"), values, detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            operator => {
                let detail = "not a valid selector operator";
                errors.push(Error::invalid(&path.child("operator"), operator, detail));
            }
        }
        seen.push(scope);
    }
    validate_contrary(errors, &seen, path, scopes);
}

fn is_scope(scope: &str) -> bool {
    matches!(
        scope,
        "Terminating"
            | "NotTerminating"
            | "BestEffort"
            | "NotBestEffort"
            | "PriorityClass"
            | "CrossNamespacePodAffinity"
            | "VolumeAttributesClass"
    )
}

fn applies(scope: &str, name: &str) -> bool {
    match scope {
        "BestEffort" => name == "pods",
        "VolumeAttributesClass" => OF_CLAIMS.contains(&name),
        scope if is_scope(scope) => OF_PODS.contains(&name),
        _ => true,
    }
}

/// Amounts of things that quotas count.
pub(crate) fn validate_amounts(errors: &mut Errors, owner: &Value, path: &Path<'_>, field: &str) {
    let path = path.child(field);
    for (name, quantity) in map_at(owner, field).into_iter().flatten() {
        let path = path.key(name);
        validate_name(errors, &path, name);
        if !name.contains('/') && !is_quota_name(name) {
            errors.push(Error::invalid(&path, name.as_str(), "must be a standard resource for quota"));
        }
        validate_quantity(errors, &path, name, quantity.as_str().unwrap_or_default());
    }
}

pub(crate) fn validate_quota_update(errors: &mut Errors, spec: &Value, old: &Value, path: &Path<'_>) {
    let scopes = |spec: &Value| -> BTreeSet<String> { texts(spec, "scopes").map(str::to_owned).collect() };
    if scopes(spec) != scopes(old) {
        let shown = spec.get("scopes").cloned().unwrap_or_default();
        errors.push(Error::invalid(&path.child("scopes"), shown, IMMUTABLE));
    }
}

pub(crate) fn validate_limits(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let path = path.child("limits");
    let mut seen = BTreeSet::new();
    for (index, limit) in items(spec, "limits").enumerate() {
        let path = path.index(index);
        let kind = text(limit, "type");
        let before = errors.len();
        complain(errors, &path.child("type"), kind, names::qualified_name(kind));
        let is_known = kind.contains('/') || matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim");
        if errors.len() == before && !is_known {
            let detail = "must be a standard limit type or fully qualified";
            errors.push(Error::invalid(&path.child("type"), kind, detail));
        }
        if !seen.insert(kind) {
            errors.push(Error::duplicate(&path.child("type"), kind));
        }
        validate_limit(errors, limit, kind, &path);
    }
}

fn validate_limit(errors: &mut Errors, limit: &Value, kind: &str, path: &Path<'_>) {
    let empty = Map::new();
    let list = |field: &str| map_at(limit, field).unwrap_or(&empty);
    let mut names = BTreeSet::new();
    let mut check = |errors: &mut Errors, field: &str| {
        let path = path.child(field);
        for name in list(field).keys() {
            let path = path.key(name);
            if matches!(kind, "Pod" | "Container") {
                validate_container_name(errors, &path, name);
            } else {
                validate_name(errors, &path, name);
            }
            names.insert(name.clone());
        }
    };
    check(errors, "max");
    check(errors, "min");
    for field in ["default", "defaultRequest"] {
        if kind != "Pod" {
            check(errors, field);
        } else if !list(field).is_empty() {
            errors.push(Error::forbidden(&path.child(field), "may not be specified when `type` is 'Pod'"));
        }
    }
    if kind == "PersistentVolumeClaim" && !["min", "max"].iter().any(|field| list(field).contains_key("storage")) {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.push(Error::required(&path.child("limits"), detail));
    }
    check(errors, "maxLimitRequestRatio");
    for name in &names {
        compare(errors, limit, kind, name, path);
    }
}

/// The bounds of one resource: none above the next one.
fn compare(errors: &mut Errors, limit: &Value, kind: &str, name: &str, path: &Path<'_>) {
    let get = |field: &str| -> Option<(&str, Quantity)> {
        let is_unused = kind == "Pod" && field.starts_with("default");
        let text = map_at(limit, field).filter(|_| !is_unused)?.get(name)?.as_str()?;
        Some((text, text.parse().ok()?))
    };
    let (min, max, default) = (get("min"), get("max"), get("default"));
    let (request, ratio) = (get("defaultRequest"), get("maxLimitRequestRatio"));
    let mut order =
        |low: Option<(&str, Quantity)>, high: Option<(&str, Quantity)>, at: (&str, bool), words: [&str; 2]| {
            if let (Some((low, low_value)), Some((high, high_value))) = (low, high)
                && low_value > high_value
            {
                let field = path.child(at.0);
                let detail = format!("{} {low} is greater than {} {high}", words[0], words[1]);
                errors.push(Error::invalid(&field.key(name), if at.1 { low } else { high }, detail));
            }
        };
    order(min, max, ("min", true), ["min value", "max value"]);
    order(min, request, ("defaultRequest", false), ["min value", "default request value"]);
    order(request, max, ("defaultRequest", true), ["default request value", "max value"]);
    order(request, default, ("defaultRequest", true), ["default request value", "default limit value"]);
    order(min, default, ("default", true), ["min value", "default value"]);
    order(default, max, ("default", false), ["default value", "max value"]);
    let field = path.child("maxLimitRequestRatio");
    if let Some((shown, ratio)) = ratio {
        if ratio.as_f64() < 1.0 {
            errors.push(Error::invalid(&field.key(name), shown, format!("ratio {shown} is less than 1")));
        }
        if let (Some((_, min)), Some((_, max))) = (min, max) {
            let most = max.as_f64() / min.as_f64();
            if ratio.as_f64() > most {
                let detail = format!("ratio {shown} is greater than max/min = {most:.6}");
                errors.push(Error::invalid(&field.key(name), shown, detail));
            }
        }
    }
    let can_be_overcommitted = !name.contains('/') && !is_huge_pages(name);
    if let (Some((default, value)), Some((request, requested))) = (default, request)
        && !can_be_overcommitted
        && value != requested
    {
        let field = path.child("defaultRequest");
        let detail = format!("default value {default} must equal to defaultRequest value {request} in {name}");
        errors.push(Error::invalid(&field.key(name), request, detail));
    }
}
