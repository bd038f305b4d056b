//! Who may do what: authentication by token, authorization, admission. Everything here reads the store as it is now.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use windlass_admission::{Chain, Cluster, Equivalent, Served};
use windlass_api::{GroupVersionKind, GroupVersionResource, Status};
use windlass_auth::authentication::Objects;
use windlass_auth::{Attributes, Decision, User};
use windlass_client::Request;
use windlass_machinery::names::new_uid;
use windlass_webhook::{Answer, CallError, ClientConfig};

use crate::auditing::record_decision;
use crate::authentication::{Authentication, Found};
use crate::authorization::{Authorization, Authorizer, Verdict, forbidden, request_attributes, with_request_info};
use crate::body::{BodyKind, decode_leniently};
use crate::context::Context;
use crate::storage::Storage;
use crate::tokens::Tokens;

pub(crate) struct Gate {
    pub storage: Arc<Storage>,
    pub authorizer: Authorizer,
    pub admission: Chain,
    pub tokens: Tokens,
    pub authentication: Authentication,
}

impl Gate {
    pub(crate) fn new(
        storage: Arc<Storage>,
        admission: Chain,
        tokens: Tokens,
        authentication: Authentication,
        authorization: Authorization,
    ) -> Self {
        let authorizer = Authorizer::new(&storage.store, authorization);
        Self { storage, authorizer, admission, tokens, authentication }
    }

    /// Refuses what the user may not do. It waits only where a webhook has to be asked.
    pub(crate) async fn authorize(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        admitted(attributes, self.authorizer.verdict(attributes).await)
    }

    /// The same for what a request itself asks for, which the audit log shows.
    pub(crate) async fn authorize_in(&self, context: &Context, attributes: &Attributes<'_>) -> Result<(), Status> {
        let verdict = self.authorizer.verdict(attributes).await;
        if let Some(trail) = &context.trail {
            record_decision(trail, &verdict, || self.authorizer.reason(&verdict, attributes));
        }
        admitted(attributes, verdict)
    }

    /// Refuses a request of a component for a resource that it may not make.
    pub(crate) async fn authorize_request(&self, context: &Context, request: &Request) -> Result<(), Status> {
        self.authorize_in(context, &with_request_info(request_attributes(&context.user, request))).await
    }

    /// The user of a bearer token that is for this server. Its own tokens are known at once; for others it may have to ask.
    pub(crate) async fn token_user(&self, token: &str) -> Option<User> {
        if let Some(user) = self.tokens.user(token, None, self, self.storage.clock.now()) {
            return Some(user);
        }
        if !self.authentication.has_remote() {
            return None;
        }
        let audiences = [self.tokens.issuer().to_owned()];
        match Box::pin(self.authentication.user(token, &audiences)).await {
            Ok(found) => found.map(|found| found.user),
            Err(error) => {
                tracing::info!(error, "a token was refused");
                None
            }
        }
    }

    /// Whose a token is, for the audiences that somebody stands for; `None` when nobody knows it.
    pub(crate) async fn token_review(&self, token: &str, audiences: &[String]) -> Result<Option<Found>, String> {
        if let Some(user) = self.tokens.user(token, Some(audiences), self, self.storage.clock.now()) {
            return Ok(Some(Found { user, audiences: self.tokens.audiences(token, audiences) }));
        }
        self.authentication.user(token, audiences).await
    }
}

/// What a client is told that may not make its request.
fn admitted(attributes: &Attributes<'_>, verdict: Verdict) -> Result<(), Status> {
    match verdict {
        verdict if verdict.is_allowed() => Ok(()),
        Verdict { error: Some(error), .. } => Err(Status::internal(error)),
        Verdict { reason, .. } => Err(forbidden(attributes, &reason)),
    }
}

impl Objects for Gate {
    fn object(&self, table: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.storage.object(table, namespace, name)
    }
}

/// What admission plugins see of the cluster.
#[async_trait]
impl Cluster for Gate {
    fn object(&self, table: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.storage.object(table, namespace, name)
    }

    fn objects(&self, table: &str, namespace: &str) -> Vec<Arc<Value>> {
        self.storage.objects(table, namespace)
    }

    fn has_objects(&self, table: &str, namespace: &str) -> bool {
        self.storage.has_objects(table, namespace)
    }

    fn revision(&self, table: &str) -> u64 {
        self.storage.store.table(table).last()
    }

    fn decide(&self, attributes: &Attributes<'_>) -> Decision {
        self.authorizer.decide(attributes).into()
    }

    fn equivalents(&self, resource: &GroupVersionResource, subresource: &str) -> Vec<Equivalent> {
        self.storage.registry().equivalents(resource, subresource)
    }

    fn served(&self, kind: &GroupVersionKind) -> Option<Served> {
        self.storage.registry().find_kind(kind).map(|served| served.clone() as Served)
    }

    async fn object_of(&self, kind: &GroupVersionKind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.storage.object_of(kind, namespace, name).await
    }

    async fn objects_of(&self, kind: &GroupVersionKind, namespace: &str) -> Vec<Arc<Value>> {
        self.storage.objects_of(kind, namespace).await
    }

    async fn convert(&self, object: Value, from: &GroupVersionKind, to: &GroupVersionKind) -> Result<Value, Status> {
        self.storage.convert(object, from, to).await
    }

    fn decode(&self, kind: &GroupVersionKind, object: Value) -> Result<Value, Status> {
        let Some(served) = self.storage.registry().find_kind(kind).cloned() else {
            // What a subresource or a connection speaks.
            return decode_leniently(BodyKind::builtin(kind)?, object);
        };
        let mut object = decode_leniently(BodyKind::of(&served), object)?;
        served.resource.strategy.set_defaults(&mut object);
        Ok(object)
    }

    fn new_uid(&self) -> String {
        new_uid(&self.storage.chance)
    }

    async fn call_webhook(&self, client: &ClientConfig, body: Bytes, timeout: Duration) -> Result<Answer, CallError> {
        self.storage.webhooks.post(client, &*self.storage, body, timeout).await
    }
}
