//! Upstream's cases (component-helpers `resource/helpers_test.go`), each on a tree and on k8s-openapi's structs.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::pod::PodTree;

const DEFAULT: Options<'_> = Options::SPEC;
const STATUS: Options<'_> = Options::STATUS;
const POD_STATUS: Options<'_> = Options { use_status: true, use_pod_level_status: true, ..DEFAULT };
const NO_OVERHEAD: Options<'_> = Options { exclude_overhead: true, ..DEFAULT };

fn show(total: &Total<'_>) -> String {
    total.iter().map(|(name, amount)| format!("{name}={amount}")).collect::<Vec<_>>().join(" ")
}

/// Checks one computation in both forms of pod.
fn check(why: &str, pod: &Value, of: impl Fn(PodTree<'_>) -> String, typed: impl Fn(&Pod) -> String, expected: &str) {
    assert_eq!(of(PodTree::of(pod)), expected, "{why}: {pod}");
    let structs: Pod = serde_json::from_value(pod.clone()).unwrap();
    assert_eq!(typed(&structs), expected, "{why} (structs): {pod}");
}

fn requested(why: &str, pod: &Value, options: Options<'_>, expected: &str) {
    check(why, pod, |pod| show(&requests(pod, options)), |pod| show(&requests(pod, options)), expected);
}

fn limited(why: &str, pod: &Value, options: Options<'_>, expected: &str) {
    check(why, pod, |pod| show(&limits(pod, options)), |pod| show(&limits(pod, options)), expected);
}

/// A container, or a status of one, that requests and may use this much CPU.
fn cpu(name: &str, amount: &str) -> Value {
    json!({"name": name, "resources": {"requests": {"cpu": amount}, "limits": {"cpu": amount}}})
}

fn sidecar(name: &str, amount: &str) -> Value {
    let mut container = cpu(name, amount);
    container["restartPolicy"] = json!("Always");
    container
}

fn pod(containers: Value, init: Value) -> Value {
    json!({"spec": {"containers": containers, "initContainers": init}})
}

/// A status of a container that is not running as such: what the API demands is filled in.
fn with_status(mut pod: Value, list: &str, statuses: &[Value], pending: Option<&str>) -> Value {
    let full = statuses.iter().map(|status| {
        let mut full = json!({"image": "", "imageID": "", "ready": false, "restartCount": 0});
        full.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
        full
    });
    pod["status"][list] = full.collect();
    if let Some(reason) = pending {
        pod["status"]["conditions"] = json!([{"type": "PodResizePending", "status": "True", "reason": reason}]);
    }
    pod
}

#[test]
fn containers_of_all_kinds() {
    // The same figures hold for requests and for limits.
    let cases = [
        ("a large init container", pod(json!([cpu("a", "1")]), json!([cpu("i", "4")])), "cpu=4"),
        ("large containers", pod(json!([cpu("a", "2"), cpu("b", "3")]), json!([cpu("i", "2")])), "cpu=5"),
        ("a sidecar", pod(json!([cpu("a", "1")]), json!([sidecar("s", "1")])), "cpu=2"),
        (
            "sidecars behind an init container",
            pod(
                json!([cpu("a", "1")]),
                json!([cpu("i", "5"), sidecar("s", "1"), sidecar("t", "2"), sidecar("u", "3")]),
            ),
            "cpu=7",
        ),
        (
            "an init container among sidecars runs beside those before it",
            pod(
                json!([cpu("a", "1")]),
                json!([cpu("i", "5"), sidecar("s", "1"), sidecar("t", "2"), cpu("j", "5"), sidecar("u", "3")]),
            ),
            "cpu=8",
        ),
        (
            "an init container that is larger than all else",
            pod(json!([cpu("a", "100")]), json!([sidecar("s", "10"), cpu("i", "200")])),
            "cpu=210",
        ),
        ("nobody says anything", pod(json!([{"name": "a"}]), json!([])), ""),
        ("one of two says something", pod(json!([cpu("a", "2"), {"name": "b"}]), json!([{"name": "i"}])), "cpu=2"),
    ];
    for (why, pod, expected) in cases {
        requested(why, &pod, DEFAULT, expected);
        limited(why, &pod, DEFAULT, expected);
        requested(why, &pod, STATUS, expected);
        limited(why, &pod, POD_STATUS, expected);
    }
}

#[test]
fn overhead() {
    let mut pod = pod(json!([cpu("a", "2"), cpu("b", "3")]), json!([cpu("i", "2")]));
    pod["spec"]["overhead"] = json!({"cpu": "1", "memory": "1Gi"});
    requested("on top", &pod, DEFAULT, "cpu=6 memory=1Gi");
    limited("only where there is a limit", &pod, DEFAULT, "cpu=6");
    requested("left out", &pod, NO_OVERHEAD, "cpu=5");
    limited("left out", &pod, NO_OVERHEAD, "cpu=5");
    pod["spec"]["containers"][0]["resources"]["limits"]["memory"] = json!("0");
    limited("not on top of zero", &pod, DEFAULT, "cpu=6 memory=0");
}

#[test]
fn what_containers_do_not_name() {
    let missing = [(MEMORY, Quantity::from_bytes(100 << 20)), (CPU, Quantity::from_milli(100))];
    let options = Options { missing: &missing, ..DEFAULT };
    requested("regular", &pod(json!([cpu("a", "1")]), json!([])), options, "cpu=1 memory=100Mi");
    requested("init", &pod(json!([]), json!([cpu("i", "1")])), options, "cpu=1 memory=100Mi");
    requested(
        "zero is named",
        &pod(json!([cpu("a", "0"), {"name": "b"}]), json!([])),
        options,
        "cpu=100m memory=200Mi",
    );
    limited("no limit is made up", &pod(json!([{"name": "a"}]), json!([])), options, "");
}

#[test]
fn resizes_of_containers() {
    let allocated = |amount: &str, in_force: &str| {
        let mut status = cpu("a", in_force);
        status["allocatedResources"] = json!({"cpu": amount});
        status
    };
    let infeasible = Some("Infeasible");
    // wanted, what the status says, the pending resize, options, what counts as requested
    let cases = [
        ("4", cpu("a", "2"), None, STATUS, "cpu=4"),
        ("4", cpu("a", "2"), Some("Deferred"), STATUS, "cpu=4"),
        ("4", cpu("a", "2"), infeasible, STATUS, "cpu=2"),
        ("4", cpu("a", "2"), infeasible, DEFAULT, "cpu=4"),
        ("6", allocated("4", "2"), infeasible, STATUS, "cpu=4"),
        ("6", json!({"name": "a"}), infeasible, STATUS, ""),
        ("1", allocated("1", "3"), None, STATUS, "cpu=3"),
    ];
    for (wanted, status, pending, options, expected) in cases {
        let statuses = [status];
        let regular = with_status(pod(json!([cpu("a", wanted)]), json!([])), "containerStatuses", &statuses, pending);
        requested("regular", &regular, options, expected);
        let beside =
            with_status(pod(json!([]), json!([sidecar("a", wanted)])), "initContainerStatuses", &statuses, pending);
        requested("sidecar", &beside, options, expected);
    }
    let three =
        json!({"name": "a", "resources": {"requests": {"cpu": "30m", "memory": "20M", "ephemeral-storage": "10G"}}});
    let status = json!({"name": "a", "allocatedResources": {"cpu": "20m", "memory": "10M", "ephemeral-storage": "30G"},
        "resources": {"requests": {"cpu": "10m", "memory": "30M", "ephemeral-storage": "20G"}}});
    let each = with_status(pod(json!([three]), json!([])), "containerStatuses", &[status], None);
    requested("each resource by itself", &each, STATUS, "cpu=30m ephemeral-storage=30G memory=30M");
    let unsaid = with_status(pod(json!([{"name": "a"}]), json!([])), "containerStatuses", &[cpu("a", "2")], None);
    requested("nothing is asked for", &unsaid, STATUS, "cpu=2");
}

#[test]
fn limits_during_resizes() {
    let memory = |amount: &str| json!({"name": "a", "resources": {"limits": {"memory": amount}}});
    // wanted, in force, the pending resize, options, what counts
    let cases = [
        ("2Gi", "1Gi", None, STATUS, "memory=2Gi"),
        ("1Gi", "2Gi", None, STATUS, "memory=2Gi"),
        ("1Gi", "2Gi", None, DEFAULT, "memory=1Gi"),
        ("10Gi", "6Gi", Some("Infeasible"), STATUS, "memory=6Gi"),
    ];
    for (wanted, in_force, pending, options, expected) in cases {
        let statuses = [memory(in_force)];
        let regular = with_status(pod(json!([memory(wanted)]), json!([])), "containerStatuses", &statuses, pending);
        limited("regular", &regular, options, expected);
        let mut beside = memory(wanted);
        beside["restartPolicy"] = json!("Always");
        let beside = with_status(pod(json!([]), json!([beside])), "initContainerStatuses", &statuses, pending);
        limited("sidecar", &beside, options, expected);
    }
}

#[test]
fn the_greatest_sum_counts_not_the_sum_of_the_greatest() {
    let spec = pod(json!([cpu("a", "1"), cpu("b", "2")]), json!([]));
    let allocated = |name: &str, amount: &str| json!({"name": name, "allocatedResources": {"cpu": amount}});
    let swapped = with_status(spec.clone(), "containerStatuses", &[allocated("a", "2"), allocated("b", "1")], None);
    requested("allocated", &swapped, STATUS, "cpu=3");
    let swapped = with_status(spec, "containerStatuses", &[cpu("a", "2"), cpu("b", "1")], None);
    limited("in force", &swapped, STATUS, "cpu=3");
}

#[test]
fn the_pod_as_a_whole() {
    let of = |name: &str, cpu: &str, memory: &str| json!({"name": name, "resources": {"requests": {"cpu": cpu, "memory": memory}}});
    let mut beside = of("s", "4m", "5Mi");
    beside["restartPolicy"] = json!("Always");
    let (a, init) = (of("a", "2m", "3Mi"), of("i", "8m", "6Mi"));
    // the pod's own requests, containers, init containers, what counts
    let cases = [
        (json!({"memory": "2Mi"}), json!([]), json!([]), "memory=2Mi"),
        (json!({"memory": "6Mi"}), json!([a]), json!([]), "cpu=2m memory=6Mi"),
        (json!({"cpu": "8m", "memory": "6Mi"}), json!([a]), json!([]), "cpu=8m memory=6Mi"),
        (json!({"storage": "2Mi"}), json!([a]), json!([]), "cpu=2m memory=3Mi"),
        (json!({}), json!([a]), json!([beside, init]), "cpu=12m memory=11Mi"),
        (json!({"cpu": "18m", "memory": "15Mi"}), json!([a]), json!([beside, init]), "cpu=18m memory=15Mi"),
        (
            json!({"cpu": "1", "hugepages-2Mi": "10Mi"}),
            json!([{"name": "h", "resources": {"requests": {"memory": "4Mi", "hugepages-1Gi": "1Gi", "hugepages-2Mi": "6Mi"}}}]),
            json!([]),
            "cpu=1 hugepages-1Gi=1Gi hugepages-2Mi=10Mi memory=4Mi",
        ),
    ];
    for (own, containers, init, expected) in cases {
        let mut pod = pod(containers, init);
        pod["spec"]["resources"] = json!({ "requests": own });
        requested("the pod's own", &pod, DEFAULT, expected);
        pod["spec"]["overhead"] = json!({"cpu": "0"});
        requested("without overhead", &pod, NO_OVERHEAD, expected);
    }
    let mut both = pod(json!([cpu("a", "1")]), json!([]));
    both["spec"]["resources"] = json!({"requests": {"cpu": "4"}, "limits": {"cpu": "8"}});
    requested("left out", &both, Options { skip_pod_level: true, ..DEFAULT }, "cpu=1");
    requested("alone", &both, Options { skip_containers: true, ..DEFAULT }, "cpu=4");
    limited("limits", &both, DEFAULT, "cpu=8");
}

#[test]
fn whose_own_resources_count() {
    // the pod's own resources, whether there are any, whether there are requests
    let cases = [
        (Value::Null, false, false),
        (json!({}), false, false),
        (json!({"requests": {"ephemeral-storage": "1"}}), false, false),
        (json!({"limits": {"ephemeral-storage": "1"}}), false, false),
        (json!({"requests": {"cpu": "1", "ephemeral-storage": "1"}}), true, true),
        (json!({"limits": {"memory": "1", "ephemeral-storage": "1"}}), true, false),
        (json!({"requests": {"hugepages-2Mi": "2Mi"}}), true, true),
    ];
    for (own, any, requests) in cases {
        let spec = json!({ "resources": own });
        let pod = PodTree::of_spec(&spec);
        assert_eq!((has_pod_level_resources(pod), has_pod_level_requests(pod)), (any, requests), "{spec}");
    }
}

#[test]
fn resizes_of_the_pod_as_a_whole() {
    let with = |own: Value, status: Value, pending: bool| {
        let mut pod = json!({"spec": {"containers": [cpu("a", "1")], "resources": own}, "status": status});
        if pending {
            pod["status"]["conditions"] =
                json!([{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]);
        }
        pod
    };
    let lists = |requests: &str, limits: &str| json!({"requests": {"cpu": requests}, "limits": {"cpu": limits}});
    let resized =
        with(lists("2", "4"), json!({"allocatedResources": {"cpu": "3"}, "resources": lists("3500m", "5")}), false);
    requested("the greatest", &resized, POD_STATUS, "cpu=3500m");
    limited("the greatest", &resized, POD_STATUS, "cpu=5");
    requested("the wish alone", &resized, STATUS, "cpu=2");
    let refused =
        with(lists("10", "20"), json!({"allocatedResources": {"cpu": "3"}, "resources": lists("4", "8")}), true);
    requested("an infeasible wish does not count", &refused, POD_STATUS, "cpu=4");
    limited("an infeasible wish does not count", &refused, POD_STATUS, "cpu=8");

    let sums = with(Value::Null, json!({"allocatedResources": {"cpu": "4"}, "resources": lists("3", "5")}), false);
    requested("the status of the pod has sums already", &sums, POD_STATUS, "cpu=4");
    limited("the status of the pod has sums already", &sums, POD_STATUS, "cpu=5");

    let mut held = cpu("a", "5");
    held["allocatedResources"] = json!({"cpu": "6"});
    let containers =
        |status: Value| with_status(with(Value::Null, status, false), "containerStatuses", &[held.clone()], None);
    let no_allocation = containers(json!({"resources": lists("3", "7")}));
    requested("half a status is none", &no_allocation, POD_STATUS, "cpu=6");
    limited("limits have no other half", &no_allocation, POD_STATUS, "cpu=7");
    let nothing_in_force = containers(json!({"allocatedResources": {"cpu": "6"}}));
    requested("half a status is none", &nothing_in_force, POD_STATUS, "cpu=6");
    limited("of the containers", &nothing_in_force, POD_STATUS, "cpu=5");
}

#[test]
fn limits_that_are_declared() {
    let whole = |pod: &Value| declared_limit(PodTree::of(pod), CPU).map(|limit| limit.to_string());
    let none = || json!({"name": "n"});
    let cases = [
        (pod(json!([cpu("a", "1"), cpu("b", "2")]), json!([])), Some("3")),
        (pod(json!([cpu("a", "1"), none()]), json!([])), None),
        (pod(json!([cpu("a", "1")]), json!([none()])), None),
        (pod(json!([cpu("a", "1"), cpu("b", "0")]), json!([])), None),
        (pod(json!([cpu("a", "1")]), json!([sidecar("s", "4"), cpu("i", "2")])), Some("6")),
    ];
    for (pod, expected) in cases {
        assert_eq!(whole(&pod).as_deref(), expected, "{pod}");
    }
    let mut own = pod(json!([none()]), json!([]));
    own["spec"]["resources"] = json!({"limits": {"cpu": "9"}});
    own["spec"]["overhead"] = json!({"cpu": "1"});
    assert_eq!(whole(&own).as_deref(), Some("10"));
}
