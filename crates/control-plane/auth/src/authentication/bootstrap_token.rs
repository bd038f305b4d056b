//! Bootstrap tokens: `abcdef.0123456789abcdef`, kept in Secrets of kube-system, for nodes that are to join.
//!
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use windlass_api::time::parse_rfc3339;
use windlass_api::well_known::namespace;

use super::Objects;
use crate::User;

/// The user of a bootstrap token; `None` when it is none, or not valid (any more).
pub fn bootstrap_user(token: &str, objects: &dyn Objects, now: Timestamp) -> Option<User> {
    let (id, secret) = token.split_once('.')?;
    let allowed = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if id.len() != 6 || secret.len() != 16 || !allowed(id) || !allowed(secret) {
        return None;
    }
    let object = objects.object("secrets", namespace::KUBE_SYSTEM, &format!("bootstrap-token-{id}"))?;
    if object["type"] != "bootstrap.kubernetes.io/token" || object["metadata"].get("deletionTimestamp").is_some() {
        return None;
    }
    let data = |key: &str| {
        let text = object["data"].get(key)?.as_str()?;
        String::from_utf8(BASE64.decode(text).ok()?).ok()
    };
    let matches = data("token-id")? == id && constant_time_equal(data("token-secret")?.as_bytes(), secret.as_bytes());
    if !matches || data("usage-bootstrap-authentication")? != "true" {
        return None;
    }
    if let Some(expiration) = data("expiration").filter(|text| !text.is_empty())
        && parse_rfc3339(&expiration)? <= now
    {
        return None;
    }
    let mut groups = vec!["system:bootstrappers".to_owned()];
    let extra = data("auth-extra-groups").unwrap_or_default();
    groups.extend(extra.split(',').filter(|g| g.starts_with("system:bootstrappers:")).map(str::to_owned));
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    Some(User::new(format!("system:bootstrap:{id}"), &groups))
}

/// Takes the same time wherever the difference is.
fn constant_time_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    struct One(Value);

    impl Objects for One {
        fn object(&self, _: &str, _: &str, name: &str) -> Option<Arc<Value>> {
            (name == "bootstrap-token-abcdef").then(|| Arc::new(self.0.clone()))
        }
    }

    fn secret(usage: &str, expiration: &str) -> One {
        let encode = |text: &str| BASE64.encode(text);
        One(json!({"type": "bootstrap.kubernetes.io/token", "metadata": {}, "data": {
            "token-id": encode("abcdef"), "token-secret": encode("0123456789abcdef"),
            "usage-bootstrap-authentication": encode(usage), "expiration": encode(expiration),
            "auth-extra-groups": encode("system:bootstrappers:x,other")}}))
    }

    #[test]
    fn tokens() {
        let now = parse_rfc3339("2026-01-01T00:00:00Z").unwrap();
        let valid = secret("true", "2027-01-01T00:00:00Z");
        let user = bootstrap_user("abcdef.0123456789abcdef", &valid, now).unwrap();
        assert_eq!(user.name, "system:bootstrap:abcdef");
        assert_eq!(user.groups, ["system:bootstrappers", "system:bootstrappers:x", "system:authenticated"]);
        for token in
            ["abcdef.0123456789abcdee", "abcdeg.0123456789abcdef", "abcdef", "ABCDEF.0123456789abcdef", "abcdef.0123"]
        {
            assert!(bootstrap_user(token, &valid, now).is_none(), "{token}");
        }
        assert!(bootstrap_user("abcdef.0123456789abcdef", &secret("false", ""), now).is_none());
        assert!(bootstrap_user("abcdef.0123456789abcdef", &secret("true", "2025-01-01T00:00:00Z"), now).is_none());
    }
}
