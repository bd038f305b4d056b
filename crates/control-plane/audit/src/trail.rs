//! What one request leaves behind on its way.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use windlass_api::Status;
use windlass_auth::{Attributes, User};

use crate::auditor::Auditor;
use crate::event::{AuthenticationMetadata, Event, Level, ObjectReference, ResponseStatus, Stage};
use crate::policy::Verdict;

/// A longer User-Agent is cut, and says so.
const AGENT_BYTES_MAX: usize = 1024;
const CUT: &str = "...TRUNCATED";

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

/// A request must not go on, because a backend insists on recording it and cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to store audit event")]
pub struct NotRecorded;

/// What is known of a request so far, and where it goes.
pub struct Trail {
    auditor: Arc<Auditor>,
    verdict: Verdict,
    event: Mutex<Event>,
}

impl Auditor {
    /// Begins the trail of a request; `None` when nothing of it is recorded.
    pub fn begin(self: &Arc<Self>, asked: &Attributes<'_>, about: About<'_>) -> Option<Arc<Trail>> {
        let verdict = self.policy.judge(asked);
        self.levels.with_label_values(&[verdict.level.name()]).inc();
        if verdict.level == Level::None {
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

impl Trail {
    pub(crate) fn new(auditor: Arc<Auditor>, verdict: Verdict, event: Event) -> Self {
        Self { auditor, verdict, event: Mutex::new(event) }
    }

    /// Whether what belongs to a level is recorded.
    pub fn keeps(&self, level: Level) -> bool {
        self.verdict.level >= level
    }

    /// Whether objects are recorded without their `managedFields`.
    pub fn omits_managed_fields(&self) -> bool {
        self.verdict.omit_managed_fields
    }

    /// Records that the request is here.
    pub async fn received(&self) -> Result<(), NotRecorded> {
        if self.reached(Stage::RequestReceived).await {
            return Ok(());
        }
        self.auditor.count_rejected();
        Err(NotRecorded)
    }

    /// Records that the request has come to a stage. Returns whether that could be done.
    pub async fn reached(&self, stage: Stage) -> bool {
        match self.event_at(stage) {
            Some(event) => self.auditor.process(&event).await,
            None => true,
        }
    }

    /// The same for who cannot wait: whose connection has ended.
    pub fn reached_in_passing(self: &Arc<Self>, stage: Stage) {
        // Without a runtime the process is about to end.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if let Some(event) = self.event_at(stage) {
            let auditor = self.auditor.clone();
            runtime.spawn(async move { auditor.process(&event).await });
        }
    }

    fn event_at(&self, stage: Stage) -> Option<Event> {
        if self.verdict.omit_stages.has(stage) {
            return None;
        }
        let mut event = self.event.lock();
        event.stage = stage;
        if stage != Stage::RequestReceived {
            event.stage_timestamp = self.auditor.clock.now();
        }
        Some(event.clone())
    }

    /// The user acts as somebody else; `constraint` is the verb that allows it, where it is a constrained one.
    pub fn acts_as(&self, user: &Arc<User>, constraint: &str) {
        let mut event = self.event.lock();
        event.impersonated_user = Some(user.clone());
        if !constraint.is_empty() {
            event.authentication_metadata =
                Some(AuthenticationMetadata { impersonation_constraint: constraint.to_owned() });
        }
    }

    /// Adds an annotation. The first value of a key stays.
    pub fn annotate(&self, key: &str, value: impl Into<String>) {
        let (mut event, value) = (self.event.lock(), value.into());
        if let Some(kept) = event.annotations.get(key) {
            if *kept != value {
                tracing::warn!(key, value, kept, audit_id = event.audit_id, "an audit annotation was set before");
            }
            return;
        }
        event.annotations.insert(key.to_owned(), value);
    }

    /// The object that the request carries says what the path has not: its name and namespace, its UID and version.
    pub fn refers_to(&self, namespace: &str, name: &str, uid: &str, resource_version: &str) {
        let mut event = self.event.lock();
        let reference = event.object_ref.get_or_insert_default();
        let said = [
            (&mut reference.namespace, namespace),
            (&mut reference.name, name),
            (&mut reference.uid, uid),
            (&mut reference.resource_version, resource_version),
        ];
        for (field, value) in said.into_iter().filter(|(field, _)| field.is_empty()) {
            value.clone_into(field);
        }
    }

    /// What the client sent. Only for who has asked [`Self::keeps`].
    pub fn carries(&self, object: Box<RawValue>) {
        self.event.lock().request_object = Some(object.into());
    }

    /// What the client gets. Only for who has asked [`Self::keeps`].
    pub fn answers(&self, object: Box<RawValue>) {
        self.event.lock().response_object = Some(object.into());
    }

    /// The answer is a `Status`.
    pub fn ended_with(&self, status: &Status) {
        let tree = status.to_value();
        let text = |field: &str| tree[field].as_str().unwrap_or_default().to_owned();
        self.event.lock().response_status = Some(ResponseStatus {
            status: text("status"),
            message: text("message"),
            reason: text("reason"),
            details: tree["details"].clone(),
            code: status.code,
            ..ResponseStatus::default()
        });
    }

    /// The answer is a success that says nothing but `details`.
    pub fn succeeded(&self, details: serde_json::Value) {
        self.event.lock().response_status =
            Some(ResponseStatus { status: "Success".to_owned(), details, ..ResponseStatus::default() });
    }

    /// The answer's code; what else is known of it stays.
    pub fn answered(&self, code: u16) {
        self.event.lock().response_status.get_or_insert_default().code = code;
    }
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
