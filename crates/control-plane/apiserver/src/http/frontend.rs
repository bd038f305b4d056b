//! The server's face to HTTP, and who gets a seat at it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use tokio::time::Instant;
use windlass_api::{Chance, Status};
use windlass_auth::Attributes;
use windlass_flow_control::{Class, Classified, Width};
use windlass_machinery::names::new_uid;
use windlass_telemetry::Metrics;

use super::bodies::Bodies;
use super::metrics::{Labels, RequestMetrics, UnderWay};
use crate::auditing::UntilEnd;
use crate::context::Context;
use crate::message::computing::Computing;
use crate::message::query::{Query, Selectors};
use crate::message::response::{Body, words};
use crate::server::Server;

/// A request that is no watch, log or session has to end by then, its body included: kube-apiserver's default of `--request-timeout`.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// Who waits for a seat does so for this part of the request's time, and no longer than this.
const WAIT_PART: u32 = 4;
const WAIT_MAX: Duration = Duration::from_secs(60);

const FLOW_SCHEMA_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
const PRIORITY_LEVEL_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");

/// The server's face to HTTP.
pub struct Frontend {
    pub(super) server: Arc<Server>,
    pub(super) metrics: RequestMetrics,
    pub(super) bodies: Bodies,
    pub(super) computing: Computing,
    /// The same for the pieces of long lists, which wait for no webhook.
    pub(super) encoding: Arc<Computing>,
    pub(super) request_timeout: Duration,
    /// Names for requests, which are no secrets.
    chance: Chance,
}

/// A request's place among those that are being worked on.
pub(super) type Seat = (Option<windlass_flow_control::Seat>, Option<UnderWay>);

/// A request on its way, and what is known of it.
pub(super) struct Asked<'a> {
    pub(super) context: &'a Context,
    pub(super) query: &'a Query,
    /// What authorization is told of the selectors in the query.
    pub(super) selectors: &'a Selectors,
    pub(super) labels: &'a Labels,
    /// When it has to be answered.
    pub(super) deadline: Instant,
    /// What holds up the request's end in the audit log, if it is recorded and runs for long.
    pub(super) until_end: &'a Option<Arc<UntilEnd>>,
    /// Where it belongs, once that is known.
    pub(super) class: &'a OnceLock<Class>,
}

impl Frontend {
    /// `request_timeout` is [`REQUEST_TIMEOUT`] as a rule.
    pub fn new(server: Arc<Server>, metrics: &Metrics, request_timeout: Duration) -> Self {
        Self {
            chance: server.storage.chance.fork(),
            server,
            metrics: RequestMetrics::new(metrics),
            bodies: Bodies::default(),
            computing: Computing::default(),
            encoding: Arc::default(),
            request_timeout,
        }
    }

    /// What a request is called where people follow it from one program to the next: as its client says, or as nothing else.
    pub(super) fn audit_id(&self, headers: &HeaderMap) -> HeaderValue {
        let mut id = match headers.get(AUDIT_ID).filter(|id| !id.is_empty()) {
            Some(id) => id.clone(),
            None => HeaderValue::try_from(new_uid(&self.chance))
                .expect("hexadecimal digits and hyphens may stand in a header"),
        };
        // It is no secret, but no other answer has it: HTTP/2 need not keep it in its table of headers.
        id.set_sensitive(true);
        id
    }

    /// Where a request belongs, if it takes a seat.
    pub(super) fn classify(&self, asked: &Asked<'_>, attributes: &Attributes<'_>) -> Option<Classified> {
        asked.labels.takes_seat().then(|| self.server.fairness.classify(attributes)).flatten()
    }

    /// Takes a seat for a request that may now be worked on: it is authorized, and all of it is here. `width` says how many seats it
    /// takes of those that one may take at most. It waits for them where its priority level says so; the error is the answer to one that
    /// is turned away.
    pub(super) async fn seat(
        &self,
        asked: &Asked<'_>,
        classified: Option<Classified>,
        width: impl FnOnce(usize) -> Width,
    ) -> Result<Seat, Box<Response<Body>>> {
        let Some(classified) = classified else { return Ok((None, None)) };
        let width = width(classified.seats_max());
        // Only the first seat of a request says where it belongs.
        let _ = asked.class.set(classified.class.clone());
        let arrived = asked.deadline - self.request_timeout;
        let until = arrived + WAIT_MAX.min(self.request_timeout / WAIT_PART);
        match classified.admit(width, until).await {
            Ok(seat) => {
                let counted = (!asked.labels.long_running).then(|| self.metrics.under_way(asked.labels));
                Ok((Some(seat), counted))
            }
            Err(turned_away) => {
                self.metrics.rejected(asked.labels);
                let mut response = words(StatusCode::TOO_MANY_REQUESTS, "Too many requests, please try again later.\n");
                response.headers_mut().insert(RETRY_AFTER, turned_away.retry_after_seconds.into());
                Err(Box::new(response))
            }
        }
    }

    /// The refusal of a request that is one too many.
    pub(super) fn turned_away(&self, asked: &Asked<'_>) -> Status {
        self.metrics.rejected(asked.labels);
        let text = "The server has received too many requests and has asked us to try again later";
        Status::too_many_requests(text, 1)
    }
}

/// Says where a request belongs.
pub(super) fn with_class(mut response: Response<Body>, class: Option<Class>) -> Response<Body> {
    if let Some(class) = class {
        for (name, uid) in [(FLOW_SCHEMA_UID, class.flow_schema_uid), (PRIORITY_LEVEL_UID, class.priority_level_uid)] {
            if let Ok(uid) = HeaderValue::from_str(&uid) {
                response.headers_mut().insert(name, uid);
            }
        }
    }
    response
}
