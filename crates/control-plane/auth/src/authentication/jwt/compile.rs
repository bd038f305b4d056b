//! The settings of an issuer, validated and compiled.
//!
//! Source: apiserver `pkg/apis/apiserver/validation`.

use windlass_api::field::{Error, Errors, Path};
use windlass_api::{names, url};
use windlass_cel::access::{CLAIMS, claims_env, user_env};
use windlass_cel::{Env, Type};
use windlass_pki::{Certificate, pem_blocks};

use super::settings::{
    ClaimMappings, ClaimValidationRule, IssuerSettings, JwtAuthenticator, PrefixedClaim, UserValidationRule,
};
use super::{Issuer, Rule};

const BOTH: &str = "claim and expression can't both be set";
const NEITHER: &str = "claim or expression is required";
const MATCH_ANY: &str = "MatchAny";

impl Issuer {
    /// Makes an issuer of its settings; what is wrong with them is added to the errors.
    pub(crate) fn compile(settings: &JwtAuthenticator, own_issuer: &str, errors: &mut Errors, path: &Path<'_>) -> Self {
        issuer(&settings.issuer, own_issuer, errors, &path.child("issuer"));
        let env = claims_env();
        let rules = path.child("claimValidationRules");
        let claim_rules = claim_rules(&env, &settings.claim_validation_rules, errors, &rules);
        let mut compiler = Compiler { env: &env, errors };
        let mut compiled = compiler.mappings(&settings.claim_mappings, &path.child("claimMappings"));
        compiled.claim_rules = claim_rules;
        compiled.check_email(errors, &settings.claim_mappings.username.expression, path);
        compiled.user_rules = user_rules(&settings.user_validation_rules, errors, &path.child("userValidationRules"));
        Self { settings: settings.clone(), ..compiled }
    }

    /// Whoever maps an address of e-mail says what becomes of one that nobody has verified.
    fn check_email(&self, errors: &mut Errors, source: &str, path: &Path<'_>) {
        let selects = |rule: &Rule, field| rule.expression.selects(CLAIMS, field);
        let is_mapped = self.username.as_ref().is_some_and(|rule| selects(rule, "email"));
        let extra = self.extra.iter().map(|(_, rule)| rule);
        let mut all = self.username.iter().chain(extra).chain(&self.claim_rules);
        if is_mapped && !all.any(|rule| selects(rule, "email_verified")) {
            let mappings = path.child("claimMappings");
            let username = mappings.child("username");
            let detail = "claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression";
            errors.push(Error::invalid(&username.child("expression"), source, detail));
        }
    }
}

fn issuer(settings: &IssuerSettings, own_issuer: &str, errors: &mut Errors, path: &Path<'_>) {
    let url = path.child("url");
    if settings.url.is_empty() {
        errors.push(Error::required(&url, ""));
    } else {
        if settings.url == own_issuer {
            let detail = format!("URL must not overlap with disallowed issuers: [{own_issuer}]");
            errors.push(Error::invalid(&url, &*settings.url, detail));
        }
        check_url(&settings.url, errors, &url);
    }
    if !settings.discovery_url.is_empty() {
        let path = path.child("discoveryURL");
        let bare = |url: &str| url.trim_end_matches('/').to_owned();
        if !settings.url.is_empty() && bare(&settings.url) == bare(&settings.discovery_url) {
            errors.push(Error::invalid(&path, &*settings.discovery_url, "discoveryURL must be different from URL"));
        }
        check_url(&settings.discovery_url, errors, &path);
    }
    audiences(settings, errors, path);
    let authority = &settings.certificate_authority;
    if !authority.is_empty() && !has_certificate(authority) {
        let detail = "data does not contain any valid RSA or ECDSA certificates";
        errors.push(Error::invalid(&path.child("certificateAuthority"), "<omitted>", detail));
    }
    let egress = &*settings.egress_selector_type;
    if !egress.is_empty() {
        // There is no configuration of egress here, which upstream asks for with it.
        let detail = match egress {
            "controlplane" | "cluster" => format!("oidc: egress lookup required with egress selector type {egress:?}"),
            _ => "egress selector must be either controlplane or cluster".to_owned(),
        };
        errors.push(Error::invalid(&path.child("egressSelectorType"), egress, detail));
    }
}

fn has_certificate(pem: &str) -> bool {
    let is_one = |label: &str, der: Vec<u8>| label == "CERTIFICATE" && Certificate::parse(der.into()).is_ok();
    pem_blocks(pem).into_iter().any(|block| is_one(&block.label, block.contents))
}

fn check_url(written: &str, errors: &mut Errors, path: &Path<'_>) {
    let parsed = match url::parse(written) {
        Ok(parsed) => parsed,
        Err(problem) => return errors.push(Error::invalid(path, written, problem)),
    };
    for (is_wrong, detail) in [
        (parsed.scheme != "https", "URL scheme must be https"),
        (parsed.user.is_some(), "URL must not contain a username or password"),
        (!parsed.query.is_empty(), "URL must not contain a query"),
        (!parsed.fragment.is_empty(), "URL must not contain a fragment"),
    ] {
        if is_wrong {
            errors.push(Error::invalid(path, written, detail));
        }
    }
}

fn audiences(settings: &IssuerSettings, errors: &mut Errors, path: &Path<'_>) {
    let (audiences, policy) = (&settings.audiences, &*settings.audience_match_policy);
    let (path, policy_path) = (path.child("audiences"), path.child("audienceMatchPolicy"));
    if audiences.is_empty() {
        return errors.push(Error::required(&path, format!("at least one {path} is required")));
    }
    for (index, audience) in audiences.iter().enumerate() {
        let path = path.index(index);
        if audience.is_empty() {
            errors.push(Error::required(&path, ""));
        }
        if audiences[..index].contains(audience) {
            errors.push(Error::duplicate(&path, &**audience));
        }
    }
    if audiences.len() > 1 && policy != MATCH_ANY {
        let detail = "audienceMatchPolicy must be MatchAny for multiple audiences";
        errors.push(Error::invalid(&policy_path, policy, detail));
    }
    if audiences.len() == 1 && !matches!(policy, "" | MATCH_ANY) {
        let detail = "audienceMatchPolicy must be empty or MatchAny for single audience";
        errors.push(Error::invalid(&policy_path, policy, detail));
    }
}

fn claim_rules(env: &Env, rules: &[ClaimValidationRule], errors: &mut Errors, path: &Path<'_>) -> Vec<Rule> {
    let mut compiled = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let path = path.index(index);
        match (rule.claim.as_str(), rule.expression.as_str()) {
            ("", "") => errors.push(Error::required(&path, NEITHER)),
            (claim, "") => {
                if !rule.message.is_empty() {
                    let detail = "may not be specified when claim is set";
                    errors.push(Error::invalid(&path.child("message"), &*rule.message, detail));
                }
                if rules[..index].iter().any(|before| before.claim == claim && before.expression.is_empty()) {
                    errors.push(Error::duplicate(&path.child("claim"), claim));
                }
            }
            ("", expression) => {
                if !rule.required_value.is_empty() {
                    let detail = "may not be specified when expression is set";
                    errors.push(Error::invalid(&path.child("requiredValue"), &*rule.required_value, detail));
                }
                if rules[..index].iter().any(|before| before.expression == expression && before.claim.is_empty()) {
                    errors.push(Error::duplicate(&path.child("expression"), expression));
                    continue;
                }
                let path = path.child("expression");
                compiled.extend(Rule::compile(env, expression, &rule.message, Some(&Type::Bool), errors, &path));
            }
            (claim, _) => errors.push(Error::invalid(&path, claim, BOTH)),
        }
    }
    compiled
}

fn user_rules(rules: &[UserValidationRule], errors: &mut Errors, path: &Path<'_>) -> Vec<Rule> {
    let env = user_env();
    let mut compiled = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let path = path.index(index);
        let path = path.child("expression");
        if rule.expression.is_empty() {
            errors.push(Error::required(&path, ""));
        } else if rules[..index].iter().any(|before| before.expression == rule.expression) {
            errors.push(Error::duplicate(&path, &*rule.expression));
        } else {
            compiled.extend(Rule::compile(&env, &rule.expression, &rule.message, Some(&Type::Bool), errors, &path));
        }
    }
    compiled
}

/// Compiles mappings of claims.
struct Compiler<'a> {
    env: &'a Env,
    errors: &'a mut Errors,
}

impl Compiler<'_> {
    /// An issuer with nothing but the mappings.
    fn mappings(&mut self, mappings: &ClaimMappings, path: &Path<'_>) -> Issuer {
        let username = self.prefixed(&mappings.username, true, &path.child("username"));
        let groups = self.prefixed(&mappings.groups, false, &path.child("groups"));
        let uid = path.child("uid");
        let uid = match (mappings.uid.claim.as_str(), mappings.uid.expression.as_str()) {
            (_, "") => None,
            ("", expression) => self.expression(expression, &uid.child("expression")),
            _ => {
                self.errors.push(Error::invalid(&uid, "", BOTH));
                None
            }
        };
        let extra = self.extra(mappings, &path.child("extra"));
        Issuer {
            settings: JwtAuthenticator::default(),
            username,
            groups,
            uid,
            extra,
            claim_rules: Vec::new(),
            user_rules: Vec::new(),
        }
    }

    fn expression(&mut self, source: &str, path: &Path<'_>) -> Option<Rule> {
        Rule::compile(self.env, source, "", None, self.errors, path)
    }

    fn prefixed(&mut self, mapping: &PrefixedClaim, is_required: bool, path: &Path<'_>) -> Option<Rule> {
        match (mapping.claim.as_str(), mapping.expression.as_str()) {
            ("", "") if is_required => self.errors.push(Error::required(path, NEITHER)),
            ("", "") => {}
            (_, "") if mapping.prefix.is_none() => {
                let detail =
                    "prefix is required when claim is set. It can be set to an empty string to disable prefixing";
                self.errors.push(Error::required(&path.child("prefix"), detail));
            }
            (_, "") => {}
            ("", expression) => {
                if let Some(prefix) = &mapping.prefix {
                    let detail = "may not be specified when expression is set";
                    self.errors.push(Error::invalid(&path.child("prefix"), &**prefix, detail));
                }
                return self.expression(expression, &path.child("expression"));
            }
            _ => self.errors.push(Error::invalid(path, "", BOTH)),
        }
        None
    }

    fn extra(&mut self, mappings: &ClaimMappings, path: &Path<'_>) -> Vec<(String, Rule)> {
        let mut compiled = Vec::new();
        for (index, mapping) in mappings.extra.iter().enumerate() {
            let path = path.index(index);
            let (key, key_path) = (&*mapping.key, path.child("key"));
            self.extra_key(key, &key_path);
            if mappings.extra[..index].iter().any(|before| before.key == key) {
                self.errors.push(Error::duplicate(&key_path, key));
                continue;
            }
            let path = path.child("valueExpression");
            if mapping.value_expression.is_empty() {
                self.errors.push(Error::required(&path, ""));
                continue;
            }
            compiled.extend(self.expression(&mapping.value_expression, &path).map(|rule| (key.to_owned(), rule)));
        }
        compiled
    }

    fn extra_key(&mut self, key: &str, path: &Path<'_>) {
        if key.is_empty() {
            self.errors.push(Error::required(path, ""));
        } else {
            for (value, problem) in names::domain_prefixed_path(key) {
                self.errors.push(Error::invalid(path, value, problem));
            }
        }
        if key != key.to_lowercase() {
            self.errors.push(Error::invalid(path, key, "must be lowercase"));
        }
        let domain = key.split_once('/').map_or("", |(domain, _)| domain);
        let is_reserved = ["kubernetes.io", "k8s.io"].into_iter().any(|reserved| {
            domain.strip_suffix(reserved).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        });
        if is_reserved {
            let detail = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use";
            self.errors.push(Error::invalid(path, key, detail));
        }
    }
}
