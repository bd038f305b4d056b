//! Authorities, certificates, their rotation, and service-account keys.
//!
//! [`Ca`] makes keys and certificates and signs requests; [`Identity`] is a certificate with its key, kept in files and renewed
//! in time; [`server_config`] and [`client_config`] speak TLS with them, and a [`Rotating`] identity is exchanged without a
//! restart. [`ClientVerifier`] says who a client certificate is, as upstream's x509 authenticator does. [`TokenSigner`] and
//! [`TokenVerifier`] are the signatures of service-account tokens, [`jwks`] and [`discovery_document`] what the API
//! server publishes about them; [`KeySet`] verifies [`SignedToken`]s of other issuers.
//!
//! Certificates are written by hand rather than with rcgen: a Kubernetes user is in any number of groups, and each is an
//! organization of the subject; rcgen's names hold one of each kind, drop the others of a request, and panic on
//! an empty one.
//!
//! What this crate does not know: which certificates a cluster has, who may have one, and what claims mean.

mod any_server;
mod ca;
mod certificate;
mod client_identity;
mod compact;
mod der;
mod error;
mod files;
mod identity;
mod jwks;
mod jws;
mod key;
mod key_type;
mod pem;
mod proof;
mod renewal;
mod request;
mod server_verifier;
mod stored;
mod subject_key;
mod tls;
mod token;

pub use any_server::AnyServer;
pub use ca::{Ca, SigningPolicy};
pub use certificate::{Certificate, ClientCert, Issue, ServerCert};
pub use client_identity::{ClientIdentity, ClientVerifier, client_identity};
pub use error::PkiError;
pub use files::write_private;
pub use identity::Identity;
pub use jwks::{discovery_document, jwks};
pub use jws::{JwsError, KeySet, SignatureAlgorithm, SignedToken};
pub use key::{Algorithm, PrivateKey, PublicKey};
pub use key_type::KeyType;
pub use pem::{PemBlock, pem_blocks, pem_encode};
pub use renewal::{Renewal, RenewalReason, renewal};
pub use request::CertificateRequest;
pub use server_verifier::ServerVerifier;
pub use subject_key::{KeyKind, RequestedKey, SubjectKey};
pub use tls::{ClientAuth, Rotating, Trust, client_config, client_config_of, server_config};
pub use token::{TokenError, TokenSigner, TokenVerifier, VerifiedToken};
