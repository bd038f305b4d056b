//! Owners and dependents.

use serde_json::{Value, json};
use windlass_api::resource::{CONFIG_MAPS, DEPLOYMENTS, PODS, REPLICA_SETS};
use windlass_client::Propagation;

use crate::scene::{Scene, is_going, key, name, workload};

fn owned(name: &str, owners: &[&Value], blocks: bool) -> Value {
    let references: Vec<Value> = owners
        .iter()
        .map(|owner| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
                "blockOwnerDeletion": blocks})
        })
        .collect();
    json!({"metadata": {"name": name, "ownerReferences": references}})
}

async fn map(scene: &Scene, object: Value) -> Value {
    scene.cluster.create(&CONFIG_MAPS, "default", object).await
}

#[tokio::test(start_paused = true)]
async fn dependents_go_after_their_last_owner() {
    let scene = Scene::with_nodes(0).await;
    let (a, b) = (map(&scene, owned("a", &[], false)).await, map(&scene, owned("b", &[], false)).await);
    map(&scene, owned("of-both", &[&a, &b], false)).await;
    let of_a = map(&scene, owned("of-a", &[&a], false)).await;
    map(&scene, owned("of-of-a", &[&of_a], false)).await;
    scene.delete(&CONFIG_MAPS, "a", Propagation::Background).await;
    scene.until_gone(&CONFIG_MAPS, "of-of-a").await;
    scene
        .until(&CONFIG_MAPS, "of-both", "one owner", |map| {
            map["metadata"]["ownerReferences"].as_array().is_some_and(|all| all.len() == 1)
        })
        .await;
    scene.delete(&CONFIG_MAPS, "b", Propagation::Background).await;
    scene.until_gone(&CONFIG_MAPS, "of-both").await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_never_was_takes_its_dependent_with_it() {
    let scene = Scene::with_nodes(0).await;
    let ghost = json!({"metadata": {"name": "ghost", "uid": "11111111-2222-4333-8444-555555555555"}});
    map(&scene, owned("haunted", &[&ghost], false)).await;
    scene.until_gone(&CONFIG_MAPS, "haunted").await;
}

#[tokio::test(start_paused = true)]
async fn in_the_foreground_the_owner_goes_last() {
    let scene = Scene::with_nodes(0).await;
    let owner = map(&scene, owned("owner", &[], true)).await;
    let mut held = owned("held", &[&owner], true);
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    map(&scene, held).await;
    map(&scene, owned("free", &[&owner], true)).await;
    scene.delete(&CONFIG_MAPS, "owner", Propagation::Foreground).await;
    scene.until_gone(&CONFIG_MAPS, "free").await;
    scene.until(&CONFIG_MAPS, "held", "its end", is_going).await;
    assert!(is_going(&scene.get(&CONFIG_MAPS, "owner").await));
    scene.patch(&CONFIG_MAPS, "held", json!({"metadata": {"finalizers": null}})).await;
    scene.until_gone(&CONFIG_MAPS, "owner").await;
    assert!(scene.cluster.lacks(&CONFIG_MAPS, &key("held")).await);
}

#[tokio::test(start_paused = true)]
async fn a_circle_in_the_foreground_is_broken() {
    let scene = Scene::with_nodes(0).await;
    let a = map(&scene, owned("a", &[], true)).await;
    let b = map(&scene, owned("b", &[&a], true)).await;
    let references = owned("a", &[&b], true)["metadata"]["ownerReferences"].clone();
    scene.patch(&CONFIG_MAPS, "a", json!({"metadata": {"ownerReferences": references}})).await;
    scene.delete(&CONFIG_MAPS, "a", Propagation::Foreground).await;
    scene.until_gone(&CONFIG_MAPS, "a").await;
    scene.until_gone(&CONFIG_MAPS, "b").await;
}

#[tokio::test(start_paused = true)]
async fn orphans_stay_and_are_taken_up_again() {
    let scene = Scene::with_nodes(1).await;
    scene.create(&DEPLOYMENTS, "web", workload("web", 2)).await;
    let before = scene.until_pods("two pods", |pods| pods.len() == 2).await;
    scene.delete(&DEPLOYMENTS, "web", Propagation::Orphan).await;
    scene.until_gone(&DEPLOYMENTS, "web").await;
    let sets = scene.cluster.list(&REPLICA_SETS, "default").await;
    assert!(sets.len() == 1 && sets[0]["metadata"]["ownerReferences"].is_null(), "{sets:#?}");
    scene.create(&DEPLOYMENTS, "web", workload("web", 2)).await;
    let adopted = |set: &Value| set["metadata"]["ownerReferences"].is_array();
    scene.until(&REPLICA_SETS, name(&sets[0]), "its new owner", adopted).await;
    let uids = |pods: &[Value]| pods.iter().map(|pod| pod["metadata"]["uid"].clone()).collect::<Vec<_>>();
    assert_eq!(uids(&scene.cluster.list(&PODS, "default").await), uids(&before));
}
