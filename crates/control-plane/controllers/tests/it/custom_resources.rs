//! Custom resources among others: kinds that come and go while the controllers run.

use serde_json::{Value, json};
use windlass_api::resource::{CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, RESOURCE_QUOTAS};
use windlass_api::{GroupVersionResource, ObjectKey};
use windlass_testing::Cluster;

use crate::scene::{Scene, condition};

const CATS: GroupVersionResource = GroupVersionResource::of("example.com", "v1", "cats");

async fn define_cats(cluster: &Cluster) {
    let version = |name: &str, storage: bool| {
        json!({"name": name, "served": true, "storage": storage,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
    };
    let definition = json!({
        "metadata": {"name": "cats.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "cats", "kind": "Cat"},
            "versions": [version("v1", true), version("v1beta1", false)]},
    });
    cluster.create(&CUSTOM_RESOURCE_DEFINITIONS, "", definition).await;
    let key = ObjectKey::new("", "cats.example.com");
    let is_served = |definition: &Value| condition(definition, "Established") == "True";
    cluster.until(&CUSTOM_RESOURCE_DEFINITIONS, &key, "cats to be served", is_served).await;
}

async fn undefine_cats(cluster: &Cluster) {
    let key = ObjectKey::new("", "cats.example.com");
    cluster.delete(&CUSTOM_RESOURCE_DEFINITIONS, &key).await;
    cluster.until(&CUSTOM_RESOURCE_DEFINITIONS, &key, "the end of cats", Value::is_null).await;
}

fn cat(name: &str) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Cat", "metadata": {"name": name}})
}

#[tokio::test(start_paused = true)]
async fn what_they_own_goes_with_them() {
    let scene = Scene::with_nodes(0).await;
    let cluster = &scene.cluster;
    // A second time, the kind is followed anew.
    for _ in 0..2 {
        define_cats(cluster).await;
        let tom = cluster.create(&CATS, "default", cat("tom")).await;
        let owner =
            json!({"apiVersion": "example.com/v1", "kind": "Cat", "name": "tom", "uid": tom["metadata"]["uid"]});
        let owned = |mut object: Value| {
            object["metadata"]["ownerReferences"] = json!([owner]);
            object
        };
        cluster.create(&CONFIG_MAPS, "default", owned(json!({"metadata": {"name": "toy"}}))).await;
        cluster.create(&CATS, "default", owned(cat("kitten"))).await;
        cluster.delete(&CATS, &ObjectKey::new("default", "tom")).await;
        cluster.until(&CONFIG_MAPS, &ObjectKey::new("default", "toy"), "the toy's end", Value::is_null).await;
        cluster.until(&CATS, &ObjectKey::new("default", "kitten"), "the kitten's end", Value::is_null).await;
        undefine_cats(cluster).await;
    }
}

#[tokio::test(start_paused = true)]
async fn they_count_against_quotas_that_were_there_before_them() {
    let scene = Scene::with_nodes(0).await;
    let cluster = &scene.cluster;
    let quota = json!({"metadata": {"name": "few"}, "spec": {"hard": {"count/cats.example.com": "1"}}});
    cluster.create(&RESOURCE_QUOTAS, "default", quota).await;
    let key = ObjectKey::new("default", "few");
    for _ in 0..2 {
        define_cats(cluster).await;
        let used =
            |count: &'static str| move |quota: &Value| quota["status"]["used"]["count/cats.example.com"] == count;
        cluster.until(&RESOURCE_QUOTAS, &key, "no cat to be counted", used("0")).await;
        cluster.create(&CATS, "default", cat("tom")).await;
        cluster.until(&RESOURCE_QUOTAS, &key, "a cat to be counted", used("1")).await;
        let refused = cluster.admin.create(&CATS, "default", &cat("felix")).await.unwrap_err();
        assert!(refused.message.contains("exceeded quota: few"), "{refused}");
        cluster.delete(&CATS, &ObjectKey::new("default", "tom")).await;
        cluster.until(&RESOURCE_QUOTAS, &key, "the cat to be given back", used("0")).await;
        undefine_cats(cluster).await;
    }
}

#[tokio::test(start_paused = true)]
async fn they_go_with_their_namespace() {
    let scene = Scene::with_nodes(0).await;
    let cluster = &scene.cluster;
    define_cats(cluster).await;
    cluster.create(&NAMESPACES, "", json!({"metadata": {"name": "red"}})).await;
    cluster.create(&CATS, "red", cat("tom")).await;
    let red = ObjectKey::new("", "red");
    cluster.delete(&NAMESPACES, &red).await;
    cluster.until(&NAMESPACES, &red, "its end", Value::is_null).await;
    assert!(cluster.list(&CATS, "red").await.is_empty());
}
