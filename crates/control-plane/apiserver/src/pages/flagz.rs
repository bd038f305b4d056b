//! `/flagz`: the settings that the server runs with, by the names of kube-apiserver's flags; text for people, or an object of
//! `config.k8s.io`.
//!
//! Source: apiserver `server/flagz` (KEP 4828).

use std::collections::BTreeMap;

use http::Response;
use parking_lot::RwLock;
use serde_json::json;
use windlass_api::{GroupVersionKind, Status};

use super::PageRequest;
use super::zpage;
use crate::message::response::Body;

/// Flags and their values.
#[derive(Default)]
pub struct Flags(RwLock<BTreeMap<String, String>>);

impl Flags {
    /// Says what a flag is set to. What is secret does not belong here: everybody may read it who may monitor the server.
    pub fn set(&self, name: &str, value: impl ToString) {
        self.0.write().insert(name.to_owned(), value.to_string());
    }

    pub(super) fn page(&self, request: &PageRequest<'_>) -> Result<Response<Body>, Status> {
        let flags = self.0.read();
        let Some((version, format)) = zpage::accept(request, "Flagz")? else {
            let lines: String = flags.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
            return Ok(zpage::text("flagz", &lines));
        };
        let object = json!({"metadata": {"name": zpage::COMPONENT}, "flags": *flags});
        zpage::object(&GroupVersionKind::of(zpage::GROUP, version, "Flagz"), format, object)
    }
}
