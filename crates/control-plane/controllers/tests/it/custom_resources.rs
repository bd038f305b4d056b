//! Custom resources among others: kinds that come and go while the controllers run.

use serde_json::{Value, json};
use windlass_api::resource::{
    CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, RESOURCE_QUOTAS, STORAGE_VERSION_MIGRATIONS,
};
use windlass_api::{GroupVersionResource, ObjectKey};
use windlass_client::OBJECT;
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
        // Their kind may be gone before anybody looks after what they owned.
        let felix = cluster.create(&CATS, "default", cat("felix")).await;
        let mut toy = owned(json!({"metadata": {"name": "toy"}}));
        toy["metadata"]["ownerReferences"][0]["name"] = json!("felix");
        toy["metadata"]["ownerReferences"][0]["uid"] = felix["metadata"]["uid"].clone();
        cluster.create(&CONFIG_MAPS, "default", toy).await;
        undefine_cats(cluster).await;
        cluster.until(&CONFIG_MAPS, &ObjectKey::new("default", "toy"), "the toy's end", Value::is_null).await;
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

/// A definition stores in another version from now on: a migration writes all objects again, and nothing is stored in the old version.
#[tokio::test(start_paused = true)]
async fn they_are_migrated_to_the_version_that_is_stored_now() {
    let scene = Scene::with_nodes(0).await;
    let cluster = &scene.cluster;
    define_cats(cluster).await;
    let mut before = Vec::new();
    for name in ["tom", "felix"] {
        before.push(cluster.create(&CATS, "default", cat(name)).await);
    }
    let definition = ObjectKey::new("", "cats.example.com");
    let read: Value = cluster.get(&CUSTOM_RESOURCE_DEFINITIONS, &definition).await;
    let mut versions = read["spec"]["versions"].clone();
    versions[0]["storage"] = json!(false);
    versions[1]["storage"] = json!(true);
    let patch = json!({"spec": {"versions": versions}});
    cluster.patch(&CUSTOM_RESOURCE_DEFINITIONS, &definition, OBJECT, patch).await;
    let both = |definition: &Value| definition["status"]["storedVersions"] == json!(["v1", "v1beta1"]);
    cluster.until(&CUSTOM_RESOURCE_DEFINITIONS, &definition, "both versions to be stored", both).await;

    let spec = |resource: &str| json!({"resource": {"group": "example.com", "resource": resource}});
    for (name, resource) in [("cats", "cats"), ("more-cats", "cats"), ("dogs", "dogs")] {
        let migration = json!({"metadata": {"name": name}, "spec": spec(resource)});
        cluster.create(&STORAGE_VERSION_MIGRATIONS, "", migration).await;
    }
    let is_over =
        |migration: &Value| condition(migration, "Succeeded") == "True" && condition(migration, "Running") == "False";
    for name in ["cats", "more-cats"] {
        let key = ObjectKey::new("", name);
        cluster.until(&STORAGE_VERSION_MIGRATIONS, &key, "the end of a migration", is_over).await;
    }
    let told = |definition: &Value| {
        definition["status"]["storedVersions"] == json!(["v1beta1"])
            && condition(definition, "StorageMigrating") == "False"
    };
    cluster.until(&CUSTOM_RESOURCE_DEFINITIONS, &definition, "one version to be stored", told).await;
    for cat in before {
        let key = ObjectKey::new("default", cat["metadata"]["name"].as_str().unwrap());
        let after: Value = cluster.get(&CATS, &key).await;
        assert_ne!(after["metadata"]["resourceVersion"], cat["metadata"]["resourceVersion"]);
        assert_eq!(after["metadata"]["uid"], cat["metadata"]["uid"]);
    }
    // Nobody serves dogs.
    let has_failed = |migration: &Value| condition(migration, "Failed") == "True";
    let dogs = ObjectKey::new("", "dogs");
    let failed = cluster.until(&STORAGE_VERSION_MIGRATIONS, &dogs, "a migration to fail", has_failed).await;
    let message =
        &failed["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Failed").unwrap()["message"];
    assert_eq!(message, "resource does not exist in discovery");
}

/// Nobody can say whether an owner is there whose kind is not; when the kind comes, it turns out that it is not.
#[tokio::test(start_paused = true)]
async fn what_waits_for_the_kind_of_its_owner() {
    let scene = Scene::with_nodes(0).await;
    let cluster = &scene.cluster;
    let owner = json!({"apiVersion": "example.com/v1", "kind": "Cat", "name": "tom", "uid": "never"});
    let toy = json!({"metadata": {"name": "toy", "ownerReferences": [owner]}});
    let key = ObjectKey::new("default", "toy");
    cluster.create(&CONFIG_MAPS, "default", toy).await;
    tokio::time::sleep(std::time::Duration::from_secs(100)).await;
    assert!(!cluster.lacks(&CONFIG_MAPS, &key).await, "it stays for want of knowledge");
    define_cats(cluster).await;
    cluster.until(&CONFIG_MAPS, &key, "the toy's end", Value::is_null).await;
}
