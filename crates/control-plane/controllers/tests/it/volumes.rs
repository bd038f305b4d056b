//! Claims, and what they are made of.

use serde_json::{Value, json};
use windlass_api::resource::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTRIBUTES_CLASSES};
use windlass_api::{GroupVersionResource, ObjectKey};
use windlass_client::Propagation;

use crate::scene::{Scene, Told, is_going, is_ready, until_events};

const STORAGE_CLASSES: GroupVersionResource = GroupVersionResource::of("storage.k8s.io", "v1", "storageclasses");

/// A pod with a claim.
fn user_of(claim: &str) -> Value {
    json!({"containers": [{"name": "c", "image": "i"}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]})
}

async fn create_volume(scene: &Scene, name: &str, size: &str) {
    let spec = json!({"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/d"},
        "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "manual"});
    scene.cluster.create(&PERSISTENT_VOLUMES, "", json!({"metadata": {"name": name}, "spec": spec})).await;
    scene.cluster.until(&PERSISTENT_VOLUMES, &volume(name), "its beginning", |it| is_in(it, "Available")).await;
}

async fn create_claim(scene: &Scene, name: &str) {
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "manual"});
    scene.create(&PERSISTENT_VOLUME_CLAIMS, name, claim).await;
}

fn volume(name: &str) -> ObjectKey {
    ObjectKey::new("", name)
}

fn is_in(object: &Value, phase: &str) -> bool {
    object["status"]["phase"] == phase
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_bound_to_the_smallest_volume_that_suits_it() {
    let scene = Scene::with_nodes(0).await;
    for (name, size) in [("small", "500Mi"), ("large", "5Gi"), ("fitting", "2Gi")] {
        create_volume(&scene, name, size).await;
    }
    create_claim(&scene, "data").await;
    let claim = scene.until(&PERSISTENT_VOLUME_CLAIMS, "data", "its volume", |claim| is_in(claim, "Bound")).await;
    assert_eq!(claim["spec"]["volumeName"], "fitting");
    assert_eq!(claim["status"]["capacity"]["storage"], "2Gi");
    let bound = scene.cluster.get(&PERSISTENT_VOLUMES, &volume("fitting")).await;
    assert!(is_in(&bound, "Bound"), "{bound:#}");
    assert_eq!(bound["spec"]["claimRef"]["uid"], claim["metadata"]["uid"]);
    for name in ["small", "large"] {
        assert!(is_in(&scene.cluster.get(&PERSISTENT_VOLUMES, &volume(name)).await, "Available"), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_stays_while_a_pod_uses_it_and_a_volume_while_it_is_bound() {
    let scene = Scene::with_nodes(1).await;
    scene.until_account().await;
    create_volume(&scene, "disk", "1Gi").await;
    create_claim(&scene, "data").await;
    scene.until(&PERSISTENT_VOLUME_CLAIMS, "data", "its volume", |claim| is_in(claim, "Bound")).await;
    scene.create(&PODS, "user", user_of("data")).await;
    scene.until(&PODS, "user", "its start", is_ready).await;
    scene.cluster.delete(&PERSISTENT_VOLUMES, &volume("disk")).await;
    scene.delete(&PERSISTENT_VOLUME_CLAIMS, "data", Propagation::Background).await;
    // When those that nobody uses have gone, both have been looked at.
    create_volume(&scene, "loose", "1Mi").await;
    create_claim(&scene, "unused").await;
    scene.cluster.delete(&PERSISTENT_VOLUMES, &volume("loose")).await;
    scene.delete(&PERSISTENT_VOLUME_CLAIMS, "unused", Propagation::Background).await;
    scene.cluster.until(&PERSISTENT_VOLUMES, &volume("loose"), "its end", Value::is_null).await;
    scene.until_gone(&PERSISTENT_VOLUME_CLAIMS, "unused").await;
    assert!(is_going(&scene.get(&PERSISTENT_VOLUME_CLAIMS, "data").await), "a pod uses it");
    assert!(is_going(&scene.cluster.get(&PERSISTENT_VOLUMES, &volume("disk")).await), "a claim is bound to it");
    scene.delete(&PODS, "user", Propagation::Background).await;
    scene.until_gone(&PERSISTENT_VOLUME_CLAIMS, "data").await;
    scene.cluster.until(&PERSISTENT_VOLUMES, &volume("disk"), "its end", Value::is_null).await;
}

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
    let told = until_events(&scene, "PersistentVolumeClaim", "data", "an event", |told| !told.is_empty()).await;
    assert_eq!(told[0].0, "WaitForFirstConsumer");
    scene.until_account().await;
    scene.create(&PODS, "user", user_of("data")).await;
    let waits = |(reason, message, _): &Told| {
        reason == "WaitForPodScheduled" && message == "waiting for pod user to be scheduled"
    };
    until_events(&scene, "PersistentVolumeClaim", "data", "its pod", |told| told.iter().any(waits)).await;
}
