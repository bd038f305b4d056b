//! The user that processes run as: not root, unless the pod's root is nobody on the host.

use serde_json::Value;

use super::wording::{containers, setters};
use super::{Check, Pod, Violation, given};

pub(super) const NON_ROOT: Check = Check::new("runAsNonRoot", &[(0, non_root), (35, non_root_but_with_own_users)]);
pub(super) const USER: Check = Check::new("runAsUser", &[(23, user), (35, user_but_with_own_users)]);

fn non_root(pod: Pod<'_>) -> Option<Violation> {
    let reason = "runAsNonRoot != true";
    let says = |object: &Value, value: bool| object["securityContext"]["runAsNonRoot"] == value;
    let explicit = pod.containers_that(|container| says(container, false));
    if let Some(who) = setters(says(pod.spec, false), &explicit) {
        return Some(Violation::new(reason, format!("{who} must not set securityContext.runAsNonRoot=false")));
    }
    if says(pod.spec, true) {
        return None;
    }
    let silent = pod.containers_that(|container| given(&container["securityContext"], "runAsNonRoot").is_none());
    let detail = || format!("pod or {} must set securityContext.runAsNonRoot=true", containers(&silent));
    (!silent.is_empty()).then(|| Violation::new(reason, detail()))
}

fn non_root_but_with_own_users(pod: Pod<'_>) -> Option<Violation> {
    if pod.has_own_users() { None } else { non_root(pod) }
}

fn user(pod: Pod<'_>) -> Option<Violation> {
    let is_root = |object: &Value| object["securityContext"]["runAsUser"] == 0;
    let who = setters(is_root(pod.spec), &pod.containers_that(is_root))?;
    Some(Violation::new("runAsUser=0", format!("{who} must not set runAsUser=0")))
}

fn user_but_with_own_users(pod: Pod<'_>) -> Option<Violation> {
    if pod.has_own_users() { None } else { user(pod) }
}
