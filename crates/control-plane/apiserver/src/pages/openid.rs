//! OpenID discovery of the cluster as an issuer of tokens, and its keys.

use std::sync::Arc;

use http::{Response, StatusCode};
use windlass_pki::{discovery_document, jwks};

use crate::http::response::{Body, plain};
use crate::server::Server;

pub(super) fn configuration(server: &Arc<Server>) -> Response<Body> {
    let uri = format!("https://{}/openid/v1/jwks", server.advertised_address());
    let document = discovery_document(server.tokens.issuer(), &uri, server.tokens.keys());
    plain(StatusCode::OK, "application/json", document)
}

pub(super) fn keys(server: &Arc<Server>) -> Response<Body> {
    plain(StatusCode::OK, "application/jwk-set+json", jwks(server.tokens.keys()))
}
