//! OpenID discovery of the cluster as an issuer of tokens, and its keys.

use http::{Response, StatusCode};
use windlass_pki::{discovery_document, jwks};

use crate::message::response::{Body, plain};
use crate::tokens::Tokens;

pub(super) fn configuration(tokens: &Tokens, address: &str) -> Response<Body> {
    let uri = format!("https://{address}/openid/v1/jwks");
    let document = discovery_document(tokens.issuer(), &uri, tokens.keys());
    plain(StatusCode::OK, "application/json", document)
}

pub(super) fn keys(tokens: &Tokens) -> Response<Body> {
    plain(StatusCode::OK, "application/jwk-set+json", jwks(tokens.keys()))
}
