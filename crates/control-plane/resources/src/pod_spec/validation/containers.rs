//! Containers, init containers and ephemeral containers.

use std::collections::BTreeSet;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_api::pod::is_sidecar;
use windlass_machinery::tree::{items, number, text};

use super::images::{validate_image_of_pod, validate_pull_policy};
use super::{Volumes, environment, mounts, probes, resources, security};
use crate::rules::{at, complain, object_at, port_number, required, required_of, supported};

/// What of the specification the rules for a container need.
pub(super) struct Surroundings<'a> {
    pub spec: &'a Value,
    pub volumes: &'a Volumes<'a>,
    /// The names of the pod's resource claims.
    pub claims: &'a BTreeSet<&'a str>,
    pub grace_seconds: Option<i64>,
    /// Whether users of the pod are the node's.
    pub shares_users: bool,
}

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const RESTART_POLICIES: [&str; 3] = ["Always", "Never", "OnFailure"];

pub(super) fn validate_containers(errors: &mut Errors, around: &Surroundings<'_>, path: &Path<'_>) {
    if items(around.spec, "containers").next().is_none() {
        errors.push(Error::required(path, ""));
        return;
    }
    let mut names = BTreeSet::new();
    for (index, container) in items(around.spec, "containers").enumerate() {
        let path = path.index(index);
        validate_common(errors, container, around, &path);
        let name = text(container, "name");
        if !names.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
        validate_processes(errors, container, around, &path);
        validate_restart_policy(errors, container, &path);
    }
    validate_host_ports(errors, items(around.spec, "containers"), path);
}

/// Lifecycle and probes.
fn validate_processes(errors: &mut Errors, container: &Value, around: &Surroundings<'_>, path: &Path<'_>) {
    probes::validate_lifecycle(errors, container, &path.child("lifecycle"), around.grace_seconds);
    probes::validate_liveness(errors, container, path, "livenessProbe");
    probes::validate_readiness(errors, container, path);
    probes::validate_liveness(errors, container, path, "startupProbe");
}

pub(super) fn validate_init_containers(errors: &mut Errors, around: &Surroundings<'_>, path: &Path<'_>) {
    let mut names: BTreeSet<&str> = items(around.spec, "containers").map(|c| text(c, "name")).collect();
    for (index, container) in items(around.spec, "initContainers").enumerate() {
        let item = path.index(index);
        validate_common(errors, container, around, &item);
        validate_restart_policy(errors, container, &item);
        let is_sidecar = is_sidecar(container);
        let name = text(container, "name");
        if names.contains(name) {
            errors.push(Error::duplicate(&item.child("name"), name));
        } else if !name.is_empty() {
            names.insert(name);
        }
        validate_host_ports(errors, std::iter::once(container), path);
        if is_sidecar {
            validate_processes(errors, container, around, &item);
            continue;
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if at(container, field).is_some() {
                let detail = "may not be set for init containers without restartPolicy=Always";
                errors.push(Error::forbidden(&item.child(field), detail));
            }
        }
        let policies = item.child("resizePolicy");
        for (at, policy) in items(container, "resizePolicy").enumerate() {
            if text(policy, "restartPolicy") == "RestartContainer" {
                let detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
                let policy = policies.index(at);
                errors.push(Error::invalid(&policy.child("restartPolicy"), "RestartContainer", detail));
            }
        }
    }
}

/// What an ephemeral container may have.
const EPHEMERAL_FIELDS: [&str; 16] = [
    "name",
    "image",
    "command",
    "args",
    "workingDir",
    "envFrom",
    "env",
    "volumeMounts",
    "volumeDevices",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "imagePullPolicy",
    "securityContext",
    "stdin",
    "stdinOnce",
    "tty",
];

pub(super) fn validate_ephemeral_containers(errors: &mut Errors, around: &Surroundings<'_>, path: &Path<'_>) {
    const DETAIL: &str = "cannot be set for an Ephemeral Container";
    let others: BTreeSet<&str> =
        ["containers", "initContainers"].iter().flat_map(|l| items(around.spec, l)).map(|c| text(c, "name")).collect();
    let mut names = others.clone();
    for (index, container) in items(around.spec, "ephemeralContainers").enumerate() {
        let path = path.index(index);
        validate_common(errors, container, around, &path);
        validate_image_of_pod(errors, container, &path);
        let name = text(container, "name");
        if !names.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
        let target = text(container, "targetContainerName");
        if !target.is_empty() && !others.contains(target) {
            errors.push(Error::not_found(&path.child("targetContainerName"), target));
        }
        for (field, value) in container.as_object().into_iter().flatten() {
            let is_empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
            if !is_empty && field != "targetContainerName" && !EPHEMERAL_FIELDS.contains(&field.as_str()) {
                errors.push(Error::forbidden(&path.child(field), DETAIL));
            }
        }
        let mounts = path.child("volumeMounts");
        for (index, mount) in items(container, "volumeMounts").enumerate() {
            for field in ["subPath", "subPathExpr"] {
                if !text(mount, field).is_empty() {
                    errors.push(Error::forbidden(&mounts.index(index).child(field), DETAIL));
                }
            }
        }
    }
}

fn validate_common(errors: &mut Errors, container: &Value, around: &Surroundings<'_>, path: &Path<'_>) {
    if required(errors, container, path, "name") {
        let name = text(container, "name");
        complain(errors, &path.child("name"), name, names::dns1123_label(name));
    }
    required(errors, container, path, "image");
    let policy = text(container, "terminationMessagePolicy");
    required_of(errors, &path.child("terminationMessagePolicy"), policy, &["File", "FallbackToLogsOnError"]);
    validate_ports(errors, container, &path.child("ports"));
    environment::validate_env(errors, container, &path.child("env"));
    environment::validate_env_from(errors, container, &path.child("envFrom"));
    mounts::validate_mounts(errors, container, around.volumes, &path.child("volumeMounts"));
    mounts::validate_devices(errors, container, around.volumes, &path.child("volumeDevices"));
    validate_pull_policy(errors, container, &path.child("imagePullPolicy"), "imagePullPolicy");
    if let Some(resources) = object_at(container, "resources") {
        resources::validate_requirements(errors, resources, &path.child("resources"), around.claims);
    }
    validate_resize_policy(errors, container, &path.child("resizePolicy"), text(around.spec, "restartPolicy"));
    security::validate_context(errors, container, &path.child("securityContext"), around.shares_users);
}

fn validate_ports(errors: &mut Errors, container: &Value, path: &Path<'_>) {
    let mut seen = BTreeSet::new();
    for (index, port) in items(container, "ports").enumerate() {
        let path = path.index(index);
        let name = text(port, "name");
        if !name.is_empty() {
            let problems = names::port_name(name);
            if !problems.is_empty() {
                complain(errors, &path.child("name"), name, problems);
            } else if !seen.insert(name) {
                errors.push(Error::duplicate(&path.child("name"), name));
            }
        }
        match number(port, "containerPort") {
            0 => errors.push(Error::required(&path.child("containerPort"), "")),
            port => port_number(errors, &path.child("containerPort"), port),
        }
        match number(port, "hostPort") {
            0 => {}
            port => port_number(errors, &path.child("hostPort"), port),
        }
        required_of(errors, &path.child("protocol"), text(port, "protocol"), &PROTOCOLS);
    }
}

/// Two containers cannot have one port of the node.
fn validate_host_ports<'a>(errors: &mut Errors, containers: impl Iterator<Item = &'a Value>, path: &Path<'_>) {
    let mut taken = BTreeSet::new();
    for (index, container) in containers.enumerate() {
        let path = path.index(index);
        let ports = path.child("ports");
        for (at, port) in items(container, "ports").enumerate() {
            let host_port = number(port, "hostPort");
            if host_port == 0 {
                continue;
            }
            let key = format!("{}/{}/{host_port}", text(port, "protocol"), text(port, "hostIP"));
            if taken.contains(&key) {
                errors.push(Error::duplicate(&ports.index(at).child("hostPort"), key));
            } else {
                taken.insert(key);
            }
        }
    }
}

fn validate_resize_policy(errors: &mut Errors, container: &Value, path: &Path<'_>, pod_policy: &str) {
    let mut seen = BTreeSet::new();
    for (index, policy) in items(container, "resizePolicy").enumerate() {
        let resource = text(policy, "resourceName");
        if !seen.insert(resource) {
            errors.push(Error::duplicate(&path.index(index), resource));
        }
        required_of(errors, path, resource, &["cpu", "memory"]);
        let restart = text(policy, "restartPolicy");
        required_of(errors, path, restart, &["NotRequired", "RestartContainer"]);
        if pod_policy == "Never" && restart != "NotRequired" {
            let detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            errors.push(Error::invalid(path, restart, detail));
        }
    }
}

/// When a container is started anew, where that differs from its pod.
fn validate_restart_policy(errors: &mut Errors, container: &Value, path: &Path<'_>) {
    const RULES_MAX: usize = 20;
    const EXIT_CODES_MAX: usize = 255;
    let has_rules = items(container, "restartPolicyRules").next().is_some();
    let field = path.child("restartPolicy");
    match at(container, "restartPolicy").and_then(Value::as_str) {
        None if !has_rules => return,
        None => errors.push(Error::required(&field, "must specify restartPolicy when restart rules are used")),
        Some(policy) => supported(errors, &field, policy, &RESTART_POLICIES),
    }
    let rules = path.child("restartPolicyRules");
    let count = items(container, "restartPolicyRules").count();
    if count > RULES_MAX {
        errors.push(Error::too_many(&rules, count, RULES_MAX));
    }
    for (index, rule) in items(container, "restartPolicyRules").enumerate() {
        let path = rules.index(index);
        supported(errors, &path.child("action"), text(rule, "action"), &["Restart", "RestartAllContainers"]);
        let codes_path = path.child("exitCodes");
        let Some(codes) = object_at(rule, "exitCodes") else {
            errors.push(Error::required(&codes_path, "must be specified"));
            continue;
        };
        supported(errors, &codes_path.child("operator"), text(codes, "operator"), &["In", "NotIn"]);
        let count = items(codes, "values").count();
        if count > EXIT_CODES_MAX {
            errors.push(Error::too_many(&codes_path.child("values"), count, EXIT_CODES_MAX));
        }
    }
}
