//! A client of the API: plain requests, and upgrades to WebSocket and SPDY.

use std::sync::Arc;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::node::TestNode;

pub(crate) type Upgraded = TokioIo<hyper::upgrade::Upgraded>;

async fn connect(node: &TestNode, tls: &rustls::ClientConfig) -> TlsStream<TcpStream> {
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(&node.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(tls)).connect(name, stream).await.unwrap()
}

async fn send(
    node: &TestNode,
    tls: &rustls::ClientConfig,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Response<Incoming> {
    let io = TokioIo::new(connect(node, tls).await);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap()
}

async fn text(response: Response<Incoming>) -> (StatusCode, String) {
    let code = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (code, String::from_utf8_lossy(&body).into_owned())
}

/// As the administrator.
pub(crate) async fn get(node: &TestNode, path: &str) -> (StatusCode, String) {
    text(send(node, &node.tls, Method::GET, path, &[]).await).await
}

pub(crate) async fn post(node: &TestNode, path: &str) -> (StatusCode, String) {
    text(send(node, &node.tls, Method::POST, path, &[]).await).await
}

/// The body as it comes.
pub(crate) async fn follow(node: &TestNode, path: &str) -> Incoming {
    let response = send(node, &node.tls, Method::GET, path, &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.into_body()
}

/// With a token, or without anything if it is empty.
pub(crate) async fn get_with_token(node: &TestNode, token: &str, path: &str) -> (StatusCode, String) {
    let bearer = format!("Bearer {token}");
    let headers: &[(&str, &str)] = if token.is_empty() { &[] } else { &[("authorization", &bearer)] };
    text(send(node, &node.tls_of_nobody, Method::GET, path, headers).await).await
}

pub(crate) async fn upgrade(
    node: &TestNode,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<(Response<()>, Upgraded), (StatusCode, String)> {
    let mut response = send(node, &node.tls, Method::GET, path, headers).await;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(text(response).await);
    }
    let upgraded = hyper::upgrade::on(&mut response).await.unwrap();
    Ok((response.map(drop), TokioIo::new(upgraded)))
}

pub(crate) async fn websocket(
    node: &TestNode,
    path: &str,
    protocol: &str,
) -> Result<WebSocketStream<Upgraded>, (StatusCode, String)> {
    let mut headers = vec![
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    if !protocol.is_empty() {
        headers.push(("sec-websocket-protocol", protocol));
    }
    let (response, io) = upgrade(node, path, &headers).await?;
    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let chosen = response.headers().get("sec-websocket-protocol").map(windlass_http::header::text).unwrap_or_default();
    assert_eq!(chosen, protocol);
    Ok(WebSocketStream::from_raw_socket(io, Role::Client, None).await)
}

/// What a session has said when it has ended: a text for each channel.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) channels: [Vec<u8>; 5],
}

impl Said {
    pub(crate) fn text(&self, channel: usize) -> String {
        String::from_utf8_lossy(&self.channels[channel]).into_owned()
    }

    pub(crate) fn status(&self) -> serde_json::Value {
        serde_json::from_slice(&self.channels[3]).unwrap_or_else(|_| panic!("no status: {self:?}"))
    }
}

pub(crate) async fn type_in(socket: &mut WebSocketStream<Upgraded>, channel: u8, bytes: &[u8]) {
    socket.send(Message::Binary([&[channel], bytes].concat().into())).await.unwrap();
}

/// Reads until `enough`, or to the end.
pub(crate) async fn listen(socket: &mut WebSocketStream<Upgraded>, said: &mut Said, enough: impl Fn(&Said) -> bool) {
    while !enough(said) {
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) => said.channels[usize::from(bytes[0])].extend_from_slice(&bytes[1..]),
            Some(Ok(Message::Close(_))) | None => return,
            Some(Ok(_)) => {}
            Some(Err(error)) => panic!("{error}: {said:?}"),
        }
    }
}

pub(crate) async fn to_the_end(socket: &mut WebSocketStream<Upgraded>) -> Said {
    let mut said = Said::default();
    listen(socket, &mut said, |_| false).await;
    said
}
