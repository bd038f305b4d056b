//! One issuer of tokens: discovered in the background, its keys fetched when they are needed.
//!
//! States: not discovered yet (tried again every ten seconds, tokens are refused), and discovered. Keys are fetched with the first token, and
//! again with a token that no known key has signed; who needs them at the same time waits for the same answer.
//!
//! Source: go-oidc `jwks.go`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde::Deserialize;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use windlass_api::text::quoted;
use windlass_api::time::Clock;
use windlass_auth::User;
use windlass_auth::authentication::jwt::{Issuer, algorithm};
use windlass_http::dial::roots_of;
use windlass_pki::{KeySet, SignatureAlgorithm, SignedToken, Trust, client_config_of};

use super::fetch::fetch;

/// An issuer that could not be discovered is tried again after this time.
const RETRY: Duration = Duration::from_secs(10);

pub(super) struct Provider {
    shared: Arc<Shared>,
    algorithms: Arc<[SignatureAlgorithm]>,
    clock: Clock,
    keys: ArcSwapOption<KeySet>,
    /// Counts the attempts to fetch keys that have ended.
    attempts: AtomicU64,
    /// Held by who fetches keys: why the last attempt failed, if it did.
    fetching: Mutex<Option<String>>,
    discovery: JoinHandle<()>,
}

/// What the discovery in the background knows.
struct Shared {
    issuer: Issuer,
    tls: Arc<rustls::ClientConfig>,
    /// Where the keys are; or why that is not known.
    jwks_uri: watch::Sender<Result<String, String>>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    issuer: String,
    #[serde(default)]
    jwks_uri: String,
}

impl Provider {
    /// Begins to discover the issuer.
    pub(super) fn start(issuer: Issuer, algorithms: Arc<[SignatureAlgorithm]>, clock: Clock) -> Result<Self, String> {
        let roots = roots_of(issuer.certificate_authority().as_bytes()).ok_or("it has no certificate authority")?;
        let tls = client_config_of(Trust::Authorities(roots), None).map_err(|error| error.to_string())?;
        let url = quoted(issuer.url());
        let jwks_uri = watch::Sender::new(Err(format!("oidc: authenticator for issuer {url} is not initialized")));
        let shared = Arc::new(Shared { issuer, tls: Arc::new(tls), jwks_uri });
        let discovery = tokio::spawn(shared.clone().discover());
        Ok(Self {
            shared,
            algorithms,
            clock,
            keys: ArcSwapOption::empty(),
            attempts: AtomicU64::new(0),
            fetching: Mutex::default(),
            discovery,
        })
    }

    pub(super) fn issuer(&self) -> &Issuer {
        &self.shared.issuer
    }

    /// Waits until the issuer has been discovered.
    pub(super) async fn discovered(&self) {
        // The sender lives as long as this.
        let _ = self.shared.jwks_uri.subscribe().wait_for(Result::is_ok).await;
    }

    /// Why the issuer has not been discovered, if it has not.
    pub(super) fn problem(&self) -> Option<String> {
        let url = quoted(self.issuer().url());
        let why = self.shared.jwks_uri.borrow().as_ref().err().cloned()?;
        Some(format!("oidc: authenticator for issuer {url} is not healthy: {why}"))
    }

    /// The user of a token that claims to be this issuer's.
    pub(super) async fn user(&self, token: &SignedToken<'_>) -> Result<User, String> {
        let refused = |why: String| format!("oidc: verify token: {why}");
        if self.shared.jwks_uri.borrow().is_err() {
            return Err("oidc: authenticator not initialized".to_owned());
        }
        let algorithm = algorithm(token, &self.algorithms).map_err(refused)?;
        let unsigned = |why: String| refused(format!("failed to verify signature: {why}"));
        if !self.has_signed(token, algorithm) {
            self.fetch_keys().await.map_err(|why| unsigned(format!("fetching keys {why}")))?;
            if !self.has_signed(token, algorithm) {
                return Err(unsigned("failed to verify id token signature".to_owned()));
            }
        }
        self.issuer().user(token.unverified_claims(), self.clock.now())
    }

    fn has_signed(&self, token: &SignedToken<'_>, algorithm: SignatureAlgorithm) -> bool {
        self.keys.load().as_ref().is_some_and(|keys| keys.has_signed(token, algorithm))
    }

    /// Fetches the keys, or waits for somebody who does.
    async fn fetch_keys(&self) -> Result<(), String> {
        let begun = self.attempts.load(Ordering::Acquire);
        let mut problem = self.fetching.lock().await;
        if self.attempts.load(Ordering::Acquire) != begun {
            return problem.clone().map_or(Ok(()), Err);
        }
        let uri = self.shared.jwks_uri.borrow().clone()?;
        let fetched = fetch(&uri, &self.shared.tls).await.map_err(|why| format!("oidc: get keys failed: {why}"));
        let parsed = fetched
            .and_then(|json| KeySet::parse(&json).map_err(|error| format!("oidc: failed to decode keys: {error}")));
        *problem = match parsed {
            Ok(keys) => {
                tracing::info!(issuer = self.issuer().url(), "the keys of an issuer were fetched");
                self.keys.store(Some(Arc::new(keys)));
                None
            }
            Err(why) => {
                tracing::warn!(issuer = self.issuer().url(), error = why, "the keys of an issuer cannot be fetched");
                Some(why)
            }
        };
        self.attempts.fetch_add(1, Ordering::Release);
        problem.clone().map_or(Ok(()), Err)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.discovery.abort();
    }
}

impl Shared {
    /// Looks where the issuer's keys are, until it says so.
    async fn discover(self: Arc<Self>) {
        loop {
            let found = self.document().await;
            let is_found = found.is_ok();
            if let Err(why) = &found {
                tracing::error!(
                    issuer = self.issuer.url(),
                    error = why,
                    "an issuer of tokens cannot be reached; it is tried again"
                );
            }
            self.jwks_uri.send_modify(|known| *known = found.map(|document| document.jwks_uri));
            if is_found {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn document(&self) -> Result<Document, String> {
        let json = fetch(&self.issuer.discovery_url(), &self.tls).await?;
        let document: Document = serde_json::from_slice(&json)
            .map_err(|error| format!("oidc: failed to decode provider discovery object: {error}"))?;
        let (expected, found) = (self.issuer.url(), &document.issuer);
        if expected != found {
            let (expected, found) = (quoted(expected), quoted(found));
            return Err(format!(
                "oidc: issuer did not match the issuer returned by provider, expected {expected} got {found}"
            ));
        }
        if document.jwks_uri.is_empty() {
            return Err("provider did not return JWKS URL".to_owned());
        }
        Ok(document)
    }
}
