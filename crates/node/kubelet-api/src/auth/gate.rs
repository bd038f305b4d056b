//! Authentication and authorization of requests.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_api::time::Clock;
use windlass_api::well_known::group;
use windlass_api::{Expiring, GroupVersionResource, Status};
use windlass_client::Client;
use windlass_pki::ClientVerifier;

use super::attributes::{subresources, verb};
use crate::respond::{Body, text};

const TOKEN_REVIEWS: GroupVersionResource = GroupVersionResource::of("authentication.k8s.io", "v1", "tokenreviews");
const ACCESS_REVIEWS: GroupVersionResource =
    GroupVersionResource::of("authorization.k8s.io", "v1", "subjectaccessreviews");

/// How long answers are remembered; the kubelet's defaults.
const TOKEN_TTL: Duration = Duration::from_secs(2 * 60);
const ALLOWED_TTL: Duration = Duration::from_secs(5 * 60);
const DENIED_TTL: Duration = Duration::from_secs(30);
/// So many tokens, and so many answers of the authorizer.
const REMEMBERED_MAX: usize = 1024;

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct User {
    pub username: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenReview {
    status: TokenStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenStatus {
    authenticated: bool,
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AccessReview {
    status: AccessStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AccessStatus {
    allowed: bool,
}

/// A question to the authorizer: who, which verb, which subresource.
type Question = (User, &'static str, &'static str);

pub(crate) struct Gate {
    client: Client,
    verifier: ClientVerifier,
    clock: Clock,
    node: String,
    tokens: Expiring<String, Option<User>>,
    answers: Expiring<Question, bool>,
}

impl Gate {
    pub(crate) fn new(client: Client, verifier: ClientVerifier, clock: Clock, node: &str) -> Self {
        Self {
            client,
            verifier,
            clock,
            node: node.to_owned(),
            tokens: Expiring::new(REMEMBERED_MAX),
            answers: Expiring::new(REMEMBERED_MAX),
        }
    }

    /// Who a client is by its certificate, whose key it has proven to have.
    pub(crate) fn by_certificate(&self, chain: &[CertificateDer<'_>]) -> Option<User> {
        match self.verifier.verify(chain, self.clock.now()) {
            Ok(identity) => identity.map(|identity| {
                let mut groups = identity.groups;
                groups.push(group::AUTHENTICATED.to_owned());
                User { username: identity.name, uid: identity.uid, groups, extra: BTreeMap::new() }
            }),
            Err(error) => {
                tracing::info!(%error, "a client certificate was refused");
                None
            }
        }
    }

    /// Lets a request in, or answers it.
    pub(crate) async fn check<B>(
        &self,
        by_certificate: Option<&User>,
        request: &Request<B>,
    ) -> Result<(), Response<Body>> {
        let unauthorized = || text(StatusCode::UNAUTHORIZED, "Unauthorized");
        let user = match by_certificate {
            Some(user) => user.clone(),
            None => match self.by_token(request).await {
                Ok(Some(user)) => user,
                Ok(None) => return Err(unauthorized()),
                Err(error) => {
                    tracing::warn!(%error, "a token cannot be reviewed");
                    return Err(unauthorized());
                }
            },
        };
        self.authorize(&user, request.method(), request.uri().path()).await
    }

    async fn by_token<B>(&self, request: &Request<B>) -> Result<Option<User>, Status> {
        let header = windlass_http::header::first(request.headers(), &header::AUTHORIZATION);
        let token = header
            .as_deref()
            .and_then(|value| value.split_once(' '))
            .filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
        let Some(token) = token.map(|(_, token)| token.trim()).filter(|token| !token.is_empty()) else {
            return Ok(None);
        };
        if let Some(known) = self.tokens.get(token) {
            return Ok(known);
        }
        let review = json!({"spec": {"token": token}});
        let review: TokenReview = self.client.create(&TOKEN_REVIEWS, "", &review).await?.decode()?;
        let user = review.status.authenticated.then_some(review.status.user);
        self.tokens.put(token.to_owned(), user.clone(), if user.is_some() { TOKEN_TTL } else { DENIED_TTL });
        Ok(user)
    }

    async fn authorize(&self, user: &User, method: &Method, path: &str) -> Result<(), Response<Body>> {
        if user.groups.iter().any(|group| group == group::MASTERS) {
            return Ok(());
        }
        let (verb, wanted) = (verb(method), subresources(path));
        for subresource in &wanted {
            match self.allowed((user.clone(), verb, subresource)).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => {
                    let message = format!(
                        "Authorization error (user={}, verb={verb}, resource=nodes, subresource={subresource})",
                        user.username
                    );
                    tracing::warn!(%error, message, "access cannot be reviewed");
                    return Err(text(StatusCode::INTERNAL_SERVER_ERROR, message));
                }
            }
        }
        let message = format!(
            "Forbidden (user={}, verb={verb}, resource=nodes, subresource(s)=[{}])\n",
            user.username,
            wanted.join(" ")
        );
        Err(text(StatusCode::FORBIDDEN, message))
    }

    async fn allowed(&self, question: Question) -> Result<bool, Status> {
        if let Some(known) = self.answers.get(&question) {
            return Ok(known);
        }
        let (user, verb, subresource) = &question;
        let review = json!({"spec": {
            "user": user.username, "uid": user.uid, "groups": user.groups, "extra": user.extra,
            "resourceAttributes": {
                "verb": verb, "version": "v1", "resource": "nodes", "subresource": subresource, "name": self.node,
            },
        }});
        let review: AccessReview = self.client.create(&ACCESS_REVIEWS, "", &review).await?.decode()?;
        let allowed = review.status.allowed;
        self.answers.put(question, allowed, if allowed { ALLOWED_TTL } else { DENIED_TTL });
        Ok(allowed)
    }
}
