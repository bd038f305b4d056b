//! How a front proxy tells a server behind it who asks: the headers `X-Remote-User`, `X-Remote-Uid`, `X-Remote-Group`,
//! `X-Remote-Extra-KEY`.
//!
//! Source: client-go `transport/round_trippers.go`, apiserver `authentication/request/headerrequest`.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use windlass_api::Status;
use windlass_api::well_known::{group, user};
use windlass_auth::User;

const USER: HeaderName = HeaderName::from_static("x-remote-user");
const UID: HeaderName = HeaderName::from_static("x-remote-uid");
const GROUP: HeaderName = HeaderName::from_static("x-remote-group");
const EXTRA: &str = "x-remote-extra-";

/// What may not stand in the name of a header, and the sign that begins an escape.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b'(')
    .add(b')')
    .add(b',')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'{')
    .add(b'}');

/// Says who asks, in place of whatever the headers said before.
pub(crate) fn set(headers: &mut HeaderMap, user: &User) -> Result<(), Status> {
    remove(headers);
    headers.insert(USER, value(&user.name)?);
    if !user.uid.is_empty() {
        headers.insert(UID, value(&user.uid)?);
    }
    for group in &user.groups {
        headers.append(GROUP, value(group)?);
    }
    for (key, values) in &user.extra {
        let name = format!("{EXTRA}{}", utf8_percent_encode(key, ESCAPED)).to_ascii_lowercase();
        let name = HeaderName::try_from(name).map_err(Status::internal)?;
        for text in values {
            headers.append(name.clone(), value(text)?);
        }
    }
    Ok(())
}

fn value(text: &str) -> Result<HeaderValue, Status> {
    // Names are UTF-8; what no header can hold is refused, for another name would be another user.
    HeaderValue::from_bytes(text.as_bytes()).map_err(Status::internal)
}

pub(crate) fn remove(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| is_of_identity(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

fn is_of_identity(name: &HeaderName) -> bool {
    [USER, UID, GROUP].contains(name) || name.as_str().starts_with(EXTRA)
}

/// Who asks, by the headers of a front proxy; `None` when they name nobody. What is no UTF-8 is an error: skipped, it would be another
/// user.
pub(crate) fn read(headers: &HeaderMap) -> Result<Option<User>, Status> {
    let text = |value: &HeaderValue| std::str::from_utf8(value.as_bytes()).map(str::to_owned);
    let first = |name: &HeaderName| headers.get(name).map(text).transpose().map(Option::unwrap_or_default);
    let unauthorized = |_| Status::unauthorized();
    let name = first(&USER).map_err(unauthorized)?;
    if name.is_empty() {
        return Ok(None);
    }
    let uid = first(&UID).map_err(unauthorized)?;
    let groups = headers.get_all(GROUP).iter().filter(|group| !group.is_empty()).map(text);
    let mut groups: Vec<String> = groups.collect::<Result<_, _>>().map_err(unauthorized)?;
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (header, value) in headers {
        let Some(key) = header.as_str().strip_prefix(EXTRA) else { continue };
        let decoded = percent_decode_str(key).decode_utf8();
        let key = decoded.map_or_else(|_| key.to_owned(), std::borrow::Cow::into_owned);
        extra.entry(key).or_default().push(text(value).map_err(unauthorized)?);
    }
    let says = [group::AUTHENTICATED, group::UNAUTHENTICATED];
    if name != user::ANONYMOUS && !groups.iter().any(|group| says.contains(&group.as_str())) {
        groups.push(group::AUTHENTICATED.to_owned());
    }
    Ok(Some(User { name, uid, groups, extra }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_goes_there_and_comes_back() {
        let user = User {
            name: "jürgen".to_owned(),
            uid: "42".to_owned(),
            groups: vec!["a".to_owned(), group::AUTHENTICATED.to_owned()],
            extra: BTreeMap::from([
                ("authentication.kubernetes.io/node-name".to_owned(), vec!["n".to_owned(), "m".to_owned()]),
                ("100% sure".to_owned(), vec![String::new()]),
            ]),
        };
        let mut headers = HeaderMap::new();
        for name in ["x-remote-user", "x-remote-group", "x-remote-uid", "x-remote-extra-scopes", "accept"] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("forged"));
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("twice"));
        }
        set(&mut headers, &user).unwrap();
        assert_eq!(read(&headers).unwrap().as_ref(), Some(&user));
        assert_eq!(headers["x-remote-extra-authentication.kubernetes.io%2fnode-name"], "n");
        assert_eq!(headers.get_all("accept").iter().count(), 2);
        remove(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
        assert_eq!(read(&headers).unwrap(), None);
        let broken = User { name: "a\nb".to_owned(), ..User::default() };
        assert!(set(&mut headers, &broken).is_err());
    }

    #[test]
    fn groups_that_every_user_has() {
        for (name, given, expected) in [
            ("jane", vec![], vec![group::AUTHENTICATED]),
            ("jane", vec![group::UNAUTHENTICATED], vec![group::UNAUTHENTICATED]),
            ("jane", vec!["a", group::AUTHENTICATED], vec!["a", group::AUTHENTICATED]),
            (user::ANONYMOUS, vec![], vec![]),
        ] {
            let mut headers = HeaderMap::from_iter([(USER, HeaderValue::from_static(name))]);
            for group in given {
                headers.append(GROUP, HeaderValue::from_static(group));
            }
            assert_eq!(read(&headers).unwrap().unwrap().groups, expected, "{name}");
        }
        let broken = HeaderMap::from_iter([(USER, HeaderValue::from_bytes(b"\xff").unwrap())]);
        assert_eq!(read(&broken).unwrap_err().code, 401);
    }
}
