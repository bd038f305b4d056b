//! Who a request is from: its certificate or its token.
//!
//! What is no credential that this server knows is none: the request is anonymous. A token that is not valid is an error, never an absence.

use std::sync::Arc;

use http::request::Parts;
use windlass_api::Status;
use windlass_auth::User;

use crate::aggregation::headers as proxied;
use crate::gate::Gate;
use crate::message::token::{Offer, bearer, protocol};

/// Who a connection's certificate says the client is.
#[derive(Clone, Debug, Default)]
pub enum Peer {
    /// It has shown none.
    #[default]
    Unknown,
    User(Arc<User>),
    /// It is a front proxy, which says by headers whom it speaks for. If it does not, only a token can help it.
    FrontProxy,
    /// It has shown one that is not to be trusted: only a token can help it.
    Refused,
}

/// The user of a request, and a warning for it.
pub(super) async fn authenticate(
    gate: &Gate,
    peer: Peer,
    request: &Parts,
) -> Result<(Arc<User>, Option<&'static str>), Status> {
    let headers = &request.headers;
    let without = match peer {
        Peer::User(user) => return Ok((user, None)),
        Peer::Unknown if gate.authentication.anonymous.may_ask(request.uri.path()) => Ok(Arc::new(User::anonymous())),
        Peer::Unknown => Err(Status::unauthorized()),
        Peer::FrontProxy => match proxied::read(headers)? {
            Some(user) => return Ok((Arc::new(user), None)),
            None => Err(Status::unauthorized()),
        },
        Peer::Refused => Err(Status::unauthorized()),
    };
    let user = async |token: String| gate.token_user(&token).await.map(Arc::new).ok_or_else(Status::unauthorized);
    let mut warning = None;
    match bearer(headers) {
        Offer::Token(token) => return Ok((user(token).await?, None)),
        Offer::SpaceBeforeToken => {
            warning =
                Some("the provided Authorization header contains extra space before the bearer token, and is ignored");
        }
        Offer::None | Offer::Malformed => {}
    }
    match protocol(headers) {
        Offer::Token(token) => Ok((user(token).await?, warning)),
        Offer::Malformed => Err(Status::unauthorized()),
        Offer::None | Offer::SpaceBeforeToken => Ok((without?, warning)),
    }
}
