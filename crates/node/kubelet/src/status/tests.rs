//! Statuses as tables of cases.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::k8s::api::core::v1::{Pod, PodStatus};

use super::*;
use crate::observe::{ContainerView, Observed, SandboxView, State};
use crate::probe::Verdicts;

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": spec})).unwrap()
}

fn view(name: &str, attempt: u32, state: State, exit_code: i32) -> ContainerView {
    ContainerView {
        id: format!("{name}{attempt}"),
        name: name.to_owned(),
        attempt,
        sandbox_id: "s".to_owned(),
        state,
        created_at: i64::from(attempt),
        started_at: Timestamp::from_second(100).ok(),
        finished_at: (state == State::Exited).then(|| Timestamp::from_second(200).unwrap()),
        exit_code,
        reason: if state == State::Exited { "Error" } else { "" }.to_owned(),
        message: String::new(),
        image: "image".to_owned(),
        image_ref: "image@sha256:00".to_owned(),
        hash: String::new(),
        resources: windlass_cri::Resources::default(),
        user: None,
        log_path: String::new(),
    }
}

fn observed(containers: Vec<ContainerView>) -> Observed {
    let sandbox = SandboxView {
        id: "s".to_owned(),
        attempt: 0,
        ready: true,
        created_at: 0,
        ips: vec!["10.1.0.5".to_owned()],
        on_host_network: false,
    };
    let mut containers = containers;
    containers.sort_by_key(|container| std::cmp::Reverse(container.attempt));
    Observed { sandboxes: vec![sandbox], containers }
}

struct Case<'a> {
    spec: Value,
    containers: Vec<ContainerView>,
    waiting: &'a [(&'a str, &'a str)],
    finished: bool,
    expected: Value,
}

/// Compares the fields that `expected` names.
fn contains(actual: &Value, expected: &Value) -> bool {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => {
            expected.iter().all(|(name, value)| contains(actual.get(name).unwrap_or(&Value::Null), value))
        }
        (Value::Array(actual), Value::Array(expected)) => {
            actual.len() == expected.len() && actual.iter().zip(expected).all(|(a, e)| contains(a, e))
        }
        (actual, expected) => actual == expected,
    }
}

fn status_of(case: &Case<'_>, old: &PodStatus) -> Value {
    let pod = pod(case.spec.clone());
    let waiting: HashMap<String, (String, String)> =
        case.waiting.iter().map(|(name, reason)| ((*name).to_owned(), ((*reason).to_owned(), String::new()))).collect();
    let status = generate(&StatusInput {
        pod: &pod,
        old,
        observed: &observed(case.containers.clone()),
        verdicts: &Verdicts::default(),
        waiting: &waiting,
        finished: case.finished,
        eviction: None,
        resize: &[],
        host_ips: &["192.168.0.1".parse().unwrap()],
        runtime_name: "windlass",
        recursive_read_only: true,
        now: Timestamp::from_second(1000).unwrap(),
    });
    serde_json::to_value(status).unwrap()
}

fn ready(status: &Value) -> &str {
    let list = status["conditions"].as_array().unwrap();
    list.iter().find(|condition| condition["type"] == "Ready").unwrap()["status"].as_str().unwrap()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn phases_and_states() {
    let one = |policy: &str| json!({"restartPolicy": policy, "containers": [{"name": "c", "image": "image"}]});
    let with_init = json!({"restartPolicy": "Never", "containers": [{"name": "c"}], "initContainers": [{"name": "i"}]});
    let sidecar = json!({"containers": [{"name": "c"}], "initContainers": [{"name": "s", "restartPolicy": "Always"}]});
    let cases = [
        Case {
            spec: one("Always"),
            containers: vec![],
            waiting: &[],
            finished: false,
            expected: json!({"phase": "Pending", "podIP": "10.1.0.5", "hostIP": "192.168.0.1", "containerStatuses": [
                {"ready": false, "started": false, "state": {"waiting": {"reason": "ContainerCreating"}}}]}),
        },
        Case {
            spec: one("Always"),
            containers: vec![view("c", 0, State::Running, 0)],
            waiting: &[],
            finished: false,
            expected: json!({"phase": "Running", "containerStatuses": [{"ready": true, "started": true,
                "containerID": "windlass://c0", "imageID": "image@sha256:00", "restartCount": 0,
                "state": {"running": {"startedAt": "1970-01-01T00:01:40Z"}}}]}),
        },
        Case {
            spec: one("Always"),
            containers: vec![view("c", 0, State::Exited, 1), view("c", 1, State::Exited, 2)],
            waiting: &[("c", "CrashLoopBackOff")],
            finished: false,
            expected: json!({"phase": "Running", "containerStatuses": [{"ready": false, "restartCount": 1,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 2}}}]}),
        },
        Case {
            spec: one("Always"),
            containers: vec![view("c", 0, State::Exited, 1), view("c", 1, State::Running, 0)],
            waiting: &[("c", "CrashLoopBackOff")],
            finished: false,
            expected: json!({"phase": "Running", "containerStatuses": [{"ready": true,
                "lastState": {"terminated": {"exitCode": 1}}}]}),
        },
        Case {
            spec: one("Never"),
            containers: vec![view("c", 0, State::Exited, 0)],
            waiting: &[],
            finished: false,
            expected: json!({"phase": "Succeeded"}),
        },
        Case {
            spec: one("Never"),
            containers: vec![view("c", 0, State::Exited, 3)],
            waiting: &[],
            finished: false,
            expected: json!({"phase": "Failed"}),
        },
        Case {
            spec: one("Always"),
            containers: vec![view("c", 0, State::Exited, 3)],
            waiting: &[],
            finished: true,
            expected: json!({"phase": "Failed"}),
        },
        Case {
            spec: with_init.clone(),
            containers: vec![view("i", 0, State::Running, 0)],
            waiting: &[],
            finished: false,
            expected: json!({"phase": "Pending", "containerStatuses": [
                {"state": {"waiting": {"reason": "PodInitializing"}}}]}),
        },
        Case {
            spec: with_init.clone(),
            containers: vec![view("i", 0, State::Exited, 1)],
            waiting: &[],
            finished: false,
            expected: json!({"phase": "Failed"}),
        },
        Case {
            spec: with_init,
            containers: vec![view("i", 0, State::Exited, 0), view("c", 0, State::Running, 0)],
            waiting: &[],
            finished: false,
            expected: json!({"phase": "Running", "initContainerStatuses": [{"ready": true}]}),
        },
        Case {
            spec: sidecar,
            containers: vec![view("s", 0, State::Running, 0), view("c", 0, State::Running, 0)],
            waiting: &[],
            finished: false,
            expected: json!({"phase": "Running", "initContainerStatuses": [{"ready": true, "started": true}]}),
        },
    ];
    for case in cases {
        let status = status_of(&case, &PodStatus::default());
        assert!(contains(&status, &case.expected), "expected {}\nfound {status:#}", case.expected);
    }
}

#[test]
fn a_pod_does_not_come_back_from_its_end_and_keeps_its_address() {
    let case = Case {
        spec: json!({"restartPolicy": "Never", "containers": [{"name": "c"}]}),
        containers: vec![],
        waiting: &[],
        finished: true,
        expected: Value::Null,
    };
    let old: PodStatus = serde_json::from_value(json!({"phase": "Succeeded", "containerStatuses": [
        {"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
         "state": {"terminated": {"exitCode": 0}}}]}))
    .unwrap();
    let status = status_of(&case, &old);
    assert_eq!(status["phase"], "Succeeded");
    assert_eq!(status["containerStatuses"][0]["state"]["terminated"]["exitCode"], 0);
    assert_eq!(ready(&status), "False");
}

#[test]
fn transition_times_stay_while_the_status_does() {
    let case = Case {
        spec: json!({"containers": [{"name": "c"}]}),
        containers: vec![view("c", 0, State::Running, 0)],
        waiting: &[],
        finished: false,
        expected: Value::Null,
    };
    let old: PodStatus = serde_json::from_value(json!({"conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"},
        {"type": "Initialized", "status": "False", "lastTransitionTime": "2020-01-01T00:00:00Z"}]}))
    .unwrap();
    let status = status_of(&case, &old);
    let at = |kind: &str| {
        let list = status["conditions"].as_array().unwrap();
        list.iter().find(|it| it["type"] == kind).unwrap()["lastTransitionTime"].as_str().unwrap().to_owned()
    };
    assert_eq!(at("Ready"), "2020-01-01T00:00:00Z");
    assert_eq!(at("Initialized"), "1970-01-01T00:16:40Z");
}

#[test]
fn what_is_missing_at_the_end_has_failed() {
    let pod = pod(json!({"containers": [{"name": "c"}]}));
    let status: PodStatus = serde_json::from_value(json!({"phase": "Running", "containerStatuses": [
        {"name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}]}))
    .unwrap();
    let ended = serde_json::to_value(terminated(&pod, &status, Timestamp::UNIX_EPOCH)).unwrap();
    assert_eq!(ended["phase"], "Failed");
    assert_eq!(ended["containerStatuses"][0]["state"]["terminated"]["exitCode"], 137);
}
