//! What concerns this server alone: the APIServices that it makes, and whom it takes for a front proxy.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use windlass_api::ObjectKey;
use windlass_apiserver::ApiServices;
use windlass_apiserver::http::{Frontend, Listener, Peer, REQUEST_TIMEOUT};
use windlass_http::serve::Limits;

use super::available;
use super::wardle::API_SERVICES;
use crate::harness::{TestServer, json as read, server_tls};

#[tokio::test(flavor = "multi_thread")]
async fn local_group_versions_have_api_services() {
    let server = TestServer::start().await;
    let stale = json!({"metadata": {"name": "v9.apps", "labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"}},
        "spec": {"group": "apps", "version": "v9", "groupPriorityMinimum": 1, "versionPriority": 1}});
    let changed = json!({"metadata": {"name": "v1.apps", "labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"}},
        "spec": {"group": "apps", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1}});
    for object in [&stale, &changed] {
        server.create("/apis/apiregistration.k8s.io/v1/apiservices", object).await;
    }
    tokio::spawn(ApiServices::new(&server.server).keep());
    let cluster = server.cluster();
    let apps = ObjectKey::new("", "v1.apps");
    let is_as_it_should_be = |object: &Value| object["spec"]["groupPriorityMinimum"] == 17800;
    cluster.until(&API_SERVICES, &apps, "its priority is its own", is_as_it_should_be).await;
    let core =
        cluster.until(&API_SERVICES, &ObjectKey::new("", "v1."), "that of the core group", Value::is_object).await;
    assert_eq!(available(&core), ["True", "Local", "Local APIServices are always available"]);
    assert_eq!(core["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"], "onstart");
    cluster
        .until(&API_SERVICES, &ObjectKey::new("", "v9.apps"), "one of an older server has gone", Value::is_null)
        .await;
    // One of a definition is made, and kept as it is.
    let definition = json!({"metadata": {"name": "xs.a.example"}, "spec": {"group": "a.example", "scope": "Cluster",
        "names": {"plural": "xs", "kind": "X"}, "versions": [{"name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    server.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition).await;
    let custom = ObjectKey::new("", "v1.a.example");
    cluster
        .until(&API_SERVICES, &custom, "that of a definition", |object| object["spec"]["groupPriorityMinimum"] == 1000)
        .await;
    let stolen =
        json!({"spec": {"groupPriorityMinimum": 5, "service": {"namespace": "default", "name": "s"}}}).to_string();
    let merge = ["content-type: application/merge-patch+json"];
    let path = "/apis/apiregistration.k8s.io/v1/apiservices/v1.a.example";
    assert_eq!(server.send(Method::PATCH, path, &merge, &stolen).await.status(), StatusCode::OK);
    cluster
        .until(&API_SERVICES, &custom, "that of a definition as it was", |object| {
            object["spec"]["groupPriorityMinimum"] == 1000 && object["spec"]["service"].is_null()
        })
        .await;
    let definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/xs.a.example";
    server.send(Method::DELETE, definition, &[], "").await;
    cluster.until(&API_SERVICES, &custom, "that of a definition goes with it", Value::is_null).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_proxy_speaks_for_others() {
    let server = TestServer::start().await;
    let frontend = Frontend::new(server.server.clone(), server.server.metrics(), REQUEST_TIMEOUT);
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let listener = Listener {
        socket,
        tls: Arc::new(server_tls()),
        peer_user: Arc::new(|_| Peer::FrontProxy),
        limits: Limits::default(),
    };
    tokio::spawn(windlass_apiserver::http::serve(Arc::new(frontend), listener, std::future::pending()));
    let behind = server.at(&address);
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).to_string();
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let who = async |headers: &[&str]| {
        let headers = [&["content-type: application/json"], headers].concat();
        read(behind.send(Method::POST, path, &headers, &review).await).await
    };
    let named = ["x-remote-user: jane", "x-remote-group: team", "x-remote-extra-a%2fb: c"];
    let (code, found) = who(&named).await;
    assert_eq!(code, StatusCode::FORBIDDEN, "no role lets Jane ask yet: {found}");
    let (code, found) =
        who(&["x-remote-user: root", "x-remote-group: system:masters", "x-remote-extra-a%2fb: c"]).await;
    assert_eq!(code, StatusCode::CREATED, "{found}");
    let user = &found["status"]["userInfo"];
    assert_eq!(
        (&user["username"], &user["groups"], &user["extra"]),
        (&json!("root"), &json!(["system:masters", "system:authenticated"]), &json!({"a/b": ["c"]}))
    );
    let (code, _) = who(&[]).await;
    assert_eq!(code, StatusCode::UNAUTHORIZED);
}
