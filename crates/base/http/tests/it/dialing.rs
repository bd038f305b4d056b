//! Failures to connect, in the words that users search for.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use windlass_http::dial::{self, DialError};
use windlass_http::serve::Timers;

use super::world::{PATIENCE, SOON, World, client};

/// What a handshake with a server that does `behave` says.
async fn handshake_with<F: Future<Output = ()> + Send + 'static>(
    behave: impl FnOnce(tokio::net::TcpStream) -> F + Send + 'static,
    patience: std::time::Duration,
) -> DialError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { behave(listener.accept().await.unwrap().0).await });
    let stream = dial::tcp("localhost", port, PATIENCE).await.unwrap();
    let config = Arc::new(client(rustls::RootCertStore::empty()));
    dial::tls(config, "localhost", stream, patience).await.unwrap_err()
}

#[tokio::test]
async fn servers_that_do_not_speak_tls() {
    let plain = |mut stream: tokio::net::TcpStream| async move {
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    };
    assert_eq!(handshake_with(plain, PATIENCE).await, DialError::NotTls);
    let gone = |mut stream: tokio::net::TcpStream| async move {
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
    };
    assert_eq!(handshake_with(gone, PATIENCE).await.to_string(), "EOF");
    let silent = |stream: tokio::net::TcpStream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    };
    assert_eq!(handshake_with(silent, SOON).await.to_string(), "net/http: TLS handshake timeout");
}

#[tokio::test]
async fn certificates_that_are_not_trusted() {
    let world = World::new(Timers::default()).await;
    let fail = async |config: Arc<rustls::ClientConfig>, host: &str| {
        let stream = dial::tcp("127.0.0.1", world.address.port(), PATIENCE).await.unwrap();
        dial::tls(config, host, stream, PATIENCE).await.unwrap_err().to_string()
    };
    let verify = "tls: failed to verify certificate: x509:";
    let stranger = Arc::new(client(rustls::RootCertStore::empty()));
    assert_eq!(fail(stranger, "localhost").await, format!("{verify} certificate signed by unknown authority"));
    let other = fail(world.client.clone(), "other.example").await;
    assert_eq!(other, format!("{verify} certificate is valid for localhost, not other.example"));
    let address = fail(world.client.clone(), "10.0.0.1").await;
    assert_eq!(
        address,
        format!("{verify} cannot validate certificate for 10.0.0.1 because it doesn't contain any IP SANs")
    );
}

/// A server that says `interim` so often, or without end, and then answers. Ends when the client hangs up.
async fn says_before(interim: &'static str, times: usize) -> (u16, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
        for _ in 0..times {
            if stream.write_all(interim.as_bytes()).await.is_err() {
                return;
            }
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let _ = stream.read(&mut buffer).await;
    });
    (port, task)
}

#[tokio::test]
async fn what_comes_before_an_answer_is_bounded() {
    let continues = "HTTP/1.1 100 Continue\r\n\r\n";
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\nlink: </b>; rel=preload\r\n\r\n";
    let too_much = "net/http: server response headers exceeded 262144 bytes; aborted";
    for (interim, times) in [(continues, usize::MAX), (hints, usize::MAX), (continues, 100), (hints, 100)] {
        let request = |port: u16| {
            let request = http::Request::get(format!("http://127.0.0.1:{port}/")).header("host", "a");
            request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap()
        };
        let (port, task) = says_before(interim, times).await;
        let stream = dial::tcp("127.0.0.1", port, PATIENCE).await.unwrap();
        let (mut sender, driver) = dial::http1(stream.into()).await.unwrap();
        let alone = sender.send_request(request(port)).await;
        // The connection ends by itself, whoever holds on to it.
        driver.detach();
        let (other_port, other_task) = says_before(interim, times).await;
        let pool = windlass_http::pool::Pool::plain();
        let pooled = pool.send(request(other_port)).await;
        for answer in [alone, pooled] {
            match answer {
                Ok(answer) => assert!(times == 100 && answer.status() == 200),
                Err(error) => assert!(times == usize::MAX && error.to_string() == too_much, "{error}"),
            }
        }
        drop((sender, pool));
        for task in [task, other_task] {
            tokio::time::timeout(PATIENCE, task).await.expect("the client hangs up").unwrap();
        }
    }
}
