//! Requests out of packets, and responses into packets. What a stranger sent never panics here.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

/// What a client without EDNS takes over UDP.
const PLAIN_BYTES_MAX: u16 = 512;
/// What is sent at most over UDP, whatever the client takes: more would be sent in fragments.
const UDP_BYTES_MAX: u16 = 1232;
const HEADER_BYTES: usize = 12;
/// An OPT record without options.
const OPT_BYTES: u16 = 11;

/// A question that can be answered.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: u16,
    pub(crate) query: Query,
    pub(crate) recursion_desired: bool,
    pub(crate) checking_disabled: bool,
    edns: Option<RequestEdns>,
}

#[derive(Clone, Copy, Debug)]
struct RequestEdns {
    payload_bytes_max: u16,
    dnssec_ok: bool,
}

/// What becomes of a packet.
#[derive(Debug)]
pub(crate) enum Read {
    Request(Request),
    /// It cannot be answered as asked; the response says why.
    Refuse(Vec<u8>, ResponseCode),
    /// It is no question at all. To answer might make two servers talk for ever.
    Ignore,
}

/// What goes into a response besides the question.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) response_code: ResponseCode,
    pub(crate) authoritative: bool,
    pub(crate) recursion_available: bool,
    pub(crate) authentic_data: bool,
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
}

impl Request {
    pub(crate) fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec_ok)
    }

    /// Reads a packet.
    pub(crate) fn read(bytes: &[u8]) -> Read {
        let is_response = bytes.get(2).is_none_or(|flags| flags & 0x80 != 0);
        if bytes.len() < HEADER_BYTES || is_response {
            return Read::Ignore;
        }
        let id = u16::from_be_bytes([bytes[0], bytes[1]]);
        let op_code = OpCode::from_u8(bytes[2] >> 3 & 0xf);
        if op_code != OpCode::Query {
            return refuse(id, op_code, ResponseCode::NotImp, None);
        }
        let Ok(message) = Message::from_vec(bytes) else {
            return refuse(id, op_code, ResponseCode::FormErr, None);
        };
        let Message { metadata, queries, edns, .. } = message;
        let mut queries = queries.into_iter();
        let (Some(query), None) = (queries.next(), queries.next()) else {
            return refuse(id, op_code, ResponseCode::FormErr, edns.map(|_| ResponseCode::FormErr));
        };
        if edns.as_ref().is_some_and(|edns| edns.version() != 0) {
            return refuse(id, op_code, ResponseCode::BADVERS, Some(ResponseCode::BADVERS));
        }
        let transfer = matches!(query.query_type(), RecordType::AXFR | RecordType::IXFR);
        if query.query_class() != DNSClass::IN || transfer {
            return refuse(id, op_code, ResponseCode::Refused, edns.map(|_| ResponseCode::Refused));
        }
        let edns =
            edns.map(|edns| RequestEdns { payload_bytes_max: edns.max_payload(), dnssec_ok: edns.flags().dnssec_ok });
        Read::Request(Self {
            id,
            query,
            recursion_desired: metadata.recursion_desired,
            checking_disabled: metadata.checking_disabled,
            edns,
        })
    }

    /// Writes the response to this request. Over UDP it holds what fits, and says so if that is not all.
    pub(crate) fn respond(&self, response: Response, tcp: bool) -> Vec<u8> {
        let mut message = Message::new(self.id, MessageType::Response, OpCode::Query);
        message.metadata.recursion_desired = self.recursion_desired;
        message.metadata.checking_disabled = self.checking_disabled;
        message.metadata.recursion_available = response.recursion_available;
        message.metadata.authoritative = response.authoritative;
        message.metadata.authentic_data = response.authentic_data;
        message.metadata.response_code = response.response_code;
        message.queries = vec![self.query.clone()];
        message.answers = response.answers;
        message.authorities = response.authorities;
        message.additionals = response.additionals;
        if let Some(edns) = self.edns {
            message.edns = Some(server_edns(edns.dnssec_ok));
        }
        let limit = match (tcp, self.edns) {
            (true, _) => u16::MAX,
            (false, None) => PLAIN_BYTES_MAX,
            (false, Some(edns)) => edns.payload_bytes_max.clamp(PLAIN_BYTES_MAX, UDP_BYTES_MAX),
        };
        encode(message, limit)
    }
}

fn refuse(id: u16, op_code: OpCode, code: ResponseCode, edns: Option<ResponseCode>) -> Read {
    let mut message = Message::error_msg(id, op_code, code);
    if edns.is_some() {
        message.edns = Some(server_edns(false));
    }
    Read::Refuse(encode(message, PLAIN_BYTES_MAX), code)
}

fn server_edns(dnssec_ok: bool) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_BYTES_MAX).set_dnssec_ok(dnssec_ok);
    edns
}

fn encode(mut message: Message, limit: u16) -> Vec<u8> {
    match message.to_vec() {
        Ok(bytes) if bytes.len() <= usize::from(limit) => return bytes,
        _ => {}
    }
    // Room is kept for EDNS, which says how much the client may get next time.
    let edns = message.edns.take();
    let reserved = if edns.is_some() { OPT_BYTES } else { 0 };
    let mut bytes = Vec::with_capacity(usize::from(limit));
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_max_size(limit - reserved);
    if message.emit(&mut encoder).is_err() {
        return failure(message.metadata.id);
    }
    // What did not fit whole may have left its beginning.
    encoder.trim();
    if let Some(edns) = edns {
        append_edns(&mut bytes, &edns);
    }
    bytes
}

/// Appends an OPT record to an encoded message. It has no name to compress, so it can go anywhere.
fn append_edns(bytes: &mut Vec<u8>, edns: &Edns) {
    let Some(count) = bytes.get(10..12).map(|count| u16::from_be_bytes([count[0], count[1]])) else { return };
    bytes[10..12].copy_from_slice(&count.saturating_add(1).to_be_bytes());
    let [payload_high, payload_low] = edns.max_payload().to_be_bytes();
    let flags = if edns.flags().dnssec_ok { 0x80 } else { 0 };
    bytes.extend([0, 0, 41, payload_high, payload_low, 0, 0, flags, 0, 0, 0]);
}

/// A server failure that needs no encoder.
fn failure(id: u16) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    vec![high, low, 0x80, 2, 0, 0, 0, 0, 0, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::A;
    use hickory_proto::rr::{Name, RData};
    use proptest::prelude::*;

    use super::*;

    fn query(edns: Option<u16>) -> Vec<u8> {
        let mut message = Message::new(77, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii("Web.default.svc.cluster.local.").unwrap(), RecordType::A));
        if let Some(payload) = edns {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            message.set_edns(edns);
        }
        message.to_vec().unwrap()
    }

    fn request(bytes: &[u8]) -> Request {
        match Request::read(bytes) {
            Read::Request(request) => request,
            other => panic!("{other:?}"),
        }
    }

    fn many(count: u16) -> Response {
        let name = Name::from_ascii("Web.default.svc.cluster.local.").unwrap();
        let record = |number: u16| {
            let [high, low] = number.to_be_bytes();
            Record::from_rdata(name.clone(), 5, RData::A(A::new(10, 0, high, low)))
        };
        Response { authoritative: true, answers: (0..count).map(record).collect(), ..Response::default() }
    }

    #[test]
    fn responses_fit() {
        for (edns, tcp, count, limit) in [
            (None, false, 1, 512),
            (None, false, 200, 512),
            (Some(1232), false, 200, 1232),
            (Some(4096), false, 200, 1232),
            (Some(100), false, 200, 512),
            (Some(1232), true, 200, 65_535),
            (None, true, 200, 65_535),
        ] {
            let bytes = request(&query(edns)).respond(many(count), tcp);
            let message = Message::from_vec(&bytes).unwrap();
            assert!(bytes.len() <= limit, "{}", bytes.len());
            assert_eq!(message.metadata.truncation, message.answers.len() < usize::from(count));
            assert_eq!(message.edns.is_some(), edns.is_some());
            assert!(message.answers.len() > 20 || count == 1);
            assert_eq!((message.metadata.id, message.metadata.recursion_desired), (77, true));
            // The case of the question is the client's own, which it may check.
            assert!(message.queries[0].name().eq_case(&Name::from_ascii("Web.default.svc.cluster.local.").unwrap()));
        }
    }

    #[test]
    fn what_cannot_be_answered_is_refused() {
        let code = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = query(Some(1232));
            change(&mut bytes);
            match Request::read(&bytes) {
                Read::Request(_) => "request".to_owned(),
                Read::Ignore => "ignored".to_owned(),
                Read::Refuse(response, code) => {
                    let message = Message::from_vec(&response).unwrap();
                    assert_eq!(message.metadata.id, 77);
                    assert_eq!(message.metadata.message_type, MessageType::Response);
                    format!("{code}")
                }
            }
        };
        assert_eq!(code(&|_| {}), "request");
        assert_eq!(code(&|bytes| bytes[2] |= 0x80), "ignored");
        assert_eq!(code(&|bytes| bytes.truncate(11)), "ignored");
        assert_eq!(code(&|bytes| bytes[2] |= 0x28), "Not Implemented");
        assert_eq!(code(&|bytes| bytes.truncate(20)), "Form Error");
        assert_eq!(code(&|bytes| bytes[5] = 0), "Form Error");
        // The class and the type of the question stand before the OPT record.
        let end = query(None).len();
        assert_eq!(code(&|bytes| bytes[end - 1] = 3), "Query Refused");
        assert_eq!(code(&|bytes| bytes[end - 3] = 252), "Query Refused");
        // The version of EDNS.
        assert_eq!(code(&|bytes| bytes[end + 6] = 1), "Bad option versions");
    }

    proptest! {
        #[test]
        fn no_packet_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Read::Request(request) = Request::read(&bytes) {
                request.respond(many(3), false);
            }
        }

        #[test]
        fn no_damaged_question_panics(position in 0..70_usize, value in any::<u8>(), cut in 0..80_usize) {
            let mut bytes = query(Some(1232));
            if let Some(byte) = bytes.get_mut(position) {
                *byte = value;
            }
            bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(40)));
            if let Read::Request(request) = Request::read(&bytes) {
                request.respond(many(50), false);
            }
        }
    }
}
