//! Security contexts of pods and containers.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{items, text};

use super::windows;
use crate::go_form::invalid_structure;
use crate::rules::{at, descending_path, is_true, object_at, supported, texts, user_id};

const LOCALHOST_PROFILE_BYTES_MAX: usize = 4095;
const SYSCTL_BYTES_MAX: usize = 253;
const PROFILE_TYPES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

pub(super) fn validate_pod_context(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let Some(context) = object_at(spec, "securityContext") else { return };
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        user_id(errors, path, context, field);
    }
    let groups = path.child("supplementalGroups");
    for (index, group) in items(context, "supplementalGroups").enumerate() {
        crate::rules::within(errors, &groups.index(index), group.as_i64().unwrap_or(0), 0, i64::from(i32::MAX));
    }
    validate_sysctls(errors, context, spec, &path.child("sysctls"));
    let word = |errors: &mut Errors, field: &str, allowed: &[&str]| {
        if let Some(value) = at(context, field).and_then(Value::as_str) {
            supported(errors, &path.child(field), value, allowed);
        }
    };
    word(errors, "fsGroupChangePolicy", &["Always", "OnRootMismatch"]);
    validate_seccomp(errors, context, &path.child("seccompProfile"));
    windows::validate_options(errors, context, &path.child("windowsOptions"));
    validate_app_armor(errors, context, &path.child("appArmorProfile"));
    word(errors, "supplementalGroupsPolicy", &["Merge", "Strict"]);
    word(errors, "seLinuxChangePolicy", &["MountOption", "Recursive"]);
}

pub(super) fn validate_context(errors: &mut Errors, container: &Value, path: &Path<'_>, shares_users: bool) {
    let Some(context) = object_at(container, "securityContext") else { return };
    user_id(errors, path, context, "runAsUser");
    user_id(errors, path, context, "runAsGroup");
    if let Some(mount) = at(context, "procMount").and_then(Value::as_str) {
        let path = path.child("procMount");
        supported(errors, &path, mount, &["Default", "Unmasked"]);
        if shares_users && mount == "Unmasked" {
            errors.push(Error::invalid(&path, mount, "`hostUsers` must be false to use `Unmasked`"));
        }
    }
    validate_seccomp(errors, context, &path.child("seccompProfile"));
    if context.get("allowPrivilegeEscalation") == Some(&Value::Bool(false)) {
        if is_true(context, "privileged") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(invalid_structure(path, "core.v1.SecurityContext", context, detail));
        }
        let capabilities = context.get("capabilities").unwrap_or(&Value::Null);
        for _ in texts(capabilities, "add").filter(|capability| *capability == "CAP_SYS_ADMIN") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(invalid_structure(path, "core.v1.SecurityContext", context, detail));
        }
    }
    windows::validate_options(errors, context, &path.child("windowsOptions"));
    validate_app_armor(errors, context, &path.child("appArmorProfile"));
}

fn validate_seccomp(errors: &mut Errors, owner: &Value, path: &Path<'_>) {
    let Some(profile) = object_at(owner, "seccompProfile") else { return };
    let kind = text(profile, "type");
    match kind {
        "" => errors.push(Error::required(&path.child("type"), "type is required when seccompProfile is set")),
        kind => supported(errors, &path.child("type"), kind, &PROFILE_TYPES),
    }
    let field = path.child("localhostProfile");
    match (kind, at(profile, "localhostProfile").and_then(Value::as_str)) {
        ("Localhost", None) => errors.push(Error::required(&field, "must be set when seccomp type is Localhost")),
        ("Localhost", Some(name)) => descending_path(errors, &field, name),
        (_, Some(name)) => {
            let shown = json!({"Type": kind, "LocalhostProfile": name});
            errors.push(Error::invalid(&field, shown, "can only be set when seccomp type is Localhost"));
        }
        (_, None) => {}
    }
}

fn validate_app_armor(errors: &mut Errors, owner: &Value, path: &Path<'_>) {
    let Some(profile) = object_at(owner, "appArmorProfile") else { return };
    let field = path.child("localhostProfile");
    let name = at(profile, "localhostProfile").and_then(Value::as_str);
    match (text(profile, "type"), name) {
        ("Localhost", Some(name)) => {
            if name.trim() != name {
                errors.push(Error::invalid(&field, name, "must not be padded with whitespace"));
            } else if name.is_empty() {
                errors.push(Error::required(&field, "must be set when AppArmor type is Localhost"));
            }
            if name.len() > LOCALHOST_PROFILE_BYTES_MAX {
                errors.push(Error::too_long(&field, LOCALHOST_PROFILE_BYTES_MAX));
            }
        }
        ("Localhost", None) => errors.push(Error::required(&field, "must be set when AppArmor type is Localhost")),
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            errors.push(Error::invalid(&field, name, "can only be set when AppArmor type is Localhost"));
        }
        ("", _) => errors.push(Error::required(&path.child("type"), "type is required when appArmorProfile is set")),
        (kind, _) => errors.push(Error::not_supported(&path.child("type"), kind, &PROFILE_TYPES)),
    }
}

fn validate_sysctls(errors: &mut Errors, context: &Value, spec: &Value, path: &Path<'_>) {
    const FORMAT: &str = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
    let mut seen = BTreeSet::new();
    for (index, sysctl) in items(context, "sysctls").enumerate() {
        let item = path.index(index);
        let path = item.child("name");
        let name = text(sysctl, "name");
        if name.is_empty() {
            errors.push(Error::required(&path, ""));
        } else if !is_sysctl(name) {
            let detail = format!("must have at most {SYSCTL_BYTES_MAX} characters and match regex {FORMAT}");
            errors.push(Error::invalid(&path, name, detail));
        } else if seen.contains(name) {
            errors.push(Error::duplicate(&path, name));
        }
        for (field, belongs) in [("hostNetwork", is_of_network(name)), ("hostIPC", is_of_ipc(name))] {
            if belongs && is_true(spec, field) {
                errors.push(Error::invalid(&path, name, format!("may not be specified when '{field}' is true")));
            }
        }
        seen.insert(name);
    }
}

fn is_sysctl(name: &str) -> bool {
    let is_part = |part: &str| {
        let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let is_edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        is_edge(part.as_bytes().first()) && is_edge(part.as_bytes().last()) && part.bytes().all(is_inner)
    };
    name.len() <= SYSCTL_BYTES_MAX && name.split(['.', '/']).all(is_part)
}

fn is_of_network(name: &str) -> bool {
    name.starts_with("net.") || name.starts_with("net/")
}

fn is_of_ipc(name: &str) -> bool {
    let name = name.replace('/', ".");
    name == "kernel.sem" || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| name.starts_with(prefix))
}
