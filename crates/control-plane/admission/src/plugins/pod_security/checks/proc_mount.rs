//! `/proc` without the masks that hide the host's parts of it.

use serde_json::Value;

use super::wording::{Sorted, containers, quoted_set};
use super::{Check, Pod, Violation};

pub(super) const BASELINE: Check = Check::new("procMount", &[(0, mount), (35, mount_but_with_own_users)]);
pub(super) const RESTRICTED: Check = Check::new("procMount_restricted", &[(35, mount)]).instead_of("procMount");

fn forbidden(container: &Value) -> Option<&str> {
    container["securityContext"]["procMount"].as_str().filter(|kind| *kind != "Default")
}

fn mount(pod: Pod<'_>) -> Option<Violation> {
    let bad = pod.containers_that(|container| forbidden(container).is_some());
    let kinds: Sorted = pod.containers().filter_map(forbidden).map(str::to_owned).collect();
    let detail = || format!("{} must not set securityContext.procMount to {}", containers(&bad), quoted_set(&kinds));
    (!bad.is_empty()).then(|| Violation::new("procMount", detail()))
}

fn mount_but_with_own_users(pod: Pod<'_>) -> Option<Violation> {
    if pod.has_own_users() { None } else { mount(pod) }
}
