//! Environment variables and where their values come from; also the selectors of the downward API, which volumes share.

use serde_json::Value;
use windlass_api::Quantity;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, text};

use crate::rules::{complain, no_backsteps, object_at, required};

pub(super) fn validate_env(errors: &mut Errors, container: &Value, path: &Path<'_>) {
    for (index, variable) in items(container, "env").enumerate() {
        let path = path.index(index);
        if required(errors, variable, &path, "name") {
            let name = text(variable, "name");
            complain(errors, &path.child("name"), name, names::env_var_name(name));
        }
        if let Some(source) = object_at(variable, "valueFrom") {
            validate_source(errors, source, &path.child("valueFrom"), !text(variable, "value").is_empty());
        }
    }
}

fn validate_source(errors: &mut Errors, source: &Value, path: &Path<'_>, has_value: bool) {
    let mut sources = 0;
    if let Some(field) = object_at(source, "fieldRef") {
        sources += 1;
        validate_field(errors, field, &path.child("fieldRef"), &ENVIRONMENT_FIELDS);
    }
    if let Some(resource) = object_at(source, "resourceFieldRef") {
        sources += 1;
        validate_resource_field(errors, resource, &path.child("resourceFieldRef"), false);
    }
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(key) = object_at(source, kind) {
            sources += 1;
            validate_key(errors, key, &path.child(kind));
        }
    }
    if let Some(key) = object_at(source, "fileKeyRef") {
        sources += 1;
        validate_file_key(errors, key, &path.child("fileKeyRef"));
    }
    let detail = match sources {
        0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        _ if has_value => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    errors.push(Error::invalid(path, "", detail));
}

pub(super) fn validate_env_from(errors: &mut Errors, container: &Value, path: &Path<'_>) {
    for (index, source) in items(container, "envFrom").enumerate() {
        let item = path.index(index);
        let prefix = text(source, "prefix");
        if !prefix.is_empty() {
            complain(errors, &item.child("prefix"), prefix, names::env_var_name(prefix));
        }
        let mut sources = 0;
        for kind in ["configMapRef", "secretRef"] {
            if let Some(reference) = object_at(source, kind) {
                sources += 1;
                let reference_path = item.child(kind);
                if required(errors, reference, &reference_path, "name") {
                    // The name may be the beginning of one: upstream judges it as a prefix.
                    let name = text(reference, "name");
                    let problems = names::prefix_of(names::dns1123_subdomain, name);
                    complain(errors, &reference_path.child("name"), name, problems);
                }
            }
        }
        match sources {
            0 => errors.push(Error::invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")),
            1 => {}
            _ => errors.push(Error::invalid(path, "", "may not have more than one field specified at a time")),
        }
    }
}

fn validate_key(errors: &mut Errors, selector: &Value, path: &Path<'_>) {
    let name = text(selector, "name");
    complain(errors, &path.child("name"), name, names::dns1123_subdomain(name));
    if required(errors, selector, path, "key") {
        let key = text(selector, "key");
        complain(errors, &path.child("key"), key, names::config_map_key(key));
    }
}

fn validate_file_key(errors: &mut Errors, selector: &Value, path: &Path<'_>) {
    if required(errors, selector, path, "key") {
        let key = text(selector, "key");
        complain(errors, &path.child("key"), key, names::env_var_name(key));
    }
    if required(errors, selector, path, "volumeName") {
        let name = text(selector, "volumeName");
        complain(errors, &path.child("volumeName"), name, names::dns1123_label(name));
    }
    if required(errors, selector, path, "path") {
        no_backsteps(errors, &path.child("path"), text(selector, "path"));
    }
}

const ENVIRONMENT_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// What a file may show of its pod.
pub(super) const VOLUME_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Every field of a pod that has a label in the downward API.
const LABELS: [&str; 14] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// A field of the pod, in the downward API.
pub(super) fn validate_field(errors: &mut Errors, selector: &Value, path: &Path<'_>, allowed: &[&str]) {
    if !required(errors, selector, path, "apiVersion") || !required(errors, selector, path, "fieldPath") {
        return;
    }
    let (version, label) = (text(selector, "apiVersion"), text(selector, "fieldPath"));
    let field = path.child("fieldPath");
    let mut refuse = |why: String| {
        errors.push(Error::invalid(&field, label, format!("error converting fieldPath: {why}")));
    };
    if version != "v1" {
        return refuse(format!("unsupported pod version: {version}"));
    }
    if let Some((owner, key)) = subscripted(label) {
        match owner {
            "metadata.annotations" => {
                complain(errors, path, &key.to_lowercase(), names::qualified_name(&key.to_lowercase()));
            }
            "metadata.labels" => complain(errors, path, key, names::qualified_name(key)),
            _ => refuse(format!("field label does not support subscript: {label}")),
        }
        return;
    }
    let label = if label == "spec.host" { "spec.nodeName" } else { label };
    if !LABELS.contains(&label) {
        return refuse(format!("field label not supported: {label}"));
    }
    if !allowed.contains(&label) {
        errors.push(Error::not_supported(&field, label, allowed));
    }
}

/// `metadata.labels['key']` in its parts.
fn subscripted(label: &str) -> Option<(&str, &str)> {
    label.strip_suffix("']")?.split_once("['").filter(|(owner, _)| !owner.is_empty())
}

const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// A container's resource, in the downward API; a volume has to say which container.
pub(super) fn validate_resource_field(errors: &mut Errors, selector: &Value, path: &Path<'_>, in_volume: bool) {
    let resource = text(selector, "resource");
    let is_huge_pages = ["limits.hugepages-", "requests.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    if in_volume && text(selector, "containerName").is_empty() {
        errors.push(Error::required(&path.child("containerName"), ""));
    } else if resource.is_empty() {
        errors.push(Error::required(&path.child("resource"), ""));
    } else if !RESOURCES.contains(&resource) && !is_huge_pages {
        errors.push(Error::not_supported(&path.child("resource"), resource, &RESOURCES));
    }
    validate_divisor(errors, selector, path, is_huge_pages);
}

fn validate_divisor(errors: &mut Errors, selector: &Value, path: &Path<'_>, is_huge_pages: bool) {
    const OF_BYTES: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let (resource, divisor) = (text(selector, "resource"), text(selector, "divisor"));
    if divisor.parse::<Quantity>().is_ok_and(|divisor| divisor.is_zero()) || divisor.is_empty() {
        return;
    }
    let (allowed, what): (&[&str], &str) = match resource {
        "limits.cpu" | "requests.cpu" => (&["1m", "1"], "cpu"),
        "limits.memory" | "requests.memory" => (&OF_BYTES, "memory"),
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => (&OF_BYTES, "local ephemeral storage"),
        _ if is_huge_pages => (&OF_BYTES, "hugepages"),
        _ => return,
    };
    if allowed.contains(&divisor) {
        return;
    }
    let values = if what == "cpu" { "1m and 1".to_owned() } else { OF_BYTES.join(", ") };
    let detail = format!("only divisor's values {values} are supported with the {what} resource");
    errors.push(Error::invalid(&path.child("divisor"), resource, detail));
}
