//! What a token must say of itself: algorithm, issuer, audience, time.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::text::quoted;
use windlass_machinery::go::json_type;
use windlass_pki::{SignatureAlgorithm, SignedToken};

use super::{Claims, Issuer};

/// How far clocks may differ where a token is not valid yet. Where it is not valid any more, they may not.
const LEEWAY_SECONDS: i64 = 60;

/// The algorithm of a token, if it is one of those that are allowed.
pub fn algorithm(token: &SignedToken<'_>, allowed: &[SignatureAlgorithm]) -> Result<SignatureAlgorithm, String> {
    SignatureAlgorithm::parse(token.algorithm()).filter(|found| allowed.contains(found)).ok_or_else(|| {
        let names = list(allowed.iter().map(|algorithm| algorithm.name()));
        let found = quoted(token.algorithm());
        format!("oidc: id token signed with unsupported algorithm, expected {names} got {found}")
    })
}

/// Texts as Go's `%q` shows a list of them.
fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = texts.into_iter().map(quoted).collect();
    format!("[{}]", quoted.join(" "))
}

impl Issuer {
    /// Refuses claims that are another issuer's, for others, or of another time. The signature must have been found right.
    pub(super) fn check_claims(&self, claims: &Claims, now: Timestamp) -> Result<(), String> {
        let unreadable = |why: String| format!("oidc: failed to unmarshal claims: {why}");
        let wanted = &self.settings.issuer.audiences;
        let audiences = audiences(claims).map_err(unreadable)?;
        if !audiences.iter().any(|audience| wanted.iter().any(|wanted| wanted == audience)) {
            let wanted = match wanted.as_slice() {
                [only] => quoted(only),
                several => {
                    let mut sorted: Vec<&str> = several.iter().map(String::as_str).collect();
                    sorted.sort_unstable();
                    format!("in {}", list(sorted))
                }
            };
            return Err(format!("oidc: expected audience {wanted} got {}", list(audiences)));
        }
        let expiry = second(claims, "exp").map_err(unreadable)?;
        let not_before = second(claims, "nbf").map_err(unreadable)?;
        let now_second = now.as_second();
        if expiry.is_none_or(|expiry| expiry < now_second || (expiry == now_second && now.subsec_nanosecond() > 0)) {
            return Err(format!("oidc: token is expired (Token Expiry: {})", shown(expiry)));
        }
        if let Some(not_before) = not_before.filter(|at| now_second.saturating_add(LEEWAY_SECONDS) < *at) {
            let (now, not_before) = (shown(Some(now_second)), shown(Some(not_before)));
            return Err(format!("oidc: current time {now} before the nbf (not before) time: {not_before}"));
        }
        Ok(())
    }
}

/// For whom a token is: one text, or a list of them.
fn audiences(claims: &Claims) -> Result<Vec<&str>, String> {
    let text = |value| super::text(value);
    match claims.get("aud") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(many)) => many.iter().map(text).collect(),
        Some(one) => text(one).map(|one| vec![one]),
    }
}

/// A time in seconds, which may have a fraction.
#[expect(clippy::cast_possible_truncation, reason = "a time beyond all others stays one")]
fn second(claims: &Claims, name: &str) -> Result<Option<i64>, String> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => {
            let float = || number.as_f64().map_or(0, |float| float as i64);
            Ok(Some(number.as_i64().unwrap_or_else(float)))
        }
        Some(other) => Err(format!("json: cannot unmarshal {} into Go value of type json.Number", json_type(other))),
    }
}

/// A time as Go prints it.
fn shown(second: Option<i64>) -> String {
    let Some(second) = second else { return "0001-01-01 00:00:00 +0000 UTC".to_owned() };
    let at = Timestamp::from_second(second);
    at.map_or_else(|_| second.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string())
}
