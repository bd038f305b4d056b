//! Reads URLs, with Go's words for what is wrong.

use std::net::IpAddr;

use windlass_api::text::quoted;

use super::Url;
use super::escape::{Part, escaped, unescaped};

/// Reads a URL.
pub(crate) fn parse(text: &str) -> Result<Url, String> {
    let wrong = |why: String| failed(text, &why);
    let (before, fragment) = text.split_once('#').map_or((text, ""), |(before, fragment)| (before, fragment));
    // What failed is said of the part before the fragment.
    let mut url = read(before, false).map_err(|why| failed(before, &why))?;
    if !fragment.is_empty() {
        url.fragment = unescaped(fragment, Part::Fragment).map_err(wrong)?;
        if escaped(&url.fragment, Part::Fragment) != fragment {
            fragment.clone_into(&mut url.raw_fragment);
        }
    }
    Ok(url)
}

/// Returns why a text is no URI as requests have it: absolute, or an absolute path.
pub(crate) fn why_not_a_request_uri(text: &str) -> Option<String> {
    read(text, true).err().map(|why| failed(text, &why))
}

fn failed(text: &str, why: &str) -> String {
    format!("parse {}: {why}", quoted(text))
}

fn read(text: &str, via_request: bool) -> Result<Url, String> {
    if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    if text.is_empty() && via_request {
        return Err("empty url".to_owned());
    }
    let mut url = Url::default();
    if text == "*" {
        url.path = b"*".to_vec();
        return Ok(url);
    }
    let (scheme, mut rest) = scheme(text)?;
    url.scheme = scheme.to_ascii_lowercase();
    if rest.ends_with('?') && rest.matches('?').count() == 1 {
        url.force_query = true;
        rest = &rest[..rest.len() - 1];
    } else if let Some((before, query)) = rest.split_once('?') {
        query.clone_into(&mut url.raw_query);
        rest = before;
    }
    if !rest.starts_with('/') {
        if !url.scheme.is_empty() {
            rest.clone_into(&mut url.opaque);
            return Ok(url);
        }
        if via_request {
            return Err("invalid URI for request".to_owned());
        }
        if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
    }
    if (!url.scheme.is_empty() || (!via_request && !rest.starts_with("///"))) && rest.starts_with("//") {
        let end = rest[2..].find('/').map_or(rest.len(), |end| end + 2);
        authority(&mut url, &rest[2..end])?;
        rest = &rest[end..];
    } else if !url.scheme.is_empty() && rest.starts_with('/') {
        url.omit_host = true;
    }
    url.path = unescaped(rest, Part::Path)?;
    if escaped(&url.path, Part::Path) != rest {
        rest.clone_into(&mut url.raw_path);
    }
    Ok(url)
}

fn scheme(text: &str) -> Result<(&str, &str), String> {
    for (at, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return Err("missing protocol scheme".to_owned()),
            ':' => return Ok((&text[..at], &text[at + 1..])),
            _ => break,
        }
    }
    Ok(("", text))
}

fn authority(url: &mut Url, text: &str) -> Result<(), String> {
    let (user, host) = text.rsplit_once('@').map_or((None, text), |(user, host)| (Some(user), host));
    url.host = read_host(&url.scheme, host)?;
    let Some(user) = user else { return Ok(()) };
    let is_user = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    if !user.chars().all(is_user) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    url.user = Some(match user.split_once(':') {
        None => (unescaped(user, Part::User)?, None),
        Some((name, password)) => (unescaped(name, Part::User)?, Some(unescaped(password, Part::User)?)),
    });
    Ok(())
}

/// Whether this is nothing, or a colon with digits.
pub(super) fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

fn read_host(scheme: &str, host: &str) -> Result<Vec<u8>, String> {
    let bad_port = |port: &str| Err(format!("invalid port {port:?} after host"));
    match host.rfind('[') {
        Some(0) => return read_literal(host),
        Some(_) => return Err("invalid IP-literal".to_owned()),
        None => {}
    }
    if let (Some(first), Some(last)) = (host.find(':'), host.rfind(':')) {
        // Schemes that are not of the web may have more colons in the host.
        let colon = if scheme == "http" || scheme == "https" { first } else { last };
        if !is_port(&host[colon..]) {
            return bad_port(&host[colon..]);
        }
    }
    unescaped(host, Part::Host)
}

/// `[::1]:80`
fn read_literal(host: &str) -> Result<Vec<u8>, String> {
    let Some(end) = host.rfind(']') else { return Err("missing ']' in host".to_owned()) };
    let port = &host[end + 1..];
    if !is_port(port) {
        return Err(format!("invalid port {port:?} after host"));
    }
    let name = &host[1..end];
    let name = match name.find("%25") {
        Some(zone) => [unescaped(&name[..zone], Part::Host)?, unescaped(&name[zone..], Part::Zone)?].concat(),
        None => unescaped(name, Part::Host)?,
    };
    let text = String::from_utf8_lossy(&name).into_owned();
    let address = text.split('%').next().unwrap_or_default();
    match address.parse() {
        Ok(IpAddr::V6(_)) => Ok([b"[", name.as_slice(), b"]", port.as_bytes()].concat()),
        Ok(IpAddr::V4(_)) => Err("invalid IP-literal".to_owned()),
        Err(_) => Err(format!("invalid host: {}", crate::kinds::ip::why_not(&text))),
    }
}
