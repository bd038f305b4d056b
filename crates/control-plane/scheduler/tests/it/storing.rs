//! Pods with claims; the tests are the volume controller.

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
    cluster.admin.patch(&PERSISTENT_VOLUME_CLAIMS, &key, OBJECT, &patch).await.unwrap();
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
    cluster.admin.patch(&PERSISTENT_VOLUMES, &key, windlass_client::STATUS, &available).await.unwrap();
}

fn uses(claim: &str) -> Value {
    json!({"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]})
}

#[tokio::test(start_paused = true)]
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
    let is_chosen = |volume: &Value| volume["spec"]["claimRef"].is_object();
    let chosen = cluster.until(&PERSISTENT_VOLUMES, &ObjectKey::new("", "v"), "its claim", is_chosen).await;
    assert_eq!(chosen["spec"]["claimRef"]["name"], "data");
    assert!(cluster.get_pod("p").await["spec"].get("nodeName").is_none(), "it waits for its claim");
    bind(&cluster, "data", "v").await;
    assert_eq!(cluster.node_of("p").await, "n2");
    // Whoever comes later has to go there as well.
    cluster.pod("q", "1", uses("data")).await;
    assert_eq!(cluster.node_of("q").await, "n2");
}

#[tokio::test(start_paused = true)]
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
    let is_selected = |claim: &Value| claim["metadata"]["annotations"][annotation].is_string();
    let selected = cluster.until(&PERSISTENT_VOLUME_CLAIMS, &key, "its node", is_selected).await;
    assert_eq!(selected["metadata"]["annotations"][annotation], "n2");
    volume(&cluster, "v", "n2").await;
    bind(&cluster, "data", "v").await;
    assert_eq!(cluster.node_of("p").await, "n2");
}

#[tokio::test(start_paused = true)]
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
