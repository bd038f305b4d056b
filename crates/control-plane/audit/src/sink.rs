//! Where events end: written as the place wants them, and delivered.

use windlass_telemetry::{CounterFamily, Metrics};

use crate::event::Event;
use crate::line::{self, LogFormat};
use crate::log_file::LogFile;
use crate::webhook::Webhook;

/// Where events end.
pub enum Destination {
    Log(Box<LogFile>, LogFormat),
    Webhook(Box<dyn Webhook>),
}

/// What delivers; shared with the task that delivers later.
pub(crate) struct Sink {
    to: Destination,
    errors: CounterFamily,
}

impl Sink {
    pub(crate) fn new(to: Destination, metrics: &Metrics) -> Self {
        let errors = metrics.counters(
            "apiserver_audit_error_total",
            "Counter of audit events that failed to be audited properly. Plugin identifies the plugin affected by the error.",
            &["plugin"],
        );
        Self { to, errors }
    }

    /// The plugin's name, as metrics have it.
    pub(crate) fn name(&self) -> &'static str {
        match self.to {
            Destination::Log(..) => "log",
            Destination::Webhook(_) => "webhook",
        }
    }

    pub(crate) fn written(&self, event: &Event) -> Result<Vec<u8>, String> {
        match self.to {
            Destination::Log(_, LogFormat::Legacy) => Ok(line::legacy(event).into_bytes()),
            _ => serde_json::to_vec(event).map_err(|error| error.to_string()),
        }
    }

    /// Delivers events as they are written; returns whether that could be done.
    pub(crate) async fn deliver(&self, events: &[Vec<u8>]) -> bool {
        let done = match &self.to {
            Destination::Log(file, LogFormat::Json) => {
                file.append(&events.iter().map(|event| line::json(event)).collect::<Vec<_>>().concat())
            }
            Destination::Log(file, LogFormat::Legacy) => file.append(&events.concat()),
            Destination::Webhook(webhook) => webhook.send(list(events).into()).await,
        };
        done.map_err(|why| self.failed(self.name(), events.len(), &why)).is_ok()
    }

    /// Says and counts that events are lost.
    pub(crate) fn failed(&self, plugin: &str, events: usize, why: &str) {
        self.errors.with_label_values(&[plugin]).inc_by(events as u64);
        tracing::error!(plugin, events, why, "audit events are lost");
    }
}

/// An `EventList` of events.
fn list(events: &[Vec<u8>]) -> Vec<u8> {
    let mut list = br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#.to_vec();
    for (index, event) in events.iter().enumerate() {
        list.extend_from_slice(if index == 0 { b"" } else { b"," });
        list.extend_from_slice(event);
    }
    list.extend_from_slice(b"]}\n");
    list
}
