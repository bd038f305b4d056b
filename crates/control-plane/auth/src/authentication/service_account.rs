//! Service-account tokens: what they claim, and whether it still holds.
//!
//! A token is bound to its service account, and mostly to a pod, node or secret as well; it is valid as long as they are there.
//! Source: KEP-1205 (bound tokens), KEP-4193 (node and token identity), upstream `pkg/serviceaccount/claims.go`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use windlass_api::time::parse_rfc3339;

use super::Objects;
use crate::{User, split_service_account};

/// Clocks may differ by this much, and a token outlives the deletion of what it is bound to by this much.
const LEEWAY_SECONDS: i64 = 60;

/// An object that a token is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bound {
    pub name: String,
    pub uid: String,
}

/// Who issues the tokens of Secrets.
const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

/// The claims of a token, as they stand in the JWT.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Claims {
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub aud: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    pub iss: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jti: String,
    #[serde(rename = "kubernetes.io", skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    pub sub: String,
    /// Tokens in Secrets carry their facts in these.
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.uid", skip_serializing_if = "String::is_empty")]
    pub legacy_account_uid: String,
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name", skip_serializing_if = "String::is_empty")]
    pub legacy_secret: String,
    #[serde(rename = "kubernetes.io/serviceaccount/namespace", skip_serializing_if = "String::is_empty")]
    pub legacy_namespace: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name", skip_serializing_if = "String::is_empty")]
    pub legacy_account: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kubernetes {
    pub namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Bound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Bound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Bound>,
    pub serviceaccount: Bound,
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Audience::deserialize(deserializer)? {
        Audience::One(one) => vec![one],
        Audience::Many(many) => many,
    })
}

impl Claims {
    /// Those of a token without end that a Secret holds.
    pub fn of_secret(namespace: &str, account: Bound, secret: &str) -> Self {
        Self {
            iss: LEGACY_ISSUER.to_owned(),
            sub: crate::service_account_name(namespace, &account.name),
            legacy_account_uid: account.uid,
            legacy_secret: secret.to_owned(),
            legacy_namespace: namespace.to_owned(),
            legacy_account: account.name,
            ..Self::default()
        }
    }
}

/// What a token is to be issued for.
#[derive(Clone, Debug)]
pub struct Grant<'a> {
    pub issuer: &'a str,
    pub audiences: Vec<String>,
    pub namespace: &'a str,
    pub account: Bound,
    pub pod: Option<Bound>,
    pub node: Option<Bound>,
    pub secret: Option<Bound>,
    pub now: Timestamp,
    pub seconds: i64,
    /// Unique for each token.
    pub id: String,
}

impl Grant<'_> {
    pub fn claims(self) -> Claims {
        let now = self.now.as_second();
        Claims {
            aud: self.audiences,
            exp: Some(now + self.seconds),
            iat: Some(now),
            nbf: Some(now),
            iss: self.issuer.to_owned(),
            jti: self.id,
            sub: crate::service_account_name(self.namespace, &self.account.name),
            kubernetes: Some(Kubernetes {
                namespace: self.namespace.to_owned(),
                node: self.node,
                pod: self.pod,
                secret: self.secret,
                serviceaccount: self.account,
            }),
            ..Claims::default()
        }
    }
}

/// The user of a token whose signature is right; `None` when what it claims does not hold (any more), or when it is not for any of
/// `audiences`.
pub fn service_account_user(
    token: &str,
    claims: &Claims,
    issuer: &str,
    audiences: &[String],
    objects: &dyn Objects,
    now: Timestamp,
) -> Option<User> {
    let now = now.as_second();
    let in_time = claims.exp.is_none_or(|exp| now < exp + LEEWAY_SECONDS)
        && claims.nbf.is_none_or(|nbf| nbf <= now + LEEWAY_SECONDS);
    if claims.kubernetes.is_some() && claims.iss != issuer || !in_time {
        return None;
    }
    match &claims.kubernetes {
        Some(bound) => bound_user(claims, bound, audiences, &Living { objects, now }),
        // These are for the API server alone.
        None if claims.iss == LEGACY_ISSUER && audiences.iter().any(|audience| audience == issuer) => {
            legacy_user(token, claims, objects)
        }
        None => None,
    }
}

/// The objects that tokens are bound to, at a moment in seconds.
struct Living<'a> {
    objects: &'a dyn Objects,
    now: i64,
}

impl Living<'_> {
    /// `None` unless the object is the one that is meant, and is not to have gone by now.
    fn check(&self, table: &str, namespace: &str, bound: &Bound) -> Option<()> {
        let object = self.objects.object(table, namespace, &bound.name)?;
        let metadata = &object["metadata"];
        let deleted = metadata["deletionTimestamp"].as_str().map(parse_rfc3339);
        let has_gone = match deleted {
            None => false,
            Some(None) => true,
            Some(Some(at)) => at.as_second() < self.now - LEEWAY_SECONDS,
        };
        (metadata["uid"] == bound.uid.as_str() && !has_gone).then_some(())
    }
}

fn bound_user(claims: &Claims, bound: &Kubernetes, audiences: &[String], living: &Living<'_>) -> Option<User> {
    if !claims.aud.iter().any(|audience| audiences.contains(audience)) {
        return None;
    }
    if split_service_account(&claims.sub) != Some((&bound.namespace, &bound.serviceaccount.name)) {
        return None;
    }
    living.check("serviceaccounts", &bound.namespace, &bound.serviceaccount)?;
    let mut user = User::service_account(&bound.namespace, &bound.serviceaccount.name);
    user.uid.clone_from(&bound.serviceaccount.uid);
    let mut extra = BTreeMap::new();
    let mut add = |key: &str, value: &str| {
        extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
    };
    if !claims.jti.is_empty() {
        add("credential-id", &format!("JTI={}", claims.jti));
    }
    if let Some(secret) = &bound.secret {
        living.check("secrets", &bound.namespace, secret)?;
    }
    if let Some(pod) = &bound.pod {
        living.check("pods", &bound.namespace, pod)?;
        add("pod-name", &pod.name);
        add("pod-uid", &pod.uid);
    }
    if let Some(node) = &bound.node {
        // With a pod, the node is there for information; by itself it is what the token is bound to.
        if bound.pod.is_none() {
            living.check("nodes", "", node)?;
        }
        add("node-name", &node.name);
        add("node-uid", &node.uid);
    }
    user.extra = extra;
    Some(user)
}

/// A token without end is what its Secret holds: another Secret of that name does not bring it back.
fn legacy_user(token: &str, claims: &Claims, objects: &dyn Objects) -> Option<User> {
    let (namespace, name) = split_service_account(&claims.sub)?;
    if namespace != claims.legacy_namespace || name != claims.legacy_account || claims.legacy_secret.is_empty() {
        return None;
    }
    let there = |table: &str, name: &str| {
        let object = objects.object(table, namespace, name)?;
        object["metadata"].get("deletionTimestamp").is_none().then_some(object)
    };
    let secret = there("secrets", &claims.legacy_secret)?;
    let held = BASE64.decode(secret["data"]["token"].as_str()?).ok()?;
    if held != token.as_bytes() {
        return None;
    }
    let account = there("serviceaccounts", name)?;
    if account["metadata"]["uid"] != claims.legacy_account_uid.as_str() {
        return None;
    }
    let mut user = User::service_account(namespace, name);
    user.uid.clone_from(&claims.legacy_account_uid);
    Some(user)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    /// Every object has the UID `TABLE/NAME`; the names in the list are gone.
    struct AllBut(&'static [&'static str]);

    impl Objects for AllBut {
        fn object(&self, table: &str, _: &str, name: &str) -> Option<Arc<Value>> {
            (!self.0.contains(&name)).then(|| Arc::new(json!({"metadata": {"uid": format!("{table}/{name}")}})))
        }
    }

    /// The same objects, deleted at this second.
    struct Dying(i64);

    impl Objects for Dying {
        fn object(&self, table: &str, _: &str, name: &str) -> Option<Arc<Value>> {
            let at = windlass_api::time::rfc3339(at(self.0));
            Some(Arc::new(json!({"metadata": {"uid": format!("{table}/{name}"), "deletionTimestamp": at}})))
        }
    }

    /// A Secret with a token, and the account of it.
    struct Held(&'static str);

    impl Objects for Held {
        fn object(&self, _: &str, _: &str, name: &str) -> Option<Arc<Value>> {
            Some(Arc::new(json!({"metadata": {"uid": name}, "data": {"token": BASE64.encode(self.0)}})))
        }
    }

    #[test]
    fn a_token_of_a_secret_is_the_one_that_it_holds() {
        let account = Bound { name: "sa".to_owned(), uid: "sa".to_owned() };
        let claims = Claims::of_secret("ns", account, "held");
        let user = |objects: &Held| service_account_user("the token", &claims, "i", &["i".to_owned()], objects, at(1));
        assert!(user(&Held("the token")).is_some());
        assert!(user(&Held("another token")).is_none());
    }

    fn bound(table: &str, name: &str) -> Bound {
        Bound { name: name.to_owned(), uid: format!("{table}/{name}") }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn claims() -> Claims {
        Grant {
            issuer: "i",
            audiences: vec!["a".to_owned()],
            namespace: "ns",
            account: bound("serviceaccounts", "sa"),
            pod: Some(bound("pods", "p")),
            node: Some(bound("nodes", "n")),
            secret: None,
            now: at(1000),
            seconds: 600,
            id: "id".to_owned(),
        }
        .claims()
    }

    fn user(claims: &Claims, audience: &str, objects: &AllBut, now: i64) -> Option<User> {
        service_account_user("", claims, "i", &[audience.to_owned()], objects, at(now))
    }

    #[test]
    fn a_token_lives_as_long_as_what_it_is_bound_to() {
        let claims = claims();
        let found = user(&claims, "a", &AllBut(&[]), 1100).unwrap();
        assert_eq!(found.name, "system:serviceaccount:ns:sa");
        assert!(found.is_in("system:serviceaccounts:ns"));
        assert_eq!(found.extra["authentication.kubernetes.io/pod-name"], ["p"]);
        assert!(user(&claims, "b", &AllBut(&[]), 1100).is_none());
        assert!(user(&claims, "a", &AllBut(&["p"]), 1100).is_none());
        assert!(user(&claims, "a", &AllBut(&["sa"]), 1100).is_none());
        assert!(user(&claims, "a", &AllBut(&["n"]), 1100).is_some());
        assert!(user(&claims, "a", &AllBut(&[]), 1700).is_none());
        let dying = |deleted: i64, now: i64| {
            service_account_user("", &claims, "i", &["a".to_owned()], &Dying(deleted), at(now))
        };
        assert!(dying(1050, 1100).is_some() && dying(1200, 1100).is_some());
        assert!(dying(1050, 1111).is_none(), "what it is bound to has gone for a minute");
        assert!(user(&claims, "a", &AllBut(&[]), 900).is_none());
        let stolen = Claims { sub: "system:serviceaccount:ns:other".to_owned(), ..claims.clone() };
        assert!(user(&stolen, "a", &AllBut(&[]), 1100).is_none());
        let foreign = Claims { iss: "other".to_owned(), ..claims };
        assert!(user(&foreign, "a", &AllBut(&[]), 1100).is_none());
    }

    #[test]
    fn wire_form() {
        let text = serde_json::to_value(claims()).unwrap();
        assert_eq!(text["kubernetes.io"]["serviceaccount"]["name"], "sa");
        assert_eq!(serde_json::from_value::<Claims>(text).unwrap(), claims());
        let one: Claims = serde_json::from_str(r#"{"aud":"x"}"#).unwrap();
        assert_eq!(one.aud, ["x"]);
    }
}
