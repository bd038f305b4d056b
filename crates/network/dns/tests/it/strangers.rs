//! Who is answered, with real packets: a node, and beside it a host that has an address of the node's network and one of a pod.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use windlass_api::time::Clock;
use windlass_dataplane::Netns;
use windlass_dataplane::route::{Mac, Requests, Rtnetlink, Scope, Veth, VethPeer};
use windlass_dns::{Dns, Options};

use super::world::{PATIENCE, World, data, question, receive_tcp, send_tcp};

const NODE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const STRANGER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const POD: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 2);

/// Two namespaces with a wire between them: the node's, and that of the others.
fn network() -> (Arc<Netns>, Arc<Netns>) {
    let create = || Arc::new(Netns::create().expect("this test makes network namespaces: run it as root"));
    let (node, others) = (create(), create());
    let mut rtnetlink = Rtnetlink::open(&node).unwrap();
    let mut requests = Requests::new();
    requests.set_link_up(1);
    let peer = VethPeer { name: "wire", mac: Mac([2, 0, 0, 0, 0, 2]), netns: others.fd() };
    requests.add_veth(&Veth { name: "wire", mac: Mac([2, 0, 0, 0, 0, 1]), mtu: 1500, peer });
    requests.send(&mut rtnetlink).unwrap();
    connect(&mut rtnetlink, &[&format!("{NODE}/24"), "10.244.0.1/16"]);
    connect(&mut Rtnetlink::open(&others).unwrap(), &[&format!("{STRANGER}/24"), &format!("{POD}/16")]);
    (node, others)
}

/// Gives a namespace's end of the wire its addresses.
fn connect(rtnetlink: &mut Rtnetlink, addresses: &[&str]) {
    let wire = rtnetlink.link("wire").unwrap().unwrap().index;
    let mut requests = Requests::new();
    requests.set_link_up(wire);
    for address in addresses {
        requests.add_address(wire, address.parse().unwrap(), Scope::Universe);
    }
    requests.send(rtnetlink).unwrap();
}

/// Runs something asynchronous within a namespace.
fn within<T: Send>(netns: &Netns, work: impl Future<Output = T> + Send) -> T {
    netns.run(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)).unwrap()
}

async fn send_from(source: Ipv4Addr, server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((source, 0)).await.unwrap();
    socket.connect(server).await.unwrap();
    let web = question("web.default.svc.cluster.local.", RecordType::A, None);
    socket.send(&web.to_vec().unwrap()).await.unwrap();
    socket
}

async fn receive(socket: &UdpSocket) -> Vec<String> {
    let mut buffer = vec![0; 4096];
    let length = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await.unwrap().unwrap();
    data(&Message::from_vec(&buffer[..length]).unwrap())
}

async fn over_tcp(source: Ipv4Addr, server: SocketAddr) -> tokio::net::TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    socket.connect(server).await.unwrap()
}

async fn ask_as_pod_and_stranger(server: SocketAddr) {
    let stranger = send_from(STRANGER, server).await;
    // Sent later on the same wire to the same socket: when it is answered, the stranger's question has been seen.
    let pod = send_from(POD, server).await;
    assert_eq!(receive(&pod).await, ["10.96.0.1"]);
    let nothing = stranger.try_recv(&mut [0; 512]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);

    let web = question("web.default.svc.cluster.local.", RecordType::A, None);
    let mut pod = over_tcp(POD, server).await;
    send_tcp(&mut pod, &web).await;
    assert_eq!(data(&receive_tcp(&mut pod).await), ["10.96.0.1"]);
    let mut stranger = over_tcp(STRANGER, server).await;
    let read = tokio::time::timeout(PATIENCE, stranger.read(&mut [0; 512])).await.unwrap();
    assert!(read.is_err() || read.is_ok_and(|length| length == 0), "the connection is closed");
}

#[test]
fn pods_and_the_node_are_answered_and_nobody_else() {
    let (node, others) = network();
    std::thread::scope(|scope| {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server_netns = Arc::clone(&node);
        scope.spawn(move || within(&server_netns, serve(ready, stopped)));
        let server = is_ready.recv().unwrap();
        within(&others, ask_as_pod_and_stranger(server));
        within(&node, async {
            for own in [NODE, Ipv4Addr::LOCALHOST, Ipv4Addr::new(10, 244, 0, 1)] {
                let socket = send_from(own, server).await;
                assert_eq!(receive(&socket).await, ["10.96.0.1"], "{own}");
            }
        });
        stop.send(()).unwrap();
    });
}

async fn serve(ready: std::sync::mpsc::Sender<SocketAddr>, stopped: tokio::sync::oneshot::Receiver<()>) {
    let options = Options { client_ranges: vec!["10.244.0.0/16".parse().unwrap()], ..super::world::options() };
    let dns = Dns::new(&options, Clock::system(), &windlass_telemetry::Metrics::default());
    World::fill(&dns);
    let tcp = TcpListener::bind((NODE, 0)).await.unwrap();
    let udp = UdpSocket::bind(tcp.local_addr().unwrap()).await.unwrap();
    ready.send(udp.local_addr().unwrap()).unwrap();
    dns.run(vec![udp], vec![tcp], async { drop(stopped.await) }).await;
}
