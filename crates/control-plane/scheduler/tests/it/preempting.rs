//! Pods that make room for themselves.

use serde_json::{Value, json};
use windlass_api::resource::{PODS, PRIORITY_CLASSES};
use windlass_api::{GroupVersionResource, ObjectKey};

use crate::harness::Cluster;

const EVENTS: GroupVersionResource = GroupVersionResource::of("events.k8s.io", "v1", "events");

async fn class(cluster: &Cluster, name: &str, value: i64, policy: &str) {
    let class = json!({"metadata": {"name": name}, "value": value, "preemptionPolicy": policy});
    cluster.create(&PRIORITY_CLASSES, "", class).await;
}

#[tokio::test(start_paused = true)]
async fn the_least_important_pod_has_to_go() {
    let cluster = Cluster::start().await;
    class(&cluster, "high", 1000, "PreemptLowerPriority").await;
    class(&cluster, "low", 10, "PreemptLowerPriority").await;
    class(&cluster, "lower", 5, "PreemptLowerPriority").await;
    cluster.node("n1", "2", json!({})).await;
    cluster.node("n2", "2", json!({})).await;
    let _scheduler = cluster.schedule();
    let on =
        |node: &str, class: &str| json!({"priorityClassName": class, "nodeSelector": {"kubernetes.io/hostname": node}});
    for (name, node, class, cpu) in [("a", "n1", "low", "2"), ("b", "n2", "lower", "1"), ("c", "n2", "low", "1")] {
        cluster.pod(name, cpu, on(node, class)).await;
        cluster.node_of(name).await;
    }
    let urgent = cluster.pod("urgent", "1", json!({"priorityClassName": "high"})).await;
    assert_eq!(cluster.node_of("urgent").await, "n2");
    let gone = cluster.admin.get(&PODS, &ObjectKey::new("default", "b")).await;
    assert!(gone.unwrap_err().is_not_found());
    for stays in ["a", "c"] {
        cluster.get_pod(stays).await;
    }
    let note = format!("Preempted by pod {} on node n2", urgent["metadata"]["uid"].as_str().unwrap());
    let told = |event: &Value| event["reason"] == "Preempted" && event["note"] == note.as_str();
    cluster.until_all(&EVENTS, "default", "the victim's event", |events| events.iter().any(told)).await;
}

#[tokio::test(start_paused = true)]
async fn who_never_preempts_waits() {
    let cluster = Cluster::start().await;
    class(&cluster, "polite", 1000, "Never").await;
    cluster.node("n1", "2", json!({})).await;
    let _scheduler = cluster.schedule();
    cluster.pod("a", "2", json!({})).await;
    cluster.node_of("a").await;
    cluster.pod("p", "1", json!({"priorityClassName": "polite"})).await;
    cluster
        .waits_because(
            "p",
            "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.",
        )
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_victim_that_takes_its_time_is_waited_for() {
    let cluster = Cluster::start().await;
    class(&cluster, "high", 1000, "PreemptLowerPriority").await;
    cluster.node("n1", "2", json!({})).await;
    let _scheduler = cluster.schedule();
    cluster.pod("slow", "2", json!({"terminationGracePeriodSeconds": 30})).await;
    cluster.node_of("slow").await;
    cluster.pod("urgent", "2", json!({"priorityClassName": "high"})).await;
    let nominated = |pod: &Value| pod["status"]["nominatedNodeName"] == "n1";
    cluster.until_pod("urgent", "a nomination", nominated).await;
    let going = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array().unwrap();
        pod["metadata"]["deletionTimestamp"].is_string()
            && conditions.iter().any(|c| c["type"] == "DisruptionTarget" && c["reason"] == "PreemptionByScheduler")
    };
    cluster.until_pod("slow", "its going", going).await;
    // Nobody of lower rank gets the place that was made.
    cluster.pod("quick", "2", json!({})).await;
    let key = ObjectKey::new("default", "slow");
    let now = windlass_client::DeleteOptions::default().grace_seconds(0);
    cluster.admin.delete(&PODS, &key, &now).await.unwrap();
    assert_eq!(cluster.node_of("urgent").await, "n1");
    assert!(cluster.get_pod("quick").await["spec"].get("nodeName").is_none());
}

/// A pod may want more time to end than there are dates. It has to go like others.
#[tokio::test(start_paused = true)]
async fn a_victim_with_all_the_time_there_is() {
    let cluster = Cluster::start().await;
    class(&cluster, "high", 1000, "PreemptLowerPriority").await;
    cluster.node("n1", "2", json!({})).await;
    let _scheduler = cluster.schedule();
    cluster.pod("slow", "2", json!({"terminationGracePeriodSeconds": i64::MAX})).await;
    cluster.node_of("slow").await;
    cluster.pod("urgent", "2", json!({"priorityClassName": "high"})).await;
    cluster.until_pod("slow", "its going", |pod| pod["metadata"]["deletionTimestamp"].is_string()).await;
    // The place of another node is taken as soon as it is there.
    cluster.node("n2", "2", json!({})).await;
    assert_eq!(cluster.node_of("urgent").await, "n2");
}
