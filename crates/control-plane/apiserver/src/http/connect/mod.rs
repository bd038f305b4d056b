//! Subresources that are connections: `log`, `exec`, `attach`, `portforward`, `proxy`.
//!
//! The request goes on to whoever serves it: a node's kubelet, a pod, an endpoint of a Service. [`target`](crate::subresources::target) says where that is;
//! [`forward`] carries the request there and the answer back. What the client and the other end say to each other after an upgrade
//! is their business: the bytes are handed on as they are.

mod forward;
mod html;
mod options;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use serde_json::Value;
use windlass_admission::{Operation, Reinvocation, Review};
use windlass_api::{GroupVersionKind, Status};
use windlass_flow_control::Width;
use windlass_resources::Subresource;

use super::frontend::{Asked, Frontend};
use crate::context::Context;
use crate::message::path::ResourcePath;
use crate::message::query::{Query, Selectors};
use crate::message::response::Body;
use crate::server::check_scope;
use crate::subresources::target::target;

impl Frontend {
    /// Authorizes a connection, and makes it.
    pub(super) async fn connect(
        &self,
        asked: &Asked<'_>,
        found: &ResourcePath,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Status> {
        let Asked { context, query, .. } = *asked;
        // OPTIONS is a verb of no role but those that allow everything.
        let verb = found.verb(request.method(), false);
        if verb.is_empty() && *request.method() != Method::OPTIONS {
            return Err(Status::method_not_allowed());
        }
        self.authorize_connection(context, found, verb).await?;
        // A WebSocket is opened by GET, and yet it does more than reading.
        if verb == "get" && found.subresource().is_some_and(Subresource::is_session) {
            self.authorize_connection(context, found, "create").await?;
        }
        let selectors = Selectors::default();
        let attributes = found.attributes(&context.user, verb, &selectors);
        let _seat = match self.seat(asked, self.classify(asked, &attributes), |_| Width::ONE).await {
            Ok(seat) => seat,
            Err(turned_away) => return Ok(*turned_away),
        };
        let served = self.server.storage.find(&found.resource)?;
        check_scope(&served.resource, &found.namespace)?;
        let subresource = served.resource.subresources.iter().find(|s| s.name() == found.subresource);
        let subresource = *subresource.ok_or_else(Status::no_such_path)?;
        if subresource == Subresource::Log && *request.method() != Method::GET {
            return Err(Status::method_not_allowed());
        }
        if subresource == Subresource::Proxy
            && let Some(redirect) = forward::redirect_to_folder(found, &request)
        {
            return Ok(redirect);
        }
        let kind = subresource.kind(&served.resource.kind);
        let options = options::of(subresource, &found.rest, query);
        let changed = match kind.zip(options) {
            Some((kind, options)) => self.admit_connection(context, found, &kind, options).await?,
            None => None,
        };
        let query = changed.as_ref().unwrap_or(query);
        match target(&self.server.storage, found, subresource, query)? {
            Some(target) => {
                // The request ends when the session does, not when it is answered.
                let permit = (self.server.outgoing.take(&context.user)?, asked.until_end.clone());
                forward::forward(&self.server, target, permit, request).await
            }
            None => Ok(crate::message::response::plain(http::StatusCode::OK, "text/plain", "")),
        }
    }

    /// Lets admission look at a connection, which is an object of its options. Returns the query as admission wants it, if it wants another.
    async fn admit_connection(
        &self,
        context: &Context,
        found: &ResourcePath,
        kind: &GroupVersionKind,
        options: Value,
    ) -> Result<Option<Query>, Status> {
        let mut object = options.clone();
        let gate = &self.server.gate;
        let mut review = Review {
            operation: Operation::Connect,
            kind,
            resource: &found.resource,
            subresource: &found.subresource,
            namespace: &found.namespace,
            name: &found.name,
            user: &context.user,
            object: Some(&mut object),
            old: None,
            dry_run: false,
            options: &Value::Null,
            warnings: context,
            reinvocation: Reinvocation::default(),
        };
        gate.admission.admit(&mut review, gate).await?;
        gate.admission.validate(&review, gate).await?;
        Ok((object != options).then(|| options::query(&object)))
    }

    async fn authorize_connection(&self, context: &Context, found: &ResourcePath, verb: &str) -> Result<(), Status> {
        let selectors = Selectors::default();
        self.server.gate.authorize_in(context, &found.attributes(&context.user, verb, &selectors)).await
    }
}
