//! The specification as a whole: calls the rules for its parts in upstream's order.

use std::collections::BTreeSet;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, text};

use super::containers::{Surroundings, validate_containers, validate_ephemeral_containers, validate_init_containers};
use super::images::validate_image_of_pod;
use super::{Subject, affinity, mounts, network, resources, scheduling, security, volumes, windows};
use crate::rules::{self, at, complain, object_at, required_of};

pub(crate) fn validate_spec(errors: &mut Errors, spec: &Value, path: &Path<'_>, subject: Subject<'_>) {
    let volumes = volumes::validate_volumes(errors, spec, &path.child("volumes"), subject);
    let claims: BTreeSet<&str> = items(spec, "resourceClaims").map(|claim| text(claim, "name")).collect();
    resources::validate_claims(errors, spec, &path.child("resourceClaims"), subject);
    let surroundings = Surroundings {
        spec,
        volumes: &volumes,
        claims: &claims,
        grace_seconds: spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64),
        shares_users: spec.get("hostUsers") != Some(&Value::Bool(false)),
    };
    validate_containers(errors, &surroundings, &path.child("containers"));
    validate_init_containers(errors, &surroundings, &path.child("initContainers"));
    validate_ephemeral_containers(errors, &surroundings, &path.child("ephemeralContainers"));
    resources::validate_pod_level(errors, spec, path, &claims);
    network::validate_host_ports(errors, spec, path, subject);
    required_of(errors, &path.child("restartPolicy"), text(spec, "restartPolicy"), &["Always", "OnFailure", "Never"]);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    required_of(errors, &path.child("dnsPolicy"), text(spec, "dnsPolicy"), &policies);
    rules::labels(errors, path, spec, "nodeSelector");
    security::validate_pod_context(errors, spec, &path.child("securityContext"));
    network::validate_process_namespace(errors, spec, path);
    affinity::validate_affinity(errors, spec, &path.child("affinity"));
    network::validate_dns(errors, spec, &path.child("dnsConfig"));
    scheduling::validate_gates(errors, spec, path);
    scheduling::validate_spread(errors, spec, &path.child("topologySpreadConstraints"));
    windows::validate_host_process(errors, spec, path);
    network::validate_host_users(errors, spec, path);
    network::validate_hostname_override(errors, spec, path);
    validate_names(errors, spec, path);
    validate_os(errors, spec, path);
    mounts::validate_file_keys(errors, spec, path);
}

/// The many fields that stand alone.
fn validate_names(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let named = |errors: &mut Errors, field: &str, rule: fn(&str) -> Vec<String>| {
        let name = text(spec, field);
        if !name.is_empty() {
            complain(errors, &path.child(field), name, rule(name));
        }
    };
    named(errors, "serviceAccountName", names::dns1123_subdomain);
    let (account, deprecated) = (text(spec, "serviceAccountName"), text(spec, "serviceAccount"));
    if account != deprecated {
        let detail = format!("must be the same as serviceAccountName: {account:?}");
        errors.push(Error::invalid(&path.child("deprecatedServiceAccount"), deprecated, detail));
    }
    named(errors, "nodeName", names::dns1123_subdomain);
    if let Some(seconds) = spec.get("activeDeadlineSeconds").and_then(Value::as_i64) {
        rules::within(errors, &path.child("activeDeadlineSeconds"), seconds, 1, i64::from(i32::MAX));
    }
    named(errors, "hostname", names::dns1123_label);
    named(errors, "subdomain", names::dns1123_label);
    scheduling::validate_tolerations(errors, spec, &path.child("tolerations"));
    network::validate_host_aliases(errors, spec, &path.child("hostAliases"));
    named(errors, "priorityClassName", names::dns1123_subdomain);
    if let Some(name) = at(spec, "runtimeClassName").and_then(Value::as_str) {
        complain(errors, &path.child("runtimeClassName"), name, names::dns1123_subdomain(name));
    }
    if let Some(policy) = at(spec, "preemptionPolicy").and_then(Value::as_str) {
        required_of(errors, &path.child("preemptionPolicy"), policy, &["PreemptLowerPriority", "Never"]);
    }
    if object_at(spec, "overhead").is_some() {
        resources::validate_list_of_limits(errors, &spec["overhead"], &path.child("overhead"));
    }
}

fn validate_os(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let Some(os) = object_at(spec, "os") else { return };
    let path_os = path.child("os");
    match text(os, "name") {
        "" => errors.push(Error::required(&path_os.child("name"), "")),
        "linux" => windows::validate_linux(errors, spec, path),
        "windows" => windows::validate_windows(errors, spec, path),
        other => errors.push(Error::not_supported(&path_os, other, &["linux", "windows"])),
    }
}

/// Rules for the containers of a pod that do not hold in templates, where upstream once forgot them.
pub(crate) fn validate_containers_of_pod(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    for list in ["containers", "initContainers"] {
        let path = path.child(list);
        for (index, container) in items(spec, list).enumerate() {
            validate_image_of_pod(errors, container, &path.index(index));
        }
    }
}
