//! Claims, and what they are made of.

use serde_json::{Value, json};
use windlass_api::resource::{PERSISTENT_VOLUME_CLAIMS, PODS, VOLUME_ATTRIBUTES_CLASSES};
use windlass_api::{GroupVersionResource, ObjectKey};
use windlass_client::Propagation;

use crate::scene::{Scene, events, is_going};

const STORAGE_CLASSES: GroupVersionResource = GroupVersionResource::of("storage.k8s.io", "v1", "storageclasses");

#[tokio::test(start_paused = true)]
async fn a_volume_attributes_class_stays_while_a_claim_names_it() {
    let scene = Scene::with_nodes(0).await;
    let gold = ObjectKey::new("", "gold");
    let class = json!({"metadata": {"name": "gold"}, "driverName": "csi.example.com", "parameters": {"iops": "1"}});
    scene.cluster.create(&VOLUME_ATTRIBUTES_CLASSES, "", class).await;
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        "volumeAttributesClassName": "gold"});
    scene.create(&PERSISTENT_VOLUME_CLAIMS, "data", claim).await;
    scene.cluster.delete(&VOLUME_ATTRIBUTES_CLASSES, &gold).await;
    scene.cluster.until(&VOLUME_ATTRIBUTES_CLASSES, &gold, "the mark", is_going).await;
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert!(is_going(&scene.cluster.get(&VOLUME_ATTRIBUTES_CLASSES, &gold).await), "it stays");
    scene.delete(&PERSISTENT_VOLUME_CLAIMS, "data", Propagation::Background).await;
    scene.cluster.until(&VOLUME_ATTRIBUTES_CLASSES, &gold, "its end", Value::is_null).await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_says_which_pod_it_waits_for() {
    let scene = Scene::with_nodes(0).await;
    let class = json!({"metadata": {"name": "late"}, "provisioner": "example.com/p",
        "volumeBindingMode": "WaitForFirstConsumer"});
    scene.cluster.create(&STORAGE_CLASSES, "", class).await;
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "late"});
    scene.create(&PERSISTENT_VOLUME_CLAIMS, "data", claim).await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(events(&scene, "PersistentVolumeClaim", "data").await[0].0, "WaitForFirstConsumer");
    let spec = json!({"containers": [{"name": "c", "image": "i"}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]});
    scene.create(&PODS, "user", spec).await;
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    let told = events(&scene, "PersistentVolumeClaim", "data").await;
    let waits = |(reason, message, _): &(String, String, u64)| {
        reason == "WaitForPodScheduled" && message == "waiting for pod user to be scheduled"
    };
    assert!(told.iter().any(waits), "{told:#?}");
}
