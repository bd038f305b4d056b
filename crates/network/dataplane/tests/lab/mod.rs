//! A small laboratory for tests of the network crates: hosts that are network namespaces without a name, cables between
//! them, servers that say who asked, and clients. All of it vanishes with the values.

#![allow(dead_code, reason = "each test crate uses another part")]

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage};
use windlass_dataplane::Netns;
use windlass_dataplane::route::{Mac, Requests, Route, Rtnetlink, Scope, Veth, VethPeer};

/// Long enough for a busy machine; only failures wait for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// For answers that must not come.
pub(crate) const IMPATIENCE: Duration = Duration::from_millis(400);

pub(crate) struct Host {
    pub(crate) netns: Arc<Netns>,
}

impl Host {
    /// A host with nothing but a loopback device, which is up.
    pub(crate) fn new() -> Self {
        let netns = Netns::create();
        let host = Self {
            netns: Arc::new(
                netns.expect("these tests make network namespaces: run them as root (CAP_SYS_ADMIN and CAP_NET_ADMIN)"),
            ),
        };
        host.change(|requests| requests.set_link_up(1));
        host
    }

    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.netns.run(work).unwrap()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Requests)) {
        let mut requests = Requests::new();
        change(&mut requests);
        requests.send(&mut Rtnetlink::open(&self.netns).unwrap()).unwrap();
    }

    pub(crate) fn link_index(&self, name: &str) -> u32 {
        Rtnetlink::open(&self.netns).unwrap().link(name).unwrap().expect("the link exists").index
    }

    pub(crate) fn add_address(&self, link: &str, address: &str) {
        let index = self.link_index(link);
        self.change(|requests| requests.add_address(index, address.parse().unwrap(), Scope::Universe));
    }

    /// A route to `net` by way of another host.
    pub(crate) fn add_route(&self, net: &str, via: &str) {
        self.change(|requests| requests.add_route(&Route::via(net.parse().unwrap(), via.parse().unwrap(), 4)));
    }

    /// Joins two hosts by a cable; each end gets a name and addresses.
    pub(crate) fn connect(&self, name: &str, addresses: &[&str], other: &Host, far: &str, far_addresses: &[&str]) {
        let mac = |host: &Host, name: &str| {
            let identity = host.netns.fd().unwrap().as_raw_fd() as u8;
            Mac([2, 0, 0, identity, name.len() as u8, name.bytes().fold(0, u8::wrapping_add)])
        };
        self.change(|requests| {
            requests.add_veth(&Veth {
                name,
                mac: mac(self, name),
                mtu: 1500,
                peer: VethPeer { name: far, mac: mac(other, far), netns: other.netns.fd() },
            });
        });
        for (host, name, addresses) in [(self, name, addresses), (other, far, far_addresses)] {
            let index = host.link_index(name);
            host.change(|requests| {
                requests.set_link_up(index);
                for address in addresses {
                    requests.add_address(index, address.parse().unwrap(), Scope::Universe);
                }
            });
        }
    }

    /// A host that is a pod of this one: routed as our CNI plugin does it, without an address on this end.
    pub(crate) fn add_pod(&self, name: &str, address: &str) -> Host {
        const NEAR: Mac = Mac([0xee; 6]);
        const FAR: Mac = Mac([0x0a, 0x58, 0, 0, 0, 1]);
        let pod = Host::new();
        self.change(|requests| {
            let peer = VethPeer { name: "eth0", mac: FAR, netns: pod.netns.fd() };
            requests.add_veth(&Veth { name, mac: NEAR, mtu: 1500, peer });
        });
        let address: IpAddr = address.parse().unwrap();
        let gateway: IpAddr = if address.is_ipv4() { [169, 254, 1, 1].into() } else { "fe80::1".parse().unwrap() };
        let everywhere = if address.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
        let (near, far) = (self.link_index(name), pod.link_index("eth0"));
        self.change(|requests| {
            requests.set_link_up(near);
            requests.add_route(&Route::on_link(address.into(), near, 4));
            requests.add_permanent_neighbour(near, address, FAR);
        });
        pod.change(|requests| {
            requests.set_link_up(far);
            requests.add_address(far, address.into(), Scope::Universe);
            requests.add_route(&Route::on_link(gateway.into(), far, 4));
            requests.add_route(&Route { link: Some(far), ..Route::via(everywhere.parse().unwrap(), gateway, 4) });
            requests.add_permanent_neighbour(far, gateway, NEAR);
        });
        pod
    }

    pub(crate) fn sysctl(&self, name: &str, value: &str) {
        self.run(|| windlass_dataplane::sysctl::set(name, value)).unwrap();
    }

    /// Connects and returns what the server says until it hangs up.
    pub(crate) fn ask(&self, address: &str) -> io::Result<String> {
        self.ask_within(address, PATIENCE)
    }

    pub(crate) fn ask_within(&self, address: &str, patience: Duration) -> io::Result<String> {
        let address: SocketAddr = address.parse().unwrap();
        self.run(|| read_all(TcpStream::connect_timeout(&address, patience)?))
    }

    /// The same from a given source address.
    pub(crate) fn ask_from(&self, source: &str, address: &str) -> io::Result<String> {
        let (source, address): (IpAddr, SocketAddr) = (source.parse().unwrap(), address.parse().unwrap());
        self.run(|| {
            let family = if source.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
            let fd = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
            socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(source, 0)))?;
            socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
            read_all(TcpStream::from(fd))
        })
    }

    /// Sends one datagram and returns the answer.
    pub(crate) fn ask_udp(&self, address: &str) -> io::Result<String> {
        let client = self.udp_client("0.0.0.0:0");
        say(&client, address, PATIENCE)
    }

    pub(crate) fn udp_client(&self, bind: &str) -> UdpSocket {
        self.run(|| UdpSocket::bind(bind)).unwrap()
    }

    /// A TCP server that says its name and who asked: `name 10.0.0.1`.
    pub(crate) fn serve(&self, address: &str, name: &str) -> Server {
        let listener = self.run(|| TcpListener::bind(address)).unwrap();
        let fd = listener.as_raw_fd();
        let name = name.to_owned();
        let thread = std::thread::spawn(move || {
            while let Ok((mut stream, peer)) = listener.accept() {
                let _ = write!(stream, "{name} {}", peer.ip());
            }
        });
        Server { stop: Stop::Shutdown(fd), thread: Some(thread) }
    }

    /// The same for UDP.
    pub(crate) fn serve_udp(&self, address: &str, name: &str) -> Server {
        let socket = self.udp_client(address);
        let stop = socket.try_clone().unwrap();
        let name = name.to_owned();
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                if &buffer[..length] == STOP {
                    return;
                }
                let _ = socket.send_to(format!("{name} {}", peer.ip()).as_bytes(), peer);
            }
        });
        Server { stop: Stop::Datagram(stop, self.netns.clone()), thread: Some(thread) }
    }
}

const STOP: &[u8] = b"stop this server";

pub(crate) fn say(client: &UdpSocket, address: &str, patience: Duration) -> io::Result<String> {
    client.set_read_timeout(Some(patience))?;
    client.send_to(b"hello", address)?;
    let mut buffer = [0; 256];
    let length = client.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn read_all(mut stream: TcpStream) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// A server's thread, which ends with the value.
pub(crate) struct Server {
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

enum Stop {
    Shutdown(i32),
    Datagram(UdpSocket, Arc<Netns>),
}

impl Drop for Server {
    fn drop(&mut self) {
        match &self.stop {
            Stop::Shutdown(fd) => drop(socket::shutdown(*fd, socket::Shutdown::Both)),
            Stop::Datagram(socket, netns) => {
                let mut address = socket.local_addr().unwrap();
                if address.ip().is_unspecified() {
                    address.set_ip(IpAddr::from([127, 0, 0, 1]));
                }
                let bind = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let _ = netns.run(|| UdpSocket::bind(bind)?.send_to(STOP, address));
            }
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
