//! What headers say.
//!
//! A value is bytes. `HeaderValue::to_str` knows ASCII alone, and whoever drops what it refuses takes a header for absent that is
//! there: a proxy passes on what `Connection` forbids, an identity falls away. So nobody calls it (clippy.toml); what is no
//! UTF-8 is kept here with marks in its place, and equals nothing that anybody knows.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The text of a value.
pub fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// The text of the first value of a header; `None` when there is no such header.
pub fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, str>> {
    headers.get(name).map(text)
}

/// What all values of a header list between commas, without the empty ones.
pub fn list(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let mut items = Vec::new();
    for value in headers.get_all(name) {
        let value = text(value);
        items.extend(value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned));
    }
    items
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, CONNECTION};

    use super::*;

    #[test]
    fn what_is_not_understood_is_still_there() {
        let mut headers = HeaderMap::new();
        assert_eq!((first(&headers, &CONNECTION), list(&headers, &CONNECTION)), (None, Vec::new()));
        headers.append(CONNECTION, HeaderValue::from_bytes(b"\xff, Upgrade,").unwrap());
        headers.append(CONNECTION, HeaderValue::from_static("x-secret"));
        headers.append(ACCEPT, HeaderValue::from_bytes("größe".as_bytes()).unwrap());
        assert_eq!(list(&headers, &CONNECTION), ["\u{fffd}", "Upgrade", "x-secret"]);
        assert_eq!(first(&headers, &ACCEPT).as_deref(), Some("größe"));
    }
}
