//! The server's face to HTTP, and who gets a seat at it.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use windlass_api::well_known::group;
use windlass_api::{Chance, Status};
use windlass_machinery::names::new_uid;
use windlass_telemetry::Metrics;

use super::bodies::Bodies;
use super::metrics::{Labels, RequestMetrics, UnderWay};
use super::query::Query;
use crate::auditing::UntilEnd;
use crate::context::Context;
use crate::server::Server;

/// A request that is no watch, log or session has to end by then, its body included: kube-apiserver's default of `--request-timeout`.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// Requests that may be worked on at once, beside those that run for long; as many as kube-apiserver allows.
const IN_FLIGHT_MAX: usize = 600;

/// The server's face to HTTP.
pub struct Frontend {
    pub(super) server: Arc<Server>,
    pub(super) metrics: RequestMetrics,
    seats: Semaphore,
    pub(super) bodies: Bodies,
    pub(super) request_timeout: Duration,
    /// Names for requests, which are no secrets.
    chance: Chance,
}

/// A request's place among those that are being worked on.
pub(super) type Seat<'a> = (Option<SemaphorePermit<'a>>, Option<UnderWay>);

/// A request on its way, and what is known of it.
pub(super) struct Asked<'a> {
    pub(super) context: &'a Context,
    pub(super) query: &'a Query,
    pub(super) labels: &'a Labels,
    /// When it has to be answered.
    pub(super) deadline: Instant,
    /// What holds up the request's end in the audit log, if it is recorded and runs for long.
    pub(super) until_end: &'a Option<Arc<UntilEnd>>,
}

impl Frontend {
    /// `request_timeout` is [`REQUEST_TIMEOUT`] as a rule.
    pub fn new(server: Arc<Server>, metrics: &Metrics, request_timeout: Duration) -> Self {
        Self {
            chance: server.storage.chance.fork(),
            server,
            metrics: RequestMetrics::new(metrics),
            seats: Semaphore::new(IN_FLIGHT_MAX),
            bodies: Bodies::default(),
            request_timeout,
        }
    }

    /// What a request is called where people follow it from one program to the next: as its client says, or as nothing else.
    pub(super) fn audit_id(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get(AUDIT_ID).filter(|id| !id.is_empty()) {
            Some(id) => id.clone(),
            None => HeaderValue::try_from(new_uid(&self.chance))
                .expect("hexadecimal digits and hyphens may stand in a header"),
        }
    }

    /// Takes a seat for a request that may now be worked on: it is authorized, and all of it is here. When there are too many, it is
    /// turned away, unless an administrator asks.
    pub(super) fn seat(&self, asked: &Asked<'_>) -> Result<Seat<'_>, Status> {
        if asked.labels.long_running {
            return Ok((None, None));
        }
        let permit = self.seats.try_acquire().ok();
        if permit.is_none() && !asked.context.user.is_in(group::MASTERS) {
            return Err(self.turned_away(asked));
        }
        Ok((permit, Some(self.metrics.under_way(asked.labels))))
    }

    /// The refusal of a request that is one too many.
    pub(super) fn turned_away(&self, asked: &Asked<'_>) -> Status {
        self.metrics.rejected(asked.labels);
        let text = "The server has received too many requests and has asked us to try again later";
        Status::too_many_requests(text, 1)
    }
}
