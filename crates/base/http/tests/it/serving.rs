//! What becomes of connections.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use windlass_http::serve::{Limits, Timers};

use super::world::{PATIENCE, SOON, World};

type Sender = hyper::client::conn::http2::SendRequest<Empty<Bytes>>;

async fn http2(world: &World) -> Sender {
    let stream = world.tls("h2").await;
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(sender: &mut Sender, path: &str) -> String {
    let request = Request::get(format!("https://localhost{path}")).body(Empty::new()).unwrap();
    let body = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

/// Waits until the connection takes no more requests.
async fn until_closed(sender: &mut Sender) {
    let closed = async {
        while sender.ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, closed).await.expect("the server ends the connection");
}

/// All that the other end says until it hangs up.
async fn until_the_end(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut said = Vec::new();
    // However it hangs up: a reset, or a TLS session without its last words, is an end too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("the server hangs up");
    said
}

#[tokio::test]
async fn both_versions() {
    let world = World::new(Timers::default()).await;
    assert_eq!(ask(&mut http2(&world).await, "/two").await, "/two");
    let mut one = world.tls("http/1.1").await;
    one.write_all(b"GET /one HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let said = String::from_utf8(until_the_end(one).await).unwrap();
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("\r\n\r\n/one"), "{said}");
}

#[tokio::test]
async fn silence_before_the_handshake_has_a_deadline() {
    let world = World::new(Timers { handshake: SOON, ..Timers::default() }).await;
    assert!(until_the_end(world.tcp().await).await.is_empty());
}

#[tokio::test]
async fn silence_after_the_handshake_has_a_deadline() {
    let world = World::new(Timers { head: SOON, ..Timers::default() }).await;
    until_the_end(world.tls("http/1.1").await).await;
}

#[tokio::test]
async fn half_a_head_has_a_deadline() {
    let world = World::new(Timers { head: SOON, ..Timers::default() }).await;
    let mut stream = world.tls("http/1.1").await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: local").await.unwrap();
    until_the_end(stream).await;
}

#[tokio::test]
async fn an_http2_connection_without_requests_ends() {
    let world = World::new(Timers { idle: SOON, drain: SOON, ..Timers::default() }).await;
    let mut sender = http2(&world).await;
    assert_eq!(ask(&mut sender, "/a").await, "/a");
    // Also one that never says anything, or ignores that it is asked to go.
    until_the_end(world.tls("h2").await).await;
    until_closed(&mut sender).await;
}

#[tokio::test]
async fn a_request_under_way_is_not_idle() {
    let world = World::new(Timers { idle: Duration::from_millis(5), drain: SOON, ..Timers::default() }).await;
    let mut waiting = http2(&world).await;
    let request = tokio::spawn(async move { ask(&mut waiting, "/wait").await });
    world.echo.asked.notified().await;
    // Another connection comes and is closed meanwhile.
    until_the_end(world.tls("h2").await).await;
    world.echo.go_on.notify_one();
    assert_eq!(request.await.unwrap(), "/wait");
}

#[tokio::test]
async fn requests_that_are_taken_back_leave_nothing_behind() {
    let world = World::new(Timers { idle: SOON, drain: SOON, ..Timers::default() }).await;
    let mut flood = http2(&world).await;
    for _ in 0..2000 {
        if flood.ready().await.is_err() {
            break;
        }
        let request = Request::get("https://localhost/wait").body(Empty::new()).unwrap();
        // Begun, and dropped before there is an answer.
        let _ = flood.send_request(request).now_or_never();
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&mut http2(&world).await, "/a").await, "/a");
    // The connection ends as a flood, or because none of its requests is under way any more.
    until_closed(&mut flood).await;
}

#[tokio::test]
async fn whoever_does_not_answer_pings_is_gone() {
    let world = World::new(Timers { ping: SOON, ping_answer: SOON, ..Timers::default() }).await;
    let mut stream = world.tls("h2").await;
    // The preface and empty settings, and not a word more.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    until_the_end(stream).await;
}

#[tokio::test]
async fn plain_http_is_told_so() {
    let world = World::new(Timers::default()).await;
    let mut stream = world.tcp().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let said = String::from_utf8(until_the_end(stream).await).unwrap();
    assert_eq!(said, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n");
}

#[tokio::test]
async fn more_connections_than_places_are_closed_at_once() {
    let limits = Limits { connections_max: 3, reserve: 1, ..Limits::default() };
    let world = World::with(Timers::default(), limits).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(world.tls("http/1.1").await);
    }
    assert!(until_the_end(world.tcp().await).await.is_empty());
    // The last one goes, and its place is another's.
    let mut last = held.pop().unwrap();
    last.shutdown().await.unwrap();
    until_the_end(last).await;
    let mut sender = http2(&world).await;
    assert_eq!(ask(&mut sender, "/a").await, "/a");
}

#[tokio::test]
async fn heads_are_bounded() {
    let world = World::new(Timers::default()).await;
    let long = "x".repeat(100 << 10);
    let mut one = world.tls("http/1.1").await;
    let head = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx-long: {long}\r\n\r\n");
    // It may be refused before all of it is sent.
    let _ = one.write_all(head.as_bytes()).await;
    let said = String::from_utf8(until_the_end(one).await).unwrap();
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431 "), "{said}");
    let mut sender = http2(&world).await;
    let request = Request::get("https://localhost/").header("x-long", long).body(Empty::new()).unwrap();
    let refused = sender.send_request(request).await;
    assert!(refused.is_err() || refused.is_ok_and(|response| response.status() == 431));
}

#[tokio::test]
async fn lengths_that_contradict_each_other_are_refused() {
    let world = World::new(Timers::default()).await;
    for lengths in ["content-length: 3\r\ncontent-length: 4", "content-length: 3\r\ntransfer-encoding: gzip"] {
        let mut stream = world.tls("http/1.1").await;
        let request =
            format!("POST /body HTTP/1.1\r\nhost: localhost\r\n{lengths}\r\n\r\nabcGET /smuggled HTTP/1.1\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let said = String::from_utf8(until_the_end(stream).await).unwrap();
        assert!(said.starts_with("HTTP/1.1 400 ") && !said.contains("smuggled"), "{said}");
    }
}

#[tokio::test]
async fn there_is_one_host() {
    let world = World::new(Timers::default()).await;
    let answer = async |version: &str, hosts: &str| {
        let mut stream = world.tls("http/1.1").await;
        let request = format!("GET /a {version}\r\n{hosts}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let said = String::from_utf8(until_the_end(stream).await).unwrap();
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    };
    let bad = |why: &str| (format!("HTTP/1.1 400 Bad Request{why}"), format!("400 Bad Request{why}"));
    assert_eq!(answer("HTTP/1.1", "").await, bad(": missing required Host header"));
    assert_eq!(answer("HTTP/1.1", "Host: a\r\nHost: b\r\n").await, bad(""));
    assert_eq!(answer("HTTP/1.0", "Host: a\r\nhost: a\r\n").await.1, bad("").1);
    assert_eq!(answer("HTTP/1.1", "Host: a/b\r\n").await, bad(": malformed Host header"));
    for hosts in ["Host: a\r\n", "Host:\r\n", "Host: [::1%25eth0]:6443\r\n"] {
        assert_eq!(answer("HTTP/1.1", hosts).await, ("HTTP/1.1 200 OK".to_owned(), "/a".to_owned()), "{hosts}");
    }
    assert_eq!(answer("HTTP/1.0", "").await, ("HTTP/1.0 200 OK".to_owned(), "/a".to_owned()));
}

#[tokio::test]
async fn at_the_end_requests_finish() {
    let mut world = World::new(Timers { drain: PATIENCE, ..Timers::default() }).await;
    let mut waiting = http2(&world).await;
    let mut idle = http2(&world).await;
    assert_eq!(ask(&mut idle, "/a").await, "/a");
    let request = tokio::spawn(async move { ask(&mut waiting, "/wait").await });
    world.echo.asked.notified().await;
    world.stop.take().unwrap().send(()).unwrap();
    until_closed(&mut idle).await;
    world.echo.go_on.notify_one();
    assert_eq!(request.await.unwrap(), "/wait");
    timeout(PATIENCE, world.task).await.unwrap().unwrap();
}
