//! Clients that want the server to wait, to remember, or to stop answering others.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::{Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use serde_json::{Value, json};
use windlass_apiserver::http::REQUEST_TIMEOUT;
use windlass_auth::User;

use crate::harness::{TestServer, json as read};

type Stalled = StreamBody<futures::stream::Pending<Result<Frame<Bytes>, std::io::Error>>>;

/// More than the server works on at a time.
const MANY: usize = 600;
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A server with a client who is no administrator, for whom there is always a seat.
async fn of_alice(request_timeout: Duration) -> TestServer {
    TestServer::start_with(request_timeout, User::new("alice", &["system:authenticated"])).await
}

fn post(server: &TestServer, path: &str) -> Request<Stalled> {
    Request::post(server.url(path))
        .header("content-type", "application/json")
        .body(StreamBody::new(futures::stream::pending()))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_come_keep_nobody_waiting_on_one_connection() {
    let server = of_alice(REQUEST_TIMEOUT).await;
    let mut sender = server.http2::<Stalled>(true).await;
    sender.ready().await.unwrap();
    let requests: Vec<_> = (0..MANY).map(|_| tokio::spawn(sender.send_request(post(&server, CONFIG_MAPS)))).collect();
    let (code, _) = server.get("/api/v1/namespaces/default").await;
    assert_eq!(code, StatusCode::OK);
    // Writes of others go on too.
    server.create(CONFIG_MAPS, &serde_json::json!({"metadata": {"name": "a"}})).await;
    requests.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_come_keep_nobody_waiting_on_many_connections() {
    let server = of_alice(REQUEST_TIMEOUT).await;
    let mut senders = join_all((0..MANY).map(|_| server.http2::<Stalled>(true))).await;
    let requests: Vec<_> =
        senders.iter_mut().map(|sender| tokio::spawn(sender.send_request(post(&server, CONFIG_MAPS)))).collect();
    let (code, _) = server.get("/api/v1/namespaces/default").await;
    assert_eq!(code, StatusCode::OK);
    server.create(CONFIG_MAPS, &serde_json::json!({"metadata": {"name": "a"}})).await;
    requests.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_ask_is_told_before_the_body_is_read() {
    let server = TestServer::start().await;
    let mut sender = server.http2::<Stalled>(false).await;
    let (code, status) = read(sender.send_request(post(&server, CONFIG_MAPS)).await.unwrap()).await;
    assert_eq!(code, StatusCode::FORBIDDEN, "{status}");
    let message = "configmaps is forbidden: User \"system:anonymous\" cannot create resource \"configmaps\" in API group \"\" in the namespace \"default\"";
    assert_eq!(status["message"], message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_has_a_deadline() {
    let server = of_alice(Duration::from_millis(200)).await;
    let mut sender = server.http2::<Stalled>(true).await;
    let (code, status) = read(sender.send_request(post(&server, CONFIG_MAPS)).await.unwrap()).await;
    assert_eq!(code, StatusCode::GATEWAY_TIMEOUT, "{status}");
    assert_eq!((status["reason"].as_str(), status["code"].as_u64()), (Some("Timeout"), Some(504)));
    assert_eq!(status["message"], "Timeout: request did not complete within the allotted timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_has_a_size() {
    let server = TestServer::start().await;
    let body = format!("{{\"data\":{{\"a\":\"{}\"}}}}", "x".repeat(3 << 20));
    let response = server.send(Method::POST, CONFIG_MAPS, &["content-type: application/json"], &body).await;
    let (code, status) = read(response).await;
    assert_eq!(code, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(status["reason"], "RequestEntityTooLarge");
    assert_eq!(status["message"], "Request entity too large: limit is 3145728");
}

/// The metrics' text without the figures: its names and labels.
async fn series(server: &TestServer) -> Vec<String> {
    let (code, text) = server.get("/metrics").await;
    assert_eq!(code, StatusCode::OK);
    let Value::String(text) = text else { panic!("metrics are text") };
    text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn invented_names_are_not_remembered() {
    let server = TestServer::start().await;
    let sender = server.http2::<Full<Bytes>>(false).await;
    let invent = async |number: usize| {
        let method = Method::from_bytes(format!("VERB{number}").as_bytes()).unwrap();
        let agent = format!("agent/{number}");
        for (method, path) in [
            (Method::GET, format!("/apis/g{number}.example.com/v{number}/r{number}")),
            (Method::POST, format!("/api/v1/namespaces/n{number}/pods/p{number}/s{number}")),
            (Method::GET, format!("/api/v1/namespaces/n{number}/pods/p{number}?watch=1&dryRun={number}")),
            (method, format!("/{number}")),
        ] {
            let request = Request::builder().method(method).uri(server.url(&path)).header("user-agent", &agent);
            sender.clone().send_request(request.body(Full::default()).unwrap()).await.unwrap();
        }
    };
    // All the series that there may be: of names that are not served there is one of each kind.
    invent(0).await;
    let _ = series(&server).await;
    let before = series(&server).await;
    for number in 1..=500 {
        invent(number).await;
    }
    let after = series(&server).await;
    assert_eq!(after.len(), before.len());
    assert!(after.iter().any(|series| series.contains("resource=\"unknown\"")), "{after:?}");
}

/// Lists whose items were once compared with each other: then each of these takes minutes.
#[tokio::test(flavor = "multi_thread")]
async fn long_lists_are_read_once() {
    const ITEMS: usize = 20_000;
    let server = TestServer::start().await;
    server.create("/api/v1/namespaces/default/serviceaccounts", &json!({"metadata": {"name": "default"}})).await;
    let numbered = |item: fn(usize) -> Value| (0..ITEMS).map(item).collect::<Vec<Value>>();
    let owners =
        json!({"metadata": {"name": "owners", "ownerReferences": numbered(|n| json!({"uid": n.to_string()}))}});
    let managers = json!({"metadata": {"name": "managers", "managedFields": numbered(|n| json!({
        "manager": format!("m{n}"), "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {}}))}});
    let spread =
        numbered(|n| json!({"maxSkew": 1, "topologyKey": n.to_string(), "whenUnsatisfiable": "DoNotSchedule"}));
    let claims = numbered(|n| json!({"name": n.to_string()}));
    let pod = json!({"metadata": {"name": "p"}, "spec": {"topologySpreadConstraints": spread,
        "containers": [{"name": "c", "image": "i", "resources": {"claims": claims}}]}});
    for (path, object, code) in [
        (CONFIG_MAPS, owners, StatusCode::UNPROCESSABLE_ENTITY),
        (CONFIG_MAPS, managers, StatusCode::CREATED),
        ("/api/v1/namespaces/default/pods", pod, StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let response = server.send(Method::POST, path, &["content-type: application/json"], &object.to_string()).await;
        assert_eq!(response.status(), code, "{path}");
    }
}

/// Some errors show a whole list, and there is one for each item.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_much_larger_than_what_it_refuses() {
    let server = TestServer::start().await;
    let owners: Vec<Value> = (0..1500)
        .map(|n| json!({"apiVersion": "v1", "kind": "P", "name": "a", "uid": n.to_string(), "controller": true}))
        .collect();
    let object = json!({"metadata": {"name": "a", "ownerReferences": owners}}).to_string();
    let response = server.send(Method::POST, CONFIG_MAPS, &["content-type: application/json"], &object).await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let (_, status) = read(response).await;
    assert!(status["message"].as_str().unwrap().ends_with("more errors]"));
    assert!(status.to_string().len() < 4 << 20);
}

/// The lists of a rule are multiplied: this one is a thousand million rights.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_too_many_rights_is_refused_at_once() {
    let server = of_alice(REQUEST_TIMEOUT).await;
    let many: Vec<String> = (0..1000).map(|n| format!("v{n}")).collect();
    let role = json!({"metadata": {"name": "bomb"}, "rules": [{"verbs": many, "apiGroups": many, "resources": many}]});
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
    let code = server.send(Method::POST, path, &["content-type: application/json"], &role.to_string()).await.status();
    // Alice may do everything, and one rule says so.
    assert_eq!(code, StatusCode::CREATED);
}

/// Each of these takes a hundred times its size once its defaults are set.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_small_items_are_refused() {
    const ITEMS: usize = 600_000;
    let server = of_alice(REQUEST_TIMEOUT).await;
    let many = format!("[{}{{}}]", "{},".repeat(ITEMS));
    let pod = format!(r#"{{"metadata":{{"name":"p"}},"spec":{{"containers":{many}}}}}"#);
    let service = format!(r#"{{"metadata":{{"name":"s"}},"spec":{{"ports":{many}}}}}"#);
    for (path, object) in [("/api/v1/namespaces/default/pods", pod), ("/api/v1/namespaces/default/services", service)] {
        let response = server.send(Method::POST, path, &["content-type: application/json"], &object).await;
        let (code, status) = read(response).await;
        assert_eq!((code, &status["reason"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("RequestEntityTooLarge")));
        assert_eq!(status["message"], "Request entity too large: the object has too many values");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_arrives_although_nobody_reads_the_body() {
    let server = TestServer::start().await;
    let mut sender = server.http2::<Full<Bytes>>(true).await;
    for method in [Method::POST, Method::PATCH, Method::DELETE] {
        sender.ready().await.unwrap();
        let request = Request::builder().method(&method).uri(server.url("/apis/foo/v1/things"));
        let response = sender.send_request(request.body(Full::from(vec![b'x'; 32 << 10])).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{method}");
    }
    let head = Request::head(server.url("/healthz")).body(Full::default()).unwrap();
    let response = sender.send_request(head).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}
