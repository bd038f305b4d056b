//! Tables of cases for [`super::plan`] and [`super::tracking`].

use serde_json::{Value, json};
use windlass_api::Timestamp;
use windlass_api::time::parse_rfc3339;

use super::backoff::Backoff;
use super::plan::Observed;
use super::tracking;
use super::view::{FAILURES, FINALIZER, INDEX, Job};
use crate::pods::Pod;

fn now() -> Timestamp {
    parse_rfc3339("2026-11-21T06:10:00Z").unwrap()
}

fn job(spec: &Value, status: &Value) -> Job {
    serde_json::from_value(json!({"metadata": {"name": "j"}, "spec": spec, "status": status})).unwrap()
}

/// `NAME PHASE [INDEX [FAILURES]]`; the phase `Going` is a pod that runs and is being deleted.
fn pods(all: &[&str]) -> Vec<Pod> {
    let pod = |text: &&str| {
        let words: Vec<&str> = text.split(' ').collect();
        let is_going = words[1] == "Going";
        let mut annotations = json!({});
        for (word, name) in words[2..].iter().zip([INDEX, FAILURES]) {
            annotations[name] = json!(word);
        }
        serde_json::from_value(json!({
            "metadata": {"name": words[0], "uid": words[0], "finalizers": [FINALIZER], "annotations": annotations,
                "creationTimestamp": "2026-11-21T06:00:00Z",
                "deletionTimestamp": is_going.then_some("2026-11-21T06:00:00Z")},
            "spec": {"nodeName": "n"},
            "status": {"phase": if is_going { "Running" } else { words[1] }}}))
        .unwrap()
    };
    all.iter().map(pod).collect()
}

fn step(job: &Job, pods: &[Pod]) -> Vec<String> {
    let plan = Observed::new(job, pods, Backoff::default(), now()).plan();
    let ended = plan.end.iter().map(|pod| format!("end {}", pod.name));
    let removed = plan.remove.iter().map(|pod| format!("-{}", pod.name));
    let created = plan.create.iter().map(|pod| match (pod.index, pod.failures) {
        (Some(index), Some((failures, _))) => format!("+{index} after {failures}"),
        (Some(index), None) => format!("+{index}"),
        (None, _) => "+".to_owned(),
    });
    ended.chain(removed).chain(created).collect()
}

#[test]
fn pods_come_and_go() {
    let plain = json!({"parallelism": 2, "completions": 3});
    let any = json!({"parallelism": 2});
    let indexed = json!({"parallelism": 3, "completions": 4, "completionMode": "Indexed"});
    let each = json!({"parallelism": 2, "completions": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 1});
    let failed_only = json!({"parallelism": 1, "completions": 1, "podReplacementPolicy": "Failed"});
    let suspended = json!({"parallelism": 2, "completions": 3, "suspend": true});
    let none = json!({"parallelism": 2, "completions": 3, "backoffLimit": 0});
    let cases: [(&Value, &[&str], &[&str]); 14] = [
        (&plain, &[], &["+", "+"]),
        (&plain, &["a Running"], &["+"]),
        (&plain, &["a Succeeded", "b Succeeded"], &["+"]),
        (&plain, &["a Running", "b Running", "c Pending"], &["-c"]),
        (&plain, &["a Failed"], &["+", "+"]),
        (&plain, &["a Going"], &["+", "+"]),
        (&failed_only, &["a Going"], &[]),
        (&any, &["a Succeeded", "b Running"], &[]),
        (&indexed, &["a Succeeded 0", "b Running 2"], &["+1", "+3"]),
        (&indexed, &["a Running 0", "b Running 0", "c Running 7", "d Running 1"], &["-c", "-a"]),
        (&each, &["a Failed 0"], &["+0 after 1", "+1 after 0"]),
        (&each, &["a Failed 0 1"], &["+1 after 0", "+2 after 0"]),
        (&suspended, &["a Running"], &["-a"]),
        (&none, &["a Failed", "b Running"], &["end b"]),
    ];
    for (spec, present, expected) in cases {
        assert_eq!(step(&job(spec, &json!({})), &pods(present)), expected, "{spec} {present:?}");
    }
}

#[test]
fn verdicts() {
    let plain = json!({"parallelism": 1, "completions": 1, "backoffLimit": 0});
    let deadline = json!({"parallelism": 1, "completions": 1, "activeDeadlineSeconds": 60});
    let each = json!({"parallelism": 2, "completions": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 0});
    let at_most = json!({"parallelism": 2, "completions": 9, "completionMode": "Indexed", "backoffLimitPerIndex": 0,
        "maxFailedIndexes": 0});
    let leader = json!({"parallelism": 2, "completions": 2, "completionMode": "Indexed",
        "successPolicy": {"rules": [{"succeededIndexes": "0"}]}});
    type Verdict = Option<(&'static str, &'static str)>;
    let cases: [(&Value, &[&str], Verdict); 8] = [
        (&plain, &["a Running"], None),
        (&plain, &["a Succeeded"], Some(("SuccessCriteriaMet", "CompletionsReached"))),
        (&plain, &["a Failed"], Some(("FailureTarget", "BackoffLimitExceeded"))),
        (&deadline, &[], Some(("FailureTarget", "DeadlineExceeded"))),
        (&each, &["a Failed 0", "b Succeeded 1"], Some(("FailureTarget", "FailedIndexes"))),
        (&each, &["a Failed 0"], None),
        (&at_most, &["a Failed 0"], Some(("FailureTarget", "MaxFailedIndexesExceeded"))),
        (&leader, &["a Succeeded 0"], Some(("SuccessCriteriaMet", "SuccessPolicy"))),
    ];
    for (spec, present, expected) in cases {
        let (job, pods) = (job(spec, &json!({"startTime": "2026-11-21T06:00:00Z"})), pods(present));
        let finished = Observed::new(&job, &pods, Backoff::default(), now()).finished();
        let found = finished.as_ref().map(|verdict| (verdict.kind.as_str(), verdict.reason.as_str()));
        assert_eq!(found, expected, "{spec} {present:?}");
    }
}

#[test]
fn each_pod_is_counted_once() {
    let job = job(&json!({"parallelism": 1, "completions": 1}), &json!({}));
    let mut pods = pods(&["a Failed", "b Succeeded"]);
    let observed = Observed::new(&job, &pods, Backoff::default(), now());
    let (tracking, _) = observed.track();
    let uncounted = tracking.status.uncounted_terminated_pods.clone().unwrap();
    assert_eq!((uncounted.failed, uncounted.succeeded), (vec!["a".to_owned()], vec!["b".to_owned()]));
    assert_eq!((tracking.status.failed, tracking.untrack.len()), (0, 2));
    assert_eq!(tracking.status.conditions[0].kind, "SuccessCriteriaMet");
    let (mut status, last) = (tracking.status.clone(), tracking.last.unwrap());
    assert!(!tracking::finish(&job, &mut status, &last), "pods are still to be counted");
    pods.iter_mut().for_each(|pod| pod.metadata.finalizers.clear());
    tracking::count(&mut status, &pods);
    tracking::count(&mut status, &pods);
    assert_eq!((status.failed, status.succeeded), (1, 1));
    assert!(tracking::finish(&job, &mut status, &last));
    assert_eq!(status.conditions[1].kind, "Complete");
    assert!(status.completion_time.is_some());
}
