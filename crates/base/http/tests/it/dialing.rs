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
