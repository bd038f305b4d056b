//! Hosts that probes and lifecycle handlers speak to: from the node, so that they reach what the pod could not.

use serde_json::Value;

use super::wording::{Sorted, plural, quoted_set};
use super::{Check, Pod, Violation, name};

pub(super) const HANDLERS: Check = Check::new("hostProbesAndHostLifecycle", &[(34, handlers)]);

fn hosts(container: &Value) -> impl Iterator<Item = &str> {
    let (probes, lifecycle) = (container, &container["lifecycle"]);
    let handlers = [
        &probes["livenessProbe"],
        &probes["readinessProbe"],
        &probes["startupProbe"],
        &lifecycle["postStart"],
        &lifecycle["preStop"],
    ];
    let hosts = handlers.into_iter().flat_map(|handler| [&handler["httpGet"]["host"], &handler["tcpSocket"]["host"]]);
    hosts.filter_map(Value::as_str).filter(|host| !host.is_empty())
}

fn handlers(pod: Pod<'_>) -> Option<Violation> {
    let (mut bad, mut forbidden) = (Sorted::new(), Sorted::new());
    for container in pod.containers() {
        for host in hosts(container) {
            bad.insert(name(container).to_owned());
            forbidden.insert(host.to_owned());
        }
    }
    let detail = || {
        let (noun, verb) = (plural("container", "containers", bad.len()), plural("uses", "use", bad.len()));
        let what = plural("probe or lifecycle host", "probe or lifecycle hosts", forbidden.len());
        format!("{noun} {} {verb} {what} {}", quoted_set(&bad), quoted_set(&forbidden))
    };
    (!bad.is_empty()).then(|| Violation::new("probe or lifecycle host", detail()))
}
