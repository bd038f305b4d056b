//! Connections to ports on a sandbox's loopback address.
//!
//! A socket belongs to the network namespace in which it was made: a throw-away thread makes it there, and then any thread
//! may use it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, FromRawFd, IntoRawFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use tokio::net::{TcpSocket, TcpStream};
use windlass_cri::{Code, Connection, Error, Result};

use crate::core::Core;
use crate::error::During;
use crate::record::Sandbox;
use crate::sys::{process, thread};

pub(crate) async fn connect(core: &Core, sandbox: &Sandbox, port: u16) -> Result<Connection> {
    if !sandbox.is_ready() {
        return Err(Error::new(Code::FailedPrecondition, format!("sandbox {:?} is not ready", sandbox.id)));
    }
    let namespace = sandbox.namespaces(core).network;
    let mut failure = None;
    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let made = make_socket(namespace.clone(), address.is_ipv6()).await;
        match try_connect(made, SocketAddr::new(address, port)).await {
            Ok(stream) => {
                let (reader, writer) = stream.into_split();
                return Ok(Connection { reader: Box::pin(reader), writer: Box::pin(writer) });
            }
            // The first says more: that the pod does not listen is rarely a matter of IPv6.
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    let error = failure.unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into());
    Err(error)
        .during(Code::Unavailable, || format!("failed to connect to localhost:{port} inside sandbox {:?}", sandbox.id))
}

async fn make_socket(namespace: Option<std::path::PathBuf>, v6: bool) -> io::Result<TcpSocket> {
    let make = move || {
        if let Some(namespace) = namespace {
            process::enter(std::fs::File::open(namespace)?.as_fd(), libc::CLONE_NEWNET)?;
        }
        let family = if v6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        Ok(socket(family, SockType::Stream, flags, None)?)
    };
    let socket = thread::run("port-forward", make).await?;
    // SAFETY: the descriptor is a fresh stream socket of this family, and ownership goes with it.
    Ok(unsafe { TcpSocket::from_raw_fd(socket.into_raw_fd()) })
}

async fn try_connect(socket: io::Result<TcpSocket>, address: SocketAddr) -> io::Result<TcpStream> {
    socket?.connect(address).await
}
