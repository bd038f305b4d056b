//! From an HTTP request to its answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, Method, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, SemaphorePermit};
use windlass_api::Status;
use windlass_api::fields::FieldSelector;
use windlass_auth::{Attributes, User};
use windlass_client::{Body as RequestBody, Encoding, Verb};
use windlass_telemetry::Metrics;

use super::connect;
use super::metrics::{Labels, RequestMetrics, UnderWay};
use super::negotiation;
use super::path::{self, ResourcePath};
use super::query::Query;
pub use super::response::Body;
use super::response::{failure, success};
use crate::context::Context;
use crate::encode::Format;
use crate::pages::{self, PageRequest};
use crate::server::Server;
use crate::table::IncludeObject;

/// The largest body that is read, as upstream.
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// A request that is no watch, log or session has to end by then.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Requests that may be worked on at once, beside those that run for long; as many as kube-apiserver allows.
const IN_FLIGHT_MAX: usize = 600;

/// Who a connection's certificate says the client is.
#[derive(Clone, Debug, Default)]
pub enum Peer {
    /// It has shown none.
    #[default]
    Unknown,
    User(Arc<User>),
    /// It has shown one that is not to be trusted: only a token can help it.
    Refused,
}

/// The server's face to HTTP.
pub struct Frontend {
    pub(super) server: Arc<Server>,
    metrics: RequestMetrics,
    seats: Semaphore,
}

impl Frontend {
    pub fn new(server: Arc<Server>, metrics: &Metrics) -> Self {
        Self { server, metrics: RequestMetrics::new(metrics), seats: Semaphore::new(IN_FLIGHT_MAX) }
    }

    /// Answers one request.
    pub async fn answer(self: Arc<Self>, peer: Peer, request: Request<Incoming>) -> Response<Body> {
        let accept = negotiation::accept(request.headers(), IncludeObject::Metadata, false).unwrap_or_default();
        let query = Query::parse(request.uri().query());
        let target = path::parse(request.uri().path());
        let labels = Labels::new(request.method(), target.as_ref(), &query);
        let started = Instant::now();
        let response = match self.seat(&labels) {
            Some(_seat) => {
                let what = format!("{} {}", request.method(), request.uri().path());
                match AssertUnwindSafe(self.handle(peer, target, &query, request)).catch_unwind().await {
                    Ok(Ok(response)) => response,
                    Ok(Err(status)) => failure(&status, Format { shape: Default::default(), ..accept }),
                    Err(_) => {
                        tracing::error!(request = what, "a request panicked");
                        let text = "This request caused apiserver to panic. Look in the logs for details.";
                        failure(&Status::new(500, windlass_api::status::Reason::InternalError, text), accept)
                    }
                }
            }
            None => {
                self.metrics.rejected(&labels);
                let status = Status::too_many_requests(
                    "The server has received too many requests and has asked us to try again later",
                    1,
                );
                failure(&status, accept)
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

    /// A place among the requests that are being worked on; none is left when there are too many.
    fn seat(&self, labels: &Labels) -> Option<(Option<SemaphorePermit<'_>>, Option<UnderWay>)> {
        if labels.long_running {
            return Some((None, None));
        }
        let permit = self.seats.try_acquire().ok()?;
        Some((Some(permit), Some(self.metrics.under_way(labels))))
    }

    async fn handle(
        &self,
        peer: Peer,
        target: Option<ResourcePath>,
        query: &Query,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Status> {
        let user = self.authenticate(peer, request.headers())?;
        let user = self.impersonate(user, request.headers())?;
        let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let context = Context::new(user, agent);
        match target {
            Some(target) if connect::is_connection(&target) => {
                Box::pin(self.connect(&context, &target, query, request)).await
            }
            Some(target) => self.resource(&context, target, query, request).await,
            None => Box::pin(self.other(&context, query, request)).await,
        }
    }

    fn authenticate(&self, peer: Peer, headers: &HeaderMap) -> Result<Arc<User>, Status> {
        let without = match peer {
            Peer::User(user) => return Ok(user),
            Peer::Unknown => Ok(Arc::new(User::anonymous())),
            Peer::Refused => Err(Status::unauthorized()),
        };
        let Some(header) = headers.get(AUTHORIZATION) else { return without };
        let header = header.to_str().map_err(|_| Status::unauthorized())?.trim();
        let Some((scheme, token)) = header.split_once(' ') else { return Err(Status::unauthorized()) };
        if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
            return Err(Status::unauthorized());
        }
        self.server.gate.token_user(token.trim()).map(Arc::new).ok_or_else(Status::unauthorized)
    }

    /// Lets a user who may do so act as another (`kubectl --as`).
    fn impersonate(&self, user: Arc<User>, headers: &HeaderMap) -> Result<Arc<User>, Status> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let wanted = text("impersonate-user").filter(|name| !name.is_empty());
        let mut groups: Vec<String> = headers
            .get_all("impersonate-group")
            .iter()
            .filter_map(|value| value.to_str().ok().map(str::to_owned))
            .collect();
        let Some(wanted) = wanted else {
            if !groups.is_empty() || headers.contains_key("impersonate-uid") {
                return Err(Status::bad_request("requested impersonation without a user name"));
            }
            return Ok(user);
        };
        let may = |group: &str, resource: &str, namespace: &str, name: &str| {
            let attributes = Attributes {
                user: &user,
                verb: "impersonate",
                group,
                version: "v1",
                resource,
                subresource: "",
                namespace,
                name,
                path: "",
            };
            self.server.gate.authorize(&attributes)
        };
        match windlass_auth::split_service_account(&wanted) {
            Some((namespace, name)) => {
                may("", "serviceaccounts", namespace, name)?;
                if groups.is_empty() {
                    groups = windlass_auth::service_account_groups(namespace);
                }
            }
            None => may("", "users", "", &wanted)?,
        }
        for group in &groups {
            if !group.starts_with("system:serviceaccounts") {
                may("", "groups", "", group)?;
            }
        }
        let uid = text("impersonate-uid").unwrap_or_default();
        if !uid.is_empty() {
            may("authentication.k8s.io", "uids", "", &uid)?;
        }
        let anonymous = wanted == "system:anonymous";
        let everybody = if anonymous { "system:unauthenticated" } else { "system:authenticated" };
        if !groups.iter().any(|group| group == everybody) {
            groups.push(everybody.to_owned());
        }
        let mut acted = User { name: wanted, uid, groups, ..User::default() };
        for (name, value) in headers {
            if let Some(key) = name.as_str().strip_prefix("impersonate-extra-") {
                let key = path::decode(key);
                let value = value.to_str().unwrap_or_default().to_owned();
                may("authentication.k8s.io", "userextras", "", &value)?;
                acted.extra.entry(key).or_default().push(value);
            }
        }
        Ok(Arc::new(acted))
    }

    async fn resource(
        &self,
        context: &Context,
        found: ResourcePath,
        query: &Query,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Status> {
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
        let mut bytes = read_body(body).await?;
        if matches!(verb, Verb::Delete | Verb::DeleteCollection) && bytes.is_empty() {
            let options = query.delete_options()?;
            bytes = serde_json::to_vec(&options).map_err(Status::internal)?.into();
        }
        let call = windlass_client::Request {
            verb,
            resource: found.resource,
            subresource: found.subresource.into(),
            namespace: found.namespace,
            name,
            options,
            body: RequestBody { bytes, encoding },
        };
        let outcome = match tokio::time::timeout(REQUEST_TIMEOUT, self.server.call(context, call)).await {
            Ok(outcome) => outcome?,
            Err(_) => return Err(Status::timeout("request did not complete within the allotted timeout", 0)),
        };
        success(self.server.clock(), context, outcome, format)
    }

    async fn other(
        &self,
        context: &Context,
        query: &Query,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Status> {
        let path = request.uri().path();
        let verb = request.method().as_str().to_ascii_lowercase();
        let attributes = Attributes {
            user: &context.user,
            verb: &verb,
            group: "",
            version: "",
            resource: "",
            subresource: "",
            namespace: "",
            name: "",
            path,
        };
        self.server.gate.authorize(&attributes)?;
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

async fn read_body(body: Incoming) -> Result<Bytes, Status> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Status::too_large(format_args!("limit is {BODY_BYTES_MAX}")))
        }
        Err(error) => Err(Status::bad_request(format!("the body cannot be read: {error}"))),
    }
}
