//! Plans as tables of cases: pod and observation in, actions out.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::k8s::api::core::v1::Pod;

use super::*;
use crate::observe::{ContainerView, Observed, SandboxView, State};
use crate::pod::PodView;
use crate::probe::{Kind, Verdicts};

const NOW: i64 = 10_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": spec})).unwrap()
}

fn sandbox(id: &str, attempt: u32, ready: bool) -> SandboxView {
    SandboxView {
        id: id.to_owned(),
        attempt,
        ready,
        created_at: i64::from(attempt),
        ips: vec!["10.0.0.1".to_owned()],
        on_host_network: false,
    }
}

/// `name state[ exit code]` in the newest sandbox `s`.
fn container(pod: &Pod, text: &str) -> ContainerView {
    let mut parts = text.split(' ');
    let name = parts.next().unwrap();
    let state = match parts.next().unwrap() {
        "running" => State::Running,
        "exited" => State::Exited,
        "created" => State::Created,
        _ => State::Unknown,
    };
    let exit_code = parts.next().map_or(0, |code| code.parse().unwrap());
    ContainerView {
        id: format!("{name}-id"),
        name: name.to_owned(),
        attempt: 0,
        sandbox_id: "s".to_owned(),
        state,
        created_at: 1,
        started_at: Some(at(100)),
        finished_at: (state == State::Exited).then(|| at(NOW - 1)),
        exit_code,
        reason: String::new(),
        message: String::new(),
        image: String::new(),
        image_ref: String::new(),
        hash: pod.container(name).map(|(_, container)| container_hash(&container)).unwrap_or_default(),
        resources: crate::pod::resources::for_runtime(None),
        user: None,
        log_path: String::new(),
    }
}

struct World {
    pod: Pod,
    observed: Observed,
    verdicts: Verdicts,
    crashes: BackOff<(String, String)>,
    not_before: HashMap<String, Timestamp>,
}

fn world(spec: &Value, containers: &[&str]) -> World {
    let pod = pod(spec.clone());
    let containers = containers.iter().map(|text| container(&pod, text)).collect();
    World {
        observed: Observed { sandboxes: vec![sandbox("s", 0, true)], containers },
        pod,
        verdicts: Verdicts::default(),
        crashes: BackOff::default(),
        not_before: HashMap::new(),
    }
}

impl World {
    fn plan(&self) -> Plan {
        plan(&Input {
            pod: &self.pod,
            observed: &self.observed,
            verdicts: &self.verdicts,
            crashes: &self.crashes,
            not_before: &self.not_before,
            now: at(NOW),
        })
    }

    /// In one line: `kill a; start b c; end`.
    fn summary(&self) -> String {
        let plan = self.plan();
        let names = |list: Vec<&str>| list.join(" ");
        let mut parts = Vec::new();
        match &plan.sandbox {
            SandboxPlan::Create { attempt } => parts.push(format!("sandbox {attempt}")),
            SandboxPlan::Without => parts.push("no sandbox".to_owned()),
            SandboxPlan::Keep(_) => {}
        }
        if !plan.kill.is_empty() {
            parts.push(format!("kill {}", names(plan.kill.iter().map(|kill| kill.name.as_str()).collect())));
        }
        if !plan.start.is_empty() {
            parts.push(format!("start {}", names(plan.start.iter().map(|start| start.name.as_str()).collect())));
        }
        if !plan.wait.is_empty() {
            parts.push(format!("wait {}", names(plan.wait.iter().map(|wait| wait.name.as_str()).collect())));
        }
        if plan.ends {
            parts.push("end".to_owned());
        }
        parts.join("; ")
    }
}

#[test]
fn what_runs_and_what_does_not() {
    let two = |policy: &str| json!({"restartPolicy": policy, "containers": [{"name": "a"}, {"name": "b"}]});
    let init = |policy: &str| json!({"restartPolicy": policy, "containers": [{"name": "a"}], "initContainers": [{"name": "i"}, {"name": "j"}]});
    let sidecar = json!({"containers": [{"name": "a"}],
        "initContainers": [{"name": "s", "restartPolicy": "Always"}, {"name": "i"}]});
    let never_sidecar = json!({"restartPolicy": "Never", "containers": [{"name": "a"}],
        "initContainers": [{"name": "s", "restartPolicy": "Always"}]});
    let cases: Vec<(Value, &[&str], &str)> = vec![
        (two("Always"), &[], "start a b"),
        (two("Always"), &["a running", "b running"], ""),
        (two("Always"), &["a running", "b exited 0"], "start b"),
        (two("OnFailure"), &["a running", "b exited 0"], ""),
        (two("OnFailure"), &["a exited 0", "b exited 1"], "start b"),
        (two("OnFailure"), &["a exited 0", "b exited 0"], "end"),
        (two("Never"), &["a exited 1", "b running"], ""),
        (two("Never"), &["a exited 1", "b exited 0"], "end"),
        (two("Never"), &["a exited 1"], "start b"),
        (two("Always"), &["a created", "b unknown"], "kill b; start a b"),
        (init("Always"), &[], "start i"),
        (init("Always"), &["i running"], ""),
        (init("Always"), &["i exited 0"], "start j"),
        (init("Always"), &["i exited 1"], "start i"),
        (init("Never"), &["i exited 1"], "end"),
        (init("Always"), &["i exited 0", "j exited 0"], "start a"),
        (init("Always"), &["j exited 0"], "start a"),
        (init("Always"), &["a running"], ""),
        (init("Always"), &["a exited 1"], "start a"),
        (init("Always"), &["i exited 0", "j unknown"], "kill j; start j"),
        (sidecar.clone(), &[], "start s"),
        (sidecar.clone(), &["s running"], "start i"),
        (sidecar.clone(), &["s exited 1"], "start s"),
        (sidecar.clone(), &["s running", "i running"], ""),
        (sidecar.clone(), &["s exited 1", "i running"], "start s"),
        (sidecar.clone(), &["s running", "i exited 0"], "start a"),
        (sidecar.clone(), &["s exited 0", "i exited 0", "a running"], "start s"),
        (sidecar, &["i exited 0", "a running"], "start s"),
        (never_sidecar.clone(), &["s running", "a exited 0"], "end"),
        (never_sidecar, &["s exited 0", "a exited 0"], "end"),
    ];
    for (spec, containers, expected) in cases {
        assert_eq!(world(&spec, containers).summary(), expected, "{spec} {containers:?}");
    }
}

#[test]
fn a_sandbox_that_is_gone() {
    let always = json!({"containers": [{"name": "a"}], "initContainers": [{"name": "i"}]});
    let never = json!({"restartPolicy": "Never", "containers": [{"name": "a"}]});
    let on_failure = json!({"restartPolicy": "OnFailure", "containers": [{"name": "a"}, {"name": "b"}]});
    let mut fresh = world(&always, &[]);
    fresh.observed.sandboxes.clear();
    assert_eq!(fresh.summary(), "sandbox 0; start i");
    let dead = |spec: &Value, containers: &[&str]| {
        let mut world = world(spec, containers);
        world.observed.sandboxes[0].ready = false;
        world.summary()
    };
    assert_eq!(dead(&always, &["a exited 137"]), "sandbox 1; start i");
    assert_eq!(dead(&never, &["a exited 137"]), "no sandbox; end");
    assert_eq!(dead(&never, &[]), "sandbox 1; start a");
    assert_eq!(dead(&on_failure, &["a exited 0", "b exited 0"]), "no sandbox; end");
    assert_eq!(dead(&on_failure, &["a exited 0", "b exited 1"]), "sandbox 1; start b");
    let mut two = world(&always, &[]);
    two.observed.sandboxes.insert(0, sandbox("t", 1, true));
    assert_eq!(two.summary(), "sandbox 2; start i");
}

#[test]
fn probes_kill() {
    let probed = json!({"containers": [{"name": "a", "livenessProbe": {}, "startupProbe": {}}]});
    let never = json!({"restartPolicy": "Never", "containers": [{"name": "a", "livenessProbe": {}}]});
    for (kind, message) in [
        (Kind::Liveness, "Container a failed liveness probe, will be restarted"),
        (Kind::Startup, "Container a failed startup probe, will be restarted"),
    ] {
        let mut world = world(&probed, &["a running"]);
        world.verdicts.set("a-id", kind, false);
        let plan = world.plan();
        assert_eq!(plan.kill[0].message, message);
        assert_eq!(plan.start.len(), 1);
    }
    let mut world = world(&never, &["a running"]);
    world.verdicts.set("a-id", Kind::Liveness, false);
    assert_eq!(world.summary(), "kill a; end");
}

#[test]
fn a_sidecar_starts_the_next_when_its_startup_probe_says_so() {
    let spec = json!({"containers": [{"name": "a"}],
        "initContainers": [{"name": "s", "restartPolicy": "Always", "startupProbe": {}}]});
    let mut world = world(&spec, &["s running"]);
    assert_eq!(world.summary(), "");
    world.verdicts.set("s-id", Kind::Startup, true);
    assert_eq!(world.summary(), "start a");
    world.verdicts.set("s-id", Kind::Startup, false);
    assert_eq!(world.summary(), "kill s; start s");
}

#[test]
fn a_changed_image_replaces_a_container() {
    let mut world = world(&json!({"containers": [{"name": "a", "image": "one"}]}), &["a running"]);
    world.observed.containers[0].hash = "another".to_owned();
    assert_eq!(world.plan().kill[0].message, "Container a definition changed, will be restarted");
}

#[test]
fn crashes_make_it_wait() {
    let mut world = world(&json!({"containers": [{"name": "a"}, {"name": "b"}]}), &["a exited 1", "b running"]);
    let key = ("a".to_owned(), container_hash(&world.pod.app_containers()[0]));
    world.crashes.attempt(key, at(NOW - 5), at(NOW - 5));
    assert_eq!(world.summary(), "wait a");
    let wait = &world.plan().wait[0];
    assert_eq!((wait.until, wait.crash_pause), (at(NOW + 9), Some(Duration::from_secs(10))));
    world.crashes = BackOff::default();
    world.not_before.insert("a".to_owned(), at(NOW + 3));
    assert_eq!(world.plan().wait[0].crash_pause, None);
}

#[test]
fn a_deleted_pod_starts_nothing() {
    let mut world = world(&json!({"containers": [{"name": "a"}]}), &["a exited 1"]);
    world.pod.metadata.deletion_timestamp = Some(windlass_api::k8s::apimachinery::pkg::apis::meta::v1::Time(at(NOW)));
    assert_eq!(world.summary(), "end");
}

#[test]
fn ephemeral_containers_start_once_and_whenever() {
    let spec = json!({"containers": [{"name": "a"}], "initContainers": [{"name": "i"}],
        "ephemeralContainers": [{"name": "e"}]});
    assert_eq!(world(&spec, &["i running"]).summary(), "start e");
    assert_eq!(world(&spec, &["i running", "e exited 1"]).summary(), "");
}
