//! Nodes that fall silent, come back, or are gone.

use serde_json::{Value, json};
use windlass_api::ObjectKey;
use windlass_api::resource::{DEPLOYMENTS, NODES, PODS};
use windlass_client::OBJECT;
use windlass_testing::Kubelet;

use crate::scene::{Scene, condition, is_going, is_ready, name, until_events, workload};

fn taints(node: &Value) -> Vec<String> {
    let all = node["spec"]["taints"].as_array().into_iter().flatten();
    all.map(|taint| format!("{}:{}", taint["key"].as_str().unwrap(), taint["effect"].as_str().unwrap())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_node_gets_its_pod_range_and_loses_the_taint_of_the_first_moment() {
    let scene = Scene::with_nodes(2).await;
    let ready = |node: &Value| is_ready(node) && taints(node).is_empty() && node["spec"]["podCIDR"].is_string();
    let one = scene.cluster.until(&NODES, &ObjectKey::new("", "n0"), "a place in the cluster", ready).await;
    let other = scene.cluster.until(&NODES, &ObjectKey::new("", "n1"), "a place in the cluster", ready).await;
    assert_ne!(one["spec"]["podCIDR"], other["spec"]["podCIDR"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_and_goes_is_told_of_and_has_its_ttl() {
    let mut scene = Scene::with_nodes(1).await;
    let key = ObjectKey::new("", "n0");
    let ttl = |node: &Value| node["metadata"]["annotations"]["node.alpha.kubernetes.io/ttl"] == "0";
    scene.cluster.until(&NODES, &key, "its ttl", ttl).await;
    drop(scene.kubelets.pop());
    scene.cluster.delete(&NODES, &key).await;
    let expected = [
        ("RegisteredNode", "Node n0 event: Registered Node n0 in Controller"),
        ("RemovingNode", "Node n0 event: Removing Node n0 from Controller"),
    ]
    .map(|(reason, message)| (reason.to_owned(), message.to_owned(), 1));
    until_events(&scene, "Node", "n0", "both", |told| expected.iter().all(|event| told.contains(event))).await;
}

#[tokio::test(start_paused = true)]
async fn pods_leave_a_node_that_falls_silent() {
    let mut scene = Scene::with_nodes(1).await;
    scene.create(&DEPLOYMENTS, "web", workload("web", 1)).await;
    let pods = scene.until_pods("a pod", |pods| pods.len() == 1 && is_ready(pods[0])).await;
    let silent = scene.kubelets.pop().unwrap();
    let machine = silent.machine.clone();
    drop(silent);
    let key = ObjectKey::new("", "n0");
    let unreachable = |node: &Value| {
        condition(node, "Ready") == "Unknown"
            && taints(node).contains(&"node.kubernetes.io/unreachable:NoExecute".to_owned())
    };
    scene.cluster.until(&NODES, &key, "its silence", unreachable).await;
    scene.until(&PODS, name(&pods[0]), "no traffic", |pod| condition(pod, "Ready") == "False").await;
    let pod = scene.until(&PODS, name(&pods[0]), "its eviction", is_going).await;
    assert_eq!(condition(&pod, "DisruptionTarget"), "True");
    // Nobody says that the pod has ended until the kubelet does.
    scene.kubelets.push(Kubelet::start(&scene.cluster, "n1"));
    scene.until_pods("its successor", |pods| pods.len() == 1 && is_ready(pods[0])).await;
    assert!(!scene.cluster.lacks(&PODS, &crate::scene::key(name(&pods[0]))).await);
    scene.kubelets.push(Kubelet::start_on(&scene.cluster, machine, windlass_testing::NodeShape::default()));
    scene.until_gone(&PODS, name(&pods[0])).await;
    scene.cluster.until(&NODES, &key, "its return", |node| is_ready(node) && taints(node).is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn the_pods_of_a_node_that_is_deleted_are_collected() {
    let mut scene = Scene::with_nodes(2).await;
    scene.create(&DEPLOYMENTS, "web", workload("web", 4)).await;
    let ready = |pods: &[&Value]| pods.len() == 4 && pods.iter().all(|pod| is_ready(pod));
    scene.until_pods("four pods", ready).await;
    drop(scene.kubelets.pop());
    scene.cluster.delete(&NODES, &ObjectKey::new("", "n1")).await;
    let moved = |pods: &[&Value]| ready(pods) && pods.iter().all(|pod| pod["spec"]["nodeName"] == "n0");
    scene.until_pods("all on the other node", moved).await;
    scene.cluster.until_all(&PODS, "default", "no pod of the old node", |pods| pods.len() == 4).await;
}

#[tokio::test(start_paused = true)]
async fn a_taint_evicts_who_does_not_tolerate_it_and_later_who_does_for_a_time() {
    let scene = Scene::with_nodes(1).await;
    scene.until_account().await;
    for (name, tolerations) in [
        ("stays", json!([{"key": "mine", "operator": "Exists"}])),
        ("a-while", json!([{"key": "mine", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 100}])),
        ("not", json!([])),
    ] {
        let spec = json!({"tolerations": tolerations, "containers": [{"name": "c", "image": "i"}]});
        scene.cluster.create(&PODS, "default", json!({"metadata": {"name": name}, "spec": spec})).await;
        scene.until(&PODS, name, "its start", is_ready).await;
    }
    let begun = tokio::time::Instant::now();
    let taint = json!({"spec": {"taints": [{"key": "mine", "effect": "NoExecute"}]}});
    scene.cluster.patch(&NODES, &ObjectKey::new("", "n0"), OBJECT, taint).await;
    scene.until_gone(&PODS, "not").await;
    assert!(begun.elapsed().as_secs() < 60);
    scene.until_gone(&PODS, "a-while").await;
    assert!(begun.elapsed().as_secs() >= 99, "{:?}", begun.elapsed());
    assert!(is_ready(&scene.get(&PODS, "stays").await));
}
