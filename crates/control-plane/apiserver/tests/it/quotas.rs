//! What quotas are charged: exactly what is in the store.

use futures::future::join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{TestServer, json as read};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const QUOTA: &str = "/api/v1/namespaces/default/resourcequotas/few";

/// A server whose namespace `default` may have so many ConfigMaps and has none.
async fn bounded(count: u32) -> TestServer {
    let server = TestServer::start().await;
    let hard = json!({"configmaps": count.to_string()});
    let quota = json!({"metadata": {"name": "few"}, "spec": {"hard": hard}});
    server.create("/api/v1/namespaces/default/resourcequotas", &quota).await;
    // No controller runs here that would count for the first time.
    let counted = json!({"status": {"hard": hard, "used": {"configmaps": "0"}}});
    let merge = &["content-type: application/merge-patch+json"];
    let response = server.send(Method::PATCH, &format!("{QUOTA}/status"), merge, &counted.to_string()).await;
    assert_eq!(response.status(), StatusCode::OK);
    server
}

async fn create(server: &TestServer, query: &str, metadata: Value) -> (StatusCode, Value) {
    let object = json!({"metadata": metadata}).to_string();
    let path = format!("{CONFIG_MAPS}{query}");
    read(server.send(Method::POST, &path, &["content-type: application/json"], &object).await).await
}

async fn quota(server: &TestServer) -> Value {
    read(server.send(Method::GET, QUOTA, &[], "").await).await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_share_what_is_left() {
    let server = bounded(20).await;
    let answers = join_all((0..60).map(|i| create(&server, "", json!({"name": format!("c{i}")})))).await;
    let created = answers.iter().filter(|(code, _)| *code == StatusCode::CREATED).count();
    assert_eq!(created, 20);
    let (code, refused) = answers.iter().find(|(code, _)| *code != StatusCode::CREATED).unwrap();
    assert_eq!(*code, StatusCode::FORBIDDEN, "{refused}");
    let why = "exceeded quota: few, requested: configmaps=1, used: configmaps=20, limited: configmaps=20";
    assert!(refused["message"].as_str().unwrap().ends_with(why), "{refused}");
    assert_eq!(quota(&server).await["status"]["used"]["configmaps"], "20");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_and_its_charge_are_one_write() {
    let server = bounded(3).await;
    let (_, object) = create(&server, "", json!({"name": "c"})).await;
    let charged = quota(&server).await;
    assert_eq!(charged["status"]["used"]["configmaps"], "1");
    let revision = |object: &Value| -> u64 { object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap() };
    assert_eq!(revision(&charged), revision(&object) + 1);
    // What is not written is not charged.
    let (code, refused) = create(&server, "", json!({"name": "c"})).await;
    assert_eq!((code, &refused["reason"]), (StatusCode::CONFLICT, &json!("AlreadyExists")));
    assert_eq!(create(&server, "?dryRun=All", json!({"name": "d"})).await.0, StatusCode::CREATED);
    assert_eq!(quota(&server).await, charged);
}

/// Others write the quota meanwhile, fewer times than a creation is tried; each is charged all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_changes_is_charged_anew() {
    let server = bounded(100).await;
    let label = async |i: usize| {
        let patch = json!({"metadata": {"labels": {"turn": i.to_string()}}}).to_string();
        server.send(Method::PATCH, QUOTA, &["content-type: application/merge-patch+json"], &patch).await.status()
    };
    let labels = join_all((0..10).map(label));
    let objects = join_all((0..50).map(|_| create(&server, "", json!({"generateName": "c-"}))));
    let (labelled, created) = futures::join!(labels, objects);
    assert!(labelled.iter().all(|code| *code == StatusCode::OK), "{labelled:?}");
    assert!(created.iter().all(|(code, _)| *code == StatusCode::CREATED), "{created:?}");
    assert_eq!(quota(&server).await["status"]["used"]["configmaps"], "50");
}
