//! Image references: the grammar of the distribution project and Docker's rules for what may be left out.
//!
//! `nginx` means `docker.io/library/nginx:latest`. A reference with both tag and digest keeps the digest alone, as
//! containerd does, for a digest says which content is meant and a tag may have moved since. Nothing here knows registries.

use std::fmt;
use std::str::FromStr;

use windlass_api::image_name::{is_path_component, split_registry};

use crate::digest::Digest;

/// The registry that a reference without one means.
pub(crate) const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
const DEFAULT_TAG: &str = "latest";
/// Upstream's limit for the path of a repository.
const PATH_CHARS_MAX: usize = 255;
const TAG_CHARS_MAX: usize = 128;

/// A full reference: registry, repository, and a tag or a digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    object: Object,
}

/// What of a repository is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    Tag(String),
    Digest(Digest),
}

/// Why a text is not a reference, in the words that Docker and containerd use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("invalid reference format")]
    Format,
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    #[error("repository name must not be more than {PATH_CHARS_MAX} characters")]
    TooLong,
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    Identifier(String),
    #[error("unsupported digest algorithm")]
    Digest,
}

impl Reference {
    /// The registry's name, `docker.io` for Docker Hub; with a port if one was written.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within its registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `domain/path`
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    pub fn object(&self) -> &Object {
        &self.object
    }

    pub fn tag(&self) -> Option<&str> {
        match &self.object {
            Object::Tag(tag) => Some(tag),
            Object::Digest(_) => None,
        }
    }

    pub fn digest(&self) -> Option<&Digest> {
        match &self.object {
            Object::Tag(_) => None,
            Object::Digest(digest) => Some(digest),
        }
    }

    /// The same repository by digest: what `repoDigests` shows.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { domain: self.domain.clone(), path: self.path.clone(), object: Object::Digest(digest) }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.len() == 64 && text.bytes().all(is_lower_hex) {
            return Err(ReferenceError::Identifier(text.to_owned()));
        }
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(parse_digest(digest)?)),
            None => (text, None),
        };
        let (registry, remainder) = split_registry(named);
        let domain = registry.unwrap_or(DEFAULT_DOMAIN);
        // A port belongs to the domain, which is gone from `remainder`: a colon there begins a tag.
        let (path, tag) = match remainder.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (remainder, None),
        };
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ReferenceError::Uppercase(path.to_owned()));
        }
        let domain = if domain == LEGACY_DEFAULT_DOMAIN { DEFAULT_DOMAIN } else { domain };
        let path = if domain == DEFAULT_DOMAIN && !path.contains('/') {
            format!("{OFFICIAL_PREFIX}{path}")
        } else {
            path.to_owned()
        };
        if !is_domain(domain) || !path.split('/').all(is_path_component) || !tag.is_none_or(is_tag) {
            return Err(ReferenceError::Format);
        }
        if path.len() > PATH_CHARS_MAX {
            return Err(ReferenceError::TooLong);
        }
        let object = match digest {
            Some(digest) => Object::Digest(digest),
            None => Object::Tag(tag.unwrap_or(DEFAULT_TAG).to_owned()),
        };
        Ok(Self { domain: domain.to_owned(), path, object })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.object {
            Object::Tag(tag) => write!(f, "{}/{}:{tag}", self.domain, self.path),
            Object::Digest(digest) => write!(f, "{}/{}@{digest}", self.domain, self.path),
        }
    }
}

fn parse_digest(text: &str) -> Result<Digest, ReferenceError> {
    text.parse().map_err(|error| match error {
        crate::digest::DigestError::Algorithm(_) => ReferenceError::Digest,
        _ => ReferenceError::Format,
    })
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// `host`, `host:port`, `[IPv6]` or `[IPv6]:port`.
fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => (Err(address), None),
            Some((address, rest)) => match rest.strip_prefix(':') {
                Some(port) => (Err(address), Some(port)),
                None => return false,
            },
            None => return false,
        },
        None => match domain.split_once(':') {
            Some((host, port)) => (Ok(host), Some(port)),
            None => (Ok(domain), None),
        },
    };
    let host_ok = match host {
        Ok(name) => name.split('.').all(is_domain_component),
        Err(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
    };
    host_ok && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

fn is_domain_component(part: &str) -> bool {
    let bytes = part.as_bytes();
    let inner = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => *first != b'-' && *last != b'-' && bytes.iter().all(inner),
        _ => false,
    }
}

fn is_tag(tag: &str) -> bool {
    let bytes = tag.as_bytes();
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    matches!(bytes.first(), Some(first) if word(*first))
        && bytes.len() <= TAG_CHARS_MAX
        && bytes.iter().all(|b| word(*b) || matches!(b, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn what_may_be_left_out() {
        let cases = [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("bitnami/nginx", "docker.io/bitnami/nginx:latest"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/a/b:c", "docker.io/a/b:c"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("localhost/x", "localhost/x:latest"),
            ("localhost:5000/x/y:z", "localhost:5000/x/y:z"),
            ("Registry/x", "Registry/x:latest"),
            ("127.0.0.1:5000/x", "127.0.0.1:5000/x:latest"),
            ("[::1]:5000/x", "[::1]:5000/x:latest"),
            ("[2001:db8::1]/x:1", "[2001:db8::1]/x:1"),
            ("a_b/c__d/e--f.g", "docker.io/a_b/c__d/e--f.g:latest"),
        ];
        for (text, full) in cases {
            let reference: Reference = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(reference.to_string(), full, "{text}");
            assert_eq!(full.parse::<Reference>().unwrap(), reference, "{text}");
        }
    }

    #[test]
    fn a_digest_is_stronger_than_a_tag() {
        for text in [format!("nginx:1.27@{DIGEST}"), format!("nginx@{DIGEST}")] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), format!("docker.io/library/nginx@{DIGEST}"));
            assert_eq!(reference.tag(), None);
        }
    }

    #[test]
    fn refused() {
        let long = format!("example.com/{}", "a".repeat(256));
        let cases = [
            ("", ReferenceError::Format),
            (":latest", ReferenceError::Format),
            ("nginx:", ReferenceError::Format),
            ("nginx:-x", ReferenceError::Format),
            ("nginx:a/b", ReferenceError::Format),
            ("a//b", ReferenceError::Format),
            ("/a", ReferenceError::Format),
            ("a/", ReferenceError::Format),
            ("a..b", ReferenceError::Format),
            ("a___b", ReferenceError::Format),
            ("-a", ReferenceError::Format),
            ("a b", ReferenceError::Format),
            ("nginx@", ReferenceError::Format),
            ("nginx@sha256:abc", ReferenceError::Format),
            ("nginx@md5:d41d8cd98f00b204e9800998ecf8427e", ReferenceError::Digest),
            ("-host.io/a", ReferenceError::Format),
            ("host.io:port/a", ReferenceError::Format),
            ("[::1/a", ReferenceError::Format),
            ("[::g]:5/a", ReferenceError::Format),
            ("https://example.com/a", ReferenceError::Format),
            ("NGINX", ReferenceError::Uppercase("NGINX".into())),
            ("example.com/Nginx:1", ReferenceError::Uppercase("Nginx".into())),
            (&DIGEST[7..], ReferenceError::Identifier(DIGEST[7..].into())),
            (&long, ReferenceError::TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Reference>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_parses_is_canonical(text in "\\PC{0,80}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
            }
        }

        #[test]
        fn well_formed_references_parse(
            domain in "[a-z0-9]{1,8}(\\.[a-z0-9]{1,5}){1,2}(:[0-9]{1,5})?",
            path in "[a-z0-9]{1,6}((_|__|\\.|-{1,3})[a-z0-9]{1,4})?(/[a-z0-9]{1,6}){0,3}",
            tag in "[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}",
        ) {
            let text = format!("{domain}/{path}:{tag}");
            prop_assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
    }
}
