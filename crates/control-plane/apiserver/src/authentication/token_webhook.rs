//! Tokens that another server knows: it is asked by a TokenReview, and its answer is remembered.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use windlass_api::text::{null_is_default, with_causes};
use windlass_api::{Chance, Expiring};
use windlass_auth::User;
use windlass_webhook::{Remote, Retry};

use super::{Digest, Found, digest};

const REMEMBERED_MAX: usize = 4096;
/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The version of TokenReview that a webhook speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenReviewVersion {
    V1,
    #[default]
    V1Beta1,
}

impl TokenReviewVersion {
    /// The error is upstream's.
    pub fn parse(version: &str) -> Result<Self, String> {
        match version {
            "v1" => Ok(Self::V1),
            "v1beta1" => Ok(Self::V1Beta1),
            other => Err(format!(
                "unsupported authentication webhook version {other:?}, supported versions are \"v1\", \"v1beta1\""
            )),
        }
    }

    fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "authentication.k8s.io/v1",
            Self::V1Beta1 => "authentication.k8s.io/v1beta1",
        }
    }
}

/// A server that knows tokens.
pub struct TokenWebhook {
    remote: Remote,
    version: TokenReviewVersion,
    ttl: Duration,
    chance: Chance,
    /// What it has said of a token for audiences.
    remembered: Expiring<(Digest, Vec<String>), Result<Option<Found>, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    authenticated: bool,
    user: UserInfo,
    #[serde(deserialize_with = "null_is_default")]
    audiences: Vec<String>,
    error: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserInfo {
    username: String,
    uid: String,
    #[serde(deserialize_with = "null_is_default")]
    groups: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    extra: BTreeMap<String, Vec<String>>,
}

impl TokenWebhook {
    /// `ttl` is how long answers are remembered.
    pub fn new(remote: Remote, version: TokenReviewVersion, ttl: Duration, chance: Chance) -> Self {
        Self { remote, version, ttl, chance, remembered: Expiring::new(REMEMBERED_MAX) }
    }

    /// Whose a token is for these audiences. The webhook need not know of audiences; then the token is for `own`.
    pub(super) async fn user(&self, token: &str, audiences: &[String], own: &str) -> Result<Option<Found>, String> {
        let key = (digest(token), audiences.to_vec());
        if let Some(known) = self.remembered.get(&key) {
            return known;
        }
        // What could not be asked is not remembered.
        let status = self.ask(token, audiences).await?;
        let found = status.found(audiences, own);
        if found.is_ok() {
            self.remembered.put(key, found.clone(), self.ttl);
        }
        found
    }

    async fn ask(&self, token: &str, audiences: &[String]) -> Result<Status, String> {
        #[derive(Deserialize)]
        struct Answered {
            #[serde(default)]
            status: Status,
        }
        let review = json!({
            "kind": "TokenReview",
            "apiVersion": self.version.api_version(),
            "metadata": {},
            "spec": {"token": token, "audiences": audiences},
            "status": {"user": {}},
        });
        let body = review.to_string().into();
        let answered = self.remote.post_patiently(body, TIMEOUT, Retry::REVIEWS, &self.chance, |_, _| ()).await;
        let answer = answered.map_err(|error| {
            let why = with_causes(&error);
            tracing::error!(error = why, "the webhook that knows tokens gave no answer");
            why
        })?;
        serde_json::from_slice::<Answered>(&answer.body)
            .map(|answered| answered.status)
            .map_err(|error| format!("the webhook that knows tokens sent no TokenReview: {error}"))
    }
}

impl Status {
    fn found(self, asked: &[String], own: &str) -> Result<Option<Found>, String> {
        let has = |audience: &String| match self.audiences.is_empty() {
            true => audience == own,
            false => self.audiences.contains(audience),
        };
        let audiences: Vec<String> = asked.iter().filter(|audience| has(audience)).cloned().collect();
        if audiences.is_empty() {
            return Ok(None);
        }
        if !self.authenticated {
            return if self.error.is_empty() { Ok(None) } else { Err(self.error) };
        }
        let UserInfo { username: name, uid, groups, extra } = self.user;
        Ok(Some(Found { user: User { name, uid, groups, extra }, audiences }))
    }
}
