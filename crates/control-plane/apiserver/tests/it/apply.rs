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
    assert_eq!(conflict["message"], "Apply failed with 1 conflict: conflict with \"one\": .data.x");
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
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY, "{status}");
    assert_eq!(status["details"]["causes"][0]["field"], "patch");
    for (field, value, code) in [
        ("name", "other", StatusCode::BAD_REQUEST),
        ("namespace", "other", StatusCode::BAD_REQUEST),
        ("uid", "other", StatusCode::UNPROCESSABLE_ENTITY),
        ("resourceVersion", "1", StatusCode::CONFLICT),
    ] {
        let (found, status) = patch("merge-patch+json", json!({"metadata": {field: value}})).await;
        assert_eq!(found, code, "{field}: {status}");
    }
    let (code, status) = patch("strategic-merge-patch+json", json!({"$patch": "other"})).await;
    assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR, "{status}");
    let (code, _) = patch("json", json!({})).await;
    assert_eq!(code, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_has_the_types_of_its_kind() {
    let server = TestServer::start().await;
    let apply = async |body: &str| {
        let headers = &["content-type: application/apply-patch+yaml"];
        read(server.send(Method::PATCH, &format!("{MAPS}/a?fieldManager=m"), headers, body).await).await
    };
    let start = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    for (body, code, message) in [
        (format!("{start}other: 1"), 500, "(/a; /v1, Kind=ConfigMap): .other: field not declared in schema"),
        (format!("{start}data: {{x: 1}}"), 500, ".data.x: expected string"),
        (format!("{start}metadata: {{name: a, finalizers: [a/b, a/b]}}"), 500, "duplicate entries for key [=\"a/b\"]"),
        (start.replace("ConfigMap", "Secret"), 400, "invalid object type: /v1, Kind=Secret"),
        (start.replace("name: a", "name: null"), 400, "was undeterminable: name must be provided"),
        (start.replace("name: a", "namespace: default"), 400, "was undeterminable: name must be provided"),
        (start.replace("name: a", "name: b"), 400, "does not match the name on the URL"),
        (start.replace("name: a", "name: a, namespace: b"), 400, "does not match the namespace sent on the request"),
    ] {
        let (found, status) = apply(&body).await;
        assert_eq!(found.as_u16(), code, "{body}: {status}");
        assert!(status["message"].as_str().unwrap().contains(message), "{body}: {status}");
    }
    // Metadata that say nothing are nobody's, so that giving them up takes nothing away.
    assert_eq!(apply(&format!("{start}data: {{x: a}}")).await.0, StatusCode::CREATED);
    let nameless = start.replace("name: a", "");
    for body in [format!("{nameless}data: {{x: a}}"), format!("{start}data: {{x: b}}")] {
        let (code, object) = apply(&body).await;
        assert_eq!(code, StatusCode::OK, "{object}");
        assert_eq!(object["metadata"]["name"], "a");
    }
}

/// What a strict client would not have sent is told of, or refused.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_stand_twice_in_a_patch() {
    let server = TestServer::start().await;
    server.create(MAPS, &json!({"metadata": {"name": "p"}, "data": {"x": "1"}})).await;
    for (kind, body, warning) in [
        ("merge-patch+json", r#"{"data": {"x": "1", "x": "2"}}"#, "duplicate field \\\"data.x\\\""),
        ("strategic-merge-patch+json", r#"{"data": {"x": "1", "x": "2"}}"#, "duplicate field \\\"data.x\\\""),
        (
            "json-patch+json",
            r#"[{"op": "remove", "path": "/data/x", "y": 1}]"#,
            "json patch unknown field \\\"[0].y\\\"",
        ),
    ] {
        let header = format!("content-type: application/{kind}");
        let send = |query: &'static str| {
            let path = format!("{MAPS}/p?dryRun=All{query}");
            let header = header.clone();
            let server = &server;
            async move { server.send(Method::PATCH, &path, &[header.as_str()], body).await }
        };
        let response = send("").await;
        assert_eq!(response.status(), StatusCode::OK, "{kind}");
        let said = windlass_http::header::text(&response.headers()["warning"]).into_owned();
        assert!(said.contains(warning), "{kind}: {said}");
        assert_eq!(send("&fieldValidation=Strict").await.status(), StatusCode::UNPROCESSABLE_ENTITY, "{kind}");
        assert!(send("&fieldValidation=Ignore").await.headers().get("warning").is_none(), "{kind}");
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_creates() {
    let server = TestServer::start().await;
    let apply = async |metadata: Value| {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
        let path = format!("{MAPS}/n?fieldManager=m");
        let headers = &["content-type: application/apply-patch+yaml"];
        read(server.send(Method::PATCH, &path, headers, &body.to_string()).await).await
    };
    let (code, status) = apply(json!({"name": "n", "uid": "x"})).await;
    let expected = "Operation cannot be fulfilled on configmaps \"n\": uid mismatch: the provided object specified uid x, and no \
                    existing object was found";
    assert_eq!((code, status["message"].as_str()), (StatusCode::CONFLICT, Some(expected)));
    let (code, made) = apply(json!({"name": "n", "resourceVersion": "5"})).await;
    assert_eq!(code, StatusCode::CREATED, "{made}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_is_applied_by_its_managers() {
    const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
    let server = TestServer::start().await;
    let labels = json!({"a": "b"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let deployment =
        json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": labels}, "template": template}});
    server.create(&format!("{DEPLOYMENTS}?fieldManager=creator"), &deployment).await;
    let scale = async |method: Method, query: &str, kind: &str, body: Value| {
        let header = format!("content-type: application/{kind}");
        let path = format!("{DEPLOYMENTS}/d/scale?{query}");
        read(server.send(method, &path, &[header.as_str()], &body.to_string()).await).await
    };
    let to = |replicas: i64| json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": replicas}});
    let (code, _) =
        scale(Method::PATCH, "fieldManager=hpa", "merge-patch+json", json!({"spec": {"replicas": 3}})).await;
    assert_eq!(code, StatusCode::OK);
    let (code, conflict) = scale(Method::PATCH, "fieldManager=m", "apply-patch+yaml", to(9)).await;
    let expected = "Apply failed with 1 conflict: conflict with \"hpa\" with subresource \"scale\" using autoscaling/v1: \
                    .spec.replicas";
    assert_eq!((code, conflict["message"].as_str()), (StatusCode::CONFLICT, Some(expected)));
    let (code, scaled) = scale(Method::PATCH, "fieldManager=m&force=true", "apply-patch+yaml", to(9)).await;
    assert_eq!((code, &scaled["spec"]["replicas"]), (StatusCode::OK, &json!(9)), "{scaled}");
    let (_, object) = server.get(&format!("{DEPLOYMENTS}/d")).await;
    let managers = object["metadata"]["managedFields"].as_array().unwrap();
    let owners: Vec<_> = managers
        .iter()
        .filter(|entry| entry.pointer("/fieldsV1/f:spec/f:replicas").is_some())
        .map(|entry| (&entry["manager"], &entry["operation"], &entry["apiVersion"], &entry["subresource"]))
        .collect();
    assert_eq!(owners, [(&json!("m"), &json!("Apply"), &json!("apps/v1"), &json!("scale"))]);
    assert!(managers.iter().any(|entry| entry["manager"] == "creator"), "{managers:?}");
    let mut other = to(1);
    other["metadata"]["name"] = json!("z");
    assert_eq!(scale(Method::PUT, "", "json", other).await.0, StatusCode::BAD_REQUEST);
    let (code, _) = scale(Method::PATCH, "", "merge-patch+json", json!({"spec": {"replicas": "x"}})).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_leaves_the_metadata_to_others() {
    let server = TestServer::start().await;
    let claim = json!({"metadata": {"name": "c"}, "spec": {"devices": {"requests": [
        {"name": "r", "exactly": {"deviceClassName": "x"}}]}}});
    let claims = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims";
    server.create(claims, &claim).await;
    let labels = json!({"metadata": {"labels": {"a": "b"}}}).to_string();
    let headers = &["content-type: application/merge-patch+json"];
    let path = format!("{claims}/c/status?fieldManager=stranger");
    let (code, kept) = read(server.send(Method::PATCH, &path, headers, &labels).await).await;
    assert_eq!((code, kept["metadata"].get("labels")), (StatusCode::OK, None));
    let managers = kept["metadata"]["managedFields"].as_array().unwrap();
    assert!(managers.iter().all(|entry| entry["manager"] != "stranger"), "{managers:?}");
    // Of a node, labels may come with the status.
    server.create("/api/v1/nodes", &json!({"metadata": {"name": "n"}})).await;
    let (_, node) = read(server.send(Method::PATCH, "/api/v1/nodes/n/status", headers, &labels).await).await;
    assert_eq!(node["metadata"]["labels"]["a"], "b");
}
