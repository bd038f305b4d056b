//! URLs, as Go reads them.

mod escape;
mod parse;

use std::fmt;

use escape::{Part, escaped, is_encoded, unescaped};
pub(crate) use parse::{parse, why_not_a_request_uri};

/// A URL in its parts. What was escaped may be any bytes.
#[derive(Clone, Debug, Default)]
pub struct Url {
    pub(crate) scheme: String,
    pub(crate) opaque: String,
    pub(crate) user: Option<(Vec<u8>, Option<Vec<u8>>)>,
    pub(crate) host: Vec<u8>,
    pub(crate) path: Vec<u8>,
    /// The path as it was written, if that is not how it would be written.
    pub(crate) raw_path: String,
    pub(crate) omit_host: bool,
    pub(crate) force_query: bool,
    pub(crate) raw_query: String,
    pub(crate) fragment: Vec<u8>,
    pub(crate) raw_fragment: String,
}

pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Url {
    pub(crate) fn escaped_path(&self) -> String {
        let is_raw = !self.raw_path.is_empty()
            && is_encoded(&self.raw_path, Part::Path)
            && unescaped(&self.raw_path, Part::Path).is_ok_and(|path| path == self.path);
        if is_raw {
            return self.raw_path.clone();
        }
        if self.path == b"*" { "*".to_owned() } else { escaped(&self.path, Part::Path) }
    }

    /// Host and port, without brackets and colon.
    pub(crate) fn host_and_port(&self) -> (String, String) {
        let host = lossy(&self.host);
        let (name, port) = match host.rfind(':') {
            Some(colon) if parse::is_port(&host[colon..]) => (&host[..colon], &host[colon + 1..]),
            _ => (host.as_str(), ""),
        };
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        (bare.to_owned(), port.to_owned())
    }

    pub(crate) fn query(&self) -> Vec<(String, Vec<String>)> {
        let mut pairs: Vec<(String, Vec<String>)> = Vec::new();
        for pair in self.raw_query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Ok(key), Ok(value)) = (unescaped(key, Part::Query), unescaped(value, Part::Query)) else { continue };
            let (key, value) = (lossy(&key), lossy(&value));
            match pairs.iter_mut().find(|(have, _)| *have == key) {
                Some((_, values)) => values.push(value),
                None => pairs.push((key, vec![value])),
            }
        }
        pairs
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.scheme.is_empty() {
            write!(f, "{}:", self.scheme)?;
        }
        if self.opaque.is_empty() {
            self.write_hierarchy(f)?;
        } else {
            f.write_str(&self.opaque)?;
        }
        if self.force_query || !self.raw_query.is_empty() {
            write!(f, "?{}", self.raw_query)?;
        }
        if !self.fragment.is_empty() {
            let is_raw = !self.raw_fragment.is_empty()
                && is_encoded(&self.raw_fragment, Part::Fragment)
                && unescaped(&self.raw_fragment, Part::Fragment).is_ok_and(|fragment| fragment == self.fragment);
            let text = if is_raw { self.raw_fragment.clone() } else { escaped(&self.fragment, Part::Fragment) };
            write!(f, "#{text}")?;
        }
        Ok(())
    }
}

impl Url {
    pub(crate) fn write_hierarchy(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_authority = !self.host.is_empty() || self.user.is_some();
        if has_authority || (!self.scheme.is_empty() && !self.omit_host && !self.path.is_empty()) {
            f.write_str("//")?;
        }
        if let Some((name, password)) = &self.user {
            f.write_str(&escaped(name, Part::User))?;
            if let Some(password) = password {
                write!(f, ":{}", escaped(password, Part::User))?;
            }
            f.write_str("@")?;
        }
        f.write_str(&escaped(&self.host, Part::Host))?;
        let path = self.escaped_path();
        if !path.is_empty() && !path.starts_with('/') && !self.host.is_empty() {
            f.write_str("/")?;
        }
        f.write_str(&path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_urls() {
        let url = parse("https://user:pw@example.com:80/a%20b/c?x=1&x=2&y=a+b#frag").unwrap();
        assert_eq!(url.scheme, "https");
        assert_eq!(url.host_and_port(), ("example.com".to_owned(), "80".to_owned()));
        assert_eq!(url.escaped_path(), "/a%20b/c");
        let query = url.query();
        assert_eq!(query[0], ("x".to_owned(), vec!["1".to_owned(), "2".to_owned()]));
        assert_eq!(query[1].1, ["a b"]);
        assert_eq!(url.to_string(), "https://user:pw@example.com:80/a%20b/c?x=1&x=2&y=a+b#frag");
        assert_eq!(parse("https://[::1]:80/").unwrap().host_and_port(), ("::1".to_owned(), "80".to_owned()));
    }

    #[test]
    fn what_is_no_request_uri() {
        let cases = [
            ("", "parse \"\": empty url"),
            ("../x", "parse \"../x\": invalid URI for request"),
            ("http://a b/", "parse \"http://a b/\": invalid character \" \" in host name"),
            (":x", "parse \":x\": missing protocol scheme"),
            ("/%zz", "parse \"/%zz\": invalid URL escape \"%zz\""),
            ("http://a:b/", "parse \"http://a:b/\": invalid port \":b\" after host"),
            ("http://[::1/", "parse \"http://[::1/\": missing ']' in host"),
        ];
        for (text, why) in cases {
            assert_eq!(why_not_a_request_uri(text).as_deref(), Some(why));
        }
        for text in ["/", "http://x", "mailto:a@b", "/a?b#c", "*"] {
            assert_eq!(why_not_a_request_uri(text), None, "{text}");
        }
    }
}
