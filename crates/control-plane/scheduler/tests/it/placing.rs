//! Pods that find a node.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use windlass_api::{GroupVersionResource, ObjectKey};
use windlass_client::OBJECT;

use crate::harness::Cluster;

const EVENTS: GroupVersionResource = GroupVersionResource::of("events.k8s.io", "v1", "events");

#[tokio::test(start_paused = true)]
async fn a_pod_is_bound_and_it_is_told() {
    let cluster = Cluster::start().await;
    cluster.node("n1", "4", json!({})).await;
    let _scheduler = cluster.schedule();
    cluster.pod("p", "1", json!({})).await;
    assert_eq!(cluster.node_of("p").await, "n1");
    let pod = cluster.get_pod("p").await;
    assert_eq!(crate::harness::scheduled(&pod)["status"], "True");
    let is_it = |event: &&Value| event["reason"] == "Scheduled";
    let events =
        cluster.until_all(&EVENTS, "default", "the event", |events| events.iter().any(|event| is_it(&event))).await;
    let event = events.iter().find(is_it).unwrap();
    assert_eq!(event["note"], "Successfully assigned default/p to n1");
    assert_eq!(event["reportingController"], "default-scheduler");
    assert_eq!(event["reportingInstance"], "default-scheduler-host");
    assert_eq!(event["action"], "Binding");
    assert_eq!(event["regarding"]["name"], "p");
}

#[tokio::test(start_paused = true)]
async fn pods_fill_nodes_evenly_and_never_too_much() {
    let cluster = Cluster::start().await;
    for n in 0..4 {
        cluster.node(&format!("n{n}"), "4", json!({})).await;
    }
    let _scheduler = cluster.schedule();
    for n in 0..17 {
        cluster.pod(&format!("p{n}"), "1", json!({})).await;
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for n in 0..16 {
        *counts.entry(cluster.node_of(&format!("p{n}")).await).or_default() += 1;
    }
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [4, 4, 4, 4]);
    cluster
        .waits_because(
            "p16",
            "0/4 nodes are available: 4 Insufficient cpu. preemption: 0/4 nodes are available: 4 No preemption victims found for incoming pod.",
        )
        .await;
}

#[tokio::test(start_paused = true)]
async fn spread_and_affinity_are_honoured() {
    let cluster = Cluster::start().await;
    for (name, zone) in [("a1", "a"), ("a2", "a"), ("b1", "b")] {
        cluster.node(name, "16", json!({"topology.kubernetes.io/zone": zone})).await;
    }
    let _scheduler = cluster.schedule();
    let spread = json!({"topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "spread"}},
    }]});
    let mut zones: BTreeMap<String, usize> = BTreeMap::new();
    for n in 0..6 {
        let name = format!("spread-{n}");
        cluster.labelled_pod(&name, "100m", json!({"app": "spread"}), spread.clone()).await;
        *zones.entry(cluster.node_of(&name).await[..1].to_owned()).or_default() += 1;
    }
    assert_eq!(zones.into_values().collect::<Vec<_>>(), [3, 3]);
    let anti = json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "lonely"}}},
    ]}}});
    let mut nodes = Vec::new();
    for n in 0..3 {
        let name = format!("lonely-{n}");
        cluster.labelled_pod(&name, "100m", json!({"app": "lonely"}), anti.clone()).await;
        nodes.push(cluster.node_of(&name).await);
    }
    nodes.sort();
    assert_eq!(nodes, ["a1", "a2", "b1"]);
    cluster.labelled_pod("lonely-3", "100m", json!({"app": "lonely"}), anti).await;
    cluster
        .waits_because(
            "lonely-3",
            "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.",
        )
        .await;
    let near = json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "target"}}},
    ]}}});
    cluster
        .labelled_pod(
            "target",
            "1",
            json!({"app": "target"}),
            json!({"nodeSelector": {"kubernetes.io/hostname": "a2"}}),
        )
        .await;
    assert_eq!(cluster.node_of("target").await, "a2");
    cluster.labelled_pod("near", "1", json!({}), near).await;
    assert_eq!(cluster.node_of("near").await, "a2");
}

#[tokio::test(start_paused = true)]
async fn other_schedulers_pods_are_left_alone() {
    let cluster = Cluster::start().await;
    cluster.node("n1", "4", json!({})).await;
    let _scheduler = cluster.schedule();
    cluster.pod("theirs", "1", json!({"schedulerName": "another"})).await;
    cluster.pod("ours", "1", json!({})).await;
    cluster.node_of("ours").await;
    let theirs = cluster.get_pod("theirs").await;
    assert!(theirs["spec"].get("nodeName").is_none());
    assert_eq!(crate::harness::scheduled(&theirs), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_scheduler_finds_everything_again() {
    let cluster = Cluster::start().await;
    cluster.node("n1", "2", json!({})).await;
    let first = cluster.schedule();
    cluster.pod("a", "1500m", json!({})).await;
    cluster.node_of("a").await;
    first.stop().await;
    cluster.pod("b", "1", json!({})).await;
    cluster.pod("c", "500m", json!({})).await;
    let _second = cluster.schedule();
    // What is taken by `a` is known to the second as well.
    assert_eq!(cluster.node_of("c").await, "n1");
    cluster.waits_because("b", "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.").await;
}

#[tokio::test(start_paused = true)]
async fn a_cordoned_node_takes_nobody() {
    let cluster = Cluster::start().await;
    cluster.node("n1", "4", json!({})).await;
    let key = ObjectKey::new("", "n1");
    let cordon = |on: bool| json!({"spec": {"unschedulable": on}});
    cluster.admin.patch(&windlass_api::resource::NODES, &key, OBJECT, &cordon(true)).await.unwrap();
    let _scheduler = cluster.schedule();
    cluster.pod("p", "1", json!({})).await;
    cluster
        .waits_because(
            "p",
            "0/1 nodes are available: 1 node(s) were unschedulable. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
        )
        .await;
    cluster.admin.patch(&windlass_api::resource::NODES, &key, OBJECT, &cordon(false)).await.unwrap();
    assert_eq!(cluster.node_of("p").await, "n1");
}
