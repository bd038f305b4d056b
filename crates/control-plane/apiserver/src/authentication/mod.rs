//! Authentication by configuration: tokens that other servers issue ([`issuers`]) or know ([`token_webhook`]), and where anonymous requests
//! may go.
//!
//! The server's own tokens come first, and are none of this module's: they are verified at once, from keys and objects in memory. Only a token
//! that is none of them is looked at here, which may wait for another server; what was found is remembered for a while.
//!
//! The issuers can be replaced while the server runs ([`following`]).
//!
//! Source: upstream `pkg/kubeapiserver/authenticator`, apiserver `plugin/pkg/authenticator/token/{oidc,webhook}`.

mod anonymous;
mod fetch;
mod following;
mod issuers;
mod provider;
mod token_webhook;

pub use anonymous::Anonymous;
pub use following::{Authentication, IssuerAlgorithms};
pub use token_webhook::{TokenReviewVersion, TokenWebhook};

use windlass_auth::User;

/// Whose a token is, and for which of the audiences that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub user: User,
    pub audiences: Vec<String>,
}

/// A token as a key of what is remembered: it may be long, and is a secret.
type Digest = [u8; 32];

fn digest(token: &str) -> Digest {
    use sha2::Digest as _;
    sha2::Sha256::digest(token.as_bytes()).into()
}
