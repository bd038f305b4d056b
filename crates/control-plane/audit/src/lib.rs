//! The audit log: who asked the API server for what, when, and what came of it.
//!
//! A [`Policy`] says for each request how much of it is recorded. Who asks the [`Auditor`] about a request gets a [`Trail`] if anything is
//! to be recorded of it; the request leaves there what becomes known of it on its way, and at each [`Stage`] an event goes to the
//! backends: a log file and a webhook. Without an auditor nothing is collected.
//!
//! Source: upstream apiserver `pkg/audit`, `plugin/pkg/audit`, and the flags `--audit-…` of kube-apiserver.

mod auditor;
mod backend;
mod batch;
mod event;
mod line;
mod log_file;
mod policy;
mod sink;
mod trail;
mod webhook;
mod whole_lines;

pub use auditor::Auditor;
pub use backend::{Backend, Delivery};
pub use batch::{BatchOptions, Throttle, Truncation};
pub use event::{Level, Stage};
pub use line::LogFormat;
pub use log_file::{LogFile, Rotation};
pub use policy::{Policy, PolicyError};
pub use sink::Destination;
pub use trail::{About, NotRecorded, Trail};
pub use webhook::{Webhook, WebhookServer};
