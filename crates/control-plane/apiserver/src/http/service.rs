//! From an HTTP request to its answer.

use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures::FutureExt;
use http::header::USER_AGENT;
use http::{HeaderMap, Method, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use windlass_api::Status;
use windlass_api::fields::FieldSelector;
use windlass_api::text::with_causes;
use windlass_auth::Attributes;
use windlass_client::{Body as RequestBody, Encoding, Verb};
use windlass_http::body::{self, BodyError};

use super::connect;
use super::frontend::{Asked, Frontend};
use super::identity::{self, Peer};
use super::metrics::{Labels, UnderWay};
use super::negotiation;
use super::path::{self, ResourcePath};
use super::query::Query;
use super::response::{Body, failure, success};
use crate::context::Context;
use crate::encode::Format;
use crate::pages::{self, PageRequest};
use crate::table::IncludeObject;

/// The largest body that is read, as upstream.
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

impl Frontend {
    /// Answers one request.
    pub async fn answer(&self, peer: Peer, request: Request<Incoming>) -> Response<Body> {
        let accept = negotiation::accept(request.headers(), IncludeObject::Metadata, false).unwrap_or_default();
        let query = Query::parse(request.uri().query());
        let target = path::parse(request.uri().path());
        let labels = Labels::new(request.method(), target.as_ref(), &query, &self.server.registry());
        let started = Instant::now();
        let what = format!("{} {}", request.method(), request.uri().path());
        let handling = self.handle(peer, target, &query, &labels, started, request);
        let response = match AssertUnwindSafe(handling).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(status)) => failure(&status, Format { shape: Default::default(), ..accept }),
            Err(_) => {
                tracing::error!(request = what, "a request panicked");
                let text = "This request caused apiserver to panic. Look in the logs for details.";
                failure(&Status::new(500, windlass_api::status::Reason::InternalError, text), accept)
            }
        };
        let under_way = labels.long_running.then(|| self.metrics.under_way(&labels));
        self.metrics.finished(
            &labels,
            response.status().as_u16(),
            response.body().size_hint().exact(),
            started.elapsed(),
        );
        match under_way {
            Some(guard) => response.map(|body| body.map_frame(move |frame| held(&guard, frame)).boxed()),
            None => response,
        }
    }

    async fn handle(
        &self,
        peer: Peer,
        target: Option<ResourcePath>,
        query: &Query,
        labels: &Labels,
        started: Instant,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Status> {
        let gate = &self.server.gate;
        let user = identity::authenticate(gate, peer, request.headers())?;
        let user = identity::impersonate(gate, user, request.headers())?;
        let agent = request.headers().get(USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        let context = Context::new(user, agent.unwrap_or_default());
        let asked = Asked { context: &context, query, labels, deadline: started + self.request_timeout };
        match target {
            Some(target) if connect::is_connection(&target) => Box::pin(self.connect(&asked, &target, request)).await,
            Some(target) => self.resource(&asked, target, request).await,
            None => Box::pin(self.other(&asked, request)).await,
        }
    }

    async fn resource(
        &self,
        asked: &Asked<'_>,
        found: ResourcePath,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Status> {
        let Asked { context, query, deadline, .. } = *asked;
        let include = match query.get("includeObject") {
            Some("None") => IncludeObject::None,
            Some("Object") => IncludeObject::Object,
            _ => IncludeObject::Metadata,
        };
        let format = negotiation::accept(request.headers(), include, query.flag("pretty").unwrap_or(false))?;
        let mut options = query.options()?;
        let (parts, body) = request.into_parts();
        let (verb, encoding) = verb(&parts.method, &parts.headers, &found, query)?;
        let mut name = found.name;
        if verb == Verb::Watch && !name.is_empty() {
            // A watch of one object is a watch of the collection that selects it.
            let mut fields = FieldSelector::equal("metadata.name", std::mem::take(&mut name));
            fields.extend(options.fields.clone());
            options.fields = fields;
        }
        let mut call = windlass_client::Request {
            verb,
            resource: found.resource,
            subresource: found.subresource.into(),
            namespace: found.namespace,
            name,
            options,
            body: RequestBody { bytes: Bytes::new(), encoding },
        };
        // Before the body is read: who may not ask cannot make the server wait, or hold anything for him.
        self.server.gate.authorize_request(context, &call)?;
        if !verb.is_read_only() {
            call.body.bytes = self.read_body(asked, body).await?;
        }
        if matches!(verb, Verb::Delete | Verb::DeleteCollection) && call.body.bytes.is_empty() {
            let options = query.delete_options()?;
            call.body.bytes = serde_json::to_vec(&options).map_err(Status::internal)?.into();
        }
        let _seat = self.seat(asked)?;
        let outcome = match timeout_at(deadline, self.server.carry_out(context, call)).await {
            Ok(outcome) => outcome?,
            Err(_) => return Err(timed_out()),
        };
        success(self.server.clock(), context, outcome, format)
    }

    async fn read_body(&self, asked: &Asked<'_>, body: Incoming) -> Result<Bytes, Status> {
        let mut share = self.bodies.share(&asked.context.user);
        match body::read(body, BODY_BYTES_MAX, asked.deadline, |bytes| share.take(bytes)).await {
            Ok(bytes) => Ok(bytes),
            Err(BodyError::NoRoom) => Err(self.turned_away(asked)),
            Err(error @ BodyError::TooLarge(_)) => Err(Status::too_large(error)),
            Err(BodyError::Deadline) => Err(timed_out()),
            Err(error @ BodyError::Broken(_)) => Err(Status::bad_request(with_causes(&error))),
        }
    }

    async fn other(&self, asked: &Asked<'_>, request: Request<Incoming>) -> Result<Response<Body>, Status> {
        let Asked { context, query, .. } = *asked;
        let path = request.uri().path();
        let verb = request.method().as_str().to_ascii_lowercase();
        self.server.gate.authorize(&Attributes { path, ..Attributes::of(&context.user, &verb) })?;
        let _seat = self.seat(asked)?;
        let page = PageRequest { path, headers: request.headers(), query };
        pages::page(&self.server.pages, &self.server.gate, &page).await.unwrap_or_else(|| Err(Status::no_such_path()))
    }
}

/// What the method means for this path, and how the body is written.
fn verb(method: &Method, headers: &HeaderMap, found: &ResourcePath, query: &Query) -> Result<(Verb, Encoding), Status> {
    let named = !found.name.is_empty();
    Ok(match *method {
        Method::GET | Method::HEAD => {
            let watch = found.watch || query.flag("watch").unwrap_or(false);
            let verb = match (watch, named) {
                (true, _) if found.subresource.is_empty() => Verb::Watch,
                (_, true) => Verb::Get,
                (_, false) => Verb::List,
            };
            (verb, Encoding::Json)
        }
        Method::POST => (Verb::Create, negotiation::content(headers)?),
        Method::PUT => (Verb::Update, negotiation::content(headers)?),
        Method::PATCH => {
            let (patch, encoding) = negotiation::patch(headers)?;
            (Verb::Patch(patch), encoding)
        }
        Method::DELETE if named => (Verb::Delete, negotiation::content(headers)?),
        Method::DELETE => (Verb::DeleteCollection, negotiation::content(headers)?),
        _ => {
            return Err(Status::new(
                405,
                windlass_api::status::Reason::MethodNotAllowed,
                format!("{method} is not supported"),
            ));
        }
    })
}

/// Hands a frame on; the guard lives as long as the body does.
fn held(_: &UnderWay, frame: Frame<Bytes>) -> Frame<Bytes> {
    frame
}

fn timed_out() -> Status {
    Status::timeout("request did not complete within the allotted timeout", 0)
}
