//! Documents of issuers: fetched over HTTPS, bounded in size and time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use tokio::time::{Instant, timeout_at};
use windlass_http::body;
use windlass_http::header;
use windlass_http::pool::Pool;

/// How long a document may take, its redirections included.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest document that is read.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// As often a server may say that the document is elsewhere; Go's figure.
const REDIRECTIONS_MAX: usize = 10;
/// Of a document that says why there is none, so much is shown.
const SHOWN_BYTES_MAX: usize = 256;

/// Fetches a document.
pub(super) async fn fetch(url: &str, tls: &Arc<rustls::ClientConfig>) -> Result<Bytes, String> {
    let deadline = Instant::now() + TIMEOUT;
    let failed = |why: &str| format!("Get \"{url}\": {why}");
    let mut target = parse(url).map_err(|why| failed(&why))?;
    for _ in 0..=REDIRECTIONS_MAX {
        let host = target.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let pool: Pool<Empty<Bytes>> = Pool::new(tls.clone(), &host);
        let sent = timeout_at(deadline, pool.send(request(&target))).await;
        let response = sent
            .map_err(|_| failed("context deadline exceeded (Client.Timeout exceeded while awaiting headers)"))?
            .map_err(|error| failed(&error.to_string()))?;
        let (head, content) = response.into_parts();
        if matches!(head.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            let location = header::first(&head.headers, &LOCATION).ok_or_else(|| failed("no Location"))?;
            target = redirected(&target, &location).map_err(|why| failed(&why))?;
            continue;
        }
        let content = body::read(content, DOCUMENT_BYTES_MAX, deadline, |_| true).await;
        let content = content.map_err(|error| format!("unable to read response body: {error}"))?;
        if head.status != StatusCode::OK {
            let shown = String::from_utf8_lossy(&content[..content.len().min(SHOWN_BYTES_MAX)]);
            return Err(format!("{}: {shown}", head.status));
        }
        return Ok(content);
    }
    Err(failed("stopped after 10 redirects"))
}

/// A URL that is spoken to over TLS: keys that anybody on the way could exchange prove nothing.
fn parse(url: &str) -> Result<Uri, String> {
    let parsed: Uri = url.parse().map_err(|error| format!("{error}"))?;
    let fits = parsed.scheme_str() == Some("https") && parsed.host().is_some_and(|host| !host.is_empty());
    if fits { Ok(parsed) } else { Err("the URL must begin with https:// and a host".to_owned()) }
}

fn redirected(from: &Uri, location: &str) -> Result<Uri, String> {
    match location.strip_prefix('/') {
        Some(rest) if !rest.starts_with('/') => {
            let authority = from.authority().map(http::uri::Authority::as_str).unwrap_or_default();
            parse(&format!("https://{authority}{location}"))
        }
        _ => parse(location),
    }
}

fn request(url: &Uri) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = url.clone();
    let headers = [(ACCEPT, "application/json"), (USER_AGENT, "kube-apiserver")];
    request.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_redirections_lead() {
        let from = parse("https://a.example:8443/x").unwrap();
        let to = |location: &str| redirected(&from, location).map(|url| url.to_string());
        assert_eq!(to("/y?z").unwrap(), "https://a.example:8443/y?z");
        assert_eq!(to("https://b.example/y").unwrap(), "https://b.example/y");
        for location in ["http://a.example/", "//b.example/", "y", "", "https:///"] {
            assert!(to(location).is_err(), "{location}");
        }
    }
}
