//! Names that are not the cluster's.

use std::net::SocketAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use windlass_dns::Options;

use super::world::{Manner, Upstream, World, data, options, question, receive_tcp, send_tcp};

async fn world(upstreams: &[&Upstream]) -> World {
    World::new(Options { upstreams: upstreams.iter().map(|upstream| upstream.address).collect(), ..options() }).await
}

async fn code(world: &World, name: &str) -> ResponseCode {
    world.ask(name, RecordType::A).await.metadata.response_code
}

#[tokio::test]
async fn answers_are_handed_on_and_kept() {
    let upstream = Upstream::new(Manner::Answers).await;
    let world = world(&[&upstream]).await;
    for _ in 0..3 {
        let answer = world.ask("WWW.example.com.", RecordType::A).await;
        assert_eq!(data(&answer), ["web.example.net.", "192.0.2.80"]);
        assert!(!answer.metadata.authoritative && answer.metadata.recursion_available);
        assert!(answer.answers.iter().all(|record| record.ttl <= 300));
        assert_eq!(answer.queries[0].name().to_ascii(), "WWW.example.com.");
    }
    assert_eq!(upstream.questions(), 1);
    let ttl = world.ask("www.example.com.", RecordType::A).await.answers[0].ttl;
    assert!(ttl <= 30, "kept answers do not promise more than we keep them");
    // Denials without a SOA are not kept.
    assert_eq!(code(&world, "no.example.com.").await, ResponseCode::NXDomain);
    assert_eq!(code(&world, "no.example.com.").await, ResponseCode::NXDomain);
    assert_eq!(upstream.questions(), 3);
}

#[tokio::test]
async fn a_truncated_answer_is_fetched_over_tcp() {
    let upstream = Upstream::new(Manner::Answers).await;
    let world = world(&[&upstream]).await;
    let answer = world.ask("big.example.com.", RecordType::A).await;
    assert!(answer.metadata.truncation, "it does not fit for our client either");
    let mut stream = world.connect().await;
    send_tcp(&mut stream, &question("big.example.com.", RecordType::A, None)).await;
    assert_eq!(receive_tcp(&mut stream).await.answers.len(), 100);
    assert_eq!(upstream.questions(), 1);
}

#[tokio::test]
async fn the_next_upstream_helps_out() {
    for manner in [Manner::Silent, Manner::Fails, Manner::Confused] {
        let (bad, good) = (Upstream::new(manner).await, Upstream::new(Manner::Answers).await);
        let world = world(&[&bad, &good]).await;
        assert_eq!(data(&world.ask("www.example.com.", RecordType::A).await).len(), 2, "{manner:?}");
        assert_eq!((bad.questions(), good.questions()), (1, 1));
    }
}

#[tokio::test]
async fn failures_are_said() {
    let silent = Upstream::new(Manner::Silent).await;
    let unhappy = world(&[&silent]).await;
    assert_eq!(code(&unhappy, "www.example.com.").await, ResponseCode::ServFail);
    assert_eq!(silent.questions(), 2);
    let alone = world(&[]).await;
    assert_eq!(code(&alone, "www.example.com.").await, ResponseCode::Refused);
    assert_eq!(code(&alone, "1.2.0.192.in-addr.arpa.").await, ResponseCode::Refused);
    // Upstreams may come later.
    let good = Upstream::new(Manner::Answers).await;
    alone.dns.set_upstreams(vec![good.address]);
    assert_eq!(code(&alone, "www.example.com.").await, ResponseCode::NoError);
}

#[tokio::test]
async fn questions_that_are_the_same_share_one_exchange() {
    let upstream = Upstream::new(Manner::Silent).await;
    let world = world(&[&upstream]).await;
    let questions = (0..20).map(|_| world.ask("www.example.com.", RecordType::A));
    for answer in join_all(questions.map(Box::pin).collect()).await {
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    }
    assert_eq!(upstream.questions(), 2);
}

#[tokio::test]
async fn too_many_questions_are_turned_away_at_once() {
    let upstream = Upstream::new(Manner::Silent).await;
    let world = World::new(Options { upstreams: vec![upstream.address], forwards_max: 3, ..options() }).await;
    let questions = (0..20).map(|number| {
        let (world, name) = (&world, format!("n{number}.example.com."));
        async move { world.ask(&name, RecordType::A).await.metadata.response_code }
    });
    let codes = join_all(questions.map(Box::pin).collect()).await;
    assert!(codes.iter().all(|code| *code == ResponseCode::ServFail));
    let rejected = world.metric(r#"coredns_forward_max_concurrent_rejects_total{server="dns://:53",zone="."}"#);
    assert!(rejected > 0 && upstream.questions() <= (20 - rejected as usize) * 2);
}

#[tokio::test]
async fn an_external_name_leads_outside() {
    let upstream = Upstream::new(Manner::Answers).await;
    let world = world(&[&upstream]).await;
    let answer = world.ask("out.default.svc.cluster.local.", RecordType::A).await;
    assert_eq!(data(&answer), ["www.example.com.", "web.example.net.", "192.0.2.80"]);
    let answer = world.ask("out.default.svc.cluster.local.", RecordType::AAAA).await;
    assert_eq!(data(&answer), ["www.example.com."]);
    // The alias is true even if nobody knows where it leads.
    world.dns.set_upstreams(Vec::new());
    let answer = world.ask("out.default.svc.cluster.local.", RecordType::TXT).await;
    assert_eq!((answer.metadata.response_code, data(&answer).len()), (ResponseCode::NoError, 1));
}

#[tokio::test]
async fn a_server_that_asks_itself_notices() {
    let world = world(&[]).await;
    world.dns.set_upstreams(vec![world.address]);
    assert_eq!(code(&world, "www.example.com.").await, ResponseCode::ServFail);
    let loops = world.metric("windlass_dns_loops_total");
    // Asked twice, it came back to itself twice, and not for ever.
    assert_eq!(loops, 2);
}

#[tokio::test]
async fn an_upstream_that_is_not_there() {
    let (udp, tcp) = super::world::sockets().await;
    let nobody: SocketAddr = udp.local_addr().unwrap();
    drop((udp, tcp));
    let world = world(&[]).await;
    world.dns.set_upstreams(vec![nobody]);
    assert_eq!(code(&world, "www.example.com.").await, ResponseCode::ServFail);
}

/// Polls all futures until the last is done.
async fn join_all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut results: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none()
                && let std::task::Poll::Ready(value) = std::pin::Pin::new(future).poll(context)
            {
                *result = Some(value);
            }
        }
        if results.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    results.into_iter().flatten().collect()
}
