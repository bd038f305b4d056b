//! Requests and answers as they travel over HTTP, whoever carries them.

use bytes::{Buf, Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt};
use http::{Method, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;
use windlass_api::meta::PartialObject;
use windlass_api::{ObjectKey, Status};
use windlass_http::exchange::ExchangeError;

use crate::object::{Event, EventKind, List, Object};
use crate::options::VersionMatch;
use crate::request::{Encoding, Request, Verb};
use crate::transport::Reply;

/// One line of a watch; an object is at most 3 MiB.
const LINE_MAX: usize = 16 << 20;

pub(crate) fn unavailable(what: &str, error: impl std::fmt::Display) -> Status {
    Status::service_unavailable(format!("{what}: {error}"))
}

pub fn method(verb: Verb) -> Method {
    match verb {
        Verb::Get | Verb::List | Verb::Watch => Method::GET,
        Verb::Create => Method::POST,
        Verb::Update => Method::PUT,
        Verb::Patch(_) => Method::PATCH,
        Verb::Delete | Verb::DeleteCollection => Method::DELETE,
    }
}

/// What the body of a request is written as.
pub fn content_type(request: &Request) -> &'static str {
    match (request.verb, request.body.encoding) {
        (Verb::Patch(patch), _) => patch.media_type(),
        (_, Encoding::Json) => "application/json",
        (_, Encoding::Yaml) => "application/yaml",
        (_, Encoding::Protobuf) => "application/vnd.kubernetes.protobuf",
    }
}

/// What a request came to, by the answer to it, of which so many bytes are read. A watch holds `lease` for as long as it lives.
pub async fn reply(
    verb: Verb,
    response: Response<Incoming>,
    bytes_max: usize,
    lease: impl Send + 'static,
) -> Result<Reply, Status> {
    if response.status().is_success() && verb == Verb::Watch {
        return Ok(Reply::Watch(watch(response.into_body(), lease)));
    }
    let body = document(response, bytes_max).await?;
    match verb {
        Verb::List | Verb::DeleteCollection => list(&body).map(Reply::List),
        _ => object(body).map(Reply::Object),
    }
}

/// The body of an answer, if that is no refusal.
pub(crate) async fn document(response: Response<Incoming>, bytes_max: usize) -> Result<Bytes, Status> {
    let (parts, body) = response.into_parts();
    let collected = Limited::new(body, bytes_max).collect().await;
    let collected = collected.map_err(|error| unavailable("reading the answer", ExchangeError::of(&*error)))?;
    let body = collected.to_bytes();
    if parts.status.is_success() { Ok(body) } else { Err(failure(parts.status.as_u16(), &body)) }
}

/// The refusal that an answer is.
fn failure(code: u16, body: &[u8]) -> Status {
    match serde_json::from_slice::<Status>(body) {
        Ok(status) if status.code != 0 => status,
        _ => {
            let text = String::from_utf8_lossy(&body[..body.len().min(1024)]).into_owned();
            Status::new(code, windlass_api::status::Reason::Unknown, text)
        }
    }
}

fn malformed(error: impl std::fmt::Display) -> Status {
    Status::internal(format_args!("the API server's answer cannot be read: {error}"))
}

fn object(json: Bytes) -> Result<Object, Status> {
    let metadata = serde_json::from_slice::<PartialObject>(&json).map_err(malformed)?.metadata;
    let revision = metadata.resource_version.parse().unwrap_or(0);
    Ok(Object { key: ObjectKey::new(metadata.namespace, metadata.name), revision, json })
}

#[derive(Deserialize)]
struct WireList<'a> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMeta {
    resource_version: String,
    r#continue: String,
}

fn list(body: &[u8]) -> Result<List, Status> {
    let wire: WireList<'_> = serde_json::from_slice(body).map_err(malformed)?;
    let items = wire.items.unwrap_or_default();
    let items: Result<Vec<Object>, Status> =
        items.into_iter().map(|raw| object(Bytes::copy_from_slice(raw.get().as_bytes()))).collect();
    Ok(List {
        items: items?,
        revision: wire.metadata.resource_version.parse().unwrap_or(0),
        continue_token: wire.metadata.r#continue,
    })
}

/// Splits a watch's body into lines, each an event.
fn watch(body: Incoming, lease: impl Send + 'static) -> BoxStream<'static, Result<Event, Status>> {
    let state = (body, BytesMut::new());
    let events = stream::unfold(state, |(mut body, mut buffer)| async move {
        loop {
            if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(end);
                buffer.advance(1);
                return Some((event(&line), (body, buffer)));
            }
            if buffer.len() > LINE_MAX {
                return Some((Err(malformed("an event is too long")), (body, BytesMut::new())));
            }
            match body.frame().await {
                None => return None,
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        buffer.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => {
                    let error = unavailable("the watch broke", ExchangeError::of(&error));
                    return Some((Err(error), (body, buffer)));
                }
            }
        }
    });
    events
        .inspect(move |_| {
            let _held = &lease;
        })
        .boxed()
}

#[derive(Deserialize)]
struct WireEvent<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

fn event(line: &[u8]) -> Result<Event, Status> {
    let wire: WireEvent<'_> = serde_json::from_slice(line).map_err(malformed)?;
    let json = Bytes::copy_from_slice(wire.object.get().as_bytes());
    let kind = match wire.r#type {
        "ADDED" => EventKind::Added,
        "MODIFIED" => EventKind::Modified,
        "DELETED" => EventKind::Deleted,
        "BOOKMARK" => EventKind::Bookmark,
        _ => return Err(failure(500, &json)),
    };
    let metadata = serde_json::from_slice::<PartialObject>(&json).map_err(malformed)?.metadata;
    let initial_events_end = metadata.annotations.contains_key("k8s.io/initial-events-end");
    let revision = metadata.resource_version.parse().unwrap_or(0);
    let object = Object { key: ObjectKey::new(metadata.namespace, metadata.name), revision, json };
    Ok(Event { kind, object, initial_events_end })
}

/// Where a request goes.
pub fn path_and_query(request: &Request) -> String {
    let namespace = (!request.namespace.is_empty()).then_some(request.namespace.as_str());
    let mut path = request.resource.path(namespace);
    for segment in [request.name.as_str(), &request.subresource] {
        if !segment.is_empty() {
            path.push('/');
            path.extend(encoded(segment));
        }
    }
    let options = &request.options;
    let mut query: Vec<(&str, String)> = Vec::new();
    let mut add = |name, value: String| {
        if !value.is_empty() {
            query.push((name, value));
        }
    };
    add("watch", if request.verb == Verb::Watch { "true".to_owned() } else { String::new() });
    add("labelSelector", options.labels.to_string());
    add("fieldSelector", options.fields.to_string());
    add("resourceVersion", options.resource_version.map(|v| v.to_string()).unwrap_or_default());
    add(
        "resourceVersionMatch",
        match options.version_match {
            None => String::new(),
            Some(VersionMatch::Exact) => "Exact".to_owned(),
            Some(VersionMatch::NotOlderThan) => "NotOlderThan".to_owned(),
        },
    );
    add("limit", if options.limit == 0 { String::new() } else { options.limit.to_string() });
    add("continue", options.continue_token.clone());
    add("timeoutSeconds", options.timeout_seconds.map(|s| s.to_string()).unwrap_or_default());
    add("allowWatchBookmarks", if options.allow_bookmarks { "true".to_owned() } else { String::new() });
    add("sendInitialEvents", options.send_initial_events.map(|s| s.to_string()).unwrap_or_default());
    add("dryRun", if options.dry_run { "All".to_owned() } else { String::new() });
    add("fieldManager", options.field_manager.clone());
    add("fieldValidation", options.field_validation.clone());
    add("force", options.force.map(|f| f.to_string()).unwrap_or_default());
    let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={}", encoded(&value))).collect();
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

/// Everything that is not unreserved (RFC 3986).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

#[cfg(test)]
mod tests {
    use windlass_api::GroupVersionResource;
    use windlass_api::labels::Selector;

    use super::*;
    use crate::options::Options as RequestOptions;

    #[test]
    fn paths() {
        let pods = GroupVersionResource::of("", "v1", "pods");
        let request = Request::new(Verb::Watch, &pods).namespace("a").options(RequestOptions {
            labels: Selector::parse("a=b,c").unwrap(),
            resource_version: Some(7),
            ..RequestOptions::default()
        });
        assert_eq!(
            path_and_query(&request),
            "/api/v1/namespaces/a/pods?watch=true&labelSelector=a%3Db%2Cc&resourceVersion=7"
        );
        let request = Request::new(Verb::Get, &pods).namespace("a").name("x:y").subresource("status");
        assert_eq!(path_and_query(&request), "/api/v1/namespaces/a/pods/x%3Ay/status");
    }

    #[test]
    fn answers() {
        let all = list(br#"{"metadata":{"resourceVersion":"9","continue":"c"},"items":[{"metadata":{"name":"a","namespace":"n","resourceVersion":"3"}}]}"#).unwrap();
        assert_eq!((all.revision, all.continue_token.as_str(), all.items[0].revision), (9, "c", 3));
        assert!(list(br#"{"items":null}"#).unwrap().items.is_empty());
        let bookmark = event(br#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"5","annotations":{"k8s.io/initial-events-end":"true"}}}}"#).unwrap();
        assert!(bookmark.initial_events_end && bookmark.object.revision == 5);
        let gone = event(br#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"m"}}"#);
        assert!(gone.unwrap_err().is_expired());
        assert_eq!(failure(502, b"bad gateway").code, 502);
    }
}
