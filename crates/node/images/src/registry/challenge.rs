//! `WWW-Authenticate`: how a registry says what it wants to see (RFC 9110, section 11).

/// One challenge of a response. Parameters that we have no use for are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String>, error: Option<String> },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChallengeError {
    #[error("failed to find supported auth scheme: the registry asks for neither Basic nor Bearer")]
    Unsupported,
    #[error("no realm specified for token auth challenge")]
    NoRealm,
}

/// The challenge that we can answer best: a token is better than a password.
pub(super) fn choose<'a>(headers: impl IntoIterator<Item = &'a str>) -> Result<Challenge, ChallengeError> {
    let mut best = Err(ChallengeError::Unsupported);
    for header in headers {
        for (scheme, parameters) in split(header) {
            if scheme.eq_ignore_ascii_case("bearer") {
                let get = |name: &str| {
                    parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
                };
                match get("realm").filter(|realm| !realm.is_empty()) {
                    Some(realm) => {
                        let (service, scope, error) = (get("service"), get("scope"), get("error"));
                        return Ok(Challenge::Bearer { realm, service, scope, error });
                    }
                    None if best.is_err() => best = Err(ChallengeError::NoRealm),
                    None => {}
                }
            } else if scheme.eq_ignore_ascii_case("basic") {
                best = Ok(Challenge::Basic);
            }
        }
    }
    best
}

type Parameters = Vec<(String, String)>;

/// Splits a header into schemes with their parameters. What does not follow the grammar ends the header.
fn split(header: &str) -> Vec<(&str, Parameters)> {
    let mut challenges: Vec<(&str, Parameters)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let Some((token, after)) = token(rest) else { return challenges };
        let after_blank = after.trim_start_matches([' ', '\t']);
        match after_blank.strip_prefix('=') {
            // `name=value` belongs to the scheme before it.
            Some(value) => {
                let Some((value, after)) = parameter(value.trim_start_matches([' ', '\t'])) else { return challenges };
                let Some((_, parameters)) = challenges.last_mut() else { return challenges };
                parameters.push((token.to_owned(), value));
                rest = after;
            }
            None => {
                challenges.push((token, Vec::new()));
                rest = after;
            }
        }
    }
}

fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&b);
    let end = text.bytes().position(|b| !is_token(b)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A token or a quoted string with `\` escapes.
fn parameter(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>, error: Option<&str>) -> Challenge {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Challenge::Bearer { realm: realm.into(), service: own(service), scope: own(scope), error: own(error) }
    }

    #[test]
    fn challenges() {
        let cases = [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                Ok(bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:a/b:pull,push"),
                    None,
                )),
            ),
            (
                r#"bearer Realm = "x" , error="insufficient_scope""#,
                Ok(bearer("x", None, None, Some("insufficient_scope"))),
            ),
            (r#"Basic realm="Registry Realm", Bearer realm="t\"u""#, Ok(bearer("t\"u", None, None, None))),
            (r#"Basic realm="Registry""#, Ok(Challenge::Basic)),
            ("Basic", Ok(Challenge::Basic)),
            ("Bearer realm=https://x/y,service=z", Ok(bearer("https://x/y", Some("z"), None, None))),
            (r#"Bearer service="x""#, Err(ChallengeError::NoRealm)),
            ("Negotiate abc==", Err(ChallengeError::Unsupported)),
            (r#"Bearer realm="unclosed"#, Err(ChallengeError::NoRealm)),
            ("", Err(ChallengeError::Unsupported)),
            ("=x", Err(ChallengeError::Unsupported)),
        ];
        for (header, expected) in cases {
            assert_eq!(choose([header]), expected, "{header}");
        }
        assert_eq!(choose(["Basic realm=\"a\"", "Bearer realm=\"b\""]), Ok(bearer("b", None, None, None)));
    }

    proptest! {
        #[test]
        fn nothing_panics(header in "[ -~äö\"\\\\,=]{0,60}") {
            let _ = choose([header.as_str()]);
        }
    }
}
