//! From claims to a user.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value as Json, json};
use windlass_api::well_known::extra;
use windlass_cel::access::{CLAIMS, USER_INFO};
use windlass_cel::{Map, Value};
use windlass_machinery::go::json_type;

use super::claims::Object;
use super::rule::check;
use super::{Claims, Issuer, text};
use crate::User;

/// The variables of an expression.
type Variables<'a> = [(&'a str, Value<'a>)];

impl Issuer {
    /// The user whom claims are about; the error says in upstream's words what is against it. The signature must have been found right.
    pub fn user(&self, claims: &Claims, now: Timestamp) -> Result<User, String> {
        self.check_claims(claims, now).map_err(|why| format!("oidc: verify token: {why}"))?;
        self.check_distributed(claims).map_err(|why| format!("oidc: could not expand distributed claims: {why}"))?;
        let object = Object::of(claims);
        let variables = [(CLAIMS, Value::Map(Map::Fields(&object)))];
        let user = User {
            name: self.name(claims, &variables)?,
            groups: self.user_groups(claims, &variables)?,
            uid: self.user_uid(claims, &variables)?,
            extra: self.user_extra(claims, &variables)?,
        };
        self.check_required(claims)?;
        check(&self.claim_rules, &variables)
            .map_err(|why| format!("oidc: error evaluating claim validation expression: {why}"))?;
        self.check_user(&user).map_err(|why| format!("oidc: error evaluating user info validation rule: {why}"))?;
        Ok(user)
    }

    /// Groups that stand elsewhere are not fetched. Without them the user would be one with other rights, so there is none.
    fn check_distributed(&self, claims: &Claims) -> Result<(), String> {
        let groups = &self.settings.claim_mappings.groups.claim;
        if groups.is_empty() || claims.contains_key(groups) {
            return Ok(());
        }
        let Some(names) = claims.get("_claim_names") else { return Ok(()) };
        let Some(source) = names.get(groups) else { return Ok(()) };
        let sources = claims.get("_claim_sources").ok_or("oidc: no claim sources")?;
        let source = text(source)?;
        let found = sources.get(source);
        let found = found
            .ok_or_else(|| format!("id token _claim_names contained a source {source} missing in _claims_sources"))?;
        match found.get("endpoint").and_then(Json::as_str).unwrap_or_default() {
            // An aggregated claim, which upstream leaves alone.
            "" => Ok(()),
            endpoint => Err(format!(
                "while getting distributed claim {groups:?}: this server does not ask {endpoint:?}; have the issuer put the claim into its tokens"
            )),
        }
    }

    fn name(&self, claims: &Claims, variables: &Variables<'_>) -> Result<String, String> {
        if let Some(rule) = &self.username {
            let failed = |why: &str| format!("oidc: error evaluating username claim expression: {why}");
            let value = rule.evaluate(variables).map_err(|why| failed(&why))?;
            return match value.as_str() {
                Some("") => Err("oidc: empty username via CEL expression is not allowed".to_owned()),
                Some(name) => Ok(name.to_owned()),
                None => Err(failed("username claim expression must return a string")),
            };
        }
        let mapping = &self.settings.claim_mappings.username;
        let claim = &mapping.claim;
        let failed = |why: String| format!("oidc: parse username claims {claim:?}: {why}");
        let name = text(claims.get(claim).ok_or_else(|| failed("claim not present".to_owned()))?).map_err(failed)?;
        if claim == "email" {
            match claims.get("email_verified") {
                None | Some(Json::Bool(true)) => {}
                Some(Json::Bool(false)) => return Err("oidc: email not verified".to_owned()),
                Some(other) => {
                    let kind = json_type(other);
                    return Err(format!(
                        "oidc: parse 'email_verified' claim: json: cannot unmarshal {kind} into Go value of type bool"
                    ));
                }
            }
        }
        Ok(format!("{}{name}", mapping.prefix.as_deref().unwrap_or_default()))
    }

    fn user_groups(&self, claims: &Claims, variables: &Variables<'_>) -> Result<Vec<String>, String> {
        let mapping = &self.settings.claim_mappings.groups;
        if let Some(rule) = &self.groups {
            let failed = |why| format!("oidc: error evaluating group claim expression: {why}");
            return rule.evaluate(variables).and_then(|value| texts(&value)).map_err(failed);
        }
        let Some(claim) = claims.get(&mapping.claim).filter(|_| !mapping.claim.is_empty()) else {
            return Ok(Vec::new());
        };
        let failed = |why| format!("oidc: parse groups claim {:?}: {why}", mapping.claim);
        let prefix = mapping.prefix.as_deref().unwrap_or_default();
        let group = |value| text(value).map(|group| format!("{prefix}{group}")).map_err(failed);
        match claim {
            Json::Null => Ok(Vec::new()),
            Json::Array(many) => many.iter().map(group).collect(),
            one => group(one).map(|one| vec![one]),
        }
    }

    fn user_uid(&self, claims: &Claims, variables: &Variables<'_>) -> Result<String, String> {
        if let Some(rule) = &self.uid {
            let failed = |why: &str| format!("oidc: error evaluating uid claim expression: {why}");
            let value = rule.evaluate(variables).map_err(|why| failed(&why))?;
            let uid = value.as_str().ok_or_else(|| failed("uid claim expression must return a string"))?;
            return Ok(uid.to_owned());
        }
        let claim = &self.settings.claim_mappings.uid.claim;
        if claim.is_empty() {
            return Ok(String::new());
        }
        let failed = |why: String| format!("oidc: parse uid claim {claim:?}: {why}");
        let value = claims.get(claim).ok_or_else(|| failed("claim not present".to_owned()))?;
        text(value).map(str::to_owned).map_err(failed)
    }

    fn user_extra(&self, claims: &Claims, variables: &Variables<'_>) -> Result<BTreeMap<String, Vec<String>>, String> {
        let mut all = BTreeMap::new();
        if let Some(id) = claims.get("jti").and_then(Json::as_str).filter(|id| !id.is_empty()) {
            all.insert(extra::CREDENTIAL_ID.to_owned(), vec![format!("JTI={id}")]);
        }
        for (key, rule) in &self.extra {
            let failed = |why| format!("oidc: error evaluating extra claim expression: {}: {why}", rule.source);
            let values = texts(&rule.evaluate(variables)?).map_err(failed)?;
            if !values.is_empty() {
                all.insert(key.clone(), values);
            }
        }
        Ok(all)
    }

    fn check_required(&self, claims: &Claims) -> Result<(), String> {
        for rule in self.settings.claim_validation_rules.iter().filter(|rule| !rule.claim.is_empty()) {
            let claim = &rule.claim;
            let value = claims.get(claim);
            let value = value.ok_or_else(|| format!("oidc: required claim {claim} not present in ID token"))?;
            let found = text(value).map_err(|why| format!("oidc: parse claim {claim}: {why}"))?;
            let wanted = &rule.required_value;
            if found != wanted {
                return Err(format!(
                    "oidc: required claim {claim} value does not match. Got = {found}, want = {wanted}"
                ));
            }
        }
        Ok(())
    }

    fn check_user(&self, user: &User) -> Result<(), String> {
        if self.user_rules.is_empty() {
            return Ok(());
        }
        let User { name, uid, groups, extra } = user;
        let shown = json!({"username": name, "uid": uid, "groups": groups, "extra": extra});
        let Json::Object(shown) = &shown else { return Ok(()) };
        let object = Object::of(shown);
        check(&self.user_rules, &[(USER_INFO, Value::Map(Map::Fields(&object)))])
    }
}

/// A text, or a list of them; those that are empty are as good as none.
fn texts(value: &Value<'_>) -> Result<Vec<String>, String> {
    let wrong = || "expression must return a string or a list of strings".to_owned();
    let mut all: Vec<String> = Vec::new();
    match value {
        Value::Null => {}
        Value::String(text) => all.push(text.as_str().to_owned()),
        Value::List(list) => {
            for item in list.iter() {
                let item = item.map_err(|error| error.to_string())?;
                all.push(item.as_str().ok_or_else(wrong)?.to_owned());
            }
        }
        _ => return Err(wrong()),
    }
    all.retain(|text| !text.is_empty());
    Ok(all)
}
