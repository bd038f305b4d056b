//! Privileges that a process has beyond its user's: privileged containers, escalation, host processes on Windows.

use serde_json::Value;

use super::wording::{containers, setters};
use super::{Check, Pod, Violation};

pub(super) const PRIVILEGED: Check = Check::new("privileged", &[(0, privileged)]);
pub(super) const ESCALATION: Check =
    Check::new("allowPrivilegeEscalation", &[(8, escalation), (25, escalation_but_on_windows)]);
pub(super) const WINDOWS_HOST_PROCESS: Check = Check::new("windowsHostProcess", &[(0, windows_host_process)]);

fn privileged(pod: Pod<'_>) -> Option<Violation> {
    let bad = pod.containers_that(|container| container["securityContext"]["privileged"] == true);
    let detail = || format!("{} must not set securityContext.privileged=true", containers(&bad));
    (!bad.is_empty()).then(|| Violation::new("privileged", detail()))
}

fn escalation(pod: Pod<'_>) -> Option<Violation> {
    let bad = pod.containers_that(|container| container["securityContext"]["allowPrivilegeEscalation"] != false);
    let detail = || format!("{} must set securityContext.allowPrivilegeEscalation=false", containers(&bad));
    (!bad.is_empty()).then(|| Violation::new("allowPrivilegeEscalation != false", detail()))
}

fn escalation_but_on_windows(pod: Pod<'_>) -> Option<Violation> {
    if pod.is_windows() { None } else { escalation(pod) }
}

fn windows_host_process(pod: Pod<'_>) -> Option<Violation> {
    let is_set = |object: &Value| object["securityContext"]["windowsOptions"]["hostProcess"] == true;
    let who = setters(is_set(pod.spec), &pod.containers_that(is_set))?;
    let detail = format!("{who} must not set securityContext.windowsOptions.hostProcess=true");
    Some(Violation::new("hostProcess", detail))
}
