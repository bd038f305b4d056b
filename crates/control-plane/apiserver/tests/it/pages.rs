//! Discovery, OpenAPI, health.

use std::sync::Arc;

use http::{Method, StatusCode};
use windlass_api::time::Clock;
use windlass_apiserver::http::REQUEST_TIMEOUT;
use windlass_auth::User;
use windlass_store::{Sizes, Store};
use windlass_testing::FailingDisk;

use crate::harness::{TestServer, json as read};

#[tokio::test(flavor = "multi_thread")]
async fn discovery() {
    let server = TestServer::start().await;
    let (_, versions) = server.get("/api").await;
    assert_eq!(versions["versions"][0], "v1");
    let (_, list) = server.get("/apis/apps/v1").await;
    let resources = list["resources"].as_array().unwrap();
    let scale = resources.iter().find(|r| r["name"] == "deployments/scale").unwrap();
    assert_eq!((scale["kind"].as_str(), scale["group"].as_str()), (Some("Scale"), Some("autoscaling")));
    let accept = "accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let response = server.send(Method::GET, "/apis", &[accept], "").await;
    assert_eq!(
        response.headers()["content-type"],
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    let tag = windlass_http::header::text(&response.headers()["etag"]).into_owned();
    let (_, groups) = read(response).await;
    assert!(groups["items"].as_array().unwrap().iter().any(|group| group["metadata"]["name"] == "apps"));
    let again = server.send(Method::GET, "/apis", &[accept, &format!("if-none-match: {tag}")], "").await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(server.get("/apis/nonsense").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn openapi() {
    let server = TestServer::start().await;
    let (_, index) = server.get("/openapi/v3").await;
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
    let (_, document) = server.get(url).await;
    let operation = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments"]["post"];
    assert_eq!(operation["operationId"], "createAppsV1NamespacedDeployment");
    let kind =
        &document["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"][0];
    assert_eq!(kind["kind"], "Deployment");
    // kubectl looks at any one PATCH of a kind to learn whether the server validates fields.
    let (_, core) = server.get(index["paths"]["api/v1"]["serverRelativeURL"].as_str().unwrap()).await;
    for (path, item) in core["paths"].as_object().unwrap() {
        let patch = &item["patch"];
        let kind = &patch["x-kubernetes-group-version-kind"]["kind"];
        let takes =
            |name: &str| patch["parameters"].as_array().is_some_and(|all| all.iter().any(|p| p["name"] == name));
        let is_proxy = kind.as_str().is_none_or(|kind| kind.ends_with("ProxyOptions"));
        assert!(patch.is_null() || is_proxy || takes("fieldValidation"), "{path} of a {kind}");
    }
    let (_, v2) = server.get("/openapi/v2").await;
    assert!(v2["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["spec"].is_object());
    let accept = "accept: application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let response = server.send(Method::GET, "/openapi/v2", &[accept], "").await;
    // The name that clients ask for is no media type that they could parse.
    assert_eq!(response.headers()["content-type"], "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_has_failed_is_no_health() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), FailingDisk::default());
    let directory = directory.path().join("store");
    let options =
        windlass_store::Options { directory, clock: Clock::system(), encryption: Arc::new(windlass_store::Plaintext) };
    let store = Store::open_on(options, Arc::new(disk.clone()), Sizes::default()).unwrap();
    let admin = User::new("admin", &["system:masters"]);
    let server = TestServer::start_over(store.clone(), REQUEST_TIMEOUT, admin).await;
    assert_eq!(server.get("/livez/etcd").await, (StatusCode::OK, "ok".into()));
    disk.fail();
    let map = r#"{"metadata": {"name": "settings"}}"#;
    let response = server.send(Method::POST, "/api/v1/namespaces/default/configmaps", &[], map).await;
    let (code, refusal) = read(response).await;
    assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR, "{refusal}");
    assert!(refusal["message"].as_str().unwrap().contains("the store takes no more writes"), "{refusal}");
    assert!(store.failed().await.to_string().contains("the disk is broken"));
    for page in ["/livez", "/readyz", "/healthz/etcd"] {
        assert_eq!(server.get(page).await.0, StatusCode::INTERNAL_SERVER_ERROR, "{page}");
    }
    // What is there can still be read.
    assert_eq!(server.get("/api/v1/namespaces/default").await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn health() {
    let server = TestServer::start().await;
    assert_eq!(server.get("/readyz").await, (StatusCode::OK, "ok".into()));
    server.server.health().add("broken", Box::new(|| Err("because".to_owned())));
    let (code, text) = server.get("/readyz?verbose").await;
    assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text.as_str().unwrap().contains("[-]broken failed"));
    assert_eq!(server.get("/livez?exclude=broken").await.0, StatusCode::OK);
    assert_eq!(server.get("/healthz/ping").await.0, StatusCode::OK);
    assert_eq!(server.get("/healthz/nothing").await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.get("/healthz/").await.0, StatusCode::NOT_FOUND);
    let (code, text) = server.get("/livez/broken").await;
    assert_eq!((code, text.as_str().unwrap()), (StatusCode::INTERNAL_SERVER_ERROR, "internal server error: because\n"));
    let (_, text) = server.get("/readyz?verbose&exclude=broken&exclude=other").await;
    let expected = "warn: some health checks cannot be excluded: no matches for \"other\"\nreadyz check passed\n";
    assert!(text.as_str().unwrap().ends_with(expected), "{text}");
    for (page, code) in [
        ("/readyz/etcd-readiness", StatusCode::OK),
        ("/readyz/shutdown", StatusCode::OK),
        ("/livez/etcd-readiness", StatusCode::NOT_FOUND),
        ("/healthz/shutdown", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(server.get(page).await.0, code, "{page}");
    }
    // Those who send requests look elsewhere; nobody starts the server again.
    server.server.health().begin_shutdown();
    let (code, text) = server.get("/readyz?exclude=broken").await;
    assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text.as_str().unwrap().ends_with("[-]shutdown failed: reason withheld\nreadyz check failed\n"), "{text}");
    assert_eq!(server.get("/livez?exclude=broken").await.0, StatusCode::OK);
    let (_, version) = server.get("/version").await;
    assert_eq!((version["major"].as_str(), version["minor"].as_str()), (Some("1"), Some("37")));
}

/// What a client asks for with another method than there is, or accepts in no form that there is.
#[tokio::test(flavor = "multi_thread")]
async fn methods_and_forms_that_there_are_not() {
    let server = TestServer::start().await;
    let ask = async |method: &str, path: &str, headers: &[&str]| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        server.send(method, path, headers, "").await
    };
    for (method, path) in [
        ("DELETE", "/api/v1/namespaces"),
        ("PUT", "/api/v1/namespaces"),
        ("POST", "/api/v1/namespaces/default"),
        ("POST", "/api/v1/pods"),
        ("DELETE", "/api/v1/pods"),
        ("HEAD", "/api/v1/pods"),
        ("OPTIONS", "/api/v1/pods"),
        ("OTHER", "/api/v1/namespaces/default/pods/p/exec"),
        ("POST", "/apis/apps/v1"),
        ("PUT", "/version"),
    ] {
        assert_eq!(ask(method, path, &[]).await.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
    }
    assert_eq!(server.get("/api/v1/namespaces/default").await.0, StatusCode::OK, "nothing has been deleted");
    for (path, accept, code) in [
        ("/version", "application/yaml", StatusCode::NOT_ACCEPTABLE),
        ("/apis", "application/yaml", StatusCode::OK),
        ("/api/v1/pods", "text/html", StatusCode::NOT_ACCEPTABLE),
        ("/api/v1/pods?watch=1&timeoutSeconds=1", "application/yaml", StatusCode::NOT_ACCEPTABLE),
        ("/livez", "text/html", StatusCode::OK),
    ] {
        let header = format!("accept: {accept}");
        assert_eq!(ask("GET", path, &[&header]).await.status(), code, "{path} {accept}");
    }
    for path in ["/nothing", "/apis/other.example.com/v1/things"] {
        let response = ask("GET", path, &[]).await;
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8", "{path}");
        assert_eq!(response.headers()["cache-control"], "no-cache, private");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_a_name() {
    let server = TestServer::start().await;
    let id = async |path: &str, headers: &[&str]| {
        let response = server.send(Method::GET, path, headers, "").await;
        windlass_http::header::text(&response.headers()["audit-id"]).into_owned()
    };
    for path in ["/livez", "/nothing", "/api/v1/namespaces/default", "/api/v1/namespaces/none"] {
        let (one, other) = (id(path, &[]).await, id(path, &[]).await);
        assert!(one.len() == 36 && one != other, "{path}: {one} {other}");
        assert_eq!(id(path, &["audit-id: mine"]).await, "mine", "{path}");
    }
    for path in ["/livez", "/nothing"] {
        let response = server.send(Method::GET, path, &[], "").await;
        assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{path}");
    }
}

/// `/statusz` and `/flagz` are a text, unless somebody asks for the object by its name.
#[tokio::test(flavor = "multi_thread")]
async fn pages_about_the_server_itself() {
    let server = TestServer::start().await;
    server.server.flags().set("anonymous-auth", false);
    let ask =
        async |path: &str, accept: &str| server.send(Method::GET, path, &[&format!("accept: {accept}")], "").await;
    for (path, kind, line) in
        [("/statusz", "Statusz", "Emulation version: 1.37\n"), ("/flagz", "Flagz", "anonymous-auth=false\n")]
    {
        for accept in ["", "*/*", "text/plain", "application/json, text/*;q=0.1"] {
            let response = ask(path, accept).await;
            assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8", "{path} {accept}");
            let (code, text) = read(response).await;
            assert_eq!(code, StatusCode::OK);
            assert!(text.as_str().unwrap().contains(line), "{text}");
        }
        let form = |version: &str| format!("application/json;as={kind};g=config.k8s.io;v={version}");
        for (version, is_deprecated) in [("v1beta1", false), ("v1alpha1", true)] {
            let response = ask(path, &form(version)).await;
            let content_type = format!("application/json;g=config.k8s.io;v={version};as={kind}");
            assert_eq!(response.headers()["content-type"], content_type.as_str());
            assert_eq!(response.headers().contains_key("warning"), is_deprecated);
            let (_, object) = read(response).await;
            assert_eq!((object["kind"].as_str(), object["metadata"]["name"].as_str()), (Some(kind), Some("apiserver")));
        }
        for refused in ["application/json", "application/vnd.kubernetes.protobuf", &form("v1"), "text/html"] {
            let (code, status) = read(ask(path, refused).await).await;
            assert_eq!(code, StatusCode::NOT_ACCEPTABLE, "{path} {refused}");
            let expected =
                "only the following media types are accepted: application/json, application/yaml, text/plain";
            assert_eq!(status["message"], expected);
        }
    }
    let (_, status) = read(ask("/statusz", "application/json;as=Statusz;g=config.k8s.io;v=v1beta1").await).await;
    assert!(
        status["uptimeSeconds"].is_u64() && status["paths"].as_array().unwrap().contains(&"/livez".into()),
        "{status}"
    );
    let (_, flags) = read(ask("/flagz", "application/json;as=Flagz;g=config.k8s.io;v=v1beta1").await).await;
    assert_eq!(flags["flags"]["service-node-port-range"], "30000-32767");
}

#[tokio::test(flavor = "multi_thread")]
async fn component_statuses() {
    let server = TestServer::start().await;
    server.server.components().add("scheduler", Box::new(|| Err("it has ended".to_owned())));
    let (_, list) = server.get("/api/v1/componentstatuses").await;
    let names: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names, ["etcd-0", "scheduler"]);
    let (_, one) = server.get("/api/v1/componentstatuses/scheduler").await;
    assert_eq!((one["kind"].as_str(), one["apiVersion"].as_str()), (Some("ComponentStatus"), Some("v1")));
    let broken = serde_json::json!([{"type": "Healthy", "status": "False", "message": "it has ended"}]);
    assert_eq!(one["conditions"], broken);
    assert_eq!(server.get("/api/v1/componentstatuses/none").await.0, StatusCode::NOT_FOUND);
    let table = "accept: application/json;as=Table;v=v1;g=meta.k8s.io";
    for path in ["/api/v1/componentstatuses?fieldSelector=metadata.name%3Detcd-0", "/api/v1/componentstatuses/etcd-0"] {
        let (_, table) = read(server.send(Method::GET, path, &[table], "").await).await;
        let rows = table["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "{path}");
        assert_eq!(rows[0]["cells"], serde_json::json!(["etcd-0", "Healthy", "ok", ""]), "{path}");
    }
}
