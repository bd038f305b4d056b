//! Patches, and server-side apply.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{TestServer, json as read};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn apply(server: &TestServer, manager: &str, query: &str, data: &Value) -> (StatusCode, Value) {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
    let path = format!("{MAPS}/a?fieldManager={manager}{query}");
    let headers = &["content-type: application/apply-patch+yaml"];
    read(server.send(Method::PATCH, &path, headers, &body.to_string()).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn server_side_apply() {
    let server = TestServer::start().await;
    let (code, made) = apply(&server, "one", "", &json!({"x": "1", "y": "1"})).await;
    assert_eq!(code, StatusCode::CREATED, "{made}");
    assert_eq!(made["metadata"]["managedFields"][0]["operation"], "Apply");
    let (code, same) = apply(&server, "one", "", &json!({"x": "1", "y": "1"})).await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!(same["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
    let (code, conflict) = apply(&server, "two", "", &json!({"x": "2"})).await;
    assert_eq!(code, StatusCode::CONFLICT);
    assert_eq!(conflict["message"], "Apply failed with 1 conflict: conflict with \"one\" using v1: .data.x");
    assert_eq!(conflict["details"]["causes"][0]["field"], ".data.x");
    let (code, forced) = apply(&server, "two", "&force=true", &json!({"x": "2"})).await;
    assert_eq!((code, forced["data"]["x"].as_str()), (StatusCode::OK, Some("2")));
    let (_, pruned) = apply(&server, "one", "", &json!({})).await;
    assert_eq!(pruned["data"], json!({"x": "2"}));
    let (code, _) = apply(&server, "", "", &json!({})).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_kinds_of_patches() {
    let server = TestServer::start().await;
    server.create(MAPS, &json!({"metadata": {"name": "p", "finalizers": ["a/b"]}, "data": {"x": "1"}})).await;
    let path = format!("{MAPS}/p");
    let patch = async |kind: &str, body: Value| {
        let header = format!("content-type: application/{kind}");
        read(server.send(Method::PATCH, &path, &[header.as_str()], &body.to_string()).await).await
    };
    let (_, merged) = patch("merge-patch+json", json!({"data": {"x": null, "y": "2"}})).await;
    assert_eq!(merged["data"], json!({"y": "2"}));
    let (_, patched) = patch("json-patch+json", json!([{"op": "replace", "path": "/data/y", "value": "3"}])).await;
    assert_eq!(patched["data"]["y"], "3");
    let (code, _) = patch("json-patch+json", json!([{"op": "test", "path": "/data/y", "value": "9"}])).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    let (code, _) = patch("json-patch+json", json!({"op": "x"})).await;
    assert_eq!(code, StatusCode::BAD_REQUEST);
    let (_, strategic) = patch("strategic-merge-patch+json", json!({"metadata": {"finalizers": ["c/d"]}})).await;
    assert_eq!(strategic["metadata"]["finalizers"], json!(["c/d", "a/b"]));
    let (code, status) = patch("merge-patch+json", json!({"data": {"y": 5}})).await;
    assert_eq!(code, StatusCode::BAD_REQUEST, "{status}");
    let (code, _) = patch("json", json!({})).await;
    assert_eq!(code, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_patches_all_count() {
    let server = TestServer::start().await;
    server.create(MAPS, &json!({"metadata": {"name": "c"}})).await;
    let patches = (0..20).map(|n| {
        let server = &server;
        async move {
            let body = json!({"data": {format!("k{n}"): "v"}}).to_string();
            let headers = &["content-type: application/merge-patch+json"];
            server.send(Method::PATCH, &format!("{MAPS}/c"), headers, &body).await.status()
        }
    });
    for code in futures::future::join_all(patches).await {
        assert_eq!(code, StatusCode::OK);
    }
    let (_, object) = server.get(&format!("{MAPS}/c")).await;
    assert_eq!(object["data"].as_object().unwrap().len(), 20);
}
