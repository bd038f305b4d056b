//! Tokens that headers carry: in Authorization, or among the protocols of a WebSocket.
//!
//! Source: apiserver `authentication/request/{bearertoken,websocket}`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONNECTION, HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use windlass_http::header;

/// A browser cannot send the header Authorization with a WebSocket: it sends the token, in base64, as one of the protocols.
const TOKEN_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// What a header offers as a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    None,
    Token(String),
    /// Something that cannot be one.
    Malformed,
    /// A client's mistake that it is told of.
    SpaceBeforeToken,
}

/// The token in the header Authorization. Another scheme than Bearer is none of ours.
pub(crate) fn bearer(headers: &HeaderMap) -> Offer {
    let Some(header) = header::first(headers, &AUTHORIZATION) else { return Offer::None };
    let mut parts = header.trim().splitn(3, ' ');
    let (scheme, token, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    match token {
        Some(token) if scheme.eq_ignore_ascii_case("bearer") => match (token.is_empty(), more) {
            (false, _) => Offer::Token(token.to_owned()),
            (true, Some(_)) => Offer::SpaceBeforeToken,
            (true, None) => Offer::None,
        },
        _ => Offer::None,
    }
}

/// The token among a WebSocket's protocols. There must be another protocol, which the server can agree to.
pub(crate) fn protocol(headers: &HeaderMap) -> Offer {
    let names = |name, wanted: &str| header::list(headers, name).iter().any(|token| token.eq_ignore_ascii_case(wanted));
    if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) || !names(&CONNECTION, "upgrade") || !names(&UPGRADE, "websocket")
    {
        return Offer::None;
    }
    let all = header::list(headers, &SEC_WEBSOCKET_PROTOCOL);
    let tokens: Vec<&str> = all.iter().filter_map(|protocol| protocol.strip_prefix(TOKEN_PROTOCOL)).collect();
    let token = |text: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok();
    match tokens[..] {
        [] => Offer::None,
        [only] => match token(only) {
            Some(token) if token.is_empty() => Offer::None,
            Some(token) if all.len() > 1 => Offer::Token(token),
            _ => Offer::Malformed,
        },
        _ => Offer::Malformed,
    }
}

/// Takes a token out of a WebSocket's protocols, whoever the client has proved to be: it is for nobody but us.
pub(crate) fn remove_token_protocol(headers: &mut HeaderMap) {
    let all = header::list(headers, &SEC_WEBSOCKET_PROTOCOL);
    let others: Vec<&str> =
        all.iter().map(String::as_str).filter(|protocol| !protocol.starts_with(TOKEN_PROTOCOL)).collect();
    if others.len() == all.len() {
        return;
    }
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    if let Ok(others) = HeaderValue::from_str(&others.join(", "))
        && !others.is_empty()
    {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, others);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn bearer_tokens() {
        for (value, expected) in [
            ("Bearer abc", Offer::Token("abc".into())),
            ("bearer abc def", Offer::Token("abc".into())),
            (" BEARER abc ", Offer::Token("abc".into())),
            ("Bearer  abc", Offer::SpaceBeforeToken),
            ("Bearer ", Offer::None),
            ("Bearer", Offer::None),
            ("Basic abc", Offer::None),
            ("", Offer::None),
        ] {
            assert_eq!(bearer(&headers(&[(AUTHORIZATION, value)])), expected, "{value:?}");
        }
        assert_eq!(bearer(&HeaderMap::new()), Offer::None);
    }

    #[test]
    fn tokens_among_protocols() {
        let upgrade = [(CONNECTION, "keep-alive, Upgrade"), (UPGRADE, "websocket")];
        let of = |value: &str| {
            let mut pairs = upgrade.to_vec();
            pairs.push((SEC_WEBSOCKET_PROTOCOL, value));
            protocol(&headers(&pairs))
        };
        let token = format!("{TOKEN_PROTOCOL}YWJj");
        let abc = || Offer::Token("abc".into());
        assert_eq!(of(&format!("{token}, v5.channel.k8s.io")), abc());
        assert_eq!(of(&format!("a,{token},b")), abc());
        assert_eq!(of("v5.channel.k8s.io"), Offer::None);
        for malformed in [token.clone(), format!("{token},{token},a"), format!("{TOKEN_PROTOCOL}!,a")] {
            assert_eq!(of(&malformed), Offer::Malformed, "{malformed}");
        }
        let no_websocket = headers(&[(SEC_WEBSOCKET_PROTOCOL, &format!("{token},a"))]);
        assert_eq!(protocol(&no_websocket), Offer::None);
        for (value, left) in [(format!("a,{token},b"), Some("a, b")), ("a,b".to_owned(), Some("a,b")), (token, None)] {
            let mut headers = headers(&[(SEC_WEBSOCKET_PROTOCOL, &value)]);
            remove_token_protocol(&mut headers);
            assert_eq!(header::first(&headers, &SEC_WEBSOCKET_PROTOCOL).as_deref(), left, "{value}");
        }
    }
}
