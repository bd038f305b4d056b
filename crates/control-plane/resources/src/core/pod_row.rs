//! The row of a pod in `kubectl get pods`: one word for what it is doing, found in its phase, its conditions and the states of
//! its containers.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::pod::is_sidecar;
use windlass_api::{condition, time};
use windlass_machinery::tree::{items, number, text};

use crate::columns::{self, or_none, word};

pub(super) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = Summary::of(pod);
    vec![
        columns::name(pod),
        Value::from(format!("{}/{}", summary.ready, summary.containers)),
        Value::from(summary.reason),
        Value::from(summary.restarts.cell(now)),
        columns::age(pod, now),
        or_none(Some(word(pod, "/status/podIPs/0/ip"))),
        or_none(Some(word(pod, "/spec/nodeName"))),
        or_none(Some(word(pod, "/status/nominatedNodeName"))),
        Value::from(readiness_gates(pod)),
    ]
}

/// How often containers were started anew, and when one ended last.
#[derive(Clone, Copy, Default)]
struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, container: &Value) {
        self.count += number(container, "restartCount");
        let ended = word(container, "/lastState/terminated/finishedAt");
        self.last = self.last.max(time::parse_rfc3339(ended));
    }

    fn cell(self, now: Timestamp) -> String {
        match self.last {
            Some(last) if self.count != 0 => {
                format!("{} ({} ago)", self.count, columns::human_duration(now.as_second() - last.as_second()))
            }
            _ => self.count.to_string(),
        }
    }
}

struct Summary {
    ready: usize,
    containers: usize,
    reason: String,
    restarts: Restarts,
}

impl Summary {
    fn of(pod: &Value) -> Self {
        let (spec, status) = (&pod["spec"], &pod["status"]);
        let phase = text(status, "phase");
        let mut reason = match text(status, "reason") {
            "" => phase.to_owned(),
            reason => reason.to_owned(),
        };
        let mut scheduled = condition::all_of(condition::list(status), "PodScheduled");
        if scheduled.any(|condition| text(condition, "reason") == "SchedulingGated") {
            reason = "SchedulingGated".to_owned();
        }
        let sidecars = items(spec, "initContainers").filter(is_sidecar).count();
        let mut summary = Self {
            ready: 0,
            containers: items(spec, "containers").count() + sidecars,
            reason,
            restarts: Restarts::default(),
        };
        let (initializing, of_sidecars) = summary.initialize(spec, status);
        if !initializing || has_condition(status, "Initialized") {
            summary.restarts = of_sidecars;
            summary.run(status);
        }
        if pod["metadata"].get("deletionTimestamp").is_some() {
            if text(status, "reason") == "NodeLost" {
                summary.reason = "Unknown".to_owned();
            } else if !matches!(phase, "Failed" | "Succeeded") {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    /// Reads the init containers up to the one that is not done: whether there is such a one, and what sidecars restarted.
    fn initialize(&mut self, spec: &Value, status: &Value) -> (bool, Restarts) {
        let mut of_sidecars = Restarts::default();
        for (index, container) in items(status, "initContainerStatuses").enumerate() {
            let name = text(container, "name");
            let sidecar = items(spec, "initContainers").any(|c| text(c, "name") == name && is_sidecar(c));
            self.restarts.add(container);
            if sidecar {
                of_sidecars.add(container);
            }
            let state = &container["state"];
            let terminated = state.get("terminated").filter(|t| t.is_object());
            if terminated.is_some_and(|t| number(t, "exitCode") == 0) {
                continue;
            }
            if sidecar && container["started"] == true {
                self.ready += usize::from(container["ready"] == true);
                continue;
            }
            let waiting = word(state, "/waiting/reason");
            self.reason = match terminated {
                Some(terminated) => format!("Init:{}", end(terminated)),
                None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
                None => format!("Init:{index}/{}", items(spec, "initContainers").count()),
            };
            return (true, of_sidecars);
        }
        (false, of_sidecars)
    }

    fn run(&mut self, status: &Value) {
        let (mut running, mut error) = (false, None);
        let containers: Vec<&Value> = items(status, "containerStatuses").collect();
        for container in containers.into_iter().rev() {
            self.restarts.add(container);
            let state = &container["state"];
            let waiting = word(state, "/waiting/reason");
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if let Some(terminated) = state.get("terminated").filter(|t| t.is_object()) {
                self.reason = end(terminated);
                if number(terminated, "exitCode") != 0 {
                    error = Some(self.reason.clone());
                }
            } else if container["ready"] == true && state.get("running").is_some_and(Value::is_object) {
                running = true;
                self.ready += 1;
            }
        }
        // A pod of which something still runs is not completed.
        if self.reason == "Completed" {
            self.reason = match (running, error) {
                (true, _) if has_condition(status, "Ready") => "Running".to_owned(),
                (_, Some(error)) => error,
                (true, None) => "NotReady".to_owned(),
                (false, None) => return,
            };
        }
    }
}

fn has_condition(status: &Value, kind: &str) -> bool {
    condition::is_true(condition::list(status), kind)
}

/// How a container ended.
fn end(terminated: &Value) -> String {
    match (text(terminated, "reason"), number(terminated, "signal")) {
        ("", 0) => format!("ExitCode:{}", number(terminated, "exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn readiness_gates(pod: &Value) -> String {
    let gates: Vec<&str> = items(&pod["spec"], "readinessGates").map(|gate| text(gate, "conditionType")).collect();
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let open = gates.iter().filter(|gate| has_condition(&pod["status"], gate)).count();
    format!("{open}/{}", gates.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(pod: Value) -> [String; 3] {
        let cells = cells(&pod, Timestamp::from_second(1000).unwrap());
        [1, 2, 3].map(|at| cells[at].as_str().unwrap().to_owned())
    }

    #[test]
    fn reasons() {
        let containers = json!([{"name": "a"}, {"name": "b"}]);
        let cases = [
            (json!({"spec": {"containers": containers}, "status": {"phase": "Pending"}}), ["0/2", "Pending", "0"]),
            (
                json!({"spec": {"containers": containers}, "status": {"phase": "Running", "containerStatuses": [
                    {"ready": true, "restartCount": 2, "state": {"running": {}},
                        "lastState": {"terminated": {"finishedAt": "1970-01-01T00:10:00Z"}}},
                    {"ready": false, "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}}),
                ["1/2", "CrashLoopBackOff", "3 (6m40s ago)"],
            ),
            (
                json!({"spec": {"containers": containers, "initContainers": [{"name": "i"}, {"name": "j"}]}, "status": {
                    "phase": "Pending", "initContainerStatuses": [
                        {"name": "i", "restartCount": 1, "state": {"terminated": {"exitCode": 0}}},
                        {"name": "j", "state": {"waiting": {"reason": "PodInitializing"}}}]}}),
                ["0/2", "Init:1/2", "1"],
            ),
            (
                json!({"spec": {"containers": containers}, "status": {"phase": "Running", "conditions": [
                    {"type": "Ready", "status": "False"}], "containerStatuses": [
                        {"ready": true, "state": {"running": {}}},
                        {"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}}),
                ["1/2", "NotReady", "0"],
            ),
            (
                json!({"metadata": {"deletionTimestamp": "x"}, "spec": {"containers": containers}, "status": {"phase": "Running"}}),
                ["0/2", "Terminating", "0"],
            ),
            (
                json!({"spec": {"containers": containers}, "status": {"phase": "Failed", "containerStatuses": [
                    {"state": {"terminated": {"exitCode": 137, "signal": 9}}}]}}),
                ["0/2", "Signal:9", "0"],
            ),
        ];
        for (pod, expected) in cases {
            assert_eq!(row(pod), expected);
        }
    }
}
