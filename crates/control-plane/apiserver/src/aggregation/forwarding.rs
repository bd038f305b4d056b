//! What a proxied request and an upgraded one have in common: who asks, where from, and how an answer is handed back.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HeaderName, HeaderValue, LOCATION};
use http::{HeaderMap, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;
use windlass_api::Status;
use windlass_auth::User;
use windlass_http::header;

use super::ending::Ending;
use crate::auditing::UntilEnd;
use crate::message::relay::{passed_on, remove_hop_by_hop};
use crate::message::response::{Body, finish, words};

/// A request of a user who may make it.
pub(crate) struct Asked<'a> {
    pub user: &'a User,
    /// Where the client is; unknown for who is in this process.
    pub client: Option<IpAddr>,
    /// When the answer has to be complete; a watch has no such time.
    pub deadline: Option<Instant>,
    /// What a session holds as long as it lasts.
    pub until_end: Option<Arc<UntilEnd>>,
}

/// An answer in words, as Go's `http.Error` gives it.
pub(super) fn refused(code: StatusCode, why: &dyn Display) -> Response<Body> {
    finish(words(code, format!("{why}\n")))
}

/// Adds the client to those that the request has come from.
pub(super) fn add_client(headers: &mut HeaderMap, client: Option<IpAddr>) -> Result<(), Status> {
    const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    let Some(client) = client else { return Ok(()) };
    let mut all = header::list(headers, &FORWARDED_FOR);
    all.push(client.to_canonical().to_string());
    headers.insert(FORWARDED_FOR, HeaderValue::from_str(&all.join(", ")).map_err(Status::internal)?);
    Ok(())
}

/// The server's answer as the client gets it.
pub(super) fn hand_back(answer: Response<Incoming>, address: &str) -> Response<Body> {
    let (mut parts, body) = answer.into_parts();
    parts.version = http::Version::default();
    remove_hop_by_hop(&mut parts.headers);
    if let Some(location) = header::first(&parts.headers, &LOCATION)
        && let Some(moved) = at_server(&location, address)
    {
        parts.headers.insert(LOCATION, moved);
    }
    Response::from_parts(parts, passed_on(body))
}

/// Where a redirect leads that names no server: to the one that gave it.
fn at_server(location: &str, address: &str) -> Option<HeaderValue> {
    let uri: Uri = location.parse().ok()?;
    let is_own = uri.authority().is_none_or(|authority| authority.as_str() == address);
    let path = uri.path_and_query()?.as_str();
    if !is_own || !path.starts_with('/') {
        return None;
    }
    HeaderValue::from_str(&format!("https://{address}{path}")).ok()
}

/// An answer that ends at its deadline, complete or not.
pub(super) fn until(answer: Response<Body>, deadline: Option<Instant>) -> Response<Body> {
    let Some(deadline) = deadline else { return answer };
    answer.map(|body| Ending::new(body, deadline).boxed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_the_server_that_gave_them() {
        for (location, expected) in [
            ("/a?b=c", Some("https://10.0.0.1:443/a?b=c")),
            ("http://10.0.0.1:443/a", Some("https://10.0.0.1:443/a")),
            ("https://elsewhere/a", None),
            ("a/b", None),
            ("http://[", None),
        ] {
            let moved = at_server(location, "10.0.0.1:443");
            assert_eq!(moved.as_ref().map(header::text).as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn the_client_is_added_to_those_before() {
        let mut headers = HeaderMap::new();
        add_client(&mut headers, None).unwrap();
        assert!(headers.is_empty());
        add_client(&mut headers, Some("::ffff:10.0.0.9".parse().unwrap())).unwrap();
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9");
        add_client(&mut headers, Some("fd00::1".parse().unwrap())).unwrap();
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9, fd00::1");
    }
}
