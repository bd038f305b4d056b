//! Where a server listens, how many clients it has, and how long they may take.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};

use crate::dial::Stream;

/// Where connections come from.
pub enum Socket {
    Tcp(TcpListener),
    /// Whoever may open it counts as loopback.
    Unix(UnixListener),
}

impl From<TcpListener> for Socket {
    fn from(socket: TcpListener) -> Self {
        Self::Tcp(socket)
    }
}

impl From<UnixListener> for Socket {
    fn from(socket: UnixListener) -> Self {
        Self::Unix(socket)
    }
}

impl Socket {
    pub(super) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, address) = socket.accept().await?;
                // Small answers must not wait for more to come; without the option they are merely slower.
                let _ = stream.set_nodelay(true);
                Ok((stream.into(), address))
            }
            Self::Unix(socket) => Ok((socket.accept().await?.0.into(), (Ipv4Addr::LOCALHOST, 0).into())),
        }
    }
}

/// Where to listen, and how.
pub struct Listener {
    pub socket: Socket,
    /// Without it, connections are in plain text and HTTP/1.1; a Unix socket's always are.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    pub limits: Limits,
    pub timers: Timers,
}

/// Bounds. The defaults suit a server with few clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all.
    pub connections_max: usize,
    /// Connections from one address, or one /64 of IPv6. Loopback has no such bound.
    pub connections_per_address_max: usize,
    /// Of all connections, those that are kept for loopback and for privileged clients.
    pub reserve: usize,
    /// Requests at a time in one HTTP/2 connection.
    pub streams_max: u32,
    /// Bytes of a request's head.
    pub head_bytes_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 512,
            connections_per_address_max: 128,
            reserve: 32,
            // As Go's HTTP/2 server.
            streams_max: 250,
            // Upstream's is 1 MiB, of which an HTTP/2 client can fill as many as there are streams with a few bytes each.
            head_bytes_max: 64 << 10,
        }
    }
}

impl Limits {
    /// For a public server in a process that may open so many files: a quarter of them are for its clients, of which one address has an
    /// eighth.
    pub fn of_open_files(open_files_max: u64) -> Self {
        let connections_max = usize::try_from(open_files_max / 4).unwrap_or(usize::MAX).clamp(64, 16_384);
        Self {
            connections_max,
            connections_per_address_max: connections_max / 8,
            reserve: connections_max / 16,
            ..Self::default()
        }
    }
}

/// How long things may take; the defaults are kube-apiserver's where it has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timers {
    /// From the connection to the end of its TLS handshake.
    pub handshake: Duration,
    /// From when a request's head is waited for to its end. In HTTP/1.1 that includes the time between requests.
    pub head: Duration,
    /// A connection without requests is closed after one to two of these.
    pub idle: Duration,
    /// How often the other end of an HTTP/2 connection is asked whether it is there, and how long it may take to say so.
    pub ping: Duration,
    pub ping_answer: Duration,
    /// At the end of the server, requests under way have this long; so has a client to close an idle connection.
    pub drain: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(32),
            idle: Duration::from_secs(90),
            ping: Duration::from_secs(30),
            ping_answer: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_leave_room_for_everything_else() {
        for (files, all, each, reserve) in
            [(1024, 256, 32, 16), (65_536, 16_384, 2048, 1024), (u64::MAX, 16_384, 2048, 1024), (0, 64, 8, 4)]
        {
            let limits = Limits::of_open_files(files);
            let found = (limits.connections_max, limits.connections_per_address_max, limits.reserve);
            assert_eq!(found, (all, each, reserve), "{files}");
        }
    }
}
