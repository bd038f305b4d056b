//! The issuers whose tokens are accepted.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use windlass_api::Expiring;
use windlass_api::text::aggregate;
use windlass_api::time::Clock;
use windlass_auth::User;
use windlass_auth::authentication::jwt::Issuer;
use windlass_pki::{SignatureAlgorithm, SignedToken};
use windlass_telemetry::{HistogramFamily, Metrics};

use super::provider::Provider;
use super::{Digest, digest};
use crate::reloads::hash;

/// How long it is remembered whose a token is; a token that expires meanwhile is accepted as long.
const REMEMBERED: Duration = Duration::from_secs(10);
const REMEMBERED_MAX: usize = 8192;
const SECONDS: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

pub(super) struct Issuers {
    providers: Vec<Provider>,
    users: Expiring<Digest, User>,
    durations: HistogramFamily,
}

impl Issuers {
    /// Begins to discover issuers.
    pub(super) fn start(
        issuers: Vec<Issuer>,
        algorithms: &Arc<[SignatureAlgorithm]>,
        clock: Clock,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        let started = issuers.into_iter().map(|issuer| {
            let url = issuer.url().to_owned();
            let failed = |why: String| format!("the issuer {url} cannot be used: {why}");
            Provider::start(issuer, algorithms.clone(), clock).map_err(failed)
        });
        Ok(Self {
            providers: started.collect::<Result<_, _>>()?,
            users: Expiring::new(REMEMBERED_MAX),
            durations: metrics.histograms(
                "apiserver_authentication_jwt_authenticator_latency_seconds",
                "How long tokens of issuers took that were not remembered, in seconds.",
                &["result", "jwt_issuer_hash"],
                &SECONDS,
            ),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.providers.is_empty()
    }

    /// Waits until all issuers have been discovered.
    pub(super) async fn discovered(&self) {
        for provider in &self.providers {
            provider.discovered().await;
        }
    }

    /// Why not all issuers have been discovered.
    pub(super) fn problems(&self) -> String {
        aggregate(self.providers.iter().filter_map(Provider::problem))
    }

    /// The user of a token of one of these issuers; `None` when it is of another one, or none at all. The error says in upstream's words what
    /// is wrong with it.
    pub(super) async fn user(&self, token: &str) -> Result<Option<User>, String> {
        let Ok(parsed) = SignedToken::parse(token) else { return Ok(None) };
        let Some(provider) = self.providers.iter().find(|provider| provider.issuer().is_named_by(&parsed)) else {
            return Ok(None);
        };
        let key = digest(token);
        if let Some(user) = self.users.get(&key) {
            return Ok(Some(user));
        }
        let started = Instant::now();
        let user = provider.user(&parsed).await;
        let result = if user.is_ok() { "success" } else { "failure" };
        let labels = [result, &hash(provider.issuer().url())];
        self.durations.with_label_values(&labels).observe(started.elapsed().as_secs_f64());
        let user = user?;
        self.users.put(key, user.clone(), REMEMBERED);
        Ok(Some(user))
    }
}
