//! URLs as Go reads them: what it refuses, in its words, and the parts that validation asks for.
//!
//! Source: Go's `net/url`.

use std::net::Ipv6Addr;

use crate::text::quoted;

/// The parts of a URL.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Url<'a> {
    /// In small letters.
    pub scheme: String,
    pub user: Option<&'a str>,
    /// With the port.
    pub host: &'a str,
    pub query: &'a str,
    pub fragment: &'a str,
}

/// Reads a URL, be it relative or absolute.
pub fn parse(text: &str) -> Result<Url<'_>, String> {
    let (main, fragment) = text.split_once('#').unwrap_or((text, ""));
    let failed = |shown: &str, problem: String| format!("parse {}: {problem}", quoted(shown));
    let url = split(main, false).map_err(|problem| failed(main, problem))?;
    check_escapes(fragment, |_| true).map_err(|problem| failed(text, problem))?;
    Ok(Url { fragment, ..url })
}

/// Whether a text is a URL that a request line may have, with a scheme and a host.
pub fn is_absolute_with_host(text: &str) -> bool {
    split(text, true).is_ok_and(|url| !url.scheme.is_empty() && !url.host.is_empty())
}

fn split(text: &str, is_request: bool) -> Result<Url<'_>, String> {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    if text.is_empty() && is_request {
        return Err("empty url".to_owned());
    }
    let (scheme, rest) = scheme(text)?;
    let scheme = scheme.to_ascii_lowercase();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut url = Url { scheme, query, ..Url::default() };
    if !rest.starts_with('/') {
        if !url.scheme.is_empty() || text == "*" {
            return Ok(url);
        }
        if is_request {
            return Err("invalid URI for request".to_owned());
        }
        if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
    }
    let has_authority = !url.scheme.is_empty() || (!is_request && !rest.starts_with("///"));
    let mut path = rest;
    if let Some(after) = rest.strip_prefix("//").filter(|_| has_authority) {
        let (authority, rest) = after.split_at(after.find('/').unwrap_or(after.len()));
        path = rest;
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        check_host(&url.scheme, host)?;
        check_user(user.unwrap_or(""))?;
        (url.user, url.host) = (user, host);
    }
    check_escapes(path, |_| true)?;
    Ok(url)
}

fn scheme(text: &str) -> Result<(&str, &str), String> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    match text.find(|c| !is_letter(c)) {
        Some(0) if text.starts_with(':') => Err("missing protocol scheme".to_owned()),
        Some(at) if text[at..].starts_with(':') && text.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            Ok((&text[..at], &text[at + 1..]))
        }
        _ => Ok(("", text)),
    }
}

fn check_user(user: &str) -> Result<(), String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    if !user.chars().all(is_allowed) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    check_escapes(user, |_| true)
}

fn check_host(scheme: &str, host: &str) -> Result<(), String> {
    if host.rfind('[').is_some_and(|at| at > 0) {
        return Err("invalid IP-literal".to_owned());
    }
    let Some(literal) = host.strip_prefix('[') else {
        let first = host.find(':');
        let port = if matches!(scheme, "http" | "https") { first } else { host.rfind(':') };
        check_port(port.map_or("", |at| &host[at..]))?;
        return check_host_name(host);
    };
    let (address, port) = literal.rsplit_once(']').ok_or("missing ']' in host")?;
    check_port(port)?;
    check_host_name(address)?;
    let address = address.split("%25").next().unwrap_or_default();
    if address.parse::<Ipv6Addr>().is_ok() {
        return Ok(());
    }
    if address.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err("invalid IP-literal".to_owned());
    }
    Err(format!("invalid host: ParseAddr({address:?}): unable to parse IP"))
}

fn check_port(port: &str) -> Result<(), String> {
    let is_valid = port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()));
    if is_valid { Ok(()) } else { Err(format!("invalid port {port:?} after host")) }
}

/// Only what is no ASCII may be escaped in a host, and the sign before a zone.
fn check_host_name(host: &str) -> Result<(), String> {
    check_escapes(host, |escaped| escaped >= 0x80 || escaped == b'%')?;
    let is_allowed = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"%".contains(c);
    match host.chars().find(|c| !is_allowed(*c)) {
        Some(other) => Err(format!("invalid character {:?} in host name", other.to_string())),
        None => Ok(()),
    }
}

fn check_escapes(text: &str, may_be: impl Fn(u8) -> bool) -> Result<(), String> {
    for (at, _) in text.match_indices('%') {
        let digits = text.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if !escaped.is_some_and(&may_be) {
            let shown: String = text[at..].chars().take(3).collect();
            return Err(format!("invalid URL escape {shown:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let url = parse("HTTPS://me@host:80/a%20b?q#f").unwrap();
        let expected = Url { scheme: "https".into(), user: Some("me"), host: "host:80", query: "q", fragment: "f" };
        assert_eq!(url, expected);
        assert_eq!(parse("mailto:x").map(|url| url.scheme), Ok("mailto".to_owned()));
        assert_eq!(parse("/a").map(|url| url.host), Ok(""));
        assert_eq!(parse("https://[::1]:443/").map(|url| url.host), Ok("[::1]:443"));
    }

    #[test]
    fn what_go_refuses() {
        let cases = [
            (":x", "missing protocol scheme"),
            ("1:x", "first path segment in URL cannot contain colon"),
            ("https://a b/", "invalid character \" \" in host name"),
            ("https://a:b/", "invalid port \":b\" after host"),
            ("https://a:1:2/", "invalid port \":1:2\" after host"),
            ("https://[::1/", "missing ']' in host"),
            ("https://%zz/", "invalid URL escape \"%zz\""),
            ("https://%41/", "invalid URL escape \"%41\""),
            ("https://a/%4", "invalid URL escape \"%4\""),
            ("https://a#%", "invalid URL escape \"%\""),
            ("https://m e@a/", "net/url: invalid userinfo"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Err(format!("parse {text:?}: {expected}")), "{text}");
        }
    }

    #[test]
    fn quotes() {
        assert_eq!(quoted("a\"\\'\n\u{1}\u{7f}\u{7}ü"), r#""a\"\\'\n\x01\x7f\aü""#);
        let problem = parse("https://a\u{7f}/");
        assert_eq!(problem, Err("parse \"https://a\\x7f/\": net/url: invalid control character in URL".to_owned()));
    }

    #[test]
    fn absolute() {
        assert!(is_absolute_with_host("https://github.com/kubernetes/kubernetes/pull/1"));
        for text in ["", "/pull/1", "github.com", "https:///x", "https://a b", "x:y"] {
            assert!(!is_absolute_with_host(text), "{text}");
        }
    }
}
