//! Service accounts, their tokens, and roles that are made of others.

use serde_json::{Value, json};
use windlass_api::GroupVersionResource;
use windlass_api::ObjectKey;
use windlass_api::resource::{CLUSTER_ROLES, CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS};

use crate::scene::{Scene, key};

fn is_there(object: &Value) -> bool {
    !object.is_null()
}

#[tokio::test(start_paused = true)]
async fn what_every_namespace_has_comes_back() {
    let scene = Scene::with_nodes(0).await;
    for (resource, name) in [(SERVICE_ACCOUNTS, "default"), (CONFIG_MAPS, "kube-root-ca.crt")] {
        let first = scene.until(&resource, name, "its first", is_there).await;
        scene.cluster.delete(&resource, &key(name)).await;
        let uid = first["metadata"]["uid"].clone();
        scene.until(&resource, name, "its next", |object| is_there(object) && object["metadata"]["uid"] != uid).await;
    }
    scene.patch(&CONFIG_MAPS, "kube-root-ca.crt", json!({"data": {"ca.crt": "forged"}})).await;
    scene.until(&CONFIG_MAPS, "kube-root-ca.crt", "the true one", |map| map["data"]["ca.crt"] != "forged").await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_given_a_token_and_goes_with_its_account() {
    let scene = Scene::with_nodes(0).await;
    scene.cluster.create(&SERVICE_ACCOUNTS, "default", json!({"metadata": {"name": "robot"}})).await;
    let secret = json!({"metadata": {"name": "token", "annotations": {"kubernetes.io/service-account.name": "robot"}},
        "type": "kubernetes.io/service-account-token"});
    scene.cluster.create(&SECRETS, "default", secret).await;
    let filled =
        |secret: &Value| ["token", "ca.crt", "namespace"].iter().all(|field| secret["data"][field].is_string());
    scene.until(&SECRETS, "token", "its token", filled).await;
    scene.cluster.delete(&SERVICE_ACCOUNTS, &key("robot")).await;
    scene.until_gone(&SECRETS, "token").await;
}

#[tokio::test(start_paused = true)]
async fn a_role_is_made_of_those_that_it_selects() {
    let scene = Scene::with_nodes(0).await;
    let roles: &GroupVersionResource = &CLUSTER_ROLES;
    let whole = json!({"metadata": {"name": "whole"}, "rules": [],
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"part": "yes"}}]}});
    scene.cluster.create(roles, "", whole).await;
    let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
    let part = json!({"metadata": {"name": "part", "labels": {"part": "yes"}}, "rules": [rule]});
    scene.cluster.create(roles, "", part).await;
    let key = ObjectKey::new("", "whole");
    scene.cluster.until(roles, &key, "the rule of its part", |role| role["rules"] == json!([rule])).await;
    scene.cluster.delete(roles, &ObjectKey::new("", "part")).await;
    scene.cluster.until(roles, &key, "no rule", |role| role["rules"].as_array().is_none_or(Vec::is_empty)).await;
}
