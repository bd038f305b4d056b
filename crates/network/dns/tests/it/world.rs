//! A server with a few Services, a client, and an upstream resolver that does as it is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;
use windlass_api::ObjectKey;
use windlass_api::time::Clock;
use windlass_dns::object::{EndpointSlice, Service};
use windlass_dns::{Dns, Options};
use windlass_telemetry::Metrics;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) dns: Dns,
    pub(crate) address: SocketAddr,
    metrics: Metrics,
    task: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn options() -> Options {
    Options { upstream_timeout: Duration::from_millis(300), ..Options::new("cluster.local") }
}

impl World {
    pub(crate) async fn new(options: Options) -> Self {
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let metrics = Metrics::default();
        let dns = Dns::new(&options, Clock::system(), &metrics);
        Self::fill(&dns);
        let server = dns.clone();
        let task = tokio::spawn(async move { server.run(vec![udp], vec![tcp], std::future::pending()).await });
        Self { dns, address, metrics, task }
    }

    /// What a metric says, by its name and labels as they are shown.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = String::from_utf8(self.metrics.text().1).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().unwrap()
    }

    pub(crate) async fn ask(&self, name: &str, kind: RecordType) -> Message {
        self.ask_with(name, kind, Some(1232)).await
    }

    pub(crate) async fn ask_with(&self, name: &str, kind: RecordType, edns: Option<u16>) -> Message {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(self.address).await.unwrap();
        socket.send(&question(name, kind, edns).to_vec().unwrap()).await.unwrap();
        let mut buffer = vec![0; 65_535];
        let length = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await.unwrap().unwrap();
        Message::from_vec(&buffer[..length]).unwrap()
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A few Services of all kinds.
    pub(crate) fn fill(dns: &Dns) {
        let ports = r#"[{"name":"http","port":80}]"#;
        set_service(dns, "web", &format!(r#"{{"clusterIP":"10.96.0.1","ports":{ports}}}"#));
        set_service(dns, "many", r#"{"clusterIP":"None"}"#);
        set_endpoints(dns, "many", (1..=200).map(|number| Ipv4Addr::new(10, 244, 0, number)));
        set_service(dns, "out", r#"{"type":"ExternalName","externalName":"www.example.com"}"#);
        set_service(dns, "alias", r#"{"type":"ExternalName","externalName":"web.default.svc.cluster.local"}"#);
        set_service(dns, "circle", r#"{"type":"ExternalName","externalName":"circle.default.svc.cluster.local"}"#);
        dns.initialized();
    }
}

/// UDP and TCP on one port of the loopback address.
pub(crate) async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

pub(crate) fn question(name: &str, kind: RecordType, edns: Option<u16>) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    if let Some(payload) = edns {
        let mut edns = Edns::new();
        edns.set_max_payload(payload);
        message.set_edns(edns);
    }
    message
}

pub(crate) async fn send_tcp(stream: &mut TcpStream, message: &Message) {
    let bytes = message.to_vec().unwrap();
    stream.write_u16(bytes.len() as u16).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
}

pub(crate) async fn receive_tcp(stream: &mut TcpStream) -> Message {
    let length = tokio::time::timeout(PATIENCE, stream.read_u16()).await.unwrap().unwrap();
    let mut buffer = vec![0; length.into()];
    stream.read_exact(&mut buffer).await.unwrap();
    Message::from_vec(&buffer).unwrap()
}

/// The answers' data, in order.
pub(crate) fn data(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| record.data.to_string()).collect()
}

pub(crate) fn set_service(dns: &Dns, name: &str, spec: &str) {
    let service = Service::from_json(format!(r#"{{"spec":{spec}}}"#).as_bytes()).unwrap();
    dns.service_changed(&ObjectKey::new("default", name), Some(&service));
}

pub(crate) fn set_endpoints(dns: &Dns, service: &str, addresses: impl IntoIterator<Item = Ipv4Addr>) {
    let endpoints: Vec<String> =
        addresses.into_iter().map(|address| format!(r#"{{"addresses":["{address}"]}}"#)).collect();
    let json = format!(
        r#"{{"metadata":{{"labels":{{"kubernetes.io/service-name":"{service}"}}}},"endpoints":[{}],"ports":[]}}"#,
        endpoints.join(",")
    );
    let slice = EndpointSlice::from_json(json.as_bytes()).unwrap();
    dns.endpoint_slice_changed(&ObjectKey::new("default", format!("{service}-1")), Some(&slice));
}

/// What the upstream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// `www.example.com` is 192.0.2.80, `big.example.com` has 100 addresses, all else does not exist.
    Answers,
    /// Takes questions and says nothing.
    Silent,
    Fails,
    /// Answers to other questions than those asked.
    Confused,
}

/// An upstream resolver and how many questions it got.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    questions: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Upstream {
    pub(crate) async fn new(manner: Manner) -> Self {
        let (udp, tcp) = sockets().await;
        Self::on(manner, udp, tcp)
    }

    pub(crate) fn on(manner: Manner, udp: UdpSocket, tcp: TcpListener) -> Self {
        let address = udp.local_addr().unwrap();
        let questions = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&questions);
        let over_udp = tokio::spawn(async move {
            let mut buffer = vec![0; 4096];
            loop {
                let (length, peer) = udp.recv_from(&mut buffer).await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                if let Some(answer) = behave(manner, &buffer[..length], false) {
                    udp.send_to(&answer, peer).await.unwrap();
                }
            }
        });
        let over_tcp = tokio::spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                let length = stream.read_u16().await.unwrap();
                let mut buffer = vec![0; length.into()];
                stream.read_exact(&mut buffer).await.unwrap();
                if let Some(answer) = behave(manner, &buffer, true) {
                    stream.write_u16(answer.len() as u16).await.unwrap();
                    stream.write_all(&answer).await.unwrap();
                }
            }
        });
        Self { address, questions, tasks: vec![over_udp, over_tcp] }
    }

    pub(crate) fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }
}

fn behave(manner: Manner, request: &[u8], tcp: bool) -> Option<Vec<u8>> {
    let request = Message::from_vec(request).unwrap();
    let query = request.queries[0].clone();
    let mut answer = Message::new(request.metadata.id, MessageType::Response, OpCode::Query);
    answer.metadata.recursion_available = true;
    match manner {
        Manner::Silent => return None,
        Manner::Fails => answer.metadata.response_code = ResponseCode::ServFail,
        Manner::Confused => {
            answer.add_query(Query::query(Name::from_ascii("other.example.com.").unwrap(), RecordType::A));
            return Some(answer.to_vec().unwrap());
        }
        Manner::Answers => {}
    }
    answer.add_query(query.clone());
    let address = |name: &Name, last: u8| Record::from_rdata(name.clone(), 300, RData::A(A::new(192, 0, 2, last)));
    match query.name().to_ascii().as_str() {
        _ if manner == Manner::Fails => {}
        "www.example.com." if query.query_type() == RecordType::A => {
            let target = Name::from_ascii("web.example.net.").unwrap();
            answer.add_answer(Record::from_rdata(query.name().clone(), 300, RData::CNAME(CNAME(target.clone()))));
            answer.add_answer(address(&target, 80));
        }
        "www.example.com." => {}
        "big.example.com." if tcp => {
            answer.add_answers((0..100).map(|last| address(query.name(), last)));
        }
        "big.example.com." => answer.metadata.truncation = true,
        _ => answer.metadata.response_code = ResponseCode::NXDomain,
    }
    Some(answer.to_vec().unwrap())
}
