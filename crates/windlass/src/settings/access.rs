//! Settings of who may come in and what they may do: kube-apiserver's flags of authentication and authorization. In the configuration file they
//! are the keys `authentication` and `authorization`.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::duration::GoDuration;
use crate::error::Failure;

/// Flags of authentication.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct AuthenticationFlags {
    /// A file with an AuthenticationConfiguration: whose tokens are accepted, and where anonymous requests may go. It is read again when it
    /// changes.
    #[arg(
        id = "authentication-config",
        long = "authentication-config",
        env = "WINDLASS_AUTHENTICATION_CONFIG",
        value_name = "FILE"
    )]
    pub config: Option<PathBuf>,
    /// Let requests in that show no credential [default: true].
    #[arg(long = "anonymous-auth", env = "WINDLASS_ANONYMOUS_AUTH", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub anonymous_auth: Option<bool>,
    #[command(flatten)]
    pub oidc: OidcFlags,
    /// A kubeconfig that names the server that knows bearer tokens.
    #[arg(
        long = "authentication-token-webhook-config-file",
        env = "WINDLASS_AUTHENTICATION_TOKEN_WEBHOOK_CONFIG_FILE",
        value_name = "FILE"
    )]
    pub token_webhook_config_file: Option<PathBuf>,
    /// The version of TokenReview that it speaks: v1 or v1beta1 [default: v1beta1].
    #[arg(
        long = "authentication-token-webhook-version",
        env = "WINDLASS_AUTHENTICATION_TOKEN_WEBHOOK_VERSION",
        value_name = "VERSION"
    )]
    pub token_webhook_version: Option<String>,
    /// How long its answers are remembered [default: 2m].
    #[arg(
        long = "authentication-token-webhook-cache-ttl",
        env = "WINDLASS_AUTHENTICATION_TOKEN_WEBHOOK_CACHE_TTL",
        value_name = "DURATION"
    )]
    pub token_webhook_cache_ttl: Option<GoDuration>,
}

/// Flags for one issuer of tokens.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct OidcFlags {
    /// The URL of an issuer of OpenID Connect, https alone.
    #[arg(long = "oidc-issuer-url", env = "WINDLASS_OIDC_ISSUER_URL", value_name = "URL")]
    pub issuer_url: Option<String>,
    /// For whom its tokens have to be.
    #[arg(long = "oidc-client-id", env = "WINDLASS_OIDC_CLIENT_ID", value_name = "ID")]
    pub client_id: Option<String>,
    /// The claim that is the user's name [default: sub].
    #[arg(long = "oidc-username-claim", env = "WINDLASS_OIDC_USERNAME_CLAIM", value_name = "CLAIM")]
    pub username_claim: Option<String>,
    /// What is put before names; - for nothing [default: the URL and #, except before email].
    #[arg(
        long = "oidc-username-prefix",
        env = "WINDLASS_OIDC_USERNAME_PREFIX",
        value_name = "PREFIX",
        allow_hyphen_values = true
    )]
    pub username_prefix: Option<String>,
    /// The claim that has the user's groups.
    #[arg(long = "oidc-groups-claim", env = "WINDLASS_OIDC_GROUPS_CLAIM", value_name = "CLAIM")]
    pub groups_claim: Option<String>,
    /// What is put before groups.
    #[arg(long = "oidc-groups-prefix", env = "WINDLASS_OIDC_GROUPS_PREFIX", value_name = "PREFIX")]
    pub groups_prefix: Option<String>,
    /// A claim and the value that it has to have (key=value); the flag may be repeated.
    #[arg(long = "oidc-required-claim", env = "WINDLASS_OIDC_REQUIRED_CLAIM", value_name = "KEY=VALUE")]
    pub required_claim: Option<Vec<String>>,
    /// The authorities that the issuer's certificate is from [default: the machine's].
    #[arg(long = "oidc-ca-file", env = "WINDLASS_OIDC_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Algorithms that its tokens may be signed with [default: RS256].
    #[arg(long = "oidc-signing-algs", env = "WINDLASS_OIDC_SIGNING_ALGS", value_name = "LIST", value_delimiter = ',')]
    pub signing_algs: Option<Vec<String>>,
}

/// Flags of authorization.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct AuthorizationFlags {
    /// A file with an AuthorizationConfiguration: which authorizers are asked. It is read again when it changes.
    #[arg(
        id = "authorization-config",
        long = "authorization-config",
        env = "WINDLASS_AUTHORIZATION_CONFIG",
        value_name = "FILE"
    )]
    pub config: Option<PathBuf>,
    /// Authorizers in their order: Node, RBAC, Webhook, AlwaysAllow, AlwaysDeny [default: Node,RBAC].
    #[arg(
        id = "authorization-mode",
        long = "authorization-mode",
        env = "WINDLASS_AUTHORIZATION_MODE",
        value_name = "LIST",
        value_delimiter = ','
    )]
    pub mode: Option<Vec<String>>,
    /// A kubeconfig that names the server of the mode Webhook.
    #[arg(
        id = "authorization-webhook-config-file",
        long = "authorization-webhook-config-file",
        env = "WINDLASS_AUTHORIZATION_WEBHOOK_CONFIG_FILE",
        value_name = "FILE"
    )]
    pub webhook_config_file: Option<PathBuf>,
    /// The version of SubjectAccessReview that it speaks: v1 or v1beta1 [default: v1beta1].
    #[arg(
        id = "authorization-webhook-version",
        long = "authorization-webhook-version",
        env = "WINDLASS_AUTHORIZATION_WEBHOOK_VERSION",
        value_name = "VERSION"
    )]
    pub webhook_version: Option<String>,
    /// How long it is remembered what it allowed [default: 5m].
    #[arg(
        id = "authorization-webhook-cache-authorized-ttl",
        long = "authorization-webhook-cache-authorized-ttl",
        env = "WINDLASS_AUTHORIZATION_WEBHOOK_CACHE_AUTHORIZED_TTL",
        value_name = "DURATION"
    )]
    pub webhook_cache_authorized_ttl: Option<GoDuration>,
    /// How long it is remembered what it did not allow [default: 30s].
    #[arg(
        id = "authorization-webhook-cache-unauthorized-ttl",
        long = "authorization-webhook-cache-unauthorized-ttl",
        env = "WINDLASS_AUTHORIZATION_WEBHOOK_CACHE_UNAUTHORIZED_TTL",
        value_name = "DURATION"
    )]
    pub webhook_cache_unauthorized_ttl: Option<GoDuration>,
}

impl AuthenticationFlags {
    /// Refuses flags that exclude each other; the words are upstream's.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let is_given = self.oidc != OidcFlags::default();
        if self.config.is_some() && is_given {
            return Err(Failure::new("authentication-config file and oidc-* flags are mutually exclusive"));
        }
        if is_given && (self.oidc.issuer_url.is_none() || self.oidc.client_id.is_none()) {
            return Err(Failure::new(
                "oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set",
            ));
        }
        Ok(())
    }
}

impl AuthorizationFlags {
    /// Refuses flags that exclude each other; the words are upstream's.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let has_others = self.mode.is_some()
            || self.webhook_config_file.is_some()
            || self.webhook_version.is_some()
            || self.webhook_cache_authorized_ttl.is_some()
            || self.webhook_cache_unauthorized_ttl.is_some();
        if self.config.is_some() && has_others {
            return Err(Failure::new(
                "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined",
            ));
        }
        Ok(())
    }
}
