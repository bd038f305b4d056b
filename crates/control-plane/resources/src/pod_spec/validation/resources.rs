//! What containers and pods ask for and may use, and the claims on devices.

use std::collections::BTreeSet;
use std::ops::Bound;

use serde_json::{Map, Value};
use windlass_api::Quantity;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_api::pod::extended::{is_extended, is_native};
use windlass_api::pod::resources::{container_limits, container_requests, is_huge_pages, is_pod_level};
use windlass_api::pod::{Options, PodTree};
use windlass_machinery::tree::{items, text};

use super::Subject;
use crate::go_form::invalid_structure;
use crate::rules::{NOT_NEGATIVE, at, complain, map_at, object_at};

/// Resources by a plain name that everybody knows.
const STANDARD: [&str; 18] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
];
const SERVICES: [&str; 2] = ["services.nodeports", "services.loadbalancers"];
/// Resources that are counted.
const COUNTED: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

fn can_be_overcommitted(name: &str) -> bool {
    is_native(name) && !is_huge_pages(name)
}

pub(crate) fn is_standard(name: &str) -> bool {
    STANDARD.contains(&name)
        || SERVICES.contains(&name)
        || is_huge_pages(name)
        || name.starts_with("requests.hugepages-")
}

/// The name of a resource, wherever it stands.
pub(crate) fn validate_name(errors: &mut Errors, path: &Path<'_>, name: &str) -> bool {
    let before = errors.len();
    complain(errors, path, name, names::qualified_name(name));
    if errors.len() == before && !name.contains('/') && !is_standard(name) {
        errors.push(Error::invalid(path, name, "must be a standard resource type or fully qualified"));
    }
    errors.len() == before
}

/// The name of a resource of a container.
pub(crate) fn validate_container_name(errors: &mut Errors, path: &Path<'_>, name: &str) {
    validate_name(errors, path, name);
    if !name.contains('/') {
        if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !is_huge_pages(name) {
            errors.push(Error::invalid(path, name, "must be a standard resource for containers"));
        }
    } else if !is_native(name) && !is_extended(name) {
        errors.push(Error::invalid(path, name, "doesn't follow extended resource name standard"));
    }
}

/// A quantity of a resource: not negative, and whole where things are counted.
pub(crate) fn validate_quantity(errors: &mut Errors, path: &Path<'_>, name: &str, text: &str) {
    let Ok(quantity) = text.parse::<Quantity>() else { return };
    if quantity.is_negative() {
        errors.push(Error::invalid(path, text, NOT_NEGATIVE));
    }
    if (COUNTED.contains(&name) || is_extended(name)) && quantity.milli() % 1000 != 0 {
        errors.push(Error::invalid(path, text, "must be an integer"));
    }
}

pub(super) fn validate_requirements(errors: &mut Errors, resources: &Value, path: &Path<'_>, claims: &BTreeSet<&str>) {
    requirements(errors, resources, path, validate_container_name);
    validate_claim_names(errors, resources, &path.child("claims"), claims);
}

/// A list of quantities that is judged like limits.
pub(crate) fn validate_list_of_limits(errors: &mut Errors, list: &Value, path: &Path<'_>) {
    let limits = serde_json::json!({"limits": list});
    requirements(errors, &limits, path, validate_container_name);
}

fn requirements(errors: &mut Errors, resources: &Value, path: &Path<'_>, name_rule: fn(&mut Errors, &Path<'_>, &str)) {
    let empty = Map::new();
    let limits = map_at(resources, "limits").unwrap_or(&empty);
    let requests = map_at(resources, "requests").unwrap_or(&empty);
    let (limits_path, requests_path) = (path.child("limits"), path.child("requests"));
    for (name, quantity) in limits {
        let path = limits_path.key(name);
        validate_one(errors, &path, name, quantity, name_rule);
    }
    for (name, quantity) in requests {
        let path = requests_path.key(name);
        name_rule(errors, &path, name);
        let text = quantity.as_str().unwrap_or_default();
        validate_quantity(errors, &path, name, text);
        compare(errors, name, text, limits, &limits_path, &requests_path);
        validate_huge_pages(errors, &path, name, text);
    }
    let has = |test: fn(&str) -> bool| limits.keys().chain(requests.keys()).any(|name| test(name));
    if has(is_huge_pages) && !has(|name| matches!(name, "cpu" | "memory")) {
        errors.push(Error::forbidden(path, "HugePages require cpu or memory"));
    }
}

fn validate_one(
    errors: &mut Errors,
    path: &Path<'_>,
    name: &str,
    quantity: &Value,
    name_rule: fn(&mut Errors, &Path<'_>, &str),
) {
    name_rule(errors, path, name);
    let text = quantity.as_str().unwrap_or_default();
    validate_quantity(errors, path, name, text);
    validate_huge_pages(errors, path, name, text);
}

/// A request stays within its limit.
fn compare(
    errors: &mut Errors,
    name: &str,
    request: &str,
    limits: &Map<String, Value>,
    limits_path: &Path<'_>,
    requests_path: &Path<'_>,
) {
    let Some(limit) = limits.get(name).and_then(Value::as_str) else {
        if !can_be_overcommitted(name) {
            errors.push(Error::required(limits_path, "Limit must be set for non overcommitable resources"));
        }
        return;
    };
    let (Ok(asked), Ok(allowed)) = (request.parse::<Quantity>(), limit.parse::<Quantity>()) else { return };
    if asked != allowed && !can_be_overcommitted(name) {
        errors.push(Error::invalid(requests_path, request, format!("must be equal to {name} limit of {limit}")));
    } else if asked > allowed {
        let detail = format!("must be less than or equal to {name} limit of {limit}");
        errors.push(Error::invalid(requests_path, request, detail));
    }
}

fn validate_huge_pages(errors: &mut Errors, path: &Path<'_>, name: &str, text: &str) {
    let Some(page) = name.strip_prefix("hugepages-").and_then(|page| page.parse::<Quantity>().ok()) else { return };
    let Ok(quantity) = text.parse::<Quantity>() else { return };
    if page.units() <= 0 || quantity.units() % page.units() != 0 {
        let detail = format!("{text} is not positive integer multiple of {name}");
        errors.push(Error::invalid(path, text, detail));
    }
}

/// The claims that a container uses are the pod's.
fn validate_claim_names(errors: &mut Errors, resources: &Value, path: &Path<'_>, claims: &BTreeSet<&str>) {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (index, claim) in items(resources, "claims").enumerate() {
        let path = path.index(index);
        let (name, request) = (text(claim, "name"), text(claim, "request"));
        if name.is_empty() {
            errors.push(Error::required(&path, ""));
        } else if seen.contains(name) {
            errors.push(Error::duplicate(&path, name));
        } else {
            let key = if request.is_empty() { name.to_owned() } else { format!("{name}/{request}") };
            if !request.is_empty() {
                complain(errors, &path.child("request"), request, names::dns1123_label(request));
            }
            if seen.contains(&key) {
                errors.push(Error::duplicate(&path, key.as_str()));
            } else if request.is_empty() && starts_any(&seen, &format!("{name}/")) {
                errors.push(Error::duplicate(&path, name));
            }
            seen.insert(key);
        }
        if !claims.contains(name) {
            errors.push_with(|| {
                let mut error = Error::not_found(&path, name);
                let names: Vec<&str> = claims.iter().copied().collect();
                error.detail = match names.is_empty() {
                    true => "must be one of the names in pod.spec.resourceClaims which is empty".to_owned(),
                    false => format!("must be one of the names in pod.spec.resourceClaims: {}", names.join(", ")),
                };
                error
            });
        }
    }
}

/// Whether one of the texts begins so.
fn starts_any(texts: &BTreeSet<String>, prefix: &str) -> bool {
    texts
        .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .next()
        .is_some_and(|text| text.starts_with(prefix))
}

/// Resources of the pod as a whole, and how they agree with its containers'.
pub(super) fn validate_pod_level(errors: &mut Errors, spec: &Value, path: &Path<'_>, claims: &BTreeSet<&str>) {
    let Some(resources) = object_at(spec, "resources") else { return };
    let path = path.child("resources");
    if spec.pointer("/os/name").and_then(Value::as_str) == Some("windows") {
        errors.push(Error::forbidden(&path, "may not be set for a windows pod"));
        return;
    }
    if at(resources, "claims").is_some() {
        errors.push(Error::forbidden(&path.child("claims"), "claims may not be set for Resources at pod-level"));
    }
    requirements(errors, resources, &path, |errors, path, name| {
        if validate_name(errors, path, name) && !is_pod_level(name) {
            errors.push(Error::not_supported(path, name, &["cpu", "hugepages-", "memory"]));
        }
    });
    validate_claim_names(errors, resources, &path.child("claims"), claims);
    validate_aggregates(errors, spec, resources, &path);
}

fn validate_aggregates(errors: &mut Errors, spec: &Value, resources: &Value, path: &Path<'_>) {
    let of_pod = |list: &str, name: &str| {
        let text = resources.get(list)?.get(name)?.as_str()?;
        Some((text, text.parse::<Quantity>().ok()?))
    };
    let requests = path.child("requests");
    let tree = PodTree::of_spec(spec);
    for (name, sum) in container_requests(tree, Options::SPEC).iter() {
        if let Some((text, _)) = of_pod("requests", name).filter(|(_, pod)| sum > *pod) {
            let detail = format!("must be greater than or equal to aggregate container requests of {sum}");
            errors.push(Error::invalid(&requests.key(name), text, detail));
        }
    }
    let limits = path.child("limits");
    for (name, sum) in container_limits(tree, Options::SPEC).iter().filter(|(name, _)| is_huge_pages(name)) {
        if let Some((text, _)) = of_pod("limits", name).filter(|(_, pod)| sum > *pod) {
            let detail = format!("must be greater than or equal to aggregate container limits of {sum}");
            errors.push(Error::invalid(&limits.key(name), text, detail));
        }
    }
    let containers = path.child("containers");
    for (index, container) in items(spec, "containers").enumerate() {
        let limits = container.pointer("/resources/limits").and_then(Value::as_object);
        for (name, limit) in limits.into_iter().flatten() {
            let (Some(own), Some((text, pod))) = (limit.as_str(), of_pod("limits", name)) else { continue };
            if own.parse::<Quantity>().is_ok_and(|own| own > pod) {
                let container = containers.index(index);
                let resource = container.key(name);
                let detail = format!("must be less than or equal to pod limits of {text}");
                errors.push(Error::invalid(&resource.child("limits"), own, detail));
            }
        }
    }
}

/// The claims of a pod.
pub(super) fn validate_claims(errors: &mut Errors, spec: &Value, path: &Path<'_>, subject: Subject<'_>) {
    let annotations = subject.pod.and_then(|metadata| metadata.get("annotations"));
    let is_static = annotations.is_some_and(|a| a.get("kubernetes.io/config.mirror").is_some());
    let mut seen = BTreeSet::new();
    for (index, claim) in items(spec, "resourceClaims").enumerate() {
        if is_static {
            errors.push(Error::forbidden(&Path::new(""), "static pods do not support resource claims"));
            continue;
        }
        let path = path.index(index);
        match text(claim, "name") {
            "" => errors.push(Error::required(&path.child("name"), "")),
            name if seen.contains(name) => errors.push(Error::duplicate(&path.child("name"), name)),
            name => {
                complain(errors, &path.child("name"), name, names::dns1123_label(name));
                seen.insert(name);
            }
        }
        let sources = ["resourceClaimName", "resourceClaimTemplateName"].map(|field| at(claim, field));
        let detail = match sources {
            [Some(_), Some(_)] => "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
            [None, None] => "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
            _ => "",
        };
        if !detail.is_empty() {
            errors.push(invalid_structure(&path, "core.v1.PodResourceClaim", claim, detail));
        }
        for (field, name) in ["resourceClaimName", "resourceClaimTemplateName"].into_iter().zip(sources) {
            if let Some(name) = name.and_then(Value::as_str) {
                complain(errors, &path.child(field), name, names::dns1123_subdomain(name));
            }
        }
    }
}
