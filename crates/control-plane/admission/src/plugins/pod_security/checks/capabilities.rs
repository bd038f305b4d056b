//! Linux capabilities beyond those that a container has anyway.

use serde_json::Value;

use super::wording::{Sorted, containers, quoted_set};
use super::{Check, Pod, Violation};

pub(super) const BASELINE: Check = Check::new("capabilities_baseline", &[(0, baseline)]);
pub(super) const RESTRICTED: Check =
    Check::new("capabilities_restricted", &[(22, restricted), (25, restricted_but_on_windows)])
        .instead_of("capabilities_baseline");

/// What containers may add at the level baseline.
const DEFAULT: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// What a container adds or drops.
fn listed<'a>(container: &'a Value, list: &str) -> impl Iterator<Item = &'a str> {
    container["securityContext"]["capabilities"][list].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn added_beyond<'a>(container: &'a Value, allowed: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    listed(container, "add").filter(|capability| !allowed.contains(capability))
}

/// The complaint about containers that add what they may not.
fn additions(pod: Pod<'_>, allowed: &[&str]) -> Option<String> {
    let bad = pod.containers_that(|container| added_beyond(container, allowed).next().is_some());
    let added: Sorted =
        pod.containers().flat_map(|container| added_beyond(container, allowed)).map(str::to_owned).collect();
    let who = containers(&bad);
    (!bad.is_empty())
        .then(|| format!("{who} must not include {} in securityContext.capabilities.add", quoted_set(&added)))
}

fn baseline(pod: Pod<'_>) -> Option<Violation> {
    additions(pod, &DEFAULT).map(|detail| Violation::new("non-default capabilities", detail))
}

fn restricted(pod: Pod<'_>) -> Option<Violation> {
    let keeping = pod.containers_that(|container| !listed(container, "drop").any(|dropped| dropped == "ALL"));
    let kept = (!keeping.is_empty())
        .then(|| format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", containers(&keeping)));
    let complaints: Vec<String> = kept.into_iter().chain(additions(pod, &["NET_BIND_SERVICE"])).collect();
    (!complaints.is_empty()).then(|| Violation::new("unrestricted capabilities", complaints.join("; ")))
}

fn restricted_but_on_windows(pod: Pod<'_>) -> Option<Violation> {
    if pod.is_windows() { None } else { restricted(pod) }
}
