//! Handshakes of our servers and clients.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use windlass_pki::{Ca, ClientAuth, ClientVerifier, Rotating, client_config, server_config};

use crate::{client, now, server};

struct Seen {
    server_chain: Vec<CertificateDer<'static>>,
    client_chain: Vec<CertificateDer<'static>>,
    protocol: Option<Vec<u8>>,
}

/// One connection through a pipe; a byte goes each way, so that both sides have finished.
async fn connect(server: &rustls::ServerConfig, client: &rustls::ClientConfig, name: &str) -> std::io::Result<Seen> {
    let (left, right) = tokio::io::duplex(64 << 10);
    let accepting = TlsAcceptor::from(Arc::new(server.clone())).accept(left);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::new(client.clone()));
    let serve = async {
        let mut stream = accepting.await?;
        stream.read_u8().await?;
        stream.write_u8(1).await?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        Ok::<_, std::io::Error>(chain.iter().map(|c| c.clone().into_owned()).collect())
    };
    let ask = async {
        let mut stream = connector.connect(name, right).await?;
        stream.write_u8(1).await?;
        stream.read_u8().await?;
        let connection = stream.get_ref().1;
        let chain = connection.peer_certificates().unwrap_or_default();
        let chain: Vec<_> = chain.iter().map(|c| c.clone().into_owned()).collect();
        Ok::<_, std::io::Error>((chain, connection.alpn_protocol().map(<[u8]>::to_vec)))
    };
    let (served, asked) = tokio::join!(serve, ask);
    let (server_chain, protocol) = asked?;
    Ok(Seen { server_chain, client_chain: served?, protocol })
}

#[tokio::test]
async fn both_sides_show_who_they_are() {
    let ca = Ca::create("kubernetes", now()).unwrap();
    let authority = [ca.certificate().der.clone()];
    let identity = ca.issue(&server(&["api.example"], &["10.0.0.1", "fd00::1"]), now()).unwrap();
    let serving = server_config(Rotating::new(&identity).unwrap(), &ClientAuth::Verify(authority.to_vec())).unwrap();
    let user = Rotating::new(&ca.issue(&client("jane", &["dev"]), now()).unwrap()).unwrap();
    let asking = client_config(&authority, Some(user)).unwrap();
    for name in ["api.example", "10.0.0.1", "fd00::1"] {
        let seen = connect(&serving, &asking, name).await.unwrap();
        assert_eq!(seen.protocol.as_deref(), Some(&b"h2"[..]));
        let verifier = ClientVerifier::new(&authority).unwrap();
        assert_eq!(verifier.verify(&seen.client_chain, now()).unwrap().unwrap().name, "jane");
    }
    assert!(connect(&serving, &asking, "other.example").await.is_err());
    let anonymous = client_config(&authority, None).unwrap();
    assert!(connect(&serving, &anonymous, "api.example").await.unwrap().client_chain.is_empty());
    let mistrusting = client_config(&[Ca::create("x", now()).unwrap().certificate().der.clone()], None).unwrap();
    assert!(connect(&serving, &mistrusting, "api.example").await.is_err());
}

#[tokio::test]
async fn strangers_are_refused_or_left_to_the_caller() {
    let ca = Ca::create("kubernetes", now()).unwrap();
    let authority = vec![ca.certificate().der.clone()];
    let identity = Rotating::new(&ca.issue(&server(&["a"], &[]), now()).unwrap()).unwrap();
    let stranger =
        Ca::create("kubernetes", now()).unwrap().issue(&client("admin", &["system:masters"]), now()).unwrap();
    let asking = client_config(&authority, Some(Rotating::new(&stranger).unwrap())).unwrap();
    let strict = server_config(identity.clone(), &ClientAuth::Verify(authority.clone())).unwrap();
    assert!(connect(&strict, &asking, "a").await.is_err());
    let lax = server_config(identity.clone(), &ClientAuth::Request(authority.clone())).unwrap();
    let seen = connect(&lax, &asking, "a").await.unwrap();
    assert_eq!(seen.client_chain, [stranger.certificate().der.clone()]);
    assert!(ClientVerifier::new(&authority).unwrap().verify(&seen.client_chain, now()).is_err());
    let silent = server_config(identity, &ClientAuth::None).unwrap();
    assert!(connect(&silent, &asking, "a").await.unwrap().client_chain.is_empty());
}

#[tokio::test]
async fn a_certificate_is_replaced_without_a_restart() {
    let ca = Ca::create("kubernetes", now()).unwrap();
    let authority = [ca.certificate().der.clone()];
    let (first, second) =
        (ca.issue(&server(&["a"], &[]), now()).unwrap(), ca.issue(&server(&["a"], &[]), now()).unwrap());
    let rotating = Rotating::new(&first).unwrap();
    let serving = server_config(rotating.clone(), &ClientAuth::None).unwrap();
    // A fresh client each time: a resumed session shows no certificate.
    let seen = async || connect(&serving, &client_config(&authority, None).unwrap(), "a").await.unwrap().server_chain;
    assert_eq!(seen().await, [first.certificate().der.clone()]);
    rotating.replace(&second).unwrap();
    assert_eq!(seen().await, [second.certificate().der.clone()]);
}
