//! Questions about the cluster, over UDP and TCP.

use std::net::Ipv4Addr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use tokio::io::AsyncWriteExt;
use windlass_api::ObjectKey;

use super::world::{World, data, options, question, receive_tcp, send_tcp, set_endpoints, set_service};

#[tokio::test]
async fn answers_are_authoritative_and_follow_changes() {
    let world = World::new(options()).await;
    let answer = world.ask("web.default.svc.cluster.local.", RecordType::A).await;
    assert_eq!(data(&answer), ["10.96.0.1"]);
    assert!(answer.metadata.authoritative && answer.edns.is_some());
    assert_eq!(answer.answers[0].ttl, 5);
    set_service(&world.dns, "web", r#"{"clusterIP":"10.96.0.2"}"#);
    assert_eq!(data(&world.ask("web.default.svc.cluster.local.", RecordType::A).await), ["10.96.0.2"]);
    world.dns.service_changed(&ObjectKey::new("default", "web"), None);
    let answer = world.ask("web.default.svc.cluster.local.", RecordType::A).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(answer.authorities[0].record_type(), RecordType::SOA);
    let labels = r#"server="dns://:53",zone=".""#;
    for (metric, expected) in [
        (r#"coredns_dns_requests_total{proto="udp",server="dns://:53",type="A",zone="."}"#.to_owned(), 3),
        (r#"coredns_dns_responses_total{rcode="NOERROR",server="dns://:53",zone="."}"#.to_owned(), 2),
        (r#"coredns_dns_responses_total{rcode="NXDOMAIN",server="dns://:53",zone="."}"#.to_owned(), 1),
        (format!("coredns_dns_request_duration_seconds_count{{{labels}}}"), 3),
    ] {
        assert_eq!(world.metric(&metric), expected, "{metric}");
    }
}

#[tokio::test]
async fn what_does_not_fit_comes_over_tcp() {
    let world = World::new(options()).await;
    for (edns, limit) in [(None, 512), (Some(1232), 1232), (Some(65_000), 1232)] {
        let answer = world.ask_with("many.default.svc.cluster.local.", RecordType::A, edns).await;
        assert!(answer.metadata.truncation);
        assert!(answer.answers.len() > 20 && answer.to_vec().unwrap().len() <= limit);
    }
    let mut stream = world.connect().await;
    // Several questions on one connection, the second before the first is answered.
    send_tcp(&mut stream, &question("many.default.svc.cluster.local.", RecordType::A, None)).await;
    send_tcp(&mut stream, &question("web.default.svc.cluster.local.", RecordType::A, None)).await;
    let answer = receive_tcp(&mut stream).await;
    assert!(!answer.metadata.truncation && answer.answers.len() == 200);
    assert_eq!(data(&receive_tcp(&mut stream).await), ["10.96.0.1"]);
}

#[tokio::test]
async fn addresses_take_turns() {
    let world = World::new(options()).await;
    set_endpoints(&world.dns, "many", (1..=3).map(|number| Ipv4Addr::new(10, 244, 0, number)));
    let mut first = std::collections::BTreeSet::new();
    for _ in 0..6 {
        let answer = world.ask("many.default.svc.cluster.local.", RecordType::A).await;
        assert_eq!(answer.answers.len(), 3);
        first.insert(data(&answer)[0].clone());
    }
    assert_eq!(first.len(), 3);
}

#[tokio::test]
async fn aliases_within_the_cluster_are_followed() {
    let world = World::new(options()).await;
    let answer = world.ask("alias.default.svc.cluster.local.", RecordType::A).await;
    assert_eq!(data(&answer), ["web.default.svc.cluster.local.", "10.96.0.1"]);
    let answer = world.ask("alias.default.svc.cluster.local.", RecordType::CNAME).await;
    assert_eq!(data(&answer), ["web.default.svc.cluster.local."]);
    let answer = world.ask("circle.default.svc.cluster.local.", RecordType::A).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    assert!(answer.answers.len() <= 10);
}

#[tokio::test]
async fn garbage_and_silence_hurt_nobody() {
    let world = World::new(options()).await;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(world.address).await.unwrap();
    for packet in [&b""[..], b"x", &[0; 12], &[0xff; 512], &[0x80; 40]] {
        socket.send(packet).await.unwrap();
    }
    let mut garbage = world.connect().await;
    garbage.write_all(&[0, 5, 1, 2, 3, 4, 5]).await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(world.connect().await);
    }
    assert_eq!(data(&world.ask("web.default.svc.cluster.local.", RecordType::A).await), ["10.96.0.1"]);
    let mut stream = world.connect().await;
    send_tcp(&mut stream, &question("web.default.svc.cluster.local.", RecordType::A, None)).await;
    assert_eq!(data(&receive_tcp(&mut stream).await), ["10.96.0.1"]);
}
