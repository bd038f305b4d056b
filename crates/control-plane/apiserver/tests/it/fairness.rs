//! Priority and fairness, seen from outside.

use std::sync::Arc;
use std::sync::mpsc;

use http::{Method, Response, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use windlass_apiserver::FlowSchemas;
use windlass_apiserver::http::REQUEST_TIMEOUT;
use windlass_auth::User;
use windlass_eventually::until_true;

use crate::harness::{TestServer, json as read};
use crate::webhook_server::WebhookServer;

const LEVELS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations";
const SCHEMAS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &[&str] = &["content-type: application/json"];
const AS_JOE: &[&str] = &["content-type: application/json", "impersonate-user: joe", "impersonate-group: g"];

fn level(name: &str, shares: u32) -> Value {
    json!({"metadata": {"name": name}, "spec": {"type": "Limited",
        "limited": {"nominalConcurrencyShares": shares, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"}}}})
}

fn schema(name: &str, user: &str, level: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"matchingPrecedence": 50, "priorityLevelConfiguration": {"name": level},
        "rules": [{"subjects": [{"kind": "User", "user": {"name": user}}],
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"]}]}]}})
}

fn class<B>(response: &Response<B>) -> [String; 2] {
    ["x-kubernetes-pf-flowschema-uid", "x-kubernetes-pf-prioritylevel-uid"].map(|name| {
        response.headers().get(name).map(|uid| String::from_utf8_lossy(uid.as_bytes()).into_owned()).unwrap_or_default()
    })
}

fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap().to_owned()
}

async fn create(server: &TestServer, path: &str, object: &Value) -> Value {
    read(server.send(Method::POST, path, JSON, &object.to_string()).await).await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_say_where_requests_belong() {
    let server = TestServer::start().await;
    let level = create(&server, LEVELS, &level("own", 30)).await;
    let schema = create(&server, SCHEMAS, &schema("own", "joe", "own")).await;
    let response = server.send(Method::GET, MAPS, AS_JOE, "").await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN, "who may not ask belongs nowhere");
    server.cluster().create(
        &windlass_api::GroupVersionResource::of("rbac.authorization.k8s.io", "v1", "clusterrolebindings"),
        "",
        json!({"metadata": {"name": "joe"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "all"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "joe"}]}),
    ).await;
    assert_eq!(class(&server.send(Method::GET, MAPS, AS_JOE, "").await), [uid(&schema), uid(&level)]);
    assert_eq!(
        class(&server.send(Method::GET, &format!("{MAPS}?watch=1"), AS_JOE, "").await),
        [uid(&schema), uid(&level)]
    );
    let others = class(&server.send(Method::GET, MAPS, &[], "").await);
    assert_ne!(others[0], uid(&schema));
    // What is deleted counts no more with the next request.
    server.send(Method::DELETE, &format!("{SCHEMAS}/own"), &[], "").await;
    assert_ne!(class(&server.send(Method::GET, MAPS, AS_JOE, "").await)[0], uid(&schema));
    let (_, page) =
        text(server.send(Method::GET, "/debug/api_priority_and_fairness/dump_priority_levels", &[], "").await).await;
    assert!(page.lines().any(|line| line.starts_with("own,")), "{page}");
}

async fn text(response: Response<hyper::body::Incoming>) -> (StatusCode, String) {
    use http_body_util::BodyExt;
    let (head, body) = response.into_parts();
    (head.status, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_too_many_is_turned_away() {
    let server = Arc::new(TestServer::start_with(REQUEST_TIMEOUT, User::new("jane", &[])).await);
    // A level without a seat of its own works on one request at a time.
    create(&server, LEVELS, &level("narrow", 0)).await;
    create(&server, SCHEMAS, &schema("narrow", "jane", "narrow")).await;
    let (go, wait) = mpsc::channel::<()>();
    let (wait, (came, comes)) = (Mutex::new(wait), mpsc::channel());
    let hook = WebhookServer::start(true, move |_, asked| {
        came.send(()).unwrap();
        wait.lock().recv().unwrap();
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
            "response": {"uid": asked["request"]["uid"], "allowed": true}})
    })
    .await;
    let configuration = json!({"metadata": {"name": "slow"}, "webhooks": [{"name": "slow.x.io",
        "clientConfig": hook.client_config("/"), "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["*"], "resources": ["configmaps"]}]}]});
    create(&server, "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", &configuration).await;
    let slow = tokio::spawn({
        let server = server.clone();
        async move { server.send(Method::POST, MAPS, JSON, r#"{"metadata":{"name":"a"}}"#).await.status() }
    });
    tokio::task::spawn_blocking(move || comes.recv().unwrap()).await.unwrap();
    let refused = server.send(Method::GET, MAPS, &[], "").await;
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap())
    );
    assert!(!class(&refused)[0].is_empty());
    assert_eq!(text(refused).await.1, "Too many requests, please try again later.\n");
    go.send(()).unwrap();
    assert_eq!(slow.await.unwrap(), StatusCode::CREATED);
    assert_eq!(server.send(Method::GET, MAPS, &[], "").await.status(), StatusCode::OK);
    let (_, metrics) = text(server.send(Method::GET, "/metrics", &[], "").await).await;
    let rejected = "apiserver_flowcontrol_rejected_requests_total{flow_schema=\"narrow\",priority_level=\"narrow\",reason=\"concurrency-limit\"} 1";
    assert!(metrics.contains(rejected), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_say_whether_their_level_is_there() {
    let server = TestServer::start().await;
    tokio::spawn(FlowSchemas::new(&server.server).keep());
    create(&server, SCHEMAS, &schema("s", "joe", "l")).await;
    let is = async |status: &str, message: &str| {
        let path = format!("{SCHEMAS}/s");
        until_true(message, || async {
            let (_, schema) = read(server.send(Method::GET, &path, &[], "").await).await;
            let condition = &schema["status"]["conditions"][0];
            condition["type"] == "Dangling" && condition["status"] == status && condition["message"] == message
        })
        .await;
    };
    let what = "This FlowSchema references the PriorityLevelConfiguration object named \"l\"";
    is("True", &format!("{what} but there is no such object")).await;
    create(&server, LEVELS, &level("l", 30)).await;
    is("False", &format!("{what} and it exists")).await;
}
