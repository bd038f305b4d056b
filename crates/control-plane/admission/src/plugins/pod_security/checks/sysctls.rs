//! Kernel parameters that are not a pod's own.

use super::{Check, Pod, Violation, name};

pub(super) const SYSCTLS: Check = Check::new(
    "sysctls",
    &[
        (0, |pod| sysctls(pod, 0)),
        (27, |pod| sysctls(pod, 27)),
        (29, |pod| sysctls(pod, 29)),
        (32, |pod| sysctls(pod, 32)),
        (37, |pod| sysctls(pod, 37)),
    ],
);

/// What a pod may set, and since which minor version.
const SAFE: [(&str, u64); 14] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
    ("net.ipv4.tcp_slow_start_after_idle", 37),
    ("net.ipv4.tcp_notsent_lowat", 37),
];

fn sysctls(pod: Pod<'_>, minor: u64) -> Option<Violation> {
    let is_safe = |name: &str| SAFE.iter().any(|(safe, since)| *safe == name && *since <= minor);
    let set = pod.spec["securityContext"]["sysctls"].as_array().into_iter().flatten().map(name);
    let forbidden: Vec<&str> = set.filter(|name| !is_safe(name)).collect();
    (!forbidden.is_empty()).then(|| Violation::new("forbidden sysctls", forbidden.join(", ")))
}
