//! Who a request is from: its certificate or token, and whom it acts as (`kubectl --as`).
//!
//! A header that cannot be understood is an error, never an absence: what is skipped here would let the caller act as somebody else.
//! Source: apiserver `endpoints/filters/impersonation.go`.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use windlass_api::Status;
use windlass_auth::{Attributes, User};
use windlass_http::header;

use super::path;
use crate::gate::Gate;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

const ANONYMOUS: &str = "system:anonymous";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// Who a connection's certificate says the client is.
#[derive(Clone, Debug, Default)]
pub enum Peer {
    /// It has shown none.
    #[default]
    Unknown,
    User(Arc<User>),
    /// It has shown one that is not to be trusted: only a token can help it.
    Refused,
}

/// The user of a request; the anonymous one when it shows nothing.
pub(super) fn authenticate(gate: &Gate, peer: Peer, headers: &HeaderMap) -> Result<Arc<User>, Status> {
    let without = match peer {
        Peer::User(user) => return Ok(user),
        Peer::Unknown => Ok(Arc::new(User::anonymous())),
        Peer::Refused => Err(Status::unauthorized()),
    };
    let Some(header) = header::first(headers, &AUTHORIZATION) else { return without };
    let Some((scheme, token)) = header.trim().split_once(' ') else { return Err(Status::unauthorized()) };
    if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        return Err(Status::unauthorized());
    }
    gate.token_user(token.trim()).map(Arc::new).ok_or_else(Status::unauthorized)
}

/// Whom the headers ask to act as.
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    user: String,
    uid: String,
    groups: Vec<String>,
    /// Keys with values, in the order of the headers.
    extra: Vec<(String, String)>,
}

impl Wanted {
    fn read(headers: &HeaderMap) -> Result<Self, Status> {
        let first =
            |name: &str| headers.get(name).map(|value| text(name, value)).transpose().map(Option::unwrap_or_default);
        let groups = headers.get_all(GROUP).iter().map(|value| text(GROUP, value)).collect::<Result<_, _>>()?;
        let mut extra = Vec::new();
        for (name, value) in headers {
            if let Some(key) = name.as_str().strip_prefix(EXTRA) {
                extra.push((path::decode(key), text(name.as_str(), value)?));
            }
        }
        Ok(Self { user: first(USER)?, uid: first(UID)?, groups, extra })
    }
}

/// Header values are bytes; Kubernetes' names in them are UTF-8.
fn text(name: &str, value: &HeaderValue) -> Result<String, Status> {
    let text = std::str::from_utf8(value.as_bytes());
    text.map(str::to_owned).map_err(|_| Status::bad_request(format!("the header {name} is not valid UTF-8")))
}

/// Lets a user who may do so act as another.
pub(super) fn impersonate(gate: &Gate, user: Arc<User>, headers: &HeaderMap) -> Result<Arc<User>, Status> {
    let Wanted { user: name, uid, mut groups, extra } = Wanted::read(headers)?;
    if name.is_empty() {
        if groups.is_empty() && uid.is_empty() && extra.is_empty() {
            return Ok(user);
        }
        return Err(Status::internal("requested impersonation of groups, extra or uid without impersonating a user"));
    }
    let may = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
        let nothing = Attributes { version: "v1", ..Attributes::of(&user, "impersonate") };
        gate.authorize(&Attributes { group, resource, subresource, namespace, name, ..nothing })
    };
    let account = windlass_auth::split_service_account(&name);
    match account {
        Some((namespace, name)) => may("", "serviceaccounts", "", namespace, name)?,
        None => may("", "users", "", "", &name)?,
    }
    for group in &groups {
        may("", "groups", "", "", group)?;
    }
    for (key, value) in &extra {
        may("authentication.k8s.io", "userextras", key, "", value)?;
    }
    if !uid.is_empty() {
        may("authentication.k8s.io", "uids", "", "", &uid)?;
    }
    if let Some((namespace, _)) = account.filter(|_| groups.is_empty()) {
        groups = windlass_auth::service_account_groups(namespace);
    }
    let is_anonymous = name == ANONYMOUS;
    let says_so = |group: &String| group == UNAUTHENTICATED || (group == AUTHENTICATED && !is_anonymous);
    if !groups.iter().any(says_so) {
        groups.push(if is_anonymous { UNAUTHENTICATED } else { AUTHENTICATED }.to_owned());
    }
    let mut acted = User { name, uid, groups, ..User::default() };
    for (key, value) in extra {
        acted.extra.entry(key).or_default().push(value);
    }
    Ok(Arc::new(acted))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn headers(pairs: &[(&str, &[u8])]) -> HeaderMap {
        let pair = |(name, value): &(&str, &[u8])| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn headers_are_understood_or_refused() {
        let wanted = Wanted::read(&headers(&[
            (USER, "jürgen".as_bytes()),
            (GROUP, b"a"),
            (GROUP, "größe".as_bytes()),
            (UID, b"u"),
            ("impersonate-extra-acme.com%2fproject", b"x"),
        ]));
        let expected = Wanted {
            user: "jürgen".into(),
            uid: "u".into(),
            groups: vec!["a".into(), "größe".into()],
            extra: vec![("acme.com/project".into(), "x".into())],
        };
        assert_eq!(wanted.unwrap(), expected);
        for name in [USER, GROUP, UID, "impersonate-extra-k"] {
            assert!(Wanted::read(&headers(&[(name, b"j\xfcrgen")])).is_err(), "{name}");
        }
    }
}
