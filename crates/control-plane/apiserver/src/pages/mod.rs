//! What is served beside resources: discovery, OpenAPI, version, health, metrics.

pub(crate) mod discovery;
mod documents;
mod flagz;
mod groups;
mod health;
mod openapi;
mod openid;
mod statusz;
mod version;
mod version_document;
mod zpage;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::{HeaderMap, Method, Response, StatusCode};
use jiff::Timestamp;
use windlass_api::time::Clock;
use windlass_api::{GroupVersionKind, Status};
use windlass_client::Encoding;
use windlass_flow_control::Page;
use windlass_machinery::tree::put;
use windlass_telemetry::Metrics;

use crate::aggregation::Aggregation;
use crate::apart::apart;
use crate::encode::Format;
use crate::fairness::Fairness;
use crate::gate::Gate;
use crate::message::response::{Body, finish, full, plain, words};
use crate::message::{negotiation, query::Query};

use documents::Documents;
pub use flagz::Flags;
use groups::Groups;
pub use health::{Check, Health};
pub use version::VERSION;

/// What the pages show that stands nowhere else.
pub(crate) struct Pages {
    pub health: Health,
    pub flags: Flags,
    pub metrics: Metrics,
    clock: Clock,
    started: Timestamp,
    /// `host:port` under which clients reach this server.
    advertised_address: String,
    aggregation: Arc<Aggregation>,
    fairness: Arc<Fairness>,
    /// Of OpenAPI, which take long to make.
    documents: Documents,
    /// Of discovery.
    discovery: Documents,
}

impl Pages {
    pub(crate) fn new(
        clock: Clock,
        flags: Flags,
        metrics: Metrics,
        advertised_address: String,
        (aggregation, fairness): (&Arc<Aggregation>, &Arc<Fairness>),
    ) -> Self {
        let health = Health::default();
        health.add("ping", Box::new(|| Ok(())));
        let (aggregation, fairness) = (aggregation.clone(), fairness.clone());
        Self {
            health,
            flags,
            metrics,
            clock,
            started: clock.now(),
            advertised_address,
            aggregation,
            fairness,
            documents: Documents::default(),
            discovery: Documents::default(),
        }
    }
}

/// A request for a path that is no resource.
pub(crate) struct PageRequest<'a> {
    pub method: &'a Method,
    pub path: &'a str,
    pub headers: &'a HeaderMap,
    pub query: &'a Query,
}

impl PageRequest<'_> {
    fn accept(&self) -> Cow<'_, str> {
        windlass_http::header::first(self.headers, &ACCEPT).unwrap_or_default()
    }

    /// An API object in the encoding that the client asks for.
    fn object(&self, kind: &GroupVersionKind, tree: serde_json::Value) -> Result<Response<Body>, Status> {
        let accepted = negotiation::accept(self.headers, self.query)?;
        let format = Format { shape: Default::default(), ..accepted };
        let bytes = format.tree_bytes(kind, tree)?;
        Ok(plain(StatusCode::OK, format.content_type(), bytes))
    }

    /// A document about the core group, which upstream does not say the version of where it can be left out.
    fn document_of_core(&self, kind: &'static str, mut tree: serde_json::Value) -> Result<Response<Body>, Status> {
        let format = Format { shape: Default::default(), ..negotiation::accept(self.headers, self.query)? };
        if format.encoding != Encoding::Json {
            return self.object(&GroupVersionKind::of("", "v1", kind), tree);
        }
        put(&mut tree, "kind", kind);
        let text = serde_json::to_vec(&tree).map_err(Status::internal)?;
        Ok(plain(StatusCode::OK, format.content_type(), text))
    }

    /// A document that clients keep: with an entity tag, and not sent again to whoever has it.
    fn cached(&self, content_type: &str, bytes: Bytes, tag: &str) -> Response<Body> {
        let quoted = format!("\"{tag}\"");
        let has_it = self.headers.get(IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == quoted.as_bytes());
        let mut response = Response::new(full(if has_it { Bytes::new() } else { bytes }));
        if has_it {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        if let (Ok(content_type), Ok(tag)) = (HeaderValue::from_str(content_type), HeaderValue::from_str(&quoted)) {
            headers.insert(CONTENT_TYPE, content_type);
            headers.insert(ETAG, tag);
        }
        headers.insert(VARY, HeaderValue::from_static("Accept"));
        response
    }
}

/// Answers for a path.
pub(crate) async fn page(pages: &Pages, gate: &Gate, request: &PageRequest<'_>) -> Result<Response<Body>, Status> {
    let path = request.path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(request.path);
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    // What is a document of the API is only read, and in a form that the client accepts.
    let representations: &[&str] = match segments.as_slice() {
        ["api" | "apis", ..] => negotiation::of_documents(),
        ["version"] => &negotiation::of_documents()[..1],
        _ => &[],
    };
    if !representations.is_empty() {
        // Who lists groups, and custom resources, does not look at the method.
        let is_of_groups = match segments.as_slice() {
            ["apis"] | ["apis", _] => true,
            ["apis", group, version] => !gate.storage.registry().has_builtin(group, version),
            _ => false,
        };
        let is_nothing =
            matches!(segments.as_slice(), ["api", version] if gate.storage.registry().of("", version).next().is_none());
        if is_nothing {
            return Err(Status::no_such_path());
        }
        if *request.method != Method::GET && !is_of_groups {
            return Err(Status::method_not_allowed());
        }
        negotiation::check_accept(request.headers, representations)?;
    }
    let found = match segments.first() {
        // To make a document of schemas takes a while.
        Some(&"openapi") => apart(async { find(pages, gate, request, &segments) }).await,
        _ => find(pages, gate, request, &segments),
    };
    found.unwrap_or_else(|| Ok(not_found())).map(finish)
}

/// The answer where there is not even a text that says so.
fn nothing() -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// The answer where there is nothing.
pub(crate) fn not_found() -> Response<Body> {
    finish(words(StatusCode::NOT_FOUND, "404 page not found\n"))
}

fn find(
    pages: &Pages,
    gate: &Gate,
    request: &PageRequest<'_>,
    segments: &[&str],
) -> Option<Result<Response<Body>, Status>> {
    let registry = &gate.storage.registry();
    let groups = || Groups::new(registry, &pages.aggregation);
    match segments {
        ["api"] => Some(discovery::core_versions(&groups(), &pages.discovery, &pages.advertised_address, request)),
        ["api", version] => {
            Some(discovery::resources(registry, request, "", version).unwrap_or_else(|| Err(Status::no_such_path())))
        }
        ["apis"] => Some(discovery::groups(&groups(), &pages.discovery, request)),
        ["apis", group] => discovery::group(&groups(), request, group),
        ["apis", group, version] => discovery::resources(registry, request, group, version),
        ["openapi", "v2"] => Some(openapi::v2(registry, &pages.aggregation, &pages.documents, request)),
        ["openapi", "v3"] => Some(openapi::v3_index(registry, &pages.aggregation, request)),
        ["openapi", "v3", "api", version] => {
            openapi::v3((registry, &pages.aggregation), &pages.documents, request, ("", version))
        }
        ["openapi", "v3", "apis", group, version] => {
            openapi::v3((registry, &pages.aggregation), &pages.documents, request, (group, version))
        }
        // Who serves these documents has no words for those that are not there.
        ["openapi", "v3", below, ..] if !below.is_empty() => Some(Ok(nothing())),
        [".well-known", "openid-configuration"] => {
            Some(Ok(openid::configuration(&gate.tokens, &pages.advertised_address)))
        }
        ["openid", "v1", "jwks"] => Some(Ok(openid::keys(&gate.tokens))),
        ["metrics"] => {
            let (content_type, text) = pages.metrics.text();
            Some(Ok(plain(StatusCode::OK, content_type, text)))
        }
        ["version"] => Some(Ok(version::page())),
        ["debug", "api_priority_and_fairness", page] => {
            Page::named(page).map(|page| Ok(words(StatusCode::OK, pages.fairness.dump(page))))
        }
        ["healthz" | "livez" | "readyz", ..] => pages.health.page(request).map(Ok),
        ["statusz"] => {
            let page = statusz::page(request, pages.started, pages.clock.now(), &paths(pages, &groups()));
            Some(Ok(zpage::answer(request, page)))
        }
        ["flagz"] => Some(Ok(zpage::answer(request, pages.flags.page(request)))),
        [""] => Some(Ok(index(&paths(pages, &groups())))),
        _ => None,
    }
}

/// The paths that there are, for people.
fn index(paths: &[String]) -> Response<Body> {
    let text = serde_json::json!({"paths": paths}).to_string();
    plain(StatusCode::OK, "application/json", text)
}

fn paths(pages: &Pages, groups: &Groups<'_>) -> Vec<String> {
    let mut paths: Vec<String> = [
        "/.well-known/openid-configuration",
        "/api",
        "/api/v1",
        "/apis",
        "/flagz",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/",
        "/openid/v1/jwks",
        "/statusz",
        "/version",
    ]
    .map(str::to_owned)
    .to_vec();
    paths.extend(pages.health.paths());
    for (name, versions) in groups.listed().into_iter().filter(|(name, _)| !name.is_empty()) {
        paths.push(format!("/apis/{name}"));
        paths.extend(versions.into_iter().map(|listed| format!("/apis/{name}/{}", listed.version)));
    }
    paths.sort();
    paths
}
