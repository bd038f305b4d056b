//! What `/statusz` and `/flagz` share: a text for people, and objects of `config.k8s.io` for programs that ask for them by name.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, WARNING};
use http::{Response, StatusCode};
use serde_json::Value;
use windlass_api::{GroupVersionKind, Status};
use windlass_client::Encoding;

use super::PageRequest;
use crate::encode::Format;
use crate::message::negotiation;
use crate::message::response::{Body, failure, full, plain};

/// What the server calls itself on these pages.
pub(super) const COMPONENT: &str = "apiserver";
pub(super) const GROUP: &str = "config.k8s.io";
const DEPRECATED: &str = "v1alpha1";

/// The version and form of the object; `None` for the text.
pub(super) fn accept(request: &PageRequest<'_>, kind: &str) -> Result<Option<(&'static str, Format)>, Status> {
    negotiation::accept_page(request.headers, request.query, (GROUP, kind), &[DEPRECATED, "v1beta1"])
}

/// A page, or why there is none in a form that the client accepts. These pages have no protobuf, which is true of the refusal as well.
pub(super) fn answer(request: &PageRequest<'_>, page: Result<Response<Body>, Status>) -> Response<Body> {
    page.unwrap_or_else(|status| {
        let accepted = negotiation::accept(request.headers, request.query).unwrap_or_default();
        let encoding = if accepted.encoding == Encoding::Yaml { Encoding::Yaml } else { Encoding::Json };
        failure(&status, Format { encoding, shape: Default::default(), ..accepted })
    })
}

pub(super) fn text(page: &str, text: &str) -> Response<Body> {
    let head = format!(
        "\n{COMPONENT} {page}\nWarning: This endpoint is not meant to be machine parseable, has no formatting compatibility \
         guarantees and is for debugging purposes only.\n"
    );
    plain(StatusCode::OK, "text/plain; charset=utf-8", head + text)
}

pub(super) fn object(kind: &GroupVersionKind, format: Format, tree: Value) -> Result<Response<Body>, Status> {
    let bytes: Bytes = format.tree_bytes(kind, tree)?;
    let mut response = Response::new(full(bytes));
    let (group, version, name) = (&kind.group, &kind.version, &kind.kind);
    let content_type = format!("{};g={group};v={version};as={name}", format.content_type());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::try_from(content_type).map_err(Status::internal)?);
    if version == DEPRECATED {
        let page = name.to_lowercase();
        let warning =
            format!("299 - \"This version of the {page} endpoint is deprecated. Please use a newer version.\"");
        response.headers_mut().insert(WARNING, HeaderValue::try_from(warning).map_err(Status::internal)?);
    }
    Ok(response)
}
