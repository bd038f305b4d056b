//! What Services lead to.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use windlass_api::resource::{DEPLOYMENTS, ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES};
use windlass_client::Propagation;
use windlass_testing::knob;

use crate::scene::{Scene, is_ready, key, name, workload};

fn addresses(slices: &[Value]) -> BTreeSet<&str> {
    let of_web = slices.iter().filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == "web");
    let endpoints = of_web.filter_map(|slice| slice["endpoints"].as_array()).flatten();
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true);
    ready.filter_map(|endpoint| endpoint["addresses"][0].as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_service_leads_to_its_ready_pods() {
    let scene = Scene::with_nodes(1).await;
    let service = json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]});
    scene.create(&SERVICES, "web", service).await;
    scene.create(&DEPLOYMENTS, "web", workload("web", 2)).await;
    let pods = scene.until_pods("two pods", |pods| pods.len() == 2 && pods.iter().all(|pod| is_ready(pod))).await;
    let ips: BTreeSet<&str> = pods.iter().filter_map(|pod| pod["status"]["podIP"].as_str()).collect();
    let slices =
        scene.cluster.until_all(&ENDPOINT_SLICES, "default", "both pods", |slices| addresses(slices) == ips).await;
    let slice = slices.iter().find(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == "web").unwrap();
    assert_eq!(slice["ports"][0]["port"], 8080);
    let subsets = |endpoints: &Value| endpoints["subsets"][0]["addresses"].as_array().map_or(0, Vec::len);
    scene.until(&ENDPOINTS, "web", "both pods", |endpoints| subsets(endpoints) == 2).await;
    // A pod that is not ready gets no traffic, and is not forgotten.
    scene.patch(&PODS, name(&pods[0]), json!({"metadata": {"annotations": {knob::READY: "false"}}})).await;
    scene.cluster.until_all(&ENDPOINT_SLICES, "default", "one pod", |slices| addresses(slices).len() == 1).await;
    let waiting = |endpoints: &Value| endpoints["subsets"][0]["notReadyAddresses"].as_array().map_or(0, Vec::len) == 1;
    scene.until(&ENDPOINTS, "web", "the other as not ready", waiting).await;
    scene.delete(&SERVICES, "web", Propagation::Background).await;
    scene.until_gone(&ENDPOINTS, "web").await;
    scene.cluster.until_all(&ENDPOINT_SLICES, "default", "no slice", |slices| addresses(slices).is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_a_user_makes_are_mirrored() {
    let scene = Scene::with_nodes(0).await;
    scene.create(&SERVICES, "web", json!({"ports": [{"port": 80}]})).await;
    let endpoints = json!({"metadata": {"name": "web"},
        "subsets": [{"addresses": [{"ip": "192.0.2.7"}], "ports": [{"port": 80}]}]});
    scene.cluster.create(&ENDPOINTS, "default", endpoints).await;
    let mirrored = |slices: &[Value]| addresses(slices) == BTreeSet::from(["192.0.2.7"]);
    scene.cluster.until_all(&ENDPOINT_SLICES, "default", "its mirror", mirrored).await;
    scene.cluster.delete(&ENDPOINTS, &key("web")).await;
    scene.cluster.until_all(&ENDPOINT_SLICES, "default", "no mirror", |slices| addresses(slices).is_empty()).await;
}
