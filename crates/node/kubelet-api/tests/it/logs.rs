//! Logs of containers.

use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use windlass_cri::{ContainerConfig, RuntimeService};
use windlass_eventually::until_true;
use windlass_kubelet_api::ContainerState;

use crate::client::{follow, get};
use crate::node::{TestNode, on_node};

const LOGS: &str = "/containerLogs/test/pod/c";

/// Waits until the log is complete.
async fn ended(node: &TestNode, id: &str) {
    let state = async || node.runtime.container_status(id).await.unwrap().container.state;
    until_true("the end", async || state().await == windlass_cri::ContainerState::Exited).await;
}

#[test]
fn what_is_asked_for() {
    on_node(|node| {
        Box::pin(async move {
            let id = node.start("c", "echo one; echo two >&2; printf three", ContainerConfig::default()).await;
            ended(node, &id).await;
            let log = async |query: &str| {
                let (code, text) = get(node, &format!("{LOGS}?{query}")).await;
                assert_eq!(code, StatusCode::OK, "{text}");
                text
            };
            // The streams are two pipes: which of their first lines comes first is not known.
            let all = log("").await;
            assert!(["one\ntwo\nthree", "two\none\nthree", "one\nthreetwo\n"].contains(&all.as_str()), "{all:?}");
            assert_eq!(log("stream=Stderr").await, "two\n");
            assert_eq!(log("stream=Stdout").await, "one\nthree");
            assert_eq!(log("stream=Stdout&limitBytes=5").await, "one\nt");
            assert_eq!(log("tailLines=0").await, "");
            assert_eq!(log("sinceTime=2100-01-01T00:00:00Z").await, "");
            assert_eq!(log("sinceSeconds=3600&stream=Stderr").await, "two\n");
            let stamped = log("timestamps=true&stream=Stderr").await;
            assert!(stamped.ends_with("Z two\n") && stamped.starts_with("20"), "{stamped}");
            // A container that has ended can be followed: to its end.
            assert_eq!(log("follow=true&stream=Stdout").await, "one\nthree");
            assert_eq!(get(node, &format!("{LOGS}?tailLines=x")).await.0, StatusCode::BAD_REQUEST);
        })
    });
}

#[test]
fn which_instance() {
    on_node(|node| {
        Box::pin(async move {
            let waiting = |reason: &str| ContainerState::Waiting { reason: reason.to_owned() };
            node.set("c", waiting("ContainerCreating"), None);
            let text = "container \"c\" in pod \"pod\" is waiting to start: ContainerCreating";
            assert_eq!(get(node, LOGS).await, (StatusCode::BAD_REQUEST, text.to_owned()));
            let text = "previous terminated container \"c\" in pod \"pod\" not found";
            assert_eq!(get(node, &format!("{LOGS}?previous=true")).await, (StatusCode::BAD_REQUEST, text.to_owned()));
            let none = get(node, "/containerLogs/test/none/c").await;
            assert_eq!(none, (StatusCode::NOT_FOUND, "pod \"none\" does not exist".to_owned()));
            assert_eq!(get(node, "/containerLogs/test/pod/none").await.0, StatusCode::NOT_FOUND);
            let id = node.start("c", "echo before", ContainerConfig::default()).await;
            ended(node, &id).await;
            node.set("c", waiting("CrashLoopBackOff"), Some(&id));
            assert_eq!(get(node, LOGS).await, (StatusCode::OK, "before\n".to_owned()));
            assert_eq!(get(node, &format!("{LOGS}?previous=true")).await, (StatusCode::OK, "before\n".to_owned()));
        })
    });
}

async fn read_until(body: &mut Incoming, said: &mut String, wanted: &str) {
    while !said.contains(wanted) {
        let frame = body.frame().await.unwrap_or_else(|| panic!("the log ended before {wanted:?}: {said:?}"));
        said.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
    }
}

#[test]
fn followers_see_it_all_to_the_end() {
    on_node(|node| {
        Box::pin(async move {
            let config = ContainerConfig { stdin: true, ..ContainerConfig::default() };
            let id = node.start("c", "echo start; while read line; do echo $line; done", config).await;
            let mut body = follow(node, &format!("{LOGS}?follow=true")).await;
            let mut said = String::new();
            read_until(&mut body, &mut said, "start\n").await;
            let mut session = node
                .runtime
                .attach(windlass_cri::AttachRequest { container_id: id.clone(), stdin: true, ..Default::default() })
                .await
                .unwrap();
            let mut stdin = session.stdin.take().unwrap();
            let mut type_in =
                async |text: &str| tokio::io::AsyncWriteExt::write_all(&mut stdin, text.as_bytes()).await.unwrap();
            type_in("first\n").await;
            read_until(&mut body, &mut said, "first\n").await;
            // The kubelet rotates the log.
            let log = node.directory.join("logs/c.log");
            std::fs::rename(&log, node.directory.join("logs/c.log.20261121-062000")).unwrap();
            type_in("into the old file\n").await;
            read_until(&mut body, &mut said, "into the old file\n").await;
            node.runtime.reopen_container_log(&id).await.unwrap();
            type_in("into the new file\n").await;
            read_until(&mut body, &mut said, "into the new file\n").await;
            let (_, whole) = get(node, LOGS).await;
            assert_eq!(whole, "start\nfirst\ninto the old file\ninto the new file\n");
            let (_, last) = get(node, &format!("{LOGS}?tailLines=2")).await;
            assert_eq!(last, "into the old file\ninto the new file\n");
            node.runtime.stop_container(&id, std::time::Duration::ZERO).await.unwrap();
            assert!(body.frame().await.is_none(), "the log ends with its container");
            assert_eq!(said, whole);
        })
    });
}

#[test]
fn many_lines() {
    on_node(|node| {
        Box::pin(async move {
            let id = node.start("c", "yes 0123456789 | head -n 200000", ContainerConfig::default()).await;
            let body = follow(node, &format!("{LOGS}?follow=true")).await;
            let bytes = body.collect().await.unwrap().to_bytes();
            assert_eq!(bytes.len(), 200_000 * 11);
            ended(node, &id).await;
            let (_, tail) = get(node, &format!("{LOGS}?tailLines=150000")).await;
            assert_eq!(tail.len(), 150_000 * 11);
        })
    });
}
