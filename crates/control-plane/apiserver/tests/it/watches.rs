//! Watches over HTTP.

use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::harness::TestServer;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Reads a watch's events one by one.
struct Events {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Events {
    async fn open(server: &TestServer, query: &str, headers: &[&str]) -> Self {
        let response = server.send(Method::GET, &format!("{MAPS}?watch=true&{query}"), headers, "").await;
        assert_eq!(response.status(), 200, "{query}");
        Self { body: response.into_body(), buffer: Vec::new() }
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.body.frame().await?.unwrap();
            self.buffer.extend_from_slice(frame.data_ref().unwrap());
        }
    }

    /// `TYPE name` of the next event.
    async fn brief(&mut self) -> String {
        let event = self.next().await.unwrap();
        let name = event["object"]["metadata"]["name"].as_str().unwrap_or_default();
        format!("{} {name}", event["type"].as_str().unwrap())
    }
}

async fn patch(server: &TestServer, name: &str, body: &str) {
    let headers = &["content-type: application/merge-patch+json"];
    let response = server.send(Method::PATCH, &format!("{MAPS}/{name}"), headers, body).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_version_on() {
    let server = TestServer::start().await;
    let first = server.create(MAPS, &json!({"metadata": {"name": "a"}})).await;
    server.create(MAPS, &json!({"metadata": {"name": "b"}})).await;
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    let mut events = Events::open(&server, &format!("resourceVersion={version}"), &[]).await;
    assert_eq!(events.brief().await, "ADDED b");
    patch(&server, "a", r#"{"data":{"x":"y"}}"#).await;
    assert_eq!(events.brief().await, "MODIFIED a");
    server.send(Method::DELETE, &format!("{MAPS}/a"), &[], "").await;
    let gone = events.next().await.unwrap();
    assert_eq!((gone["type"].as_str(), gone["object"]["data"]["x"].as_str()), (Some("DELETED"), Some("y")));
    // The object carries the revision of its deletion, so that a watch can go on from there.
    let at: u64 = gone["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    assert_eq!(at, server.server.store().revision());
}

#[tokio::test(flavor = "multi_thread")]
async fn initial_events_and_their_end() {
    let server = TestServer::start().await;
    server.create(MAPS, &json!({"metadata": {"name": "a"}})).await;
    let mut old_way = Events::open(&server, "", &[]).await;
    assert_eq!(old_way.brief().await, "ADDED a");
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = Events::open(&server, query, &[]).await;
    assert_eq!(events.brief().await, "ADDED a");
    let bookmark = events.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    server.create(MAPS, &json!({"metadata": {"name": "b"}})).await;
    assert_eq!(events.brief().await, "ADDED b");
    let response = server.send(Method::GET, &format!("{MAPS}?watch=1&sendInitialEvents=true"), &[], "").await;
    assert_eq!(response.status(), 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn selections() {
    let server = TestServer::start().await;
    let mut events = Events::open(&server, "labelSelector=l%3D1", &[]).await;
    let mut named = Events::open(&server, "fieldSelector=metadata.name%3Dx", &[]).await;
    server.create(MAPS, &json!({"metadata": {"name": "x", "labels": {"l": "2"}}})).await;
    patch(&server, "x", r#"{"metadata":{"labels":{"l":"1"}}}"#).await;
    patch(&server, "x", r#"{"data":{"a":"b"}}"#).await;
    patch(&server, "x", r#"{"metadata":{"labels":{"l":"2"}},"data":{"a":"c"}}"#).await;
    assert_eq!(events.brief().await, "ADDED x");
    assert_eq!(events.brief().await, "MODIFIED x");
    let left = events.next().await.unwrap();
    assert_eq!((left["type"].as_str(), left["object"]["data"]["a"].as_str()), (Some("DELETED"), Some("b")));
    for expected in ["ADDED x", "MODIFIED x", "MODIFIED x", "MODIFIED x"] {
        assert_eq!(named.brief().await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_and_the_future() {
    let server = TestServer::start().await;
    for n in 0..200 {
        server.create(MAPS, &json!({"metadata": {"name": format!("n{n}")}})).await;
    }
    let revision = server.server.store().revision();
    server.server.store().compact(revision).await;
    server.create(MAPS, &json!({"metadata": {"name": "last"}})).await;
    let response = server.send(Method::GET, &format!("{MAPS}?watch=1&resourceVersion=5"), &[], "").await;
    assert_eq!(response.status(), 410);
    let response = server.send(Method::GET, &format!("{MAPS}?watch=1&resourceVersion=100000"), &[], "").await;
    assert_eq!(response.status(), 504);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_time_limits() {
    let server = TestServer::start().await;
    server.create(MAPS, &json!({"metadata": {"name": "a"}, "data": {"x": "y"}})).await;
    let accept = "accept: application/json;as=Table;g=meta.k8s.io;v=v1";
    let mut events = Events::open(&server, "timeoutSeconds=1", &[accept]).await;
    let event = events.next().await.unwrap();
    assert_eq!(event["object"]["kind"], "Table");
    assert_eq!(event["object"]["columnDefinitions"][1]["name"], "Data");
    assert_eq!(event["object"]["rows"][0]["cells"][1], 1);
    assert!(events.next().await.is_none(), "the watch ends when its time is up");
}
