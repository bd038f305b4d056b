//! Port-forward.

use futures::{SinkExt, StreamExt};
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;
use windlass_cri::{ContainerConfig, RuntimeService};
use windlass_eventually::until_true;

use crate::client::{Said, listen, type_in, upgrade, websocket};
use crate::node::{TestNode, on_node};
use crate::spdy_client::{Frame, SpdyClient};

/// Starts a server in the pod that gives back what it gets.
async fn echo_server(node: &TestNode) {
    node.start("server", "exec nc -ll -p 8080 -e cat", ContainerConfig::default()).await;
    until_true("the server", async || node.runtime.port_forward(&node.sandbox, 8080).await.is_ok()).await;
}

async fn over_and_back<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(client: &mut SpdyClient<T>) {
    for request in ["0", "1"] {
        let of = |kind| [("streamtype", kind), ("port", "8080"), ("requestid", request)];
        let error = client.open(&of("error")).await;
        let data = client.open(&of("data")).await;
        client.write(error, b"", true).await;
        client.write(data, b"over and back", false).await;
        assert_eq!(client.until(data, 13).await, b"over and back");
        client.write(data, b"", true).await;
        assert!(client.data.get(&error).is_none_or(Vec::is_empty), "{:?}", client.data);
    }
    let of = |kind| [("streamtype", kind), ("port", "9"), ("requestid", "2")];
    let error = client.open(&of("error")).await;
    client.open(&of("data")).await;
    let said = String::from_utf8(client.until(error, 40).await).unwrap();
    assert!(said.starts_with("error forwarding port 9 to pod ") && said.contains(", uid uid: "), "{said}");
    // A stream that says nothing about a port is reset.
    let nonsense = client.open(&[("streamtype", "data")]).await;
    while !matches!(client.frame().await, Some(Frame::Reset { stream, .. }) if stream == nonsense) {}
}

#[test]
fn kubectl_speaks_spdy_in_a_websocket() {
    on_node(|node| {
        Box::pin(async move {
            echo_server(node).await;
            let protocol = "SPDY/3.1+portforward.k8s.io";
            let mut socket = websocket(node, "/portForward/test/pod", protocol).await.unwrap();
            let (ours, theirs) = tokio::io::duplex(64 << 10);
            let (mut from, mut to) = tokio::io::split(theirs);
            let carry = tokio::spawn(async move {
                let mut chunk = vec![0; 1000];
                loop {
                    tokio::select! {
                        count = from.read(&mut chunk) => match count {
                            Ok(0) | Err(_) => return,
                            Ok(count) => socket.send(Message::Binary(chunk[..count].to_vec().into())).await.unwrap(),
                        },
                        message = socket.next() => match message {
                            // The client is content and has gone.
                            Some(Ok(Message::Binary(bytes))) if to.write_all(&bytes).await.is_err() => return,
                            Some(Ok(_)) => {}
                            _ => return,
                        },
                    }
                }
            });
            over_and_back(&mut SpdyClient::new(ours)).await;
            carry.await.unwrap();
        })
    });
}

#[test]
fn the_older_tools_speak_spdy() {
    on_node(|node| {
        Box::pin(async move {
            echo_server(node).await;
            let headers = [
                ("connection", "Upgrade"),
                ("upgrade", "SPDY/3.1"),
                ("x-stream-protocol-version", "portforward.k8s.io"),
            ];
            let (response, io) = upgrade(node, "/portForward/test/pod", &headers).await.unwrap();
            assert_eq!(response.headers()["x-stream-protocol-version"], "portforward.k8s.io");
            over_and_back(&mut SpdyClient::new(io)).await;
        })
    });
}

#[test]
fn channels_of_a_websocket() {
    on_node(|node| {
        Box::pin(async move {
            echo_server(node).await;
            let mut socket =
                websocket(node, "/portForward/test/pod?port=8080&port=9", "v4.channel.k8s.io").await.unwrap();
            type_in(&mut socket, 0, b"over and back").await;
            let mut said = Said::default();
            listen(&mut socket, &mut said, |said| said.channels[0].len() >= 15 && said.channels[3].len() > 20).await;
            assert_eq!(said.channels[0], b"\x90\x1fover and back");
            assert_eq!(said.channels[1], b"\x90\x1f");
            assert_eq!(said.channels[2], b"\x09\x00");
            assert!(said.text(3)[2..].starts_with("error forwarding port 9 to pod "), "{said:?}");
        })
    });
}

#[test]
fn what_cannot_be_is_refused() {
    on_node(|node| {
        Box::pin(async move {
            let refused = async |path: &str| websocket(node, path, "v4.channel.k8s.io").await.err().unwrap();
            assert_eq!(refused("/portForward/test/pod").await.0, StatusCode::BAD_REQUEST);
            assert_eq!(
                refused("/portForward/test/none?port=1").await,
                (StatusCode::NOT_FOUND, "pod does not exist".to_owned())
            );
            assert_eq!(
                refused("/portForward/test/pod/x?port=1").await,
                (StatusCode::NOT_FOUND, "pod not found".to_owned())
            );
            node.kubelet.view.lock().sandbox_id = None;
            assert_eq!(refused("/portForward/test/pod?port=1").await.0, StatusCode::INTERNAL_SERVER_ERROR);
        })
    });
}
