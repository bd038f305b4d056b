//! What the client can read, and what it has sent.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use windlass_api::status::Reason;
use windlass_api::{Status, field};
use windlass_client::{Encoding, PatchType};
use windlass_http::header;

use super::query::Query;
use crate::encode::{Format, Shape};
use crate::table::IncludeObject;

/// What answers are written as: documents, and then streams of them.
const MEDIA_TYPES: [&str; 5] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];

/// The media types of a document.
pub(crate) fn of_documents() -> &'static [&'static str] {
    &MEDIA_TYPES[..3]
}

/// The media types that the answer to a verb can be written as: of a list or a watch, streams as well.
pub(crate) fn of_resources(verb: &str) -> &'static [&'static str] {
    if matches!(verb, "list" | "watch") { &MEDIA_TYPES } else { of_documents() }
}

/// Refuses a client that accepts nothing of what there is, whatever the parameters say; `available` are media types.
pub(crate) fn check_accept(headers: &HeaderMap, available: &[&str]) -> Result<(), Status> {
    let accept: Vec<_> = headers.get_all(ACCEPT).iter().map(header::text).filter(|value| !value.is_empty()).collect();
    let mut wanted = accept.iter().flat_map(|header| header.split(','));
    let is_available = |wanted: &str| {
        let media_type = wanted.split(';').next().unwrap_or_default().trim();
        media_type == "*/*" || available.contains(&media_type)
    };
    if accept.is_empty() || wanted.any(is_available) {
        return Ok(());
    }
    let available = available.join(", ");
    let text = format!("406: Not Acceptable\n\nAvailable representations: {available}");
    Err(Status::generic(406, Reason::NotAcceptable, text))
}

/// Programs with people behind them, by the beginning of their User-Agent: they get JSON with line breaks.
const FOR_PEOPLE: [&str; 3] = ["curl", "Wget", "Mozilla/5.0"];

/// The form of the answer that the client likes best of those that the server can give.
pub(crate) fn accept(headers: &HeaderMap, query: &Query) -> Result<Format, Status> {
    accept_of(headers, query, |_| true)
}

/// The same for a custom resource, whose objects have no protobuf.
pub(crate) fn accept_custom(headers: &HeaderMap, query: &Query) -> Result<Format, Status> {
    accept_of(headers, query, |format| format.encoding != Encoding::Protobuf || format.shape != Shape::Whole)
}

/// The same for what is made for the answer alone, which has no tables.
pub(crate) fn accept_whole(headers: &HeaderMap, query: &Query) -> Result<Format, Status> {
    accept_of(headers, query, |format| format.shape == Shape::Whole)
}

fn accept_of(headers: &HeaderMap, query: &Query, gives: impl Fn(&Format) -> bool) -> Result<Format, Status> {
    let include = match query.get("includeObject").unwrap_or_default() {
        "" | "Metadata" => Some(IncludeObject::Metadata),
        "None" => Some(IncludeObject::None),
        "Object" => Some(IncludeObject::Object),
        _ => None,
    };
    let accept = accept_headers(headers);
    let choices = choices(&accept);
    let format = if accept.iter().all(|header| header.is_empty()) {
        Some(Format::default())
    } else {
        choices.iter().find_map(|choice| choice.format(include.unwrap_or_default()).filter(&gives))
    };
    let format = format.ok_or_else(|| Status::not_acceptable(&of_documents().join(", ")))?;
    if include.is_none() && matches!(format.shape, Shape::Table(_)) {
        let wanted = query.get("includeObject").unwrap_or_default();
        let path = field::Path::new("includeObject");
        let error = field::Error::invalid(&path, wanted, "must be 'Metadata', 'Object', 'None', or empty");
        return Err(Status::bad_request(format!("Unable to convert to Table as requested: {error}")));
    }
    Ok(Format { pretty: format.pretty || is_for_people(headers, query), ..format })
}

/// A page for people that is an object for programs that ask for it by name: `None` is the text, otherwise the version and the encoding.
pub(crate) fn accept_page<'v>(
    headers: &HeaderMap,
    query: &Query,
    (group, kind): (&str, &str),
    versions: &[&'v str],
) -> Result<Option<(&'v str, Format)>, Status> {
    let accept = accept_headers(headers);
    if accept.iter().all(|header| header.trim().is_empty()) {
        return Ok(None);
    }
    let object = |choice: &Choice<'_>| {
        let (encoding, wants) = (choice.encoding()?, choice.wants());
        let version = versions.iter().find(|version| wants.target() == (kind, group, version))?;
        let is_given = encoding != Encoding::Protobuf && !wants.has_restriction();
        is_given.then_some(Some((
            *version,
            Format { encoding, shape: Shape::Whole, pretty: wants.pretty || is_for_people(headers, query) },
        )))
    };
    let text = |choice: &Choice<'_>| {
        let (is_text, wants) = (matches!(choice.media_type, "text/plain" | "text/*" | "*/*" | "*"), choice.wants());
        (is_text && wants.target() == ("", "", "") && !wants.has_restriction()).then_some(None)
    };
    let found = choices(&accept).iter().find_map(|choice| object(choice).or_else(|| text(choice)));
    found.ok_or_else(|| Status::not_acceptable("application/json, application/yaml, text/plain"))
}

fn accept_headers(headers: &HeaderMap) -> Vec<Cow<'_, str>> {
    headers.get_all(ACCEPT).iter().map(header::text).collect()
}

/// What is accepted, what is liked best first.
fn choices<'a>(accept: &'a [Cow<'_, str>]) -> Vec<Choice<'a>> {
    let mut choices: Vec<Choice<'a>> =
        accept.iter().flat_map(|header| header.split(',')).filter_map(Choice::read).collect();
    choices.sort_by(|a, b| b.quality.total_cmp(&a.quality).then(a.is_wild().cmp(&b.is_wild())));
    choices
}

/// The form of a watch's events, each in a line of its own. Refused is a form that has no end of a document.
pub(crate) fn of_stream(format: Format) -> Result<Format, Status> {
    if format.encoding == Encoding::Yaml {
        return Err(Status::not_acceptable(&MEDIA_TYPES[3..].join(", ")));
    }
    Ok(Format { pretty: false, ..format })
}

/// Whether people will read the answer as it is.
fn is_for_people(headers: &HeaderMap, query: &Query) -> bool {
    match query.get("pretty") {
        Some(pretty) if !pretty.is_empty() => matches!(pretty, "1" | "t" | "T" | "TRUE" | "true" | "True"),
        _ => header::first(headers, &USER_AGENT)
            .is_some_and(|agent| FOR_PEOPLE.iter().any(|program| agent.starts_with(program))),
    }
}

/// One form that a client accepts.
struct Choice<'a> {
    media_type: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f64,
}

impl<'a> Choice<'a> {
    /// `None` for what is no media type.
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next()?;
        if media_type != "*" && media_type.matches('/').count() != 1 {
            return None;
        }
        let parameters: Vec<_> =
            parts.filter_map(|part| part.split_once('=')).map(|(name, value)| (name.trim(), value.trim())).collect();
        let quality = parameters.iter().find(|(name, _)| *name == "q");
        let quality = quality.map_or(1.0, |(_, value)| value.parse().unwrap_or(0.0));
        Some(Self { media_type, parameters, quality })
    }

    fn is_wild(&self) -> bool {
        self.media_type.contains('*')
    }

    fn encoding(&self) -> Option<Encoding> {
        match self.media_type {
            "application/json" | "*" | "*/*" | "application/*" => Some(Encoding::Json),
            "application/yaml" => Some(Encoding::Yaml),
            "application/vnd.kubernetes.protobuf" => Some(Encoding::Protobuf),
            _ => None,
        }
    }

    fn wants(&self) -> Wants<'a> {
        let mut wants = Wants::default();
        for (name, value) in &self.parameters {
            match *name {
                "as" => wants.kind = value,
                "g" => wants.group = value,
                "v" => wants.version = value,
                "pretty" => wants.pretty = *value == "1",
                "stream" => wants.stream = value,
                "sv" => wants.server_version = value,
                _ => {}
            }
        }
        wants
    }

    fn format(&self, include: IncludeObject) -> Option<Format> {
        let (encoding, wants) = (self.encoding()?, self.wants());
        // A stream of something else, or a version of the server: there is none.
        let is_streamed = encoding != Encoding::Yaml && wants.stream == "watch";
        if !wants.server_version.is_empty() || !(wants.stream.is_empty() || is_streamed) {
            return None;
        }
        let shape = match wants.target() {
            ("", "", "") => Shape::Whole,
            ("Table", "meta.k8s.io", "v1") if encoding != Encoding::Protobuf => Shape::Table(include),
            ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1") => Shape::Partial,
            _ => return None,
        };
        Some(Format { encoding, shape, pretty: wants.pretty })
    }
}

/// What the parameters of a media type ask for.
#[derive(Default)]
struct Wants<'a> {
    kind: &'a str,
    group: &'a str,
    version: &'a str,
    stream: &'a str,
    server_version: &'a str,
    pretty: bool,
}

impl<'a> Wants<'a> {
    /// Kind, group and version to convert to.
    fn target(&self) -> (&'a str, &'a str, &'a str) {
        (self.kind, self.group, self.version)
    }

    fn has_restriction(&self) -> bool {
        !self.stream.is_empty() || !self.server_version.is_empty()
    }
}

/// How the body of a create or update is written.
pub(crate) fn content(headers: &HeaderMap) -> Result<Encoding, Status> {
    let header = header::first(headers, &CONTENT_TYPE).unwrap_or_default();
    let mut parts = header.split(';').map(str::trim);
    // Media types know no case.
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_sound = parts.filter(|part| !part.is_empty()).all(|part| {
        let (name, value) = part.split_once('=').unwrap_or_default();
        !name.is_empty() && !value.is_empty()
    });
    match media_type.as_str() {
        "" if header.is_empty() => Ok(Encoding::Json),
        "application/json" if is_sound => Ok(Encoding::Json),
        "application/yaml" if is_sound => Ok(Encoding::Yaml),
        "application/vnd.kubernetes.protobuf" if is_sound => Ok(Encoding::Protobuf),
        _ => Err(Status::unsupported_media_type(&of_documents().join(", "))),
    }
}

/// What kind of patch the body is.
pub(crate) fn patch(headers: &HeaderMap, is_custom: bool) -> Result<(PatchType, Encoding), Status> {
    let header = header::first(headers, &CONTENT_TYPE).unwrap_or_default();
    match header.split(';').next().unwrap_or_default().trim() {
        "application/json-patch+json" => Ok((PatchType::Json, Encoding::Json)),
        "application/merge-patch+json" => Ok((PatchType::Merge, Encoding::Json)),
        // A strategic merge follows what Go's types say, and custom resources have none.
        "application/strategic-merge-patch+json" if !is_custom => Ok((PatchType::Strategic, Encoding::Json)),
        // JSON is YAML as well.
        "application/apply-patch+yaml" => Ok((PatchType::Apply, Encoding::Yaml)),
        _ if is_custom => Err(Status::unsupported_media_type(
            "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        )),
        _ => Err(Status::generic(415, Reason::UnsupportedMediaType, "415: Unsupported Media Type")),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn accepted(value: &str) -> Result<Format, Status> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(value).unwrap());
        accept(&headers, &Query::default())
    }

    #[test]
    fn the_first_that_fits() {
        let format = |encoding, shape| Ok(Format { encoding, shape, pretty: false });
        let table = Shape::Table(IncludeObject::Metadata);
        assert_eq!(accepted("*/*"), format(Encoding::Json, Shape::Whole));
        assert_eq!(
            accepted(
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
            ),
            format(Encoding::Json, table)
        );
        assert_eq!(
            accepted("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"),
            format(Encoding::Json, Shape::Whole)
        );
        assert_eq!(
            accepted("application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"),
            format(Encoding::Protobuf, Shape::Partial)
        );
        assert_eq!(
            accepted("application/vnd.kubernetes.protobuf;stream=watch, application/json"),
            format(Encoding::Protobuf, Shape::Whole)
        );
        assert_eq!(accepted("text/html, application/yaml"), format(Encoding::Yaml, Shape::Whole));
        assert_eq!(accepted("application/json;q=0.5, application/yaml"), format(Encoding::Yaml, Shape::Whole));
        assert_eq!(accepted("*/*, application/yaml"), format(Encoding::Yaml, Shape::Whole));
        assert_eq!(accepted("application/yaml;stream=watch, */*;q=0.1"), format(Encoding::Json, Shape::Whole));
        assert_eq!(accepted("application/*"), format(Encoding::Json, Shape::Whole));
        assert_eq!(accepted(""), format(Encoding::Json, Shape::Whole));
        for refused in ["text/html", "json", "application/json;stream=x", "application/json;v=v1"] {
            assert_eq!(accepted(refused).unwrap_err().code, 406, "{refused}");
        }
        // A wish that is not understood is no absence of wishes.
        assert_eq!(accepted("größe").unwrap_err().code, 406);
    }

    #[test]
    fn people_like_line_breaks() {
        let pretty = |agent: &str, accepts: &str, query: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, HeaderValue::from_str(agent).unwrap());
            headers.insert(ACCEPT, HeaderValue::from_str(accepts).unwrap());
            accept(&headers, &Query::parse(Some(query))).unwrap().pretty
        };
        assert!(pretty("curl/7.88.1", "*/*", ""));
        assert!(pretty("kubectl/v1.37.1", "application/json;pretty=1", ""));
        assert!(pretty("kubectl/v1.37.1", "", "pretty=true"));
        assert!(!pretty("curl/7.88.1", "*/*", "pretty=0"));
        assert!(!pretty("kubectl/v1.37.1", "application/json", "pretty="));
    }

    #[test]
    fn bodies() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
            content(&headers)
        };
        assert_eq!(of("Application/JSON; charset=utf-8").unwrap(), Encoding::Json);
        assert_eq!(of("application/yaml").unwrap(), Encoding::Yaml);
        for refused in ["text/plain", "application/json;charset", "; charset=utf-8"] {
            assert_eq!(of(refused).unwrap_err().code, 415, "{refused}");
        }
    }
}
