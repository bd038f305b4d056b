//! What requests leave in the audit log on their way through the server: the object that they carry, what is decided about them, and
//! what they get. [`windlass_audit`] says which requests leave anything, and where it goes.

use std::sync::Arc;

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use windlass_api::{GroupVersionKind, Status};
use windlass_audit::{Level, Stage, Trail};
use windlass_client::Encoding;
use windlass_machinery::tree::{put, remove, text};

use crate::authorization::Verdict;
use crate::encode::Format;
use crate::outcome::{Outcome, Payload};

const DECISION: &str = "authorization.k8s.io/decision";
const REASON: &str = "authorization.k8s.io/reason";

/// Annotates what authorization has decided, and why. What could not be decided has no decision.
pub(crate) fn record_decision(trail: &Trail, verdict: &Verdict, reason: impl FnOnce() -> String) {
    let word = if verdict.is_allowed() { "allow" } else { "forbid" };
    if !verdict.is_allowed() && verdict.error.is_some() {
        return trail.annotate(REASON, "internal error".to_owned());
    }
    trail.annotate(DECISION, word);
    trail.annotate(REASON, reason());
}

/// Records the object that a request carries: which one it is, and where the policy wants it all of it, with its defaults.
pub(crate) fn record_request(
    trail: &Trail,
    kind: &GroupVersionKind,
    object: &Value,
    set_defaults: impl FnOnce(&mut Value),
) {
    let metadata = |field: &str| text(&object["metadata"], field);
    trail.refers_to(metadata("namespace"), metadata("name"), metadata("uid"), metadata("resourceVersion"));
    if trail.keeps(Level::Request) {
        let mut object = object.clone();
        set_defaults(&mut object);
        if trail.omits_managed_fields() {
            remove_managed_fields(&mut object);
        }
        put(&mut object, "kind", &*kind.kind);
        put(&mut object, "apiVersion", kind.api_version());
        carry(trail, &object);
    }
}

/// Records a patch, as it is.
pub(crate) fn record_patch(trail: &Trail, patch: &Value) {
    if trail.keeps(Level::Request) {
        carry(trail, patch);
    }
}

fn carry(trail: &Trail, object: &Value) {
    match to_raw_value(object) {
        Ok(text) => trail.carries(text),
        Err(error) => tracing::error!(%error, "an object cannot be written into the audit log"),
    }
}

/// Records what a request gets: of a `Status` what it says, and where the policy wants it all of the answer.
pub(crate) fn record_outcome(trail: &Trail, outcome: &Outcome, format: Format, now: jiff::Timestamp) {
    if let Outcome::Object { payload: Payload::Tree(kind, tree), .. } = outcome
        && kind.kind == "Status"
    {
        trail.succeeded(tree["details"].clone());
    }
    if !trail.keeps(Level::RequestResponse) {
        return;
    }
    let format = Format { encoding: Encoding::Json, pretty: false, ..format };
    let written = match outcome {
        Outcome::Object { payload, .. } => format.object(payload, now),
        Outcome::List(listed) => format.list(listed, now),
        Outcome::Watch(_) => return,
    };
    let raw = written.map_err(|status| status.message).and_then(|bytes| raw(&bytes, trail.omits_managed_fields()));
    match raw {
        Ok(raw) => trail.answers(raw),
        Err(why) => tracing::error!(why, "an answer cannot be written into the audit log"),
    }
}

fn raw(json: &[u8], omits_managed_fields: bool) -> Result<Box<RawValue>, String> {
    if !omits_managed_fields {
        return serde_json::from_slice(json).map_err(|error| error.to_string());
    }
    let mut tree: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    remove_managed_fields(&mut tree);
    to_raw_value(&tree).map_err(|error| error.to_string())
}

/// Takes off who manages which fields: of an object, of the items of a list, of the objects in a Table's rows.
fn remove_managed_fields(tree: &mut Value) {
    let of_object = |object: &mut Value| {
        if let Some(metadata) = object.get_mut("metadata") {
            remove(metadata, "managedFields");
        }
    };
    of_object(tree);
    tree.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten().for_each(of_object);
    let rows = tree.get_mut("rows").and_then(Value::as_array_mut).into_iter().flatten();
    rows.filter_map(|row| row.get_mut("object")).for_each(of_object);
}

/// Records why a request failed.
pub(crate) fn record_failure(trail: &Trail, status: &Status) {
    trail.ended_with(status);
    if trail.keeps(Level::RequestResponse) {
        let mut tree = status.to_value();
        put(&mut tree, "kind", "Status");
        put(&mut tree, "apiVersion", "v1");
        if let Ok(raw) = to_raw_value(&tree) {
            trail.answers(raw);
        }
    }
}

/// Records the end of what runs for long when the last who holds this lets go of it: the body of the answer, or the session.
pub(crate) struct UntilEnd(pub Arc<Trail>);

impl Drop for UntilEnd {
    fn drop(&mut self) {
        self.0.reached_in_passing(Stage::ResponseComplete);
    }
}
