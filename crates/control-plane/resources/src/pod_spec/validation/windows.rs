//! Pods for Windows, and what pods for Linux may not have of theirs.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::items;

use super::for_each_container;
use crate::rules::{at, complain, is_true, object_at};

const CREDENTIAL_SPEC_KIB_MAX: usize = 64;
const DOMAIN_BYTES_MAX: usize = 256;
const USER_BYTES_MAX: usize = 104;
const NOT_ON_WINDOWS: &str = "cannot be set for a windows pod";
const NOT_ON_LINUX: &str = "windows options cannot be set for a linux pod";

pub(super) fn validate_linux(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let has_options =
        |owner: &Value| object_at(owner, "securityContext").is_some_and(|c| at(c, "windowsOptions").is_some());
    if has_options(spec) {
        errors.push(Error::forbidden(&path.child("securityContext").child("windowsOptions"), NOT_ON_LINUX));
    }
    for_each_container(spec, path, |container, path| {
        if has_options(container) {
            errors.push(Error::forbidden(&path.child("securityContext").child("windowsOptions"), NOT_ON_LINUX));
        }
    });
}

pub(super) fn validate_windows(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    const OF_POD: [&str; 11] = [
        "appArmorProfile",
        "seLinuxOptions",
        "seccompProfile",
        "fsGroup",
        "fsGroupChangePolicy",
        "sysctls",
        "runAsUser",
        "runAsGroup",
        "supplementalGroups",
        "supplementalGroupsPolicy",
        "seLinuxChangePolicy",
    ];
    const OF_CONTAINER: [&str; 10] = [
        "appArmorProfile",
        "seLinuxOptions",
        "seccompProfile",
        "capabilities",
        "readOnlyRootFilesystem",
        "privileged",
        "allowPrivilegeEscalation",
        "procMount",
        "runAsUser",
        "runAsGroup",
    ];
    forbid(errors, spec, path, &OF_POD);
    for field in ["hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"] {
        let is_set = match field {
            "hostPID" | "hostIPC" => is_true(spec, field),
            _ => at(spec, field).is_some(),
        };
        if is_set {
            errors.push(Error::forbidden(&path.child(field), NOT_ON_WINDOWS));
        }
    }
    for_each_container(spec, path, |container, path| forbid(errors, container, path, &OF_CONTAINER));
}

fn forbid(errors: &mut Errors, owner: &Value, path: &Path<'_>, fields: &[&str]) {
    let Some(context) = object_at(owner, "securityContext") else { return };
    let path = path.child("securityContext");
    for field in fields {
        let is_set = match *field {
            "sysctls" => items(context, field).next().is_some(),
            _ => at(context, field).is_some(),
        };
        if is_set {
            errors.push(Error::forbidden(&path.child(field), NOT_ON_WINDOWS));
        }
    }
}

/// Either all containers run as processes of the node, or none does.
pub(super) fn validate_host_process(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let wish = |owner: &Value| owner.pointer("/securityContext/windowsOptions/hostProcess").and_then(Value::as_bool);
    let of_pod = wish(spec);
    let (mut all, mut as_processes) = (0, 0);
    for_each_container(spec, path, |container, path| {
        all += 1;
        let own = wish(container);
        if let (Some(of_pod), Some(own)) = (of_pod, own)
            && of_pod != own
        {
            let context = path.child("securityContext");
            let options = context.child("windowsOptions");
            let detail = format!("pod hostProcess value must be identical if both are specified, was {of_pod}");
            errors.push(Error::invalid(&options.child("hostProcess"), own, detail));
        }
        as_processes += usize::from(own.or(of_pod) == Some(true));
    });
    if as_processes == 0 {
        return;
    }
    if as_processes != all {
        let detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(Error::invalid(path, "", detail));
    }
    if !is_true(spec, "hostNetwork") {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(Error::invalid(&path.child("hostNetwork"), false, detail));
    }
}

pub(super) fn validate_options(errors: &mut Errors, context: &Value, path: &Path<'_>) {
    let Some(options) = object_at(context, "windowsOptions") else { return };
    let field = |name: &str| at(options, name).and_then(Value::as_str);
    if let Some(name) = field("gmsaCredentialSpecName") {
        complain(errors, &path.child("gmsaCredentialSpecName"), name, names::dns1123_subdomain(name));
    }
    if let Some(spec) = field("gmsaCredentialSpec") {
        let path = path.child("gmsaCredentialSpec");
        if spec.is_empty() {
            errors.push(Error::invalid(&path, spec, "gmsaCredentialSpec cannot be an empty string"));
        } else if spec.len() > CREDENTIAL_SPEC_KIB_MAX * 1024 {
            let detail = format!("gmsaCredentialSpec size must be under {CREDENTIAL_SPEC_KIB_MAX} KiB");
            errors.push(Error::invalid(&path, spec, detail));
        }
    }
    if let Some(name) = field("runAsUserName") {
        for problem in user_name_problems(name) {
            errors.push(Error::invalid(&path.child("runAsUserName"), name, format!("runAsUserName{problem}")));
        }
    }
}

/// What is wrong with `DOMAIN\user`.
fn user_name_problems(name: &str) -> Vec<String> {
    let parts: Vec<&str> = name.split('\\').collect();
    let (domain, user) = match parts.as_slice() {
        _ if name.is_empty() => return vec![" cannot be an empty string".to_owned()],
        _ if name.chars().any(char::is_control) => return vec![" cannot contain control characters".to_owned()],
        [user] => (None, *user),
        [domain, user] => (Some(*domain), *user),
        _ => return vec![" cannot contain more than one backslash".to_owned()],
    };
    let mut problems = Vec::new();
    if let Some(domain) = domain {
        if domain.len() >= DOMAIN_BYTES_MAX {
            problems.push(format!("'s Domain length must be under {DOMAIN_BYTES_MAX} characters"));
        }
        if !is_net_bios(domain) && !is_domain(domain) {
            problems.push("'s Domain doesn't match the NetBios nor the DNS format".to_owned());
        }
    }
    if user.is_empty() {
        problems.push("'s User cannot be empty".to_owned());
    } else if user.len() > USER_BYTES_MAX {
        problems.push(format!("'s User length must not be longer than {USER_BYTES_MAX} characters"));
    }
    if !user.is_empty() && user.bytes().all(|b| b == b'.' || b == b' ') {
        problems.push("'s User cannot contain only periods or spaces".to_owned());
    }
    if user.contains(|c| "\"/\\:;|=,+*?<>@[]".contains(c)) {
        problems.push("'s User cannot contain the following characters: \"/\\:;|=,+*?<>@[]".to_owned());
    }
    problems
}

fn is_net_bios(domain: &str) -> bool {
    (1..=15).contains(&domain.len()) && !domain.starts_with('.') && !domain.contains(|c| "\\/:*?\"<>|".contains(c))
}

fn is_domain(domain: &str) -> bool {
    domain.split('.').all(|part| {
        (1..=63).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    })
}
