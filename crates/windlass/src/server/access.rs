//! Authentication and authorization as the settings say, and the files of these, which are read again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use windlass_api::Chance;
use windlass_api::text::with_causes;
use windlass_api::time::Clock;
use windlass_apiserver::{
    Anonymous, Authentication, Authorization, OpenRemote, Server, TokenReviewVersion, TokenWebhook,
};
use windlass_auth::authentication::configuration::OidcFlags;
use windlass_auth::authorization::WebhookFlags;
use windlass_pki::SignatureAlgorithm;
use windlass_telemetry::Metrics;
use windlass_tree::{Changes, Told};
use windlass_webhook::Remote;

use crate::error::Failure;
use crate::settings::access::{AuthenticationFlags, AuthorizationFlags};

/// How long answers of the webhook that knows tokens are remembered.
const TOKEN_TTL: Duration = Duration::from_secs(120);
/// A file is looked at again after this time, whatever happens to it; as upstream.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(60);

/// What both are made with.
pub(super) struct Surroundings<'a> {
    pub metrics: &'a Metrics,
    pub clock: Clock,
    /// Who issues the tokens of service accounts.
    pub issuer: &'a str,
    /// What tells this server from others.
    pub identity: &'a str,
}

/// Who may come in.
pub(super) fn authentication(
    flags: &AuthenticationFlags,
    authorization: &AuthorizationFlags,
    around: &Surroundings<'_>,
) -> Result<Authentication, Failure> {
    let mut made = Authentication::new(around.issuer, around.metrics, around.clock);
    if let Some(path) = &flags.config {
        let what = format!("the authentication configuration {} cannot be used", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| Failure::during(&what, error))?;
        made = made.with_file(text, around.identity).map_err(|error| Failure::during(what, error))?;
    }
    if made.configures_anonymous() && flags.anonymous_auth.is_some() {
        return Err(Failure::new(
            "anonymous: Forbidden: --anonymous-auth flag cannot be set when anonymous field is configured in authentication configuration file",
        ));
    }
    if !made.configures_anonymous() {
        let allows_all = authorization.mode.iter().flatten().any(|mode| mode == "AlwaysAllow");
        if allows_all && flags.anonymous_auth != Some(false) {
            tracing::warn!("with the authorization mode AlwaysAllow, anonymous requests are not let in");
        }
        made = made.with_anonymous(Anonymous::new(flags.anonymous_auth.unwrap_or(true) && !allows_all));
    }
    if let Some((issuer, algorithms)) = issuer(flags)? {
        let failed = |error| Failure::during("the issuer of --oidc-issuer-url cannot be used", error);
        made = made.with_issuer(issuer, algorithms).map_err(failed)?;
    }
    if let Some(path) = &flags.token_webhook_config_file {
        let what = format!("the file {} of --authentication-token-webhook-config-file cannot be used", path.display());
        let remote = Remote::open(path).map_err(|error| Failure::during(what, error))?;
        let version = flags.token_webhook_version.as_deref().map(TokenReviewVersion::parse).transpose();
        let ttl = flags.token_webhook_cache_ttl.map_or(TOKEN_TTL, |ttl| ttl.0);
        let version = version.map_err(Failure::new)?.unwrap_or_default();
        made = made.with_webhook(TokenWebhook::new(remote, version, ttl, Chance::system()));
    }
    Ok(made)
}

/// The issuer that flags name, if they do.
fn issuer(flags: &AuthenticationFlags) -> Result<Option<(OidcFlags, Vec<SignatureAlgorithm>)>, Failure> {
    let oidc = flags.oidc.clone();
    let (Some(issuer_url), Some(client_id)) = (oidc.issuer_url, oidc.client_id) else { return Ok(None) };
    let authorities = match &oidc.ca_file {
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            Failure::during(format!("the file {} of --oidc-ca-file cannot be read", path.display()), error)
        })?,
        None => String::new(),
    };
    let required = oidc.required_claim.unwrap_or_default();
    let pair = |text: String| match text.split_once('=') {
        Some((claim, value)) => Ok((claim.trim().to_owned(), value.trim().to_owned())),
        None => Err(Failure::new(format!("--oidc-required-claim {text:?} is no key=value"))),
    };
    let algorithms = oidc.signing_algs.unwrap_or_else(|| vec!["RS256".to_owned()]);
    let algorithm = |name: &String| {
        let names = SignatureAlgorithm::ALL.map(SignatureAlgorithm::name).join(", ");
        SignatureAlgorithm::parse(name).ok_or_else(|| {
            Failure::new(format!("oidc: unsupported signing alg: {name:?}"))
                .hint(format!("--oidc-signing-algs takes {names}"))
        })
    };
    let issuer = OidcFlags {
        issuer_url,
        client_id,
        username_claim: oidc.username_claim,
        username_prefix: oidc.username_prefix,
        groups_claim: oidc.groups_claim,
        groups_prefix: oidc.groups_prefix,
        required_claims: required.into_iter().map(pair).collect::<Result<_, _>>()?,
        authorities,
    };
    Ok(Some((issuer, algorithms.iter().map(algorithm).collect::<Result<_, _>>()?)))
}

/// Which authorizers are asked.
pub(super) fn authorization(flags: &AuthorizationFlags, around: &Surroundings<'_>) -> Result<Authorization, Failure> {
    let open: OpenRemote = Arc::new(|path: &Path| open(path));
    match &flags.config {
        Some(path) => {
            let what = format!("the authorization configuration {} cannot be used", path.display());
            let text = std::fs::read_to_string(path).map_err(|error| Failure::during(&what, error))?;
            let chance = (Chance::system(), around.clock);
            Authorization::of_file(text, around.metrics, chance, around.identity, open)
                .map_err(|error| Failure::during(what, error))
        }
        None => {
            let webhook = WebhookFlags {
                config_file: flags.webhook_config_file.clone(),
                version: flags.webhook_version.clone(),
                authorized_ttl: flags.webhook_cache_authorized_ttl.map(|ttl| ttl.0),
                unauthorized_ttl: flags.webhook_cache_unauthorized_ttl.map(|ttl| ttl.0),
            };
            let modes = flags.mode.clone().unwrap_or_else(|| ["Node", "RBAC"].map(str::to_owned).to_vec());
            Authorization::of_flags(&modes, &webhook, around.metrics, Chance::system(), open)
                .map_err(|error| Failure::during("--authorization-mode cannot be used", error))
        }
    }
}

/// The server that a kubeconfig names.
fn open(path: &Path) -> Result<Remote, String> {
    let metadata = std::fs::metadata(path).map_err(|error| format!("error loading file: {error}"))?;
    if !metadata.is_file() {
        return Err("must be a regular file".to_owned());
    }
    Remote::open(path).map_err(|error| with_causes(&error))
}

/// Reads the files again when they change, for as long as the server runs.
pub(super) fn follow(
    server: &Arc<Server>,
    authentication: &AuthenticationFlags,
    authorization: &AuthorizationFlags,
) -> Vec<JoinHandle<()>> {
    let mut followers = Vec::new();
    if let Some(path) = authentication.config.clone() {
        let server = server.clone();
        followers.push(tokio::spawn(followed(path, async move |text| server.reload_authentication(text).await)));
    }
    if let Some(path) = authorization.config.clone() {
        let server = server.clone();
        followers.push(tokio::spawn(followed(path, async move |text| server.reload_authorization(text))));
    }
    followers
}

/// Hands a file's text over whenever something has happened in its directory, and from time to time.
pub(super) async fn followed(path: PathBuf, take: impl AsyncFn(Option<String>)) {
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    loop {
        let changes = Changes::of(directory, Told::WritesAndNames);
        // What has happened before that is seen now.
        let text = std::fs::read_to_string(&path);
        if let Err(error) = &text {
            tracing::error!(path = %path.display(), %error, "a configuration cannot be read");
        }
        take(text.ok()).await;
        match changes {
            Ok(changes) => drop(timeout(LOOKED_AT_EVERY, changes.wait()).await),
            Err(error) => {
                tracing::warn!(path = %directory.display(), %error, "a directory cannot be watched");
                tokio::time::sleep(LOOKED_AT_EVERY).await;
            }
        }
    }
}
