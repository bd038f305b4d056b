//! CertificateSigningRequest: a certificate that is to be approved and issued. Who asks is the API server's to say: it writes
//! the user of the request into the specification.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::condition::AnyCondition;
use windlass_api::field::Errors;
use windlass_api::{condition, time};
use windlass_machinery::tree::{child, items_mut, keep, put, remove};

use super::request_validation::{self, Part};
use crate::columns::{self, human_duration, or_none, word};
use crate::{Moment, Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests")
        .short_names(&["csr"])
        .subresources(&[Subresource::Approval, Subresource::Status])
        .selectable(&[("spec.signerName", "/spec/signerName")])
        .columns(columns::list(&["Name", "Age", "SignerName", "Requestor", "RequestedDuration", "Condition"]))
        .strategy(CertificateSigningRequest)
}

struct CertificateSigningRequest;

impl Strategy for CertificateSigningRequest {
    fn names_requester(&self) -> bool {
        true
    }

    fn set_requester(&self, object: &mut Value, user: &Value) {
        let spec = child(object, "spec");
        for field in ["username", "uid", "groups", "extra"] {
            remove(spec, field);
            if let Some(value) = user.get(field) {
                put(spec, field, value.clone());
            }
        }
    }

    fn prepare_update(&self, object: &mut Value, old: &Value, _moment: Moment) {
        keep(object, old, "spec");
    }

    fn prepare_status(&self, object: &mut Value, old: &Value, moment: Moment) {
        for kind in ["Approved", "Denied"] {
            keep_conditions(object, old, kind);
        }
        set_condition_times(object, old, moment);
    }

    /// Approval takes the conditions, whatever they are.
    fn prepare_subresource(&self, _approval: Subresource, object: &mut Value, sent: &Value, moment: Moment) {
        let old = object.clone();
        keep(object, sent, "metadata");
        keep(child(object, "status"), &sent["status"], "conditions");
        set_condition_times(object, &old, moment);
    }

    fn validate(&self, object: &Value) -> Errors {
        request_validation::validate(object)
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        request_validation::validate_update(object, old, Part::Object)
    }

    fn validate_status(&self, object: &Value, old: &Value) -> Errors {
        request_validation::validate_update(object, old, Part::Status)
    }

    fn validate_subresource(&self, _approval: Subresource, object: &Value, old: &Value) -> Errors {
        request_validation::validate_update(object, old, Part::Approval)
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let duration = object.pointer("/spec/expirationSeconds").and_then(Value::as_i64).map(human_duration);
        vec![
            columns::name(object),
            columns::age(object, now),
            or_none(Some(word(object, "/spec/signerName"))),
            Value::from(word(object, "/spec/username")),
            or_none(duration.as_deref()),
            Value::from(state(object)),
        ]
    }
}

/// Approval has a path of its own; a status that has as many such conditions as before keeps what they were.
fn keep_conditions(object: &mut Value, old: &Value, kind: &str) {
    let before = || condition::all_of(condition::list(&old["status"]), kind);
    if condition::all_of(condition::list(&object["status"]), kind).count() != before().count() {
        return;
    }
    let of_kind = items_mut(child(object, "status"), "conditions").filter(|condition| condition.kind() == kind);
    for (condition, before) in of_kind.zip(before()) {
        *condition = before.clone();
    }
}

fn set_condition_times(object: &mut Value, old: &Value, moment: Moment) {
    let now = time::rfc3339(moment.now);
    let is_absent = |condition: &Value, field: &str| condition.get(field).is_none_or(Value::is_null);
    for condition in items_mut(child(object, "status"), "conditions") {
        if is_absent(condition, "lastUpdateTime") {
            put(condition, "lastUpdateTime", now.as_str());
        }
        if is_absent(condition, "lastTransitionTime") {
            let since = transition_of(condition::list(&old["status"]), condition).unwrap_or(&now);
            put(condition, "lastTransitionTime", since);
        }
    }
}

/// The time since which a condition has had the status that it has now.
fn transition_of<'a>(before: &'a [Value], condition: &Value) -> Option<&'a str> {
    let mut same = condition::all_of(before, condition.kind()).filter(|before| before.status() == condition.status());
    same.find_map(|before| before.get("lastTransitionTime")?.as_str())
}

fn state(request: &Value) -> String {
    let has = |kind: &str| condition::find(condition::list(&request["status"]), kind).is_some();
    let mut state = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (_, true) => "Approved",
        _ => "Pending",
    }
    .to_owned();
    if has("Failed") {
        state.push_str(",Failed");
    }
    if !word(request, "/status/certificate").is_empty() {
        state.push_str(",Issued");
    }
    state
}
