//! `AuthenticationConfiguration`: who issues tokens, how their claims become users, and where anonymous requests may go.

use serde::Deserialize;
use windlass_api::field::{Error, Errors, Path};

use super::jwt::Issuer;
pub use super::jwt::settings::{
    ClaimMappings, ClaimValidationRule, ExtraMapping, IssuerSettings, JwtAuthenticator, PrefixedClaim, PrefixlessClaim,
    UserValidationRule,
};
use windlass_machinery::configuration::{ConfigurationError, decode};

const KIND: &str = "AuthenticationConfiguration";

/// As many issuers as there may be.
const ISSUERS_MAX: usize = 64;

/// The configuration as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AuthenticationConfiguration {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    pub jwt: Vec<JwtAuthenticator>,
    pub anonymous: Option<AnonymousAuth>,
}

/// Whether there are anonymous requests, and for which paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnonymousAuth {
    pub enabled: bool,
    pub conditions: Vec<AnonymousCondition>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnonymousCondition {
    pub path: String,
}

impl AuthenticationConfiguration {
    /// Reads a configuration from YAML or JSON; nothing is validated.
    pub fn parse(text: &str) -> Result<Self, ConfigurationError> {
        decode(text, KIND)
    }

    /// Validates the configuration, and returns the issuers ready for use. `own_issuer` is whose tokens are none of theirs: the server's
    /// own.
    pub fn issuers(&self, own_issuer: &str) -> Result<Vec<Issuer>, Errors> {
        let root = Path::new("jwt");
        if self.jwt.len() > ISSUERS_MAX {
            return Err(Error::too_many(&root, self.jwt.len(), ISSUERS_MAX).into());
        }
        let mut errors = Errors::new();
        let mut issuers = Vec::new();
        for (index, settings) in self.jwt.iter().enumerate() {
            let path = root.index(index);
            issuers.push(Issuer::compile(settings, own_issuer, &mut errors, &path));
            let before = || self.jwt[..index].iter().map(|before| &before.issuer);
            let issuer = path.child("issuer");
            let of = &settings.issuer;
            if before().any(|before| before.url == of.url) {
                errors.push(Error::duplicate(&issuer.child("url"), &*of.url));
            }
            if !of.discovery_url.is_empty() && before().any(|before| before.discovery_url == of.discovery_url) {
                errors.push(Error::duplicate(&issuer.child("discoveryURL"), &*of.discovery_url));
            }
        }
        if let Some(anonymous) = self.anonymous.as_ref().filter(|it| !it.enabled && !it.conditions.is_empty()) {
            let paths: Vec<_> =
                anonymous.conditions.iter().map(|condition| serde_json::json!({"Path": condition.path})).collect();
            let detail = "enabled should be set to true when conditions are defined";
            errors.push(Error::invalid(&Path::new("anonymous").child("conditions"), paths, detail));
        }
        if errors.is_empty() { Ok(issuers) } else { Err(errors) }
    }
}

/// The settings of one issuer, as flags give them (`--oidc-…`).
#[derive(Clone, Debug, Default)]
pub struct OidcFlags {
    pub issuer_url: String,
    pub client_id: String,
    pub username_claim: Option<String>,
    pub username_prefix: Option<String>,
    pub groups_claim: Option<String>,
    pub groups_prefix: Option<String>,
    pub required_claims: Vec<(String, String)>,
    /// PEM.
    pub authorities: String,
}

impl From<OidcFlags> for AuthenticationConfiguration {
    fn from(flags: OidcFlags) -> Self {
        let claim = flags.username_claim.unwrap_or_else(|| "sub".to_owned());
        // What is unique among the users of one issuer need not be so among all.
        let prefix = match flags.username_prefix.as_deref().unwrap_or_default() {
            "" if claim != "email" => format!("{}#", flags.issuer_url),
            "-" => String::new(),
            prefix => prefix.to_owned(),
        };
        let username = PrefixedClaim { claim, prefix: Some(prefix), ..PrefixedClaim::default() };
        let groups = flags.groups_claim.filter(|claim| !claim.is_empty()).map(|claim| PrefixedClaim {
            claim,
            prefix: Some(flags.groups_prefix.unwrap_or_default()),
            ..PrefixedClaim::default()
        });
        let required = flags.required_claims.into_iter();
        let rules = required.map(|(claim, required_value)| ClaimValidationRule {
            claim,
            required_value,
            ..ClaimValidationRule::default()
        });
        let authenticator = JwtAuthenticator {
            issuer: IssuerSettings {
                url: flags.issuer_url,
                audiences: vec![flags.client_id],
                certificate_authority: flags.authorities,
                ..IssuerSettings::default()
            },
            claim_validation_rules: rules.collect(),
            claim_mappings: ClaimMappings { username, groups: groups.unwrap_or_default(), ..ClaimMappings::default() },
            user_validation_rules: Vec::new(),
        };
        Self { jwt: vec![authenticator], ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n";
    const ISSUER: &str = "jwt:\n- issuer: {url: 'https://a.example', audiences: [x]}\n  claimMappings: {username: {claim: sub, prefix: ''}}\n";

    fn refused(text: &str) -> String {
        let parsed = AuthenticationConfiguration::parse(text);
        let checked = parsed.and_then(|it| it.issuers("https://own").map_err(ConfigurationError::Invalid));
        checked.map(|issuers| issuers.len()).unwrap_err().to_string()
    }

    #[test]
    fn files_are_read_strictly() {
        for version in ["v1", "v1beta1", "v1alpha1"] {
            let text = format!("{}{ISSUER}", HEAD.replace("v1", version));
            let read = AuthenticationConfiguration::parse(&text).unwrap();
            assert_eq!(read.issuers("https://own").unwrap().len(), 1, "{version}");
        }
        assert!(AuthenticationConfiguration::parse(HEAD).unwrap().issuers("").unwrap().is_empty());
        for (text, why) in [
            (String::new(), "empty config data"),
            (
                HEAD.replace("v1", "v2"),
                "no kind \"AuthenticationConfiguration\" is registered for version \"apiserver.config.k8s.io/v2\"",
            ),
            (HEAD.replace("Authentication", "Authorization"), "no kind \"AuthorizationConfiguration\""),
            (format!("{HEAD}jwts: []\n"), "unknown field `jwts`"),
            (format!("{HEAD}{}", ISSUER.replace("audiences", "audience")), "unknown field `audience`"),
            (format!("{HEAD}jwt: []\njwt: []\n"), "duplicate"),
            (format!("{HEAD}jwt: [{{issuer: {{url: [1]}}}}]\n"), "strict decoding error"),
        ] {
            let found = refused(&text);
            assert!(found.contains(why), "{text}: {found}");
        }
    }

    #[test]
    fn what_is_twice_or_without_meaning() {
        let second = ISSUER.strip_prefix("jwt:\n").unwrap();
        let both = refused(&format!("{HEAD}{ISSUER}{second}"));
        assert_eq!(both, "jwt[1].issuer.url: Duplicate value: \"https://a.example\"");
        let own = refused(&format!("{HEAD}{}", ISSUER.replace("https://a.example", "https://own")));
        assert_eq!(
            own,
            "jwt[0].issuer.url: Invalid value: \"https://own\": URL must not overlap with disallowed issuers: [https://own]"
        );
        let anonymous = refused(&format!("{HEAD}anonymous: {{enabled: false, conditions: [{{path: /livez}}]}}\n"));
        assert!(anonymous.ends_with("enabled should be set to true when conditions are defined"), "{anonymous}");
        let many: String = (0..65).map(|n| second.replace("a.example", &format!("{n}.example"))).collect();
        assert_eq!(refused(&format!("{HEAD}jwt:\n{many}")), "jwt: Too many: 65: must have at most 64 items");
    }

    #[test]
    fn flags_for_one_issuer() {
        let flags = OidcFlags { issuer_url: "https://i".to_owned(), client_id: "c".to_owned(), ..OidcFlags::default() };
        let prefix = |flags: OidcFlags| {
            let configuration = AuthenticationConfiguration::from(flags);
            assert_eq!(configuration.issuers("").unwrap().len(), 1);
            configuration.jwt[0].claim_mappings.username.prefix.clone().unwrap()
        };
        assert_eq!(prefix(flags.clone()), "https://i#");
        let email = Some("email".to_owned());
        assert_eq!(prefix(OidcFlags { username_claim: email, ..flags.clone() }), "");
        assert_eq!(prefix(OidcFlags { username_prefix: Some("-".to_owned()), ..flags.clone() }), "");
        assert_eq!(prefix(OidcFlags { username_prefix: Some("oidc:".to_owned()), ..flags.clone() }), "oidc:");
        let required = vec![("hd".to_owned(), "example.com".to_owned())];
        let configuration = AuthenticationConfiguration::from(OidcFlags { required_claims: required, ..flags });
        assert_eq!(configuration.jwt[0].claim_validation_rules[0].required_value, "example.com");
    }
}
