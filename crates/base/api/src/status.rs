//! The API's failures: `Status` objects with upstream's reasons, codes and wording (apimachinery `api/errors`).

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::field;
use crate::gvk::GroupResource;

/// A failed request, as the client receives it. It is an error type of its own: whatever goes wrong between a client and the
/// store ends up as one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The HTTP status code.
    #[serde(default)]
    pub code: u16,
    #[serde(default)]
    pub reason: Reason,
    #[serde(default)]
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Details>>,
    /// With [`Reason::Expired`]: a token that goes on with a list at the present; `metadata.continue` on the wire.
    #[serde(skip)]
    pub continue_token: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cause {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

fn is_zero(seconds: &u32) -> bool {
    *seconds == 0
}

/// Machine-readable reasons.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    ServerTimeout,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    Expired,
    ServiceUnavailable,
    /// None.
    #[default]
    #[serde(rename = "")]
    Unknown,
    /// One that this program never gives itself: webhooks have reasons of their own.
    #[serde(untagged)]
    Other(Box<str>),
}

/// Upstream's words, by which clients know the case.
const UID_PRECONDITION: &str = "UID in precondition";
const DELETION_UID_PRECONDITION: &str = "the UID in the precondition";

impl Status {
    pub fn new(code: u16, reason: Reason, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, continue_token: String::new() }
    }

    fn about(mut self, resource: &GroupResource, name: &str) -> Self {
        self.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: resource.group.clone().into_owned(),
            kind: resource.resource.clone().into_owned(),
            ..Details::default()
        }));
        self
    }

    fn retry_after(mut self, seconds: u32) -> Self {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }

    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::new(404, Reason::NotFound, format!("{resource} {name:?} not found")).about(resource, name)
    }

    /// No such path, kind or resource.
    pub fn no_such_path() -> Self {
        Self::generic(404, Reason::NotFound, "the server could not find the requested resource")
    }

    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        Self::new(409, Reason::AlreadyExists, format!("{resource} {name:?} already exists")).about(resource, name)
    }

    /// `generateName` ran out of luck.
    pub fn generate_name_conflict(resource: &GroupResource, name: &str) -> Self {
        let message = format!(
            "{resource} {name:?} already exists, the server was not able to generate a unique name for the object"
        );
        Self::new(409, Reason::AlreadyExists, message).about(resource, name).retry_after(1)
    }

    pub fn conflict(resource: &GroupResource, name: &str, why: impl fmt::Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} {name:?}: {why}");
        Self::new(409, Reason::Conflict, message).about(resource, name)
    }

    /// The object of this name has another UID than the request demands.
    pub fn uid_precondition(resource: &GroupResource, name: &str, wanted: &str, found: &str) -> Self {
        let why = format!("Precondition failed: {UID_PRECONDITION}: {wanted}, UID in object meta: {found}");
        Self::conflict(resource, name, why)
    }

    /// The same for a deletion, of which upstream speaks in other words.
    pub fn deletion_uid_precondition(resource: &GroupResource, name: &str, wanted: &str, found: &str) -> Self {
        let why = format!(
            "{DELETION_UID_PRECONDITION} ({wanted}) does not match the UID in record ({found}). \
             The object might have been deleted and then recreated"
        );
        Self::conflict(resource, name, why)
    }

    /// The object has changed since the client read it.
    pub fn stale(resource: &GroupResource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// Server-side apply found fields that others own.
    pub fn apply_conflict(message: String, causes: Vec<Cause>) -> Self {
        let mut status = Self::new(409, Reason::Conflict, message);
        status.details = Some(Box::new(Details { causes, ..Details::default() }));
        status
    }

    pub fn unauthorized() -> Self {
        Self::new(401, Reason::Unauthorized, "Unauthorized")
    }

    pub fn forbidden(resource: &GroupResource, name: &str, why: impl fmt::Display) -> Self {
        let message = match (resource.resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (_, true) => format!("{resource} is forbidden: {why}"),
            _ => format!("{resource} {name:?} is forbidden: {why}"),
        };
        Self::new(403, Reason::Forbidden, message).about(resource, name)
    }

    /// Validation failed; `kind` with its group, as in `Deployment.apps`.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &field::Errors) -> Self {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut known = HashSet::new();
        let mut texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        texts.retain(|text| known.insert(text.clone()));
        if errors.omitted() > 0 {
            texts.push(format!("and {} more errors", errors.omitted()));
        }
        let all = if texts.len() == 1 { texts.remove(0) } else { format!("[{}]", texts.join(", ")) };
        let causes = errors
            .iter()
            .map(|error| Cause {
                reason: error.kind.reason().to_owned(),
                message: error.body(),
                field: error.field.clone(),
            })
            .collect();
        let mut status = Self::new(422, Reason::Invalid, format!("{qualified} {name:?} is invalid: {all}"));
        status.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes,
            ..Details::default()
        }));
        status
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, Reason::BadRequest, message)
    }

    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::generic(405, Reason::MethodNotAllowed, message)
    }

    /// A custom resource has no such verb.
    pub fn method_not_supported(resource: &GroupResource, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind {:?}", resource.to_string());
        Self::new(405, Reason::MethodNotAllowed, message).about(resource, "")
    }

    /// A failure of the request as such: upstream gives it details that say nothing.
    pub fn generic(code: u16, reason: Reason, message: impl Into<String>) -> Self {
        Self { details: Some(Box::default()), ..Self::new(code, reason, message) }
    }

    pub fn not_acceptable(accepted: &str) -> Self {
        let message = format!(
            "only the following media types are accepted: {}",
            if accepted.is_empty() { "none" } else { accepted }
        );
        Self::new(406, Reason::NotAcceptable, message)
    }

    pub fn unsupported_media_type(accepted: &str) -> Self {
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Self::new(415, Reason::UnsupportedMediaType, message)
    }

    pub fn too_large(message: impl fmt::Display) -> Self {
        Self::new(413, Reason::RequestEntityTooLarge, format!("Request entity too large: {message}"))
    }

    /// The revision asked for is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, Reason::Expired, message)
    }

    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(410, Reason::Gone, message)
    }

    pub fn internal(why: impl fmt::Display) -> Self {
        let why = why.to_string();
        let mut status = Self::new(500, Reason::InternalError, format!("Internal error occurred: {why}"));
        let cause = Cause { message: why, ..Cause::default() };
        status.details = Some(Box::new(Details { causes: vec![cause], ..Details::default() }));
        status
    }

    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::new(429, Reason::TooManyRequests, message).retry_after(retry_after_seconds)
    }

    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new(503, Reason::ServiceUnavailable, message)
    }

    pub fn timeout(message: impl fmt::Display, retry_after_seconds: u32) -> Self {
        Self::new(504, Reason::Timeout, format!("Timeout: {message}")).retry_after(retry_after_seconds)
    }

    pub fn is_not_found(&self) -> bool {
        self.code == 404
    }

    pub fn is_conflict(&self) -> bool {
        self.reason == Reason::Conflict
    }

    /// Whether the object of this name has another UID than the request says. A conflict as such says no such thing: whoever was too
    /// slow tries again.
    pub fn is_of_other_uid(&self) -> bool {
        let causes = self.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
        // A patch cannot change the UID; a delete and an update have it as a precondition.
        causes.iter().any(|cause| cause.field == "metadata.uid")
            || (self.is_conflict()
                && [UID_PRECONDITION, DELETION_UID_PRECONDITION].iter().any(|words| self.message.contains(words)))
    }

    /// Whether the object that was meant is gone, be there another one of its name or not.
    pub fn says_gone(&self) -> bool {
        self.is_not_found() || self.is_of_other_uid()
    }

    pub fn is_already_exists(&self) -> bool {
        self.reason == Reason::AlreadyExists
    }

    /// The revision that a watch or a continue token needs is no longer there.
    pub fn is_expired(&self) -> bool {
        self.code == 410
    }

    /// The namespace is being deleted: creating in it is hopeless.
    pub fn is_namespace_terminating(&self) -> bool {
        self.details.iter().flat_map(|d| &d.causes).any(|cause| cause.reason == "NamespaceTerminating")
    }

    /// Adds a cause, for machines to read.
    pub fn with_cause(mut self, cause: Cause) -> Self {
        self.details.get_or_insert_default().causes.push(cause);
        self
    }

    /// The object of kind `Status` that a response carries.
    pub fn to_value(&self) -> Value {
        let mut value = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if !self.continue_token.is_empty() {
            value["metadata"]["continue"] = json!(self.continue_token);
        }
        if self.reason != Reason::Unknown {
            value["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            value["details"] = json!(details);
        }
        value
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{Error, Path};

    #[test]
    fn who_is_gone() {
        let pods = GroupResource::of("", "pods");
        assert!(Status::uid_precondition(&pods, "p", "a", "b").says_gone());
        assert!(Status::deletion_uid_precondition(&pods, "p", "a", "b").says_gone());
        assert!(Status::not_found(&pods, "p").says_gone());
        let error = field::Error::invalid(&field::Path::new("metadata").child("uid"), "a", "field is immutable");
        assert!(Status::invalid("", "Pod", "p", &error.into()).says_gone());
        for status in [Status::stale(&pods, "p"), Status::conflict(&pods, "p", "why"), Status::bad_request("no")] {
            assert!(!status.says_gone(), "{status}");
        }
    }

    #[test]
    fn wire_form() {
        let pods = GroupResource::of("", "pods");
        assert_eq!(
            Status::not_found(&pods, "x").to_value(),
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 404,
                "message": "pods \"x\" not found", "reason": "NotFound", "details": {"name": "x", "kind": "pods"}})
        );
        let read: Status = serde_json::from_value(Status::not_found(&pods, "x").to_value()).unwrap();
        assert_eq!(read, Status::not_found(&pods, "x"));
        let unheard: Status = serde_json::from_str(r#"{"reason":"Strange","code":418}"#).unwrap();
        assert_eq!(unheard.reason, Reason::Other("Strange".into()));
        assert_eq!(unheard.to_value()["reason"], "Strange");
        assert_eq!(serde_json::from_str::<Status>(r#"{"reason":""}"#).unwrap().reason, Reason::Unknown);
    }

    #[test]
    fn invalid_lists_each_error_once() {
        let spec = Path::new("spec");
        let one = Error::required(&spec, "").into();
        assert_eq!(
            Status::invalid("apps", "Deployment", "d", &one).message,
            "Deployment.apps \"d\" is invalid: spec: Required value"
        );
        let two = [Error::required(&spec, ""), Error::required(&spec, ""), Error::forbidden(&spec, "no")]
            .into_iter()
            .collect();
        assert_eq!(
            Status::invalid("", "Pod", "p", &two).message,
            "Pod \"p\" is invalid: [spec: Required value, spec: Forbidden: no]"
        );
    }
}
