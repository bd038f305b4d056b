//! Exec and attach.

use http::StatusCode;
use serde_json::json;
use windlass_cri::ContainerConfig;
use windlass_eventually::until_true;

use crate::client::{Said, get, listen, post, to_the_end, type_in, upgrade, websocket};
use crate::node::on_node;
use crate::spdy_client::SpdyClient;

const EXEC: &str = "/exec/test/pod/c?output=1&error=1";

fn shell(base: &str, script: &str) -> String {
    let script: String = script.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("{base}&command=sh&command=-c&command={script}")
}

#[test]
fn a_command_says_something_and_how_it_ended() {
    on_node(|node| {
        Box::pin(async move {
            node.start("c", "sleep 1000", ContainerConfig::default()).await;
            let path = shell(EXEC, "echo out; echo err >&2; exit 3");
            for protocol in ["v5.channel.k8s.io", "v4.channel.k8s.io"] {
                let mut socket = websocket(node, &path, protocol).await.unwrap();
                let said = to_the_end(&mut socket).await;
                assert_eq!((said.text(1).as_str(), said.text(2).as_str()), ("out\n", "err\n"), "{protocol}");
                let status = said.status();
                assert_eq!(status["status"], "Failure");
                assert_eq!(status["reason"], "NonZeroExitCode");
                assert_eq!(status["details"]["causes"], json!([{"reason": "ExitCode", "message": "3"}]));
            }
            let mut socket = websocket(node, &shell(EXEC, "exit 0"), "v5.channel.k8s.io").await.unwrap();
            assert_eq!(to_the_end(&mut socket).await.status(), json!({"metadata": {}, "status": "Success"}));
            // The oldest protocol tells a text, and only of failures.
            let mut socket = websocket(node, &path, "").await.unwrap();
            assert!(to_the_end(&mut socket).await.text(3).contains("exit code 3"));
            let mut socket =
                websocket(node, "/exec/test/pod/c?output=1&command=/none", "v4.channel.k8s.io").await.unwrap();
            let status = to_the_end(&mut socket).await.status();
            assert_eq!(status["status"], "Failure", "{status}");
            assert_eq!(status["reason"], "InternalError", "{status}");
        })
    });
}

#[test]
fn input_goes_in_and_ends() {
    on_node(|node| {
        Box::pin(async move {
            node.start("c", "sleep 1000", ContainerConfig::default()).await;
            let path = "/exec/test/pod/uid/c?input=1&output=1&command=cat";
            let mut socket = websocket(node, path, "v5.channel.k8s.io").await.unwrap();
            let large = vec![b'x'; 300_000];
            for chunk in large.chunks(30_000) {
                type_in(&mut socket, 0, chunk).await;
            }
            type_in(&mut socket, 255, &[0]).await;
            let said = to_the_end(&mut socket).await;
            assert_eq!(said.channels[1].len(), large.len());
            assert_eq!(said.status()["status"], "Success");
        })
    });
}

#[test]
fn a_terminal_has_a_size() {
    on_node(|node| {
        Box::pin(async move {
            node.start("c", "sleep 1000", ContainerConfig::default()).await;
            let path = shell("/exec/test/pod/c?input=1&output=1&error=1&tty=1", "read x; stty size; exit 5");
            let mut socket = websocket(node, &path, "v5.channel.k8s.io").await.unwrap();
            type_in(&mut socket, 4, br#"{"Width":100,"Height":40}"#).await;
            type_in(&mut socket, 0, b"go\n").await;
            let said = to_the_end(&mut socket).await;
            assert!(said.text(1).contains("40 100"), "{said:?}");
            assert_eq!(said.text(2), "");
            assert_eq!(said.status()["details"]["causes"][0]["message"], "5");
        })
    });
}

#[test]
fn whoever_goes_ends_the_command() {
    on_node(|node| {
        Box::pin(async move {
            node.start("c", "sleep 1000", ContainerConfig::default()).await;
            let path = shell("/exec/test/pod/c?output=1", "echo $$; sleep 1000");
            let mut socket = websocket(node, &path, "v5.channel.k8s.io").await.unwrap();
            let mut said = Said::default();
            listen(&mut socket, &mut said, |said| said.text(1).ends_with('\n')).await;
            drop(socket);
            let pid = said.text(1).trim().to_owned();
            let look = format!("/run/test/pod/c?cmd=sh -c kill${{IFS}}-0${{IFS}}{pid}").replace(' ', "+");
            until_true("the program's end", async || post(node, &look).await.1.contains("exit code 1")).await;
        })
    });
}

#[test]
fn attached_clients_hear_the_container() {
    on_node(|node| {
        Box::pin(async move {
            let config = ContainerConfig { stdin: true, ..ContainerConfig::default() };
            node.start("c", "while read line; do echo heard $line; done", config).await;
            let path = "/attach/test/pod/c?input=1&output=1&error=1";
            let mut socket = websocket(node, path, "v5.channel.k8s.io").await.unwrap();
            type_in(&mut socket, 0, b"this\n").await;
            let mut said = Said::default();
            listen(&mut socket, &mut said, |said| said.text(1).contains("heard this\n")).await;
            drop(socket);
            // The container runs on.
            let mut socket = websocket(node, path, "v4.channel.k8s.io").await.unwrap();
            type_in(&mut socket, 0, b"that\n").await;
            let mut said = Said::default();
            listen(&mut socket, &mut said, |said| said.text(1).contains("heard that\n")).await;
        })
    });
}

#[test]
fn the_older_tools_speak_spdy() {
    on_node(|node| {
        Box::pin(async move {
            node.start("c", "sleep 1000", ContainerConfig::default()).await;
            let path = shell("/exec/test/pod/c?input=1&output=1&error=1", "cat; echo end >&2; exit 7");
            let headers = [
                ("connection", "Upgrade"),
                ("upgrade", "SPDY/3.1"),
                ("x-stream-protocol-version", "v5.channel.k8s.io"),
                ("x-stream-protocol-version", "v4.channel.k8s.io"),
            ];
            let (response, io) = upgrade(node, &path, &headers).await.unwrap();
            assert_eq!(response.headers()["x-stream-protocol-version"], "v4.channel.k8s.io");
            assert_eq!(response.headers()["upgrade"], "SPDY/3.1");
            let mut client = SpdyClient::new(io);
            let error = client.open(&[("streamtype", "error")]).await;
            let stdin = client.open(&[("streamtype", "stdin")]).await;
            let stdout = client.open(&[("streamtype", "stdout")]).await;
            let stderr = client.open(&[("streamtype", "stderr")]).await;
            client.write(stdin, b"hello ", false).await;
            client.write(stdin, b"spdy", true).await;
            client.read_to_end().await;
            assert_eq!(client.data[&stdout], b"hello spdy");
            assert_eq!(client.data[&stderr], b"end\n");
            let status: serde_json::Value = serde_json::from_slice(&client.data[&error]).unwrap();
            assert_eq!(status["details"]["causes"][0]["message"], "7");
        })
    });
}

#[test]
fn what_cannot_be_is_refused() {
    on_node(|node| {
        Box::pin(async move {
            node.start("c", "sleep 1000", ContainerConfig::default()).await;
            let exec = "?output=1&command=true";
            let refused = async |path: &str, protocol: &str| websocket(node, path, protocol).await.err().unwrap();
            let v5 = "v5.channel.k8s.io";
            assert_eq!(
                refused(&format!("/exec/test/none/c{exec}"), v5).await,
                (StatusCode::NOT_FOUND, "pod does not exist".to_owned())
            );
            assert_eq!(refused(&format!("/exec/test/pod/other/c{exec}"), v5).await.0, StatusCode::NOT_FOUND);
            let (code, text) = refused(&format!("/exec/test/pod/none{exec}"), v5).await;
            assert_eq!((code, text.as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "container not found (\"none\")"));
            assert_eq!(refused("/exec/test/pod/c?command=true", v5).await.0, StatusCode::BAD_REQUEST);
            assert_eq!(
                refused(&format!("/exec/test/pod/c{exec}"), "v9.channel.k8s.io").await.0,
                StatusCode::BAD_REQUEST
            );
            assert_eq!(
                get(node, &format!("/exec/test/pod/c{exec}")).await,
                (StatusCode::BAD_REQUEST, "Upgrade request required".to_owned())
            );
            let spdy = [("connection", "Upgrade"), ("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", "v9")];
            assert_eq!(
                upgrade(node, &format!("/exec/test/pod/c{exec}"), &spdy).await.err().unwrap().0,
                StatusCode::FORBIDDEN
            );
        })
    });
}
