//! Who decides about requests and hands events to the backends.

use std::time::Duration;

use windlass_api::time::Clock;
use windlass_telemetry::{Counter, CounterFamily, Metrics};

use crate::backend::Backend;
use crate::event::Event;
use crate::policy::Policy;

/// The policy, and where events go.
pub struct Auditor {
    pub(crate) policy: Policy,
    backends: Vec<Backend>,
    pub(crate) clock: Clock,
    events: Counter,
    pub(crate) levels: CounterFamily,
    rejected: Counter,
}

impl Auditor {
    pub fn new(policy: Policy, backends: Vec<Backend>, clock: Clock, metrics: &Metrics) -> Self {
        Self {
            policy,
            backends,
            clock,
            events: metrics.counter(
                "apiserver_audit_event_total",
                "Counter of audit events generated and sent to the audit backend.",
            ),
            levels: metrics.counters(
                "apiserver_audit_level_total",
                "Counter of policy levels for audit events (1 per request).",
                &["level"],
            ),
            rejected: metrics.counter(
                "apiserver_audit_requests_rejected_total",
                "Counter of apiserver requests rejected due to an error in audit logging backend.",
            ),
        }
    }

    /// Hands an event to every backend. Returns whether all who insist on it have recorded it.
    pub(crate) async fn process(&self, event: &Event) -> bool {
        self.events.inc();
        let mut is_recorded = true;
        for backend in &self.backends {
            is_recorded &= backend.process(event).await;
        }
        is_recorded
    }

    /// Counts a request that is refused because it could not be recorded.
    pub(crate) fn count_rejected(&self) {
        self.rejected.inc();
    }

    /// Waits until what is in the buffers has been sent, no longer than `patience`.
    pub async fn flush(&self, patience: Duration) {
        let all = flush_all(&self.backends);
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::error!("audit events that wait for the webhook are lost: it took none of them in time");
        }
    }
}

async fn flush_all(backends: &[Backend]) {
    for backend in backends {
        backend.flush().await;
    }
}
