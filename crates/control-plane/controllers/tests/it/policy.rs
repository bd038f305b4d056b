//! Budgets and quotas.

use serde_json::{Value, json};
use windlass_api::resource::{DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, RESOURCE_QUOTAS};

use crate::scene::{Scene, key, name, workload};

#[tokio::test(start_paused = true)]
async fn a_budget_counts_and_evictions_keep_to_it() {
    let scene = Scene::with_nodes(1).await;
    scene.create(&DEPLOYMENTS, "web", workload("web", 3)).await;
    let budget = json!({"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}});
    scene.create(&POD_DISRUPTION_BUDGETS, "web", budget).await;
    let allows = |count: u64| move |budget: &Value| budget["status"]["disruptionsAllowed"] == count;
    let budget = scene.until(&POD_DISRUPTION_BUDGETS, "web", "one disruption", allows(1)).await;
    assert_eq!((&budget["status"]["currentHealthy"], &budget["status"]["expectedPods"]), (&json!(3), &json!(3)));
    let pods = scene.cluster.list(&PODS, "default").await;
    let evict = async |pod: &Value| {
        let eviction = json!({"metadata": {"name": name(pod)}});
        scene.cluster.admin.create_sub(&PODS, &key(name(pod)), "eviction", &eviction).await
    };
    evict(&pods[0]).await.unwrap();
    let refused = evict(&pods[1]).await.unwrap_err();
    assert_eq!(refused.code, 429, "{refused}");
    // When its successor is ready, the next may go.
    scene.until(&POD_DISRUPTION_BUDGETS, "web", "one more", allows(1)).await;
    evict(&pods[1]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_quota_holds_and_is_counted_again() {
    let scene = Scene::with_nodes(1).await;
    let quota = json!({"hard": {"pods": "2"}});
    scene.create(&RESOURCE_QUOTAS, "few", quota).await;
    let used = |count: &'static str| move |quota: &Value| quota["status"]["used"]["pods"] == count;
    scene.until(&RESOURCE_QUOTAS, "few", "the first count", used("0")).await;
    scene.create(&DEPLOYMENTS, "web", workload("web", 3)).await;
    scene.until(&RESOURCE_QUOTAS, "few", "a full quota", used("2")).await;
    let failing = |object: &Value| crate::scene::condition(object, "ReplicaFailure") == "True";
    scene.until(&DEPLOYMENTS, "web", "what it lacks", failing).await;
    assert_eq!(scene.cluster.list(&PODS, "default").await.len(), 2);
    scene.patch(&RESOURCE_QUOTAS, "few", json!({"spec": {"hard": {"pods": "5"}}})).await;
    scene.until(&DEPLOYMENTS, "web", "three pods", |object| object["status"]["availableReplicas"] == 3).await;
    scene.patch(&DEPLOYMENTS, "web", json!({"spec": {"replicas": 1}})).await;
    scene.until(&RESOURCE_QUOTAS, "few", "what it got back", used("1")).await;
}
