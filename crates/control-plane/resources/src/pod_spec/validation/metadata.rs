//! Annotations that say something about a pod, from the days before there were fields for it.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::well_known::annotation::{APP_ARMOR_PREFIX, SECCOMP_CONTAINER_PREFIX, SECCOMP_POD};
use windlass_machinery::tree::{items, text};

use super::for_each_container;
use super::scheduling::validate_tolerations;
use crate::rules::{self, map_at, object_at};

pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";
const TOLERATIONS: &str = "scheduler.alpha.kubernetes.io/tolerations";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Annotations of the pod with this specification.
pub(crate) fn validate_annotations(errors: &mut Errors, metadata: &Value, spec: &Value, path: &Path<'_>) {
    let Some(annotations) = map_at(metadata, "annotations") else { return };
    let get = |key: &str| annotations.get(key).and_then(Value::as_str);
    if let Some(value) = get(MIRROR).filter(|_| text(spec, "nodeName").is_empty()) {
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        errors.push(Error::invalid(&path.key(MIRROR), value, detail));
    }
    if let Some(tolerations) = get(TOLERATIONS).filter(|tolerations| !tolerations.is_empty()) {
        match serde_json::from_str::<Value>(tolerations) {
            Ok(list) => {
                let owner = serde_json::json!({"tolerations": list});
                validate_tolerations(errors, &owner, &path.child(TOLERATIONS));
            }
            Err(_) => {
                let first = tolerations.chars().next().unwrap_or(' ');
                let detail = format!("invalid character {first:?} looking for beginning of value");
                errors.push(Error::invalid(path, TOLERATIONS, detail));
            }
        }
    }
    if let Some(cost) = get(DELETION_COST).filter(|cost| cost.parse::<i32>().is_err() || cost.starts_with('+')) {
        errors.push(Error::invalid(&path.key(DELETION_COST), cost, "must be a 32bit integer"));
    }
    for (key, value) in annotations {
        let value = value.as_str().unwrap_or_default();
        let is_seccomp = key == SECCOMP_POD || key.starts_with(SECCOMP_CONTAINER_PREFIX);
        if is_seccomp && !is_seccomp_profile(value) {
            errors.push(Error::invalid(&path.key(key), value, "must be a valid seccomp profile"));
        }
    }
    validate_app_armor(errors, annotations, spec, path);
}

fn is_seccomp_profile(value: &str) -> bool {
    matches!(value, "runtime/default" | "docker/default" | "unconfined")
        || value.strip_prefix("localhost/").is_some_and(|p| !p.starts_with('/') && !p.split('/').any(|s| s == ".."))
}

fn validate_app_armor(
    errors: &mut Errors,
    annotations: &serde_json::Map<String, Value>,
    spec: &Value,
    path: &Path<'_>,
) {
    for (key, value) in annotations {
        let Some(container) = key.strip_prefix(APP_ARMOR_PREFIX) else { continue };
        let value = value.as_str().unwrap_or_default();
        let lists = ["containers", "initContainers", "ephemeralContainers"];
        if !lists.iter().flat_map(|list| items(spec, list)).any(|c| text(c, "name") == container) {
            errors.push(Error::invalid(&path.key(key), container, "container not found"));
        }
        if !matches!(value, "" | "runtime/default" | "unconfined") && !value.starts_with("localhost/") {
            errors.push(Error::invalid(&path.key(key), value, format!("invalid AppArmor profile name: {value:?}")));
        }
    }
}

/// Where an annotation and a field say the same thing, they say the same.
pub(crate) fn validate_profiles_match(errors: &mut Errors, metadata: &Value, spec: &Value, path: &Path<'_>) {
    let Some(annotations) = map_at(metadata, "annotations") else { return };
    let get = |key: &str| annotations.get(key).and_then(Value::as_str);
    let of_pod = object_at(spec, "securityContext");
    if let (Some(annotation), Some(profile)) = (get(SECCOMP_POD), of_pod.and_then(|c| object_at(c, "seccompProfile"))) {
        let context = path.child("securityContext");
        match_profile(errors, annotation, profile, &context.child("seccompProfile"), "seccomp");
    }
    for_each_container(spec, path, |container, path| {
        let name = text(container, "name");
        let context = object_at(container, "securityContext");
        let context_path = path.child("securityContext");
        if let Some(profile) = context.and_then(|c| object_at(c, "seccompProfile"))
            && let Some(annotation) = get(&format!("{SECCOMP_CONTAINER_PREFIX}{name}"))
        {
            match_profile(errors, annotation, profile, &context_path.child("seccompProfile"), "seccomp");
        }
        let profile = [context, of_pod].into_iter().flatten().find_map(|c| object_at(c, "appArmorProfile"));
        if let Some(profile) = profile
            && let Some(annotation) = get(&format!("{APP_ARMOR_PREFIX}{name}"))
        {
            match_profile(errors, annotation, profile, &context_path.child("appArmorProfile"), "apparmor");
        }
    });
}

fn match_profile(errors: &mut Errors, annotation: &str, profile: &Value, path: &Path<'_>, what: &str) {
    let agrees = match text(profile, "type") {
        "Unconfined" => annotation == "unconfined",
        "RuntimeDefault" => annotation == "runtime/default" || (what == "seccomp" && annotation == "docker/default"),
        "Localhost" => match annotation.strip_prefix("localhost/") {
            Some(name) if name == text(profile, "localhostProfile") => true,
            Some(_) => {
                let detail = format!("{what} profile in annotation and field must match");
                return errors.push(Error::forbidden(&path.child("localhostProfile"), detail));
            }
            None => false,
        },
        _ => true,
    };
    if !agrees {
        let detail = format!("{what} type in annotation and field must match");
        errors.push(Error::forbidden(&path.child("type"), detail));
    }
}

/// The metadata of a template of something else than pods: it has labels and annotations, and nothing more.
pub(crate) fn validate_template_metadata(errors: &mut Errors, metadata: &Value, path: &Path<'_>) {
    rules::annotations(errors, path, metadata);
    rules::labels(errors, path, metadata, "labels");
    for (field, value) in metadata.as_object().into_iter().flatten() {
        let is_empty = value.is_null() || text(metadata, field).is_empty() && value.is_string();
        if !is_empty
            && !matches!(field.as_str(), "labels" | "annotations")
            && map_at(metadata, field).is_none_or(|m| !m.is_empty())
        {
            errors.push(Error::forbidden(&path.child(field), "cannot be set"));
        }
    }
}
