//! Namespaces that go.

use serde_json::{Value, json};
use windlass_api::ObjectKey;
use windlass_api::resource::{CONFIG_MAPS, DEPLOYMENTS, NAMESPACES, PODS, SERVICE_ACCOUNTS};

use crate::scene::{Scene, condition, workload};

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_with_everything_in_it() {
    let scene = Scene::with_nodes(1).await;
    let cluster = &scene.cluster;
    cluster.create(&NAMESPACES, "", json!({"metadata": {"name": "red"}})).await;
    for (resource, name) in [(SERVICE_ACCOUNTS, "default"), (CONFIG_MAPS, "kube-root-ca.crt")] {
        cluster
            .until(&resource, &ObjectKey::new("red", name), "what every namespace has", |object| !object.is_null())
            .await;
    }
    cluster.create(&DEPLOYMENTS, "red", json!({"metadata": {"name": "web"}, "spec": workload("web", 2)})).await;
    cluster.until_all(&PODS, "red", "two pods", |pods| pods.len() == 2).await;
    cluster.delete(&NAMESPACES, &ObjectKey::new("", "red")).await;
    let refused = cluster.admin.create(&CONFIG_MAPS, "red", &json!({"metadata": {"name": "late"}})).await.unwrap_err();
    assert!(refused.is_namespace_terminating(), "{refused}");
    cluster.until(&NAMESPACES, &ObjectKey::new("", "red"), "its end", Value::is_null).await;
    for resource in [PODS, DEPLOYMENTS, CONFIG_MAPS, SERVICE_ACCOUNTS] {
        assert!(cluster.list(&resource, "red").await.is_empty(), "{resource}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_says_what_keeps_it() {
    let scene = Scene::with_nodes(0).await;
    let cluster = &scene.cluster;
    cluster.create(&NAMESPACES, "", json!({"metadata": {"name": "red"}})).await;
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}});
    cluster.create(&CONFIG_MAPS, "red", held).await;
    let key = ObjectKey::new("", "red");
    cluster.delete(&NAMESPACES, &key).await;
    let says = |namespace: &Value| condition(namespace, "NamespaceFinalizersRemaining") == "True";
    let namespace = cluster.until(&NAMESPACES, &key, "why it stays", says).await;
    assert_eq!(namespace["status"]["phase"], "Terminating");
    let free = json!({"metadata": {"finalizers": null}});
    cluster.patch(&CONFIG_MAPS, &ObjectKey::new("red", "held"), "", free).await;
    cluster.until(&NAMESPACES, &key, "its end", Value::is_null).await;
}

/// Pods go first, so a pod that is held keeps a Deployment in a namespace in which nothing can be made any more.
#[tokio::test(start_paused = true)]
async fn a_deployment_in_a_namespace_that_goes_waits_for_its_end() {
    let scene = Scene::with_nodes(1).await;
    let cluster = &scene.cluster;
    cluster.create(&NAMESPACES, "", json!({"metadata": {"name": "red"}})).await;
    let key = ObjectKey::new("red", "web");
    cluster.create(&DEPLOYMENTS, "red", json!({"metadata": {"name": "web"}, "spec": workload("web", 1)})).await;
    cluster.until_all(&PODS, "red", "a pod", |pods| pods.len() == 1).await;
    let held = json!({
        "metadata": {"name": "held", "finalizers": ["example.com/hold"]},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    cluster.create(&PODS, "red", held).await;
    let namespace = ObjectKey::new("", "red");
    cluster.delete(&NAMESPACES, &namespace).await;
    let says = |namespace: &Value| condition(namespace, "NamespaceFinalizersRemaining") == "True";
    cluster.until(&NAMESPACES, &namespace, "why it stays", says).await;
    // A new template wants a ReplicaSet that is refused. On paused time, trying without a pause would be for ever.
    let template = json!({"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}});
    let changed = cluster.patch(&DEPLOYMENTS, &key, "", template).await;
    assert!(changed["metadata"]["deletionTimestamp"].is_null(), "{changed}");
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    let free = json!({"metadata": {"finalizers": null}});
    cluster.patch(&PODS, &ObjectKey::new("red", "held"), "", free).await;
    cluster.until(&NAMESPACES, &namespace, "its end", Value::is_null).await;
}
