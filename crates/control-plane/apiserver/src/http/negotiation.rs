//! What the client can read, and what it has sent.

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use windlass_api::Status;
use windlass_client::{Encoding, PatchType};
use windlass_http::header;

use crate::encode::{Format, Shape};
use crate::table::IncludeObject;

const ENCODINGS: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// The first form in the Accept header that the server can give.
pub(crate) fn accept(headers: &HeaderMap, include: IncludeObject, pretty: bool) -> Result<Format, Status> {
    let mut any = false;
    for header in headers.get_all(ACCEPT).iter().map(header::text) {
        for choice in header.split(',').map(str::trim).filter(|choice| !choice.is_empty()) {
            any = true;
            if let Some(format) = acceptable(choice, include) {
                return Ok(Format { pretty, ..format });
            }
        }
    }
    if any { Err(Status::not_acceptable(ENCODINGS)) } else { Ok(Format { pretty, ..Format::default() }) }
}

fn acceptable(choice: &str, include: IncludeObject) -> Option<Format> {
    let mut parts = choice.split(';').map(str::trim);
    let encoding = match parts.next()? {
        "application/json" | "*/*" | "application/*" => Encoding::Json,
        "application/yaml" => Encoding::Yaml,
        "application/vnd.kubernetes.protobuf" => Encoding::Protobuf,
        _ => return None,
    };
    let (mut shape, mut group, mut version) = ("", "", "");
    for parameter in parts {
        match parameter.split_once('=') {
            Some(("as", value)) => shape = value,
            Some(("g", value)) => group = value,
            Some(("v", value)) => version = value,
            _ => {}
        }
    }
    let shape = match (shape, group, version) {
        ("", ..) => Shape::Whole,
        ("Table", "meta.k8s.io", "v1") if encoding != Encoding::Protobuf => Shape::Table(include),
        ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1") => Shape::Partial,
        _ => return None,
    };
    Some(Format { encoding, shape, pretty: false })
}

/// The type of the body without its parameters; empty when the client says nothing.
fn media_type(header: Option<&str>) -> &str {
    header.and_then(|value| value.split(';').next()).unwrap_or_default().trim()
}

/// How the body of a create or update is written.
pub(crate) fn content(headers: &HeaderMap) -> Result<Encoding, Status> {
    match media_type(header::first(headers, &CONTENT_TYPE).as_deref()) {
        "" | "application/json" => Ok(Encoding::Json),
        "application/yaml" => Ok(Encoding::Yaml),
        "application/vnd.kubernetes.protobuf" => Ok(Encoding::Protobuf),
        _ => Err(Status::unsupported_media_type(ENCODINGS)),
    }
}

/// What kind of patch the body is.
pub(crate) fn patch(headers: &HeaderMap) -> Result<(PatchType, Encoding), Status> {
    match media_type(header::first(headers, &CONTENT_TYPE).as_deref()) {
        "application/json-patch+json" => Ok((PatchType::Json, Encoding::Json)),
        "application/merge-patch+json" => Ok((PatchType::Merge, Encoding::Json)),
        "application/strategic-merge-patch+json" => Ok((PatchType::Strategic, Encoding::Json)),
        // JSON is YAML as well.
        "application/apply-patch+yaml" => Ok((PatchType::Apply, Encoding::Yaml)),
        _ => Err(Status::unsupported_media_type(
            "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, \
             application/apply-patch+yaml",
        )),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn accepted(value: &str) -> Result<Format, Status> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(value).unwrap());
        accept(&headers, IncludeObject::Metadata, false)
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
        assert_eq!(accepted("text/html").unwrap_err().code, 406);
        // A wish that is not understood is no absence of wishes.
        assert_eq!(accepted("größe").unwrap_err().code, 406);
    }
}
