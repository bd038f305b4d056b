//! Seccomp profiles: a pod may choose among those of its node; at the level restricted it must.

use serde_json::Value;

use super::wording::{Sorted, containers, plural, quoted_set, setters};
use super::{Check, Pod, Violation, given, name};
use windlass_api::well_known::annotation::{SECCOMP_CONTAINER_PREFIX, SECCOMP_POD};

pub(super) const BASELINE: Check = Check::new("seccompProfile_baseline", &[(0, annotations), (19, fields)]);
pub(super) const RESTRICTED: Check =
    Check::new("seccompProfile_restricted", &[(19, required), (25, required_but_on_windows)])
        .instead_of("seccompProfile_baseline");

const REASON: &str = "seccompProfile";

fn annotations(pod: Pod<'_>) -> Option<Violation> {
    let keys = pod.containers().map(|container| format!("{SECCOMP_CONTAINER_PREFIX}{}", name(container)));
    let forbidden: Sorted = keys
        .chain([SECCOMP_POD.to_owned()])
        .filter_map(|key| {
            let value = pod.metadata["annotations"].get(&key)?.as_str()?;
            let is_allowed = matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/");
            (!is_allowed).then(|| format!("{key}={value:?}"))
        })
        .collect();
    let noun = plural("annotation", "annotations", forbidden.len());
    let listed: Vec<&str> = forbidden.iter().map(String::as_str).collect();
    (!listed.is_empty()).then(|| Violation::new(REASON, format!("forbidden {noun} {}", listed.join(", "))))
}

/// The type of a profile, where there is a profile.
fn profile(object: &Value) -> Option<&str> {
    let profile = given(&object["securityContext"], "seccompProfile")?;
    Some(profile["type"].as_str().unwrap_or_default())
}

fn forbidden(object: &Value) -> Option<&str> {
    profile(object).filter(|kind| !matches!(*kind, "RuntimeDefault" | "Localhost"))
}

fn fields(pod: Pod<'_>) -> Option<Violation> {
    let is_bad = |object: &Value| forbidden(object).is_some();
    let who = setters(is_bad(pod.spec), &pod.containers_that(is_bad))?;
    let values: Sorted = pod.containers().chain([pod.spec]).filter_map(forbidden).map(str::to_owned).collect();
    let detail = format!("{who} must not set securityContext.seccompProfile.type to {}", quoted_set(&values));
    Some(Violation::new(REASON, detail))
}

fn required(pod: Pod<'_>) -> Option<Violation> {
    let bad = fields(pod);
    if bad.is_some() || profile(pod.spec).is_some() {
        return bad;
    }
    let silent = pod.containers_that(|container| profile(container).is_none());
    let whose = containers(&silent);
    let detail =
        || format!(r#"pod or {whose} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost""#);
    (!silent.is_empty()).then(|| Violation::new(REASON, detail()))
}

fn required_but_on_windows(pod: Pod<'_>) -> Option<Violation> {
    if pod.is_windows() { None } else { required(pod) }
}
