//! An event: `audit.k8s.io/v1` Event, as it stands in the log.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use windlass_api::time::rfc3339_micro;
use windlass_auth::User;

/// How much of a request is recorded; each level holds what those before it hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    #[default]
    None,
    Metadata,
    /// Also the object that the client sent.
    Request,
    /// Also the object that it got.
    RequestResponse,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }
}

/// Where on its way a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It is known who asks; nobody has looked at what for.
    RequestReceived,
    /// The answer has begun. Only of what runs for long: watches, logs, sessions.
    ResponseStarted,
    ResponseComplete,
    Panic,
}

impl Stage {
    pub const ALL: [Self; 4] = [Self::RequestReceived, Self::ResponseStarted, Self::ResponseComplete, Self::Panic];

    pub fn name(self) -> &'static str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
        }
    }
}

/// What is known of a request so far. The order of the fields is that of upstream's log.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    pub level: Level,
    #[serde(rename = "auditID")]
    pub audit_id: String,
    pub stage: Stage,
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    pub verb: String,
    pub user: Arc<User>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impersonated_user: Option<Arc<User>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication_metadata: Option<AuthenticationMetadata>,
    #[serde(rename = "sourceIPs", skip_serializing_if = "Vec::is_empty")]
    pub source_ips: Vec<IpAddr>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_agent: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_ref: Option<ObjectReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_status: Option<ResponseStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_object: Option<Arc<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_object: Option<Arc<RawValue>>,
    #[serde(serialize_with = "micro")]
    pub request_received_timestamp: Timestamp,
    #[serde(serialize_with = "micro")]
    pub stage_timestamp: Timestamp,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// How the user came to act as somebody else.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuthenticationMetadata {
    pub impersonation_constraint: String,
}

/// What the request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObjectReference {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
}

/// What came of the request: of an answer that is no `Status`, only the code.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct ResponseStatus {
    /// Lists have it, and a `Status` is one by its form; always empty.
    pub metadata: serde_json::Map<String, Value>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub details: Value,
    pub code: u16,
}

fn micro<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&rfc3339_micro(*at))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn event() -> Event {
        Event {
            level: Level::Metadata,
            audit_id: "id".to_owned(),
            stage: Stage::RequestReceived,
            request_uri: "/api/v1/pods?limit=1".to_owned(),
            verb: "list".to_owned(),
            user: Arc::new(User::new("jane", &["ops"])),
            impersonated_user: None,
            authentication_metadata: None,
            source_ips: vec![IpAddr::from([10, 0, 0, 1])],
            user_agent: "kubectl".to_owned(),
            object_ref: Some(ObjectReference {
                resource: "pods".to_owned(),
                api_version: "v1".to_owned(),
                ..ObjectReference::default()
            }),
            response_status: None,
            request_object: None,
            response_object: None,
            request_received_timestamp: Timestamp::UNIX_EPOCH,
            stage_timestamp: Timestamp::UNIX_EPOCH,
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn as_it_stands_in_the_log() {
        let mut event = event();
        event.response_status = Some(ResponseStatus { code: 200, ..ResponseStatus::default() });
        event.request_object = Some(RawValue::from_string(r#"{"a":1}"#.to_owned()).unwrap().into());
        event.annotations.insert("k".to_owned(), "v".to_owned());
        let expected = concat!(
            r#"{"level":"Metadata","auditID":"id","stage":"RequestReceived","requestURI":"/api/v1/pods?limit=1","verb":"list","#,
            r#""user":{"username":"jane","groups":["ops","system:authenticated"]},"sourceIPs":["10.0.0.1"],"userAgent":"kubectl","#,
            r#""objectRef":{"resource":"pods","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"requestObject":{"a":1},"#,
            r#""requestReceivedTimestamp":"1970-01-01T00:00:00.000000Z","stageTimestamp":"1970-01-01T00:00:00.000000Z","#,
            r#""annotations":{"k":"v"}}"#
        );
        assert_eq!(serde_json::to_string(&event).unwrap(), expected);
    }
}
