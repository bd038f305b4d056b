//! What can go wrong with keys and certificates.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("failed to {action} {path:?}")]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{path:?} holds no {what}")]
    NotPem { path: PathBuf, what: &'static str },
    #[error("the system gives no random numbers")]
    Random,
    #[error("not a usable private key: {0}")]
    PrivateKey(String),
    #[error("not a usable public key: {0}")]
    PublicKey(&'static str),
    #[error("not a usable certificate: {0}")]
    Certificate(String),
    #[error("{path:?} is not the certificate of an authority")]
    NotAnAuthority { path: PathBuf },
    #[error("the certificate at {certificate:?} does not belong to the key at {key:?}")]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error(
        "only one of {present:?} and {missing:?} is there: restore the missing file, or remove the other to begin anew"
    )]
    Half { present: PathBuf, missing: PathBuf },
    #[error("unable to parse certificate request: {0}")]
    Request(String),
    #[error("unable to verify certificate request signature")]
    RequestSignature,
    #[error("the signer has expired: NotAfter={0}")]
    SignerExpired(jiff::Timestamp),
    #[error("unrecognized usage values: {0:?}")]
    Usages(Vec<String>),
    #[error("failed to sign")]
    Sign,
    #[error("failed to set up TLS")]
    Tls(#[source] rustls::Error),
    #[error("failed to set up the verification of client certificates: {0}")]
    Verifier(String),
}
