//! Who decides about requests and hands events to the backends.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use windlass_api::time::Clock;
use windlass_auth::Attributes;
use windlass_telemetry::{Counter, CounterFamily, Metrics};

use crate::backend::Backend;
use crate::event::{Event, ObjectReference, Stage};
use crate::policy::Policy;
use crate::trail::Trail;

/// A longer User-Agent is cut, and says so.
const AGENT_BYTES_MAX: usize = 1024;
const CUT: &str = "...TRUNCATED";

/// The policy, and where events go.
pub struct Auditor {
    policy: Policy,
    backends: Vec<Backend>,
    pub(crate) clock: Clock,
    events: Counter,
    levels: CounterFamily,
    rejected: Counter,
}

/// What is known of a request besides who asks for what.
pub struct About<'a> {
    /// What it is called, here and by whom it is handed on to.
    pub id: &'a str,
    /// Path and query, as the client sent them.
    pub uri: String,
    /// From the client to the last hop. All but the last are what somebody says.
    pub source_ips: Vec<IpAddr>,
    pub agent: &'a str,
    pub received: Timestamp,
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

    /// Begins the trail of a request; `None` when nothing of it is recorded.
    pub fn begin(self: &Arc<Self>, asked: &Attributes<'_>, about: About<'_>) -> Option<Arc<Trail>> {
        let verdict = self.policy.judge(asked);
        self.levels.with_label_values(&[verdict.level.name()]).inc();
        if verdict.level == crate::Level::None {
            return None;
        }
        let event = Event {
            level: verdict.level,
            audit_id: about.id.to_owned(),
            stage: Stage::RequestReceived,
            request_uri: about.uri,
            verb: asked.verb.to_owned(),
            user: Arc::new(asked.user.clone()),
            impersonated_user: None,
            authentication_metadata: None,
            source_ips: about.source_ips,
            user_agent: cut(about.agent),
            object_ref: (!asked.resource.is_empty()).then(|| reference(asked)),
            response_status: None,
            request_object: None,
            response_object: None,
            request_received_timestamp: about.received,
            stage_timestamp: about.received,
            annotations: Default::default(),
        };
        Some(Arc::new(Trail::new(self.clone(), verdict, event)))
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

fn reference(asked: &Attributes<'_>) -> ObjectReference {
    ObjectReference {
        resource: asked.resource.to_owned(),
        namespace: asked.namespace.to_owned(),
        name: asked.name.to_owned(),
        api_group: asked.group.to_owned(),
        api_version: asked.version.to_owned(),
        subresource: asked.subresource.to_owned(),
        ..ObjectReference::default()
    }
}

fn cut(agent: &str) -> String {
    if agent.len() <= AGENT_BYTES_MAX {
        return agent.to_owned();
    }
    format!("{}{CUT}", &agent[..agent.floor_char_boundary(AGENT_BYTES_MAX)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_agents_are_cut() {
        assert_eq!(cut("kubectl"), "kubectl");
        let long = cut(&"ü".repeat(600));
        assert_eq!(long, format!("{}...TRUNCATED", "ü".repeat(512)));
    }
}
