//! What holds of any packet. Only the fuzzer and the replay of its corpus call it.

use std::sync::LazyLock;
use std::time::Duration;

use hickory_proto::op::Message;
use tokio::time::Instant;
use windlass_api::ObjectKey;

use crate::answer::{Outcome, Zone};
use crate::cache::{Cache, Cached, Question};
use crate::index::Index;
use crate::object::{EndpointSlice, Service};
use crate::options::zone_name;
use crate::wire::{Read, Request, Response};

static CLUSTER: LazyLock<(Zone, Index)> = LazyLock::new(|| {
    let ranges = ["10.96.0.0/16", "10.244.0.0/16"].map(|range| range.parse().expect("a range"));
    let zone =
        Zone::new(zone_name("cluster.local"), vec!["10.96.0.10".parse().expect("an address")], 5, ranges.to_vec());
    let mut index = Index::default();
    index.initialized = true;
    let services = [
        (
            "web",
            r#"{"clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1","fd00::1"],"ports":[{"name":"http","port":80}]}"#,
        ),
        ("db", r#"{"clusterIP":"None"}"#),
        ("out", r#"{"type":"ExternalName","externalName":"www.example.com"}"#),
    ];
    for (name, spec) in services {
        let service = Service::from_json(format!(r#"{{"spec":{spec}}}"#).as_bytes()).expect("a Service");
        index.set_service(&ObjectKey::new("default", name), Some(&service));
    }
    let slice = r#"{"metadata":{"labels":{"kubernetes.io/service-name":"db"}},"endpoints":[{"addresses":["10.244.0.5"],"hostname":"db-0"}],
        "ports":[{"name":"pg","port":5432,"protocol":"TCP"}]}"#;
    let slice = EndpointSlice::from_json(slice.as_bytes()).expect("an EndpointSlice");
    index.set_slice(&ObjectKey::new("default", "db-x"), Some(&slice));
    index.set_namespace("default", true);
    (zone, index)
});

/// Reads a packet as a client's question and as another server's answer, and panics when what would be sent is too long or cannot be
/// read.
pub fn message(packet: &[u8]) {
    let answered = Message::from_vec(packet).map(Cached::new).ok();
    if let Some(answer) = &answered {
        kept(answer);
    }
    // What another server said is handed on to whoever asks.
    let foreign = answered.unwrap_or_else(|| Cached::failure(hickory_proto::op::ResponseCode::ServFail));
    match Request::read(packet) {
        Read::Ignore => {}
        Read::Refuse(response, _) => sent(&response, 512),
        Read::Request(request) => {
            let (zone, index) = &*CLUSTER;
            let response = match zone.answer(index, request.query.name(), request.query.query_type(), 1) {
                Outcome::Answer(answer) => Response {
                    response_code: answer.response_code,
                    answers: answer.answers,
                    authorities: answer.authorities,
                    additionals: answer.additionals,
                    ..Response::default()
                },
                Outcome::Alias(record) => Response { answers: vec![*record], ..Response::default() },
                Outcome::NotOurs => Response {
                    response_code: foreign.response_code,
                    answers: foreign.answers,
                    authorities: foreign.authorities,
                    additionals: foreign.additionals,
                    ..Response::default()
                },
            };
            sent(&request.respond(response.clone(), false), 1232);
            sent(&request.respond(response, true), usize::from(u16::MAX));
        }
    }
}

/// A response fits its datagram, and whoever asked can read it.
fn sent(response: &[u8], bytes_max: usize) {
    assert!(response.len() <= bytes_max, "a response of {} bytes", response.len());
    let message = Message::from_vec(response).expect("a response can be read");
    assert_eq!(message.metadata.id.to_be_bytes(), response[..2]);
}

/// An answer that is kept says the same later, with less time.
fn kept(answer: &Cached) {
    let mut cache = Cache::new(1, 30);
    let question = Question {
        name: hickory_proto::rr::Name::root(),
        kind: hickory_proto::rr::RecordType::A,
        dnssec_ok: false,
        checking_disabled: false,
    };
    let now = Instant::now();
    cache.put(question.clone(), answer, now);
    if let Some(later) = cache.get(&question, now + Duration::from_secs(1)) {
        assert_eq!(later.answers.len(), answer.answers.len());
        assert!(later.answers.iter().all(|record| record.ttl < 30));
    }
}
