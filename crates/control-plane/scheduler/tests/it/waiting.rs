//! Pods that have to wait, and what ends that.

use serde_json::json;
use windlass_api::ObjectKey;
use windlass_api::resource::PODS;
use windlass_client::{DeleteOptions, OBJECT};

use crate::harness::{Cluster, scheduled};

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_a_node() {
    let cluster = Cluster::start().await;
    let _scheduler = cluster.schedule();
    cluster.pod("p", "1", json!({})).await;
    let pod = cluster.waits_because("p", "no nodes available to schedule pods").await;
    assert_eq!(scheduled(&pod)["reason"], "Unschedulable");
    cluster.node("n1", "4", json!({})).await;
    assert_eq!(cluster.node_of("p").await, "n1");
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_another_to_go() {
    let cluster = Cluster::start().await;
    cluster.node("n1", "2", json!({})).await;
    let _scheduler = cluster.schedule();
    cluster.pod("first", "2", json!({})).await;
    cluster.node_of("first").await;
    cluster.pod("second", "2", json!({})).await;
    cluster
        .waits_because(
            "second",
            "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
        )
        .await;
    let first = ObjectKey::new("default", "first");
    cluster.admin.delete(&PODS, &first, &DeleteOptions::default().grace_seconds(0)).await.unwrap();
    assert_eq!(cluster.node_of("second").await, "n1");
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_its_gates() {
    let cluster = Cluster::start().await;
    cluster.node("n1", "4", json!({})).await;
    let _scheduler = cluster.schedule();
    cluster.pod("gated", "1", json!({"schedulingGates": [{"name": "example.com/gate"}]})).await;
    cluster.pod("free", "1", json!({})).await;
    cluster.node_of("free").await;
    let gated = cluster.get_pod("gated").await;
    assert!(gated["spec"].get("nodeName").is_none());
    assert_eq!(scheduled(&gated)["reason"], "SchedulingGated");
    let open = json!({"spec": {"schedulingGates": []}});
    cluster.admin.patch(&PODS, &ObjectKey::new("default", "gated"), OBJECT, &open).await.unwrap();
    assert_eq!(cluster.node_of("gated").await, "n1");
}
