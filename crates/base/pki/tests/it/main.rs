//! Certificates against rustls and webpki, keys and requests that openssl made, tokens.
//!
//! The keys under `data/` were made for these tests and protect nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod authority;
mod handshake;
mod jws;
mod keys;
mod request;
mod subject_keys;
mod tokens;

use std::time::Duration;

use jiff::Timestamp;
use windlass_pki::{ClientCert, Issue, ServerCert};

/// rustls reads the machine's clock, so certificates of handshakes are made by it.
fn now() -> Timestamp {
    windlass_api::time::Clock::system().now()
}

const DAY: Duration = Duration::from_secs(86_400);

fn client(name: &str, groups: &[&str]) -> Issue {
    let organizations = groups.iter().map(|group| (*group).to_owned()).collect();
    Issue::Client(ClientCert { common_name: name.into(), organizations, ttl: 365 * DAY })
}

fn server(names: &[&str], addresses: &[&str]) -> Issue {
    Issue::Server(ServerCert {
        common_name: "kube-apiserver".into(),
        dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ip_addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        ttl: 365 * DAY,
        ..ServerCert::default()
    })
}
