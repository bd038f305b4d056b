//! The host's namespaces of network, processes and IPC.

use super::{Check, Pod, Violation};

pub(super) const NAMESPACES: Check = Check::new("hostNamespaces", &[(0, namespaces)]);

fn namespaces(pod: Pod<'_>) -> Option<Violation> {
    let shared = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|field| pod.spec[*field] == true);
    let shared: Vec<String> = shared.map(|field| format!("{field}=true")).collect();
    (!shared.is_empty()).then(|| Violation::new("host namespaces", shared.join(", ")))
}
