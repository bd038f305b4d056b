//! Pods with claims; the tests are the volume controller.

use std::time::Duration;

use serde_json::{Value, json};
use windlass_api::resource::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES};
use windlass_api::{GroupVersionResource, ObjectKey};
use windlass_client::OBJECT;

use crate::harness::Cluster;

const CLASSES: GroupVersionResource = GroupVersionResource::of("storage.k8s.io", "v1", "storageclasses");

async fn class(cluster: &Cluster, name: &str, provisioner: &str, mode: &str) {
    let class = json!({"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode});
    cluster.create(&CLASSES, "", class).await;
}

async fn claim(cluster: &Cluster, name: &str, class: &str) {
    let claim = json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    cluster.create(&PERSISTENT_VOLUME_CLAIMS, "default", claim).await;
}

/// As the volume controller does it.
async fn bind(cluster: &Cluster, claim: &str, volume: &str) {
    let patch = json!({
        "metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {"volumeName": volume},
    });
    let key = ObjectKey::new("default", claim);
    cluster.client.patch(&PERSISTENT_VOLUME_CLAIMS, &key, OBJECT, &patch).await.unwrap();
}

async fn volume(cluster: &Cluster, name: &str, node: &str) {
    let volume = json!({
        "metadata": {"name": name},
        "spec": {
            "storageClassName": "local", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
            "local": {"path": "/data"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]},
            ]}},
        },
    });
    cluster.create(&PERSISTENT_VOLUMES, "", volume).await;
    let available = json!({"status": {"phase": "Available"}});
    let key = ObjectKey::new("", name);
    cluster.client.patch(&PERSISTENT_VOLUMES, &key, windlass_client::STATUS, &available).await.unwrap();
}

/// Waits until an object is as it should be.
async fn until(
    cluster: &Cluster,
    resource: &GroupVersionResource,
    key: ObjectKey,
    is: impl Fn(&Value) -> bool,
) -> Value {
    for _ in 0..4000 {
        let object: Value = cluster.client.get(resource, &key).await.unwrap().decode().unwrap();
        if is(&object) {
            return object;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{key} never came to be as it should");
}

fn uses(claim: &str) -> Value {
    json!({"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_follows_its_volume() {
    let cluster = Cluster::start().await;
    for node in ["n1", "n2", "n3"] {
        cluster.node(node, "4", json!({})).await;
    }
    class(&cluster, "local", "kubernetes.io/no-provisioner", "WaitForFirstConsumer").await;
    let _scheduler = cluster.schedule();
    claim(&cluster, "data", "local").await;
    cluster.pod("p", "1", uses("data")).await;
    cluster
        .waits_because(
            "p",
            "0/3 nodes are available: 3 node(s) didn't find available persistent volumes to bind. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
        )
        .await;
    volume(&cluster, "v", "n2").await;
    let chosen =
        until(&cluster, &PERSISTENT_VOLUMES, ObjectKey::new("", "v"), |v| v["spec"]["claimRef"].is_object()).await;
    assert_eq!(chosen["spec"]["claimRef"]["name"], "data");
    assert!(cluster.get("p").await["spec"].get("nodeName").is_none(), "it waits for its claim");
    bind(&cluster, "data", "v").await;
    assert_eq!(cluster.node_of("p").await, "n2");
    // Whoever comes later has to go there as well.
    cluster.pod("q", "1", uses("data")).await;
    assert_eq!(cluster.node_of("q").await, "n2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_made_where_the_pod_goes() {
    let cluster = Cluster::start().await;
    cluster.node("n1", "1", json!({})).await;
    cluster.node("n2", "4", json!({})).await;
    class(&cluster, "made", "csi.example", "WaitForFirstConsumer").await;
    let _scheduler = cluster.schedule();
    claim(&cluster, "data", "made").await;
    cluster.pod("p", "2", uses("data")).await;
    let annotation = "volume.kubernetes.io/selected-node";
    let key = ObjectKey::new("default", "data");
    let selected =
        until(&cluster, &PERSISTENT_VOLUME_CLAIMS, key, |c| c["metadata"]["annotations"][annotation].is_string()).await;
    assert_eq!(selected["metadata"]["annotations"][annotation], "n2");
    volume(&cluster, "v", "n2").await;
    bind(&cluster, "data", "v").await;
    assert_eq!(cluster.node_of("p").await, "n2");
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_are_not_ready() {
    let cluster = Cluster::start().await;
    cluster.node("n1", "4", json!({})).await;
    class(&cluster, "at-once", "csi.example", "Immediate").await;
    let _scheduler = cluster.schedule();
    let preemption = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    cluster.pod("p", "1", uses("data")).await;
    let missing = format!("0/1 nodes are available: persistentvolumeclaim \"data\" not found. {preemption}");
    cluster.waits_because("p", &missing).await;
    claim(&cluster, "data", "at-once").await;
    let unbound = format!("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. {preemption}");
    cluster.waits_because("p", &unbound).await;
    volume(&cluster, "v", "n1").await;
    bind(&cluster, "data", "v").await;
    assert_eq!(cluster.node_of("p").await, "n1");
}
