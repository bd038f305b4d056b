//! Clients that want the server to wait, to remember, or to stop answering others.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::{Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use serde_json::Value;
use windlass_apiserver::http::REQUEST_TIMEOUT;
use windlass_auth::User;

use crate::harness::{TestServer, json};

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
    let (code, status) = json(sender.send_request(post(&server, CONFIG_MAPS)).await.unwrap()).await;
    assert_eq!(code, StatusCode::FORBIDDEN, "{status}");
    let message = "configmaps is forbidden: User \"system:anonymous\" cannot create resource \"configmaps\" in API group \"\" in the namespace \"default\"";
    assert_eq!(status["message"], message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_has_a_deadline() {
    let server = of_alice(Duration::from_millis(200)).await;
    let mut sender = server.http2::<Stalled>(true).await;
    let (code, status) = json(sender.send_request(post(&server, CONFIG_MAPS)).await.unwrap()).await;
    assert_eq!(code, StatusCode::GATEWAY_TIMEOUT, "{status}");
    assert_eq!((status["reason"].as_str(), status["code"].as_u64()), (Some("Timeout"), Some(504)));
    assert_eq!(status["message"], "Timeout: request did not complete within the allotted timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_has_a_size() {
    let server = TestServer::start().await;
    let body = format!("{{\"data\":{{\"a\":\"{}\"}}}}", "x".repeat(3 << 20));
    let response = server.send(Method::POST, CONFIG_MAPS, &["content-type: application/json"], &body).await;
    let (code, status) = json(response).await;
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
