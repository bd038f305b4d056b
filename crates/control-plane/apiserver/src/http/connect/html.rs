//! Links in HTML pages.
//!
//! Only tags and their attributes are looked at, and only attributes that hold links; everything else goes through untouched, valid or
//! not. Source of the list: the HTML standard, section "Attributes" (<https://html.spec.whatwg.org/multipage/indices.html>).

/// Attributes that hold a link, whatever their element is.
const LINKS: [&[u8]; 14] = [
    b"href",
    b"src",
    b"action",
    b"formaction",
    b"background",
    b"cite",
    b"codebase",
    b"data",
    b"icon",
    b"longdesc",
    b"manifest",
    b"poster",
    b"profile",
    b"usemap",
];

/// The page with each link for which `change` knows another replaced.
pub(super) fn rewrite(page: &[u8], change: impl Fn(&str) -> Option<String>) -> Vec<u8> {
    let mut out = Vec::with_capacity(page.len());
    let mut rest = page;
    while let Some(start) = rest.iter().position(|&byte| byte == b'<') {
        let (before, tag) = rest.split_at(start);
        out.extend_from_slice(before);
        if tag.starts_with(b"<!--") {
            let end = tag.windows(3).position(|window| window == b"-->").map_or(tag.len(), |at| at + 3);
            out.extend_from_slice(&tag[..end]);
            rest = &tag[end..];
            continue;
        }
        let end = end_of_tag(tag);
        rewrite_tag(&tag[..end], &change, &mut out);
        rest = &tag[end..];
    }
    out.extend_from_slice(rest);
    out
}

/// Where a tag ends: after the first `>` outside of quotes.
fn end_of_tag(tag: &[u8]) -> usize {
    let mut quote = None;
    for (at, &byte) in tag.iter().enumerate() {
        match quote {
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None if byte == b'"' || byte == b'\'' => quote = Some(byte),
            None if byte == b'>' => return at + 1,
            None => {}
        }
    }
    tag.len()
}

fn rewrite_tag(tag: &[u8], change: &impl Fn(&str) -> Option<String>, out: &mut Vec<u8>) {
    let mut at = 0;
    while at < tag.len() {
        let Some(equals) = tag[at..].iter().position(|&byte| byte == b'=').map(|offset| at + offset) else { break };
        let name_end =
            tag[at..equals].iter().rposition(|byte| !byte.is_ascii_whitespace()).map_or(at, |last| at + last + 1);
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b':';
        let name_start = tag[at..name_end].iter().rposition(|byte| !word(byte)).map_or(at, |before| at + before + 1);
        let name = tag[name_start..name_end].to_ascii_lowercase();
        let gap = tag[equals + 1..].iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
        let value_start = equals + 1 + gap;
        let quote = tag.get(value_start).copied().filter(|byte| matches!(byte, b'"' | b'\''));
        let (from, to) = match quote {
            Some(quote) => {
                let from = value_start + 1;
                (from, tag[from..].iter().position(|&byte| byte == quote).map_or(tag.len(), |length| from + length))
            }
            None => {
                let ends = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'>';
                let length = tag[value_start.min(tag.len())..].iter().position(ends);
                (value_start, length.map_or(tag.len(), |length| value_start + length))
            }
        };
        let (from, to) = (from.min(tag.len()), to.min(tag.len()));
        let changed =
            std::str::from_utf8(&tag[from..to]).ok().filter(|_| LINKS.contains(&name.as_slice())).and_then(change);
        match changed {
            Some(link) => {
                out.extend_from_slice(&tag[at..from]);
                out.extend_from_slice(link.as_bytes());
            }
            None => out.extend_from_slice(&tag[at..to]),
        }
        at = to;
        if quote.is_some() && at < tag.len() {
            out.push(tag[at]);
            at += 1;
        }
    }
    out.extend_from_slice(&tag[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(page: &str) -> String {
        let change = |link: &str| link.starts_with('/').then(|| format!("/proxy{link}"));
        String::from_utf8(rewrite(page.as_bytes(), change)).unwrap()
    }

    #[test]
    fn links_in_attributes() {
        for (page, expected) in [
            ("<a href=\"/x\">/x</a>", "<a href=\"/proxy/x\">/x</a>"),
            ("<img alt='/a' SRC = '/b'/>", "<img alt='/a' SRC = '/proxy/b'/>"),
            ("<a href=/x class=/y>", "<a href=/proxy/x class=/y>"),
            ("<a href=\"x\">", "<a href=\"x\">"),
            ("<!-- <a href=\"/x\"> -->", "<!-- <a href=\"/x\"> -->"),
            ("1 < 2 and <a title=\">\" href='/z'>", "1 < 2 and <a title=\">\" href='/proxy/z'>"),
            ("<a href=", "<a href="),
            ("<a href=\"/x", "<a href=\"/proxy/x"),
        ] {
            assert_eq!(links(page), expected);
        }
    }
}
