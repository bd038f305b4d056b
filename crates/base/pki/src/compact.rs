//! The compact form of JSON web signatures (RFC 7515, section 7.1): a header, a payload and a signature, with dots between them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

/// Longer tokens are not looked at.
const TOKEN_BYTES_MAX: usize = 256 << 10;

/// A token that has been taken apart, of which nothing has been verified.
pub(crate) struct Compact<'a> {
    /// As the header names it; it may be none that is known.
    pub algorithm: String,
    /// The key that is said to have signed it; it may be empty.
    pub key_id: String,
    pub payload: Vec<u8>,
    /// What the signature is of.
    pub signed: &'a [u8],
    pub signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
    /// Extensions that must be understood: we understand none.
    crit: Option<Value>,
}

impl<'a> Compact<'a> {
    /// Takes a token apart; `None` when it is none.
    pub(crate) fn parse(token: &'a str) -> Option<Self> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let mut parts = token.split('.');
        let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let Header { alg, kid, crit: None } = serde_json::from_slice(&decode(header)?).ok()? else { return None };
        let signed = &token.as_bytes()[..header.len() + 1 + payload.len()];
        Some(Self { algorithm: alg, key_id: kid, payload: decode(payload)?, signed, signature: decode(signature)? })
    }
}

/// The payload of a token, whoever may have made it.
pub(crate) fn payload(token: &str) -> Option<Vec<u8>> {
    token.split('.').nth(1).filter(|_| token.len() <= TOKEN_BYTES_MAX).and_then(decode)
}

fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}
