//! TCP to the first of a host's addresses that answers, both families by turns (RFC 8305).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::net::TcpStream;

use super::join;
use super::lookup::lookup;
use crate::dial_error::DialError;

/// How long one address may take before the next is tried beside it (RFC 8305).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(300);

/// Connects to a host, by name or address, within `timeout`, the lookup included.
pub async fn tcp(host: &str, port: u16, timeout: Duration) -> Result<TcpStream, DialError> {
    let dial = async { dial_first(interleave(lookup(host, port).await?)).await };
    let timed_out = |_| DialError::Timeout { address: join(host, port) };
    let stream = tokio::time::timeout(timeout, dial).await.map_err(timed_out)??;
    // Small requests must not wait for more to come; without the option they are merely slower.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Both families by turns, in the order that the resolver gave.
fn interleave(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let (mut first, mut other) = (VecDeque::new(), VecDeque::new());
    for address in addresses {
        let same = first.front().is_none_or(|known: &SocketAddr| known.is_ipv4() == address.is_ipv4());
        if same { first.push_back(address) } else { other.push_back(address) }
    }
    let mut order = VecDeque::with_capacity(first.len() + other.len());
    while !first.is_empty() || !other.is_empty() {
        order.extend(first.pop_front());
        order.extend(other.pop_front());
    }
    order
}

/// The first connection that comes about; the first failure if none does.
async fn dial_first(mut addresses: VecDeque<SocketAddr>) -> Result<TcpStream, DialError> {
    let mut running = FuturesUnordered::new();
    let mut failure = None;
    let connect = |address| async move { (address, TcpStream::connect(address).await) };
    loop {
        match addresses.pop_front() {
            Some(address) => running.push(connect(address)),
            None if running.is_empty() => {
                return Err(failure.unwrap_or(DialError::Address("a name without addresses".to_owned())));
            }
            None => {}
        }
        let next = async {
            if addresses.is_empty() {
                std::future::pending::<()>().await;
            } else {
                tokio::time::sleep(NEXT_ADDRESS_AFTER).await;
            }
        };
        tokio::select! {
            Some((address, result)) = running.next() => match result {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    failure.get_or_insert_with(|| DialError::of_connect(address.to_string(), &error));
                }
            },
            () = next => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn families_by_turns() {
        let parse = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let order = interleave(parse(&["[::1]:1", "[::2]:1", "1.1.1.1:1", "[::3]:1"]));
        assert_eq!(Vec::from(order), parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]));
    }

    #[tokio::test]
    async fn the_working_address_wins_and_the_first_failure_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(dial_first([closed, good].into()).await.is_ok());
        let error = tcp("127.0.0.1", closed.port(), Duration::from_secs(30)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("dial tcp {closed}: connect: connection refused"));
    }
}
