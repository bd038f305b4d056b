//! JSON web tokens of identity providers: what an issuer is configured to say, and whom its claims map to.
//!
//! An [`Issuer`] is made of its settings once ([`Issuer::compile`], which also validates them). For each token it says whether the token
//! claims to be its own, which algorithm may verify it, and, when the signature has been found right, who the user is. Keys, and how they
//! are fetched, are the caller's.
//!
//! Source: KEP-3331 (structured authentication), apiserver `plugin/pkg/authenticator/token/oidc`, go-oidc `verify.go`.

mod claims;
mod compile;
mod rule;
pub mod settings;
mod token;
mod user;

use serde_json::{Map, Value};
use windlass_machinery::go::json_type;
use windlass_pki::SignedToken;

use rule::Rule;
use settings::JwtAuthenticator;

pub use token::algorithm;

/// Google leaves the scheme out of its tokens.
const GOOGLE: [&str; 2] = ["accounts.google.com", "https://accounts.google.com"];

/// Claims by their names.
type Claims = Map<String, Value>;

/// An issuer of tokens, ready for use.
#[derive(Debug)]
pub struct Issuer {
    settings: JwtAuthenticator,
    username: Option<Rule>,
    groups: Option<Rule>,
    uid: Option<Rule>,
    /// By the keys of the extra fields.
    extra: Vec<(String, Rule)>,
    claim_rules: Vec<Rule>,
    user_rules: Vec<Rule>,
}

impl Issuer {
    pub fn url(&self) -> &str {
        &self.settings.issuer.url
    }

    /// Where the discovery document is.
    pub fn discovery_url(&self) -> String {
        match self.settings.issuer.discovery_url.as_str() {
            "" => format!("{}/.well-known/openid-configuration", self.url().strip_suffix('/').unwrap_or(self.url())),
            url => url.to_owned(),
        }
    }

    /// PEM; the machine's authorities when it is empty.
    pub fn certificate_authority(&self) -> &str {
        &self.settings.issuer.certificate_authority
    }

    /// The settings that this was made of.
    pub fn settings(&self) -> &JwtAuthenticator {
        &self.settings
    }

    /// Whether a token says that this issuer has made it, which nobody has verified.
    pub fn is_named_by(&self, token: &SignedToken<'_>) -> bool {
        let named = token.unverified_claims().get("iss").and_then(Value::as_str).unwrap_or_default();
        named == self.url() || (self.url() == GOOGLE[1] && named == GOOGLE[0])
    }
}

/// A claim as a text; the error is Go's.
fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("json: cannot unmarshal {} into Go value of type string", json_type(value)))
}

#[cfg(test)]
mod tests;
