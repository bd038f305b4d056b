//! From an HTTP request to its answer.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::FutureExt;
use http::header::USER_AGENT;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, Version};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use windlass_api::Status;
use windlass_api::text::with_causes;
use windlass_audit::{Stage, Trail};
use windlass_auth::{Attributes, User};
use windlass_client::{Body as RequestBody, Encoding, PatchType, Verb};
use windlass_flow_control::Width;
use windlass_http::body::{self, BodyError};
use windlass_resources::{Resource, Subresource};

use super::connection::ClientAddress;
use super::custom_route::{self, Route};
use super::frontend::{AUDIT_ID, Asked, Frontend, with_class};
use super::identity::{self, Peer};
use super::impersonation;
use super::metrics::{Labels, UnderWay};
use crate::aggregation::Remote;
use crate::aggregation::forwarding::Asked as Forwarded;
use crate::apart::apart;
use crate::auditing::{UntilEnd, record_failure, record_outcome};
use crate::body::bound_values;
use crate::context::Context;
use crate::encode::Format;
use crate::fairness::width;
use crate::message::negotiation;
use crate::message::path::{self, ResourcePath};
use crate::message::query::{Query, Selectors};
use crate::message::response::{Body, failure, success, with_warnings};
use crate::outcome::panicked;
use crate::pages::{self, PageRequest};
use crate::registry::Served;
use crate::server::check_verb;

/// The largest body that is read, as upstream.
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// A larger body keeps a thread busy for long: reading, defaulting and validating 3 MiB takes tenths of a second.
const COMPUTED_APART_BYTES: usize = 128 << 10;

/// What the audit log is told of a request while it is handled.
#[derive(Default)]
struct Recorded {
    trail: Option<Arc<Trail>>,
    until_end: Option<Arc<UntilEnd>>,
    is_unauthenticated: bool,
}

impl Recorded {
    /// What an answer means. Of those who are not who they say to be, only the beginning of the answer is recorded, as upstream.
    fn stage(&self) -> Stage {
        let is_begun = self.is_unauthenticated || self.until_end.is_some();
        if is_begun { Stage::ResponseStarted } else { Stage::ResponseComplete }
    }
}

/// What a request wants, before it is known who asks.
struct Wants<'a> {
    target: Option<&'a ResourcePath>,
    query: &'a Query,
    selectors: &'a Selectors,
    labels: &'a Labels,
}

impl Frontend {
    /// Answers one request.
    pub async fn answer(&self, peer: Peer, request: Request<Incoming>) -> Response<Body> {
        let query = Query::parse(request.uri().query());
        let target = path::parse(request.uri().path());
        let labels = Labels::new(request.method(), target.as_ref(), &query, &self.server.registry());
        let started = Instant::now();
        let audit_id = self.audit_id(request.headers());
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let remote = self.server.aggregation.serving(request.uri().path());
        let (mut parts, body) = request.into_parts();
        if remote.is_some() || self.server.auditor.is_some() {
            // Whoever the request is handed on to, and the audit log, call it the same.
            parts.headers.insert(AUDIT_ID, audit_id.clone());
        }
        let is_http2 = parts.version == Version::HTTP_2;
        let mut unread = Some(body);
        let mut recorded = Recorded::default();
        let taken = (parts, &mut unread, remote.as_deref(), &mut recorded);
        let handling = self.handle(peer, target, &query, &labels, started, taken);
        let mut response = match AssertUnwindSafe(handling).catch_unwind().await {
            Ok(response) => response,
            Err(_) => {
                tracing::error!(%method, path = uri.path(), "a request panicked");
                let status = panicked();
                if let Some(trail) = &recorded.trail {
                    record_failure(trail, &status);
                    trail.reached(Stage::Panic).await;
                }
                recorded = Recorded::default();
                failure(&status, Format::default())
            }
        };
        if let Some(trail) = &recorded.trail {
            trail.answered(response.status().as_u16());
            trail.reached(recorded.stage()).await;
        }
        // In HTTP/1.1, too, the connection goes on behind a body that is short and on its way.
        if let Some(body) = unread.filter(|body| !body.is_end_stream() && (is_http2 || body::is_short(body))) {
            body::discard(body).await;
        }
        response.headers_mut().insert(AUDIT_ID, audit_id);
        let under_way = labels.long_running.then(|| self.metrics.under_way(&labels));
        self.metrics.finished(
            &labels,
            response.status().as_u16(),
            response.body().size_hint().exact(),
            started.elapsed(),
        );
        match under_way {
            Some(guard) => {
                let guards = (guard, recorded.until_end);
                response.map(|body| body.map_frame(move |frame| held(&guards, frame)).boxed())
            }
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
        (parts, body, remote, recorded): (Parts, &mut Option<Incoming>, Option<&Remote>, &mut Recorded),
    ) -> Response<Body> {
        let accepted = negotiation::accept(&parts.headers, query);
        let of_failure = match &accepted {
            Ok(format) => Format { shape: Default::default(), ..*format },
            Err(_) => Format::default(),
        };
        let selectors = query.selectors();
        let wants = Wants { target: target.as_ref(), query, selectors: &selectors, labels };
        let context = match self.identify(peer, &wants, &parts, recorded).await {
            Ok(context) => context,
            Err(status) => {
                if let Some(trail) = &recorded.trail {
                    record_failure(trail, &status);
                }
                return failure(&status, of_failure);
            }
        };
        let deadline = started + self.request_timeout;
        let class = OnceLock::new();
        let asked = Asked {
            context: &context,
            query,
            selectors: &selectors,
            labels,
            deadline,
            until_end: &recorded.until_end,
            class: &class,
        };
        let answered = match target {
            _ if let Some(remote) = remote => match body.take() {
                Some(body) => {
                    let request = Request::from_parts(parts, body);
                    Box::pin(self.aggregated(&asked, target.as_ref(), remote, request)).await
                }
                None => Err(Status::internal("the body has gone")),
            },
            Some(target) if target.subresource().is_some_and(Subresource::is_connection) => match body.take() {
                Some(body) => Box::pin(self.connect(&asked, &target, Request::from_parts(parts, body))).await,
                None => Err(Status::internal("the body has gone")),
            },
            Some(target) => self.resource(&asked, target, accepted, parts, body).await,
            None => Box::pin(self.other(&asked, parts)).await,
        };
        let response = answered.unwrap_or_else(|status| {
            if let Some(trail) = &recorded.trail {
                record_failure(trail, &status);
            }
            failure(&status, of_failure)
        });
        let response = with_warnings(response, &context);
        with_class(response, class.into_inner())
    }

    /// Who asks, by the certificate, the token and whom the headers say to act as. The audit log is told as soon as the first two are
    /// known.
    async fn identify(
        &self,
        peer: Peer,
        &Wants { target, query, selectors, labels }: &Wants<'_>,
        request: &Parts,
        recorded: &mut Recorded,
    ) -> Result<Context, Status> {
        let gate = &self.server.gate;
        let received = self.server.auditor.as_ref().map(|_| self.server.clock().now());
        let method = if target.is_none() { request.method.as_str().to_ascii_lowercase() } else { String::new() };
        let wanted = |user| match target {
            Some(target) => target.attributes(user, target.verb(&request.method, query.is_watch()), selectors),
            None => Attributes { path: request.uri.path(), ..Attributes::of(user, &method) },
        };
        let (user, warning) = match identity::authenticate(gate, peer, request).await {
            Ok(found) => found,
            Err(status) => {
                recorded.trail = self.trail(&wanted(&User::default()), request, received);
                recorded.is_unauthenticated = true;
                return Err(status);
            }
        };
        let wanted = wanted(&user);
        recorded.trail = self.trail(&wanted, request, received);
        if let Some(trail) = &recorded.trail {
            trail.received().await.map_err(Status::internal)?;
            recorded.until_end = labels.long_running.then(|| Arc::new(UntilEnd(trail.clone())));
        }
        let acting = impersonation::impersonate(gate, &request.headers, &wanted).await?;
        if let (Some(trail), Some(acting)) = (&recorded.trail, &acting) {
            trail.acts_as(&acting.user, acting.constraint);
        }
        let agent = request.headers.get(USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        let context = Context::new(acting.map_or(user, |acting| acting.user), agent.unwrap_or_default())
            .with_trail(recorded.trail.clone());
        warning.into_iter().for_each(|warning| context.warn(warning));
        Ok(context)
    }

    async fn resource(
        &self,
        asked: &Asked<'_>,
        mut found: ResourcePath,
        accepted: Result<Format, Status>,
        parts: Parts,
        body: &mut Option<Incoming>,
    ) -> Result<Response<Body>, Status> {
        let Asked { context, query, selectors, deadline, .. } = *asked;
        let gate = &self.server.gate;
        // Before anything else, and before the body is read: who may not ask cannot make the server wait, or hold anything for him.
        let asked_for = found.verb(&parts.method, query.is_watch());
        let attributes = found.attributes(&context.user, asked_for, selectors);
        gate.authorize_in(context, &attributes).await?;
        if found.is_beyond {
            return Ok(pages::not_found());
        }
        let classified = self.classify(asked, &attributes);
        let registry = self.server.storage.registry();
        let served = registry.find(&found.resource).cloned();
        let is_custom = match &served {
            Some(served) => served.resource.is_custom(),
            None if registry.has_builtin(&found.resource.group, &found.resource.version) => false,
            None => return Ok(pages::not_found()),
        };
        drop(registry);
        let (verb, encoding, mut format) = match &served {
            Some(served) if is_custom => match custom_route::check(&served.resource, &mut found, asked_for)? {
                Route::Nowhere => return Ok(pages::not_found()),
                Route::Here => {
                    warn_of_deprecation(context, &served.resource);
                    custom_verb(asked_for, &found, &parts.headers, query)?
                }
            },
            _ => {
                let built_in = served.as_deref();
                builtin_verb(context, built_in, (&found, asked_for), (&parts, query), accepted)?
            }
        };
        if verb == Verb::Watch {
            format = negotiation::of_stream(format)?;
        }
        let mut call = windlass_client::Request {
            verb,
            resource: found.resource,
            subresource: found.subresource.into(),
            namespace: found.namespace,
            name: found.name,
            options: query.options(verb)?,
            body: RequestBody { bytes: Bytes::new(), encoding },
        };
        if let Some(body) = body.take_if(|_| !verb.is_read_only()) {
            call.body.bytes = self.read_body(asked, body).await?;
            bound_values(&call.body)?;
        }
        if matches!(verb, Verb::Delete | Verb::DeleteCollection) && call.body.bytes.is_empty() {
            let options = query.delete_options()?;
            call.body.bytes = serde_json::to_vec(&options).map_err(Status::internal)?.into();
        }
        let wide = |seats_max| match &served {
            Some(served) if call.subresource != "token" => width(verb, served, &call, seats_max),
            _ => Width::ONE,
        };
        let _seat = match self.seat(asked, classified, wide).await {
            Ok(seat) => seat,
            Err(turned_away) => return Ok(*turned_away),
        };
        let is_large = call.body.bytes.len() > COMPUTED_APART_BYTES;
        let work = self.server.carry_out(context, call);
        let worked = if is_large {
            let turn = timeout_at(deadline, self.computing.turn(&context.user.name)).await.map_err(|_| timed_out())?;
            let outcome = apart(timeout_at(deadline, work)).await;
            drop(turn);
            outcome
        } else {
            timeout_at(deadline, work).await
        };
        let outcome = worked.map_err(|_| timed_out())??;
        if let Some(trail) = &context.trail {
            record_outcome(trail, &outcome, format, self.server.clock().now());
        }
        success(self.server.clock(), outcome, format, (&self.encoding, &context.user.name))
    }

    /// Hands on what another server serves, after asking whether the user may want it. It takes no seat: how long that server takes is
    /// no concern of others.
    async fn aggregated(
        &self,
        asked: &Asked<'_>,
        target: Option<&ResourcePath>,
        remote: &Remote,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Status> {
        let Asked { context, query, selectors, labels, deadline, until_end, .. } = *asked;
        let gate = &self.server.gate;
        match target {
            Some(target) => {
                let verb = target.verb(request.method(), query.is_watch());
                gate.authorize_in(context, &target.attributes(&context.user, verb, selectors)).await?;
            }
            None => {
                let (path, verb) = (request.uri().path(), request.method().as_str().to_ascii_lowercase());
                gate.authorize_in(context, &Attributes { path, ..Attributes::of(&context.user, &verb) }).await?;
            }
        }
        let client = request.extensions().get::<ClientAddress>().map(|address| address.0);
        let deadline = (!labels.long_running).then_some(deadline);
        let asked = Forwarded { user: &context.user, client, deadline, until_end: until_end.clone() };
        self.server.aggregation.proxy(remote, &asked, request).await
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

    async fn other(&self, asked: &Asked<'_>, request: Parts) -> Result<Response<Body>, Status> {
        let Asked { context, query, .. } = *asked;
        let path = request.uri.path();
        let verb = request.method.as_str().to_ascii_lowercase();
        let attributes = Attributes { path, ..Attributes::of(&context.user, &verb) };
        self.server.gate.authorize_in(context, &attributes).await?;
        let _seat = match self.seat(asked, self.classify(asked, &attributes), |_| Width::ONE).await {
            Ok(seat) => seat,
            Err(turned_away) => return Ok(*turned_away),
        };
        let (method, headers) = (&request.method, &request.headers);
        pages::page(&self.server.pages, &self.server.gate, &PageRequest { method, path, headers, query }).await
    }
}

/// Tells the client that the resource is deprecated, whatever becomes of the request.
fn warn_of_deprecation(context: &Context, resource: &Resource) {
    if let Some(warning) = &resource.deprecation {
        context.warn(&**warning);
        context.annotate("k8s.io/deprecated", "true");
    }
}

/// Whether a built-in resource, or its subresource, offers the verb at the path.
fn leads_somewhere(served: &Served, found: &ResourcePath, verb: &str) -> bool {
    let verb = match verb {
        "get" => Verb::Get,
        "list" => Verb::List,
        "watch" => Verb::Watch,
        "create" => Verb::Create,
        "update" => Verb::Update,
        "patch" => Verb::Patch(PatchType::Merge),
        "delete" => Verb::Delete,
        "deletecollection" => Verb::DeleteCollection,
        _ => return false,
    };
    let request = windlass_client::Request::new(verb, &found.resource);
    let request = request.namespace(found.namespace.as_str()).name(found.name.as_str());
    check_verb(served, &request.subresource(found.subresource.clone())).is_ok()
}

/// What a verb is carried out as, and how the body is written.
fn verb(name: &str, headers: &HeaderMap, is_custom: bool) -> Result<(Verb, Encoding), Status> {
    Ok(match name {
        "get" => (Verb::Get, Encoding::Json),
        "list" => (Verb::List, Encoding::Json),
        "watch" => (Verb::Watch, Encoding::Json),
        "create" => (Verb::Create, negotiation::content(headers)?),
        "update" => (Verb::Update, negotiation::content(headers)?),
        "patch" => {
            let (patch, encoding) = negotiation::patch(headers, is_custom)?;
            (Verb::Patch(patch), encoding)
        }
        "delete" => (Verb::Delete, negotiation::content(headers)?),
        "deletecollection" => (Verb::DeleteCollection, negotiation::content(headers)?),
        _ => return Err(Status::method_not_allowed()),
    })
}

/// The same for a built-in resource, and the form of the answer. The client is warned of what is deprecated once its request leads
/// somewhere.
fn builtin_verb(
    context: &Context,
    served: Option<&Served>,
    (found, name): (&ResourcePath, &str),
    (request, query): (&Parts, &Query),
    accepted: Result<Format, Status>,
) -> Result<(Verb, Encoding, Format), Status> {
    negotiation::check_accept(&request.headers, negotiation::of_resources(name))?;
    // Authorization takes these for reading; they are not served.
    if request.method == Method::HEAD || (name == "watch" && request.method != Method::GET) {
        return Err(Status::method_not_allowed());
    }
    let verb = verb(name, &request.headers, false);
    // A patch of an unknown type has no route.
    let is_routed = name != "patch" || verb.is_ok();
    if let Some(served) = served.filter(|served| is_routed && leads_somewhere(served, found, name)) {
        warn_of_deprecation(context, &served.resource);
    }
    let format = match served.is_some_and(|served| served.resource.verbs.question().is_some()) {
        true => negotiation::accept_whole(&request.headers, query)?,
        false => accepted?,
    };
    let (verb, encoding) = verb?;
    Ok((verb, encoding, format))
}

/// The same for a custom resource, and the form of the answer. A patch is asked what it is before its name.
fn custom_verb(
    name: &str,
    found: &ResourcePath,
    headers: &HeaderMap,
    query: &Query,
) -> Result<(Verb, Encoding, Format), Status> {
    let is_patch = name == "patch";
    let of_patch = is_patch.then(|| verb(name, headers, true)).transpose()?;
    if found.name.is_empty() && (is_patch || name == "update") {
        return Err(Status::bad_request("name must be provided"));
    }
    let format = negotiation::accept_custom(headers, query)?;
    let (verb, encoding) = of_patch.map_or_else(|| verb(name, headers, true), Ok)?;
    Ok((verb, encoding, format))
}

/// Hands a frame on; the guards live as long as the body does.
fn held(_: &(UnderWay, Option<Arc<UntilEnd>>), frame: Frame<Bytes>) -> Frame<Bytes> {
    frame
}

fn timed_out() -> Status {
    Status::timeout("request did not complete within the allotted timeout", 0)
}
