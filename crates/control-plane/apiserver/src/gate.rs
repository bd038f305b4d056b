//! Who may do what: authentication by token, authorization, admission. Everything here reads the store as it is now.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use windlass_admission::{Chain, Cluster, Equivalent};
use windlass_api::{GroupVersionKind, GroupVersionResource, Status};
use windlass_auth::authentication::Objects;
use windlass_auth::{Attributes, Decision, User};
use windlass_client::Request;
use windlass_machinery::names::new_uid;
use windlass_webhook::{Answer, CallError, ClientConfig};

use crate::authorization::{Authorizer, forbidden, with_request_info};
use crate::body::{BodyKind, decode_leniently};
use crate::context::Context;
use crate::storage::Storage;
use crate::tokens::Tokens;

pub(crate) struct Gate {
    pub storage: Arc<Storage>,
    pub authorizer: Authorizer,
    pub admission: Chain,
    pub tokens: Tokens,
}

impl Gate {
    pub(crate) fn new(storage: Arc<Storage>, admission: Chain, tokens: Tokens) -> Self {
        let authorizer = Authorizer::new(&storage.store);
        Self { storage, authorizer, admission, tokens }
    }

    /// Refuses what the user may not do.
    pub(crate) fn authorize(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        match self.authorizer.decide(attributes) {
            Decision::Allow => Ok(()),
            Decision::NoOpinion(why) => Err(forbidden(attributes, &why)),
        }
    }

    /// Refuses a request of a component for a resource that it may not make.
    pub(crate) fn authorize_request(&self, context: &Context, request: &Request) -> Result<(), Status> {
        self.authorize(&with_request_info(Attributes {
            group: &request.resource.group,
            version: &request.resource.version,
            resource: &request.resource.resource,
            subresource: &request.subresource,
            namespace: &request.namespace,
            name: &request.name,
            fields: Some(&request.options.fields),
            ..Attributes::of(&context.user, request.verb.name())
        }))
    }

    /// The user of a bearer token that is for this server.
    pub(crate) fn token_user(&self, token: &str) -> Option<User> {
        self.tokens.user(token, None, self, self.storage.clock.now())
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
        self.authorizer.decide(attributes)
    }

    fn equivalents(&self, resource: &GroupVersionResource, subresource: &str) -> Vec<Equivalent> {
        self.storage.registry().equivalents(resource, subresource)
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
