//! A server behind this one: an aggregated server in the process, on sockets and with TLS.

mod local;
mod wardle;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use windlass_api::ObjectKey;
use windlass_apiserver::ApiServices;
use windlass_apiserver::http::REQUEST_TIMEOUT;
use windlass_auth::User;
use windlass_client::Options;

use crate::harness::{TestServer, json as read};
use wardle::{AGGREGATED, ALL, API_SERVICES, FLUNDERS, GROUP, NAME, Wardle};

fn service(address: SocketAddr) -> Value {
    json!({"metadata": {"name": "wardle"}, "spec": {"type": "ExternalName", "externalName": address.ip().to_string()}})
}

fn api_service(wardle: &Wardle) -> Value {
    json!({"metadata": {"name": NAME}, "spec": {"group": "wardle.example.com", "version": "v1alpha1",
        "groupPriorityMinimum": 2000, "versionPriority": 200, "caBundle": wardle.ca_bundle(),
        "service": {"namespace": "default", "name": "wardle", "port": wardle.address.port()}}})
}

async fn until(server: &TestServer, what: impl Fn(&Value) -> bool) -> Value {
    let cluster = server.cluster();
    cluster.until(&API_SERVICES, &ObjectKey::new("", NAME), "an APIService as it should be", what).await
}

fn available(object: &Value) -> [&str; 3] {
    let found = object["status"]["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == "Available");
    ["status", "reason", "message"].map(|field| found.map_or("", |found| found[field].as_str().unwrap()))
}

/// Both servers, the APIService available.
async fn aggregated() -> (TestServer, Arc<Wardle>) {
    aggregated_within(REQUEST_TIMEOUT).await
}

async fn aggregated_within(request_timeout: Duration) -> (TestServer, Arc<Wardle>) {
    let server = TestServer::start_with(request_timeout, User::new("admin", &["system:masters"])).await;
    tokio::spawn(ApiServices::new(&server.server).keep());
    let wardle = Wardle::start().await;
    server.create("/apis/apiregistration.k8s.io/v1/apiservices", &api_service(&wardle)).await;
    until(&server, |object| available(object)[1] == "ServiceNotFound").await;
    server.create("/api/v1/namespaces/default/services", &service(wardle.address)).await;
    until(&server, |object| available(object) == ["True", "Passed", "all checks passed"]).await;
    (server, wardle)
}

fn headers(answer: &Value) -> Vec<&str> {
    answer["headers"].as_array().unwrap().iter().map(|header| header.as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_behind_learns_who_asks() {
    let (server, _wardle) = aggregated().await;
    let forged =
        ["x-remote-user: root", "x-remote-group: system:masters", "x-remote-extra-a: b", "audit-id: 7", "te: x"];
    let (code, found) = read(server.send(Method::GET, &format!("{ALL}?limit=5"), &forged, "").await).await;
    assert_eq!(code, StatusCode::OK, "{found}");
    assert_eq!((found["client"].as_str(), found["version"].as_str()), (Some("front-proxy-client"), Some("HTTP/2.0")));
    assert!(found["path"].as_str().unwrap().ends_with(&format!("{ALL}?limit=5")));
    let all = headers(&found);
    for expected in [
        "x-remote-user: admin",
        "x-remote-group: system:masters",
        "x-remote-group: system:authenticated",
        "audit-id: 7",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: https",
        &format!("x-forwarded-uri: {ALL}"),
    ] {
        assert_eq!(all.iter().filter(|header| **header == expected).count(), 1, "{expected}: {all:?}");
    }
    assert!(!all.iter().any(|header| header.starts_with("x-remote-extra-a") || header.starts_with("te:")), "{all:?}");
    let acting = ["impersonate-user: jane", "impersonate-extra-team: a"];
    let (_, found) = read(server.send(Method::GET, ALL, &acting, "").await).await;
    assert_eq!(found["reason"], "Forbidden", "Jane may not");
    let role = json!({"metadata": {"name": "view"}, "rules": [{"apiGroups": ["wardle.example.com"], "resources": ["flunders"], "verbs": ["list"]}]});
    server.create("/apis/rbac.authorization.k8s.io/v1/clusterroles", &role).await;
    let binding = json!({"metadata": {"name": "view"}, "subjects": [{"kind": "User", "name": "jane"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}});
    server.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding).await;
    let (_, found) = read(server.send(Method::GET, ALL, &acting, "").await).await;
    let all = headers(&found);
    assert!(all.contains(&"x-remote-user: jane") && all.contains(&"x-remote-extra-team: a"), "{all:?}");
    assert!(!all.iter().any(|header| header.starts_with("impersonate-")), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_ask_reaches_nobody() {
    let (server, wardle) = aggregated().await;
    let response = server.send_as(Some(""), Method::GET, ALL, &[], "").await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(wardle.requests.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_and_openapi_have_both() {
    let (server, _wardle) = aggregated().await;
    let names = |groups: &Value| -> Vec<String> {
        groups.as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap().to_owned()).collect()
    };
    let (_, list) = server.get("/apis").await;
    let all = names(&list["groups"]);
    assert_eq!(all[..3], ["apiregistration.k8s.io", "apps", "events.k8s.io"]);
    assert_eq!(all.last().unwrap(), "wardle.example.com", "its priority is the lowest");
    let (_, group) = server.get("/apis/wardle.example.com").await;
    assert_eq!(group["preferredVersion"]["version"], "v1alpha1");
    let (_, autoscaling) = server.get("/apis/autoscaling").await;
    assert_eq!(autoscaling["preferredVersion"]["version"], "v2");
    // What it has is asked for when it becomes available, and that is told to nobody.
    let document = windlass_eventually::until("its resources are known", || async {
        let (_, list) = read(server.send(Method::GET, "/apis", &[AGGREGATED], "").await).await;
        let last = list["items"].as_array().unwrap().last().unwrap().clone();
        let (_, index) = server.get("/openapi/v3").await;
        let is_known = index["paths"]["apis/wardle.example.com/v1alpha1"].is_object();
        (is_known && last["versions"][0]["freshness"] == "Current").then_some((last, index))
    });
    let (last, index) = document.await;
    assert_eq!(last["metadata"]["name"], "wardle.example.com");
    assert_eq!(last["versions"][0]["resources"][0]["resource"], "flunders");
    let url = index["paths"]["apis/wardle.example.com/v1alpha1"]["serverRelativeURL"].as_str().unwrap();
    assert_eq!(url, "/openapi/v3/apis/wardle.example.com/v1alpha1?hash=42");
    assert_eq!(server.get(url).await.1["info"]["title"], "Wardle");
    let own = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
    assert!(own.starts_with("/openapi/v3/apis/apps/v1?hash="), "{own}");
    let (_, v2) = server.get("/openapi/v2").await;
    let reference = &v2["paths"][ALL]["get"]["responses"]["200"]["schema"]["$ref"];
    assert_eq!(reference, "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta_v2");
    assert!(v2["definitions"]["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]["properties"].is_object());
    // Components in the process see it too, and reach it.
    let found = server.cluster().admin.discover().await.unwrap();
    assert!(found.resources.iter().any(|resource| resource.resource == FLUNDERS) && found.stale.is_empty());
    let list = server.cluster().admin.list(&FLUNDERS, "default", Options::default()).await.unwrap();
    assert_eq!(list.items[0].key, ObjectKey::new("default", "one"));
    let mut watch = server.cluster().admin.watch(&FLUNDERS, "default", Options::default()).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().object.key.name, "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_is_handed_on_as_it_comes() {
    let (server, _wardle) = aggregated().await;
    let response = server.send(Method::GET, &format!("{ALL}?watch=true"), &[], "").await;
    let first = response.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&first).unwrap()["type"], "ADDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_upgraded() {
    let (server, _wardle) = aggregated().await;
    let mut sender = server.http1::<Empty<Bytes>>().await;
    let upgrade = |path: &str| {
        let request = Request::get(format!("{ALL}/{path}")).header("host", "a");
        request.header("connection", "Upgrade").header("upgrade", "SPDY/3.1").body(Empty::new()).unwrap()
    };
    let response = sender.send_request(upgrade("upgrade")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()["upgrade"], "SPDY/3.1");
    let mut io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    io.write_all(b"ping").await.unwrap();
    let mut word = [0; 4];
    io.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"ping");
    let mut sender = server.http1::<Empty<Bytes>>().await;
    let response = sender.send_request(upgrade("refused")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "invalid upgrade response: status code 200\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_server_harms_nobody() {
    let (server, _wardle) = aggregated_within(Duration::from_millis(500)).await;
    let (code, found) = read(server.send(Method::GET, &format!("{ALL}/hangs"), &[], "").await).await;
    let expected = "error trying to reach service: context deadline exceeded\n";
    assert_eq!((code, found.as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some(expected)));
    let (code, _) = read(server.send(Method::GET, &format!("{ALL}/huge-head"), &[], "").await).await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
    let response = server.send(Method::GET, &format!("{ALL}/endless"), &[], "").await;
    assert!(response.into_body().collect().await.is_ok(), "it is ended at the deadline");
    let (code, _) = server.get("/api/v1/namespaces/default").await;
    assert_eq!(code, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_follow_the_store() {
    let (server, wardle) = aggregated().await;
    let path = format!("/apis/apiregistration.k8s.io/v1/apiservices/{NAME}");
    let merge = ["content-type: application/merge-patch+json"];
    // Its Service goes, and so does it.
    server.send(Method::DELETE, "/api/v1/namespaces/default/services/wardle", &[], "").await;
    until(&server, |object| available(object)[1] == "ServiceNotFound").await;
    let (code, found) = server.get(ALL).await;
    assert_eq!((code, found.as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("service unavailable\n")));
    let (_, metrics) = server.get("/metrics").await;
    for line in [
        format!("aggregator_unavailable_apiservice{{name=\"{NAME}\"}} 1"),
        format!("aggregator_unavailable_apiservice_total{{name=\"{NAME}\",reason=\"ServiceNotFound\"}} 1"),
    ] {
        assert!(metrics.as_str().unwrap().contains(&line), "{line}");
    }
    server.create("/api/v1/namespaces/default/services", &service(wardle.address)).await;
    until(&server, |object| available(object)[0] == "True").await;
    assert_eq!(server.get(ALL).await.0, StatusCode::OK);
    // Another authority: the next request is refused.
    let bundle = Wardle::start().await.ca_bundle();
    let patch = json!({"spec": {"caBundle": bundle}}).to_string();
    server.send(Method::PATCH, &path, &merge, &patch).await;
    until(&server, |object| available(object)[1] == "FailedDiscoveryCheck").await;
    let (_, object) = server.get(&path).await;
    let message = available(&object)[2].to_owned();
    let url = format!("https://{}{GROUP}", wardle.address);
    assert_eq!(
        message,
        format!(
            "failing or missing response from {url}: Get \"{url}\": tls: failed to verify certificate: x509: certificate signed by unknown authority"
        )
    );
    server.send(Method::DELETE, &path, &[], "").await;
    assert_eq!(server.get(ALL).await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.get("/apis/wardle.example.com").await.0, StatusCode::NOT_FOUND);
}
