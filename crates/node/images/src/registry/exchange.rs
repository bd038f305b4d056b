//! One HTTP exchange: a request, its redirects, the response's head. Who asks and what a refusal means is decided elsewhere.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use windlass_http::exchange::ExchangeError;
use windlass_http::header;

use super::config::{Host, Proxy};
use super::dial::Connector;
use super::error::{ConfigError, RegistryError, RequestFailure, describe_body};
use super::tls::Material;

/// As Go's client.
const REDIRECTS_MAX: usize = 10;
const ERROR_BODY_BYTES_MAX: usize = 64_000;
const CLIENTS_MAX: usize = 32;
const IDLE_CONNECTIONS_MAX: usize = 4;
const IDLE_SECONDS_MAX: u64 = 30;
/// Bound of one connection's read buffer, and so of the chunks that a body comes in.
const READ_BUFFER_BYTES: usize = 256 << 10;
const USER_AGENT_VALUE: &str = concat!("windlass/", env!("CARGO_PKG_VERSION"));

pub(super) type HttpClient = Client<Connector, Full<Bytes>>;

/// HTTP clients with their connections, one for each set of TLS settings, shared by all pulls.
pub(crate) struct Transport {
    proxy: Arc<Matcher>,
    clients: Mutex<Vec<(Key, HttpClient)>>,
    /// How long a server may be silent before it counts as gone.
    silence_max: Duration,
}

type Key = (Material, Duration);

impl Transport {
    pub(crate) fn new(proxy: &Proxy, silence_max: Duration) -> Self {
        let matcher = Matcher::builder()
            .http(proxy.http_proxy.as_str())
            .https(proxy.https_proxy.as_str())
            .no(proxy.no_proxy.as_str())
            .build();
        Self { proxy: Arc::new(matcher), clients: Mutex::new(Vec::new()), silence_max }
    }

    pub(super) fn silence_max(&self) -> Duration {
        self.silence_max
    }

    /// The client for an endpoint. Reads certificate files, so it belongs on a blocking thread.
    pub(super) fn client(&self, host: &Host) -> Result<HttpClient, ConfigError> {
        let key = (Material::load(&host.tls)?, host.dial_timeout);
        let known = |clients: &[(Key, HttpClient)]| clients.iter().find(|(k, _)| *k == key).map(|(_, c)| c.clone());
        if let Some(client) = known(&self.clients.lock()) {
            return Ok(client);
        }
        let tls = Arc::new(key.0.client_config()?);
        let connector = Connector { tls, proxy: self.proxy.clone(), dial_timeout: host.dial_timeout };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(IDLE_SECONDS_MAX))
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .http1_max_buf_size(READ_BUFFER_BYTES)
            .build(connector);
        let mut clients = self.clients.lock();
        if clients.len() == CLIENTS_MAX {
            clients.remove(0);
        }
        clients.push((key, client.clone()));
        Ok(client)
    }

    /// Sends a request and follows redirects; any status is an answer. To another host go neither the authorization nor the
    /// headers that configuration adds (`private`). `allow_plain` permits a redirect from https to http, which is harmless
    /// for content whose digest is known.
    pub(super) async fn send(
        &self,
        client: &HttpClient,
        outgoing: Outgoing<'_>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let mut uri: Uri = outgoing
            .url
            .parse()
            .map_err(|_| RegistryError::Redirect { url: outgoing.url.to_owned(), location: outgoing.url.to_owned() })?;
        let origin = uri.authority().cloned();
        for _ in 0..=REDIRECTS_MAX {
            let foreign = uri.authority().cloned() != origin;
            let mut request = Request::new(Full::new(outgoing.body.clone()));
            *request.method_mut() = outgoing.method.clone();
            *request.uri_mut() = uri.clone();
            let headers = request.headers_mut();
            headers.extend(outgoing.headers.clone());
            headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_VALUE));
            // To a registry with TLS the tunnel shows it instead.
            if uri.scheme_str() == Some("http")
                && let Some(shown) = self.proxy.intercept(&uri).and_then(|proxy| proxy.basic_auth().cloned())
            {
                headers.insert(PROXY_AUTHORIZATION, shown);
            }
            if !foreign {
                headers.extend(outgoing.private.clone());
                if let Some(authorization) = &outgoing.authorization {
                    headers.insert(AUTHORIZATION, authorization.clone());
                }
            }
            let response = self.exchange(client, request, &outgoing.method, &uri).await?;
            let Some(next) = redirect(&response, &outgoing.method, &uri, outgoing.allow_plain)? else {
                return Ok(response);
            };
            uri = next;
        }
        Err(RegistryError::TooManyRedirects { url: shown(&uri) })
    }

    async fn exchange(
        &self,
        client: &HttpClient,
        request: Request<Full<Bytes>>,
        method: &Method,
        uri: &Uri,
    ) -> Result<Response<Incoming>, RegistryError> {
        let failed = |source| RegistryError::Request { method: capitalised(method), url: shown(uri), source };
        tracing::trace!(%method, url = shown(uri), "request");
        match tokio::time::timeout(self.silence_max, client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(failed(cause(&error))),
            Err(_) => Err(failed(RequestFailure::Silent)),
        }
    }
}

pub(super) struct Outgoing<'a> {
    pub(super) method: Method,
    pub(super) url: &'a str,
    pub(super) headers: HeaderMap,
    pub(super) private: HeaderMap,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) body: Bytes,
    pub(super) allow_plain: bool,
}

fn redirect(
    response: &Response<Incoming>,
    method: &Method,
    uri: &Uri,
    allow_plain: bool,
) -> Result<Option<Uri>, RegistryError> {
    let follow = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    if !follow || !matches!(*method, Method::GET | Method::HEAD) {
        return Ok(None);
    }
    let location = header::first(response.headers(), &LOCATION).unwrap_or_default();
    let next = resolve(uri, &location).filter(|next| match next.scheme_str() {
        Some("https") => true,
        Some("http") => allow_plain || uri.scheme_str() == Some("http"),
        _ => false,
    });
    let refused = || RegistryError::Redirect { url: shown(uri), location: location.chars().take(200).collect() };
    next.map(Some).ok_or_else(refused)
}

/// A `Location` may be relative to the address that was asked.
fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    if location.contains("://") {
        return location.parse().ok().filter(|uri: &Uri| uri.authority().is_some());
    }
    let scheme = base.scheme_str()?;
    if let Some(rest) = location.strip_prefix("//") {
        return format!("{scheme}://{rest}").parse().ok();
    }
    let path = match location.strip_prefix('/') {
        Some(_) => location.to_owned(),
        None if location.is_empty() => return None,
        None => format!("{}/{location}", base.path().rsplit_once('/').map_or("", |(directory, _)| directory)),
    };
    format!("{scheme}://{}{path}", base.authority()?).parse().ok()
}

/// Reads a body whose size matters little, with a bound.
pub(super) async fn read_body(
    response: Response<Incoming>,
    url: &str,
    max: u64,
    silence_max: Duration,
) -> Result<Bytes, RegistryError> {
    let too_large = || RegistryError::TooLarge { url: url.to_owned(), max };
    let body = Limited::new(response.into_body(), usize::try_from(max).unwrap_or(usize::MAX));
    let failed = |source| RegistryError::Request { method: "Get", url: url.to_owned(), source };
    match tokio::time::timeout(silence_max, body.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(failed(cause(&*error))),
        Err(_) => Err(failed(RequestFailure::Silent)),
    }
}

/// A response with an unexpected status as an error, with what the registry says in its body.
pub(super) async fn refused(
    method: Method,
    url: &str,
    response: Response<Incoming>,
    silence_max: Duration,
) -> RegistryError {
    let status = response.status();
    let retry_after_seconds =
        header::first(response.headers(), &http::header::RETRY_AFTER).and_then(|value| value.trim().parse().ok());
    let body = match read_body(response, url, ERROR_BODY_BYTES_MAX as u64, silence_max).await {
        Ok(body) => describe_body(&body),
        Err(_) => String::new(),
    };
    RegistryError::Status { method, url: strip_query(url), status, body, retry_after_seconds }
}

/// What lies at the bottom of a failed exchange.
pub(super) fn cause(error: &(dyn StdError + 'static)) -> RequestFailure {
    match ExchangeError::of(error) {
        ExchangeError::Dial(error) => RequestFailure::Dial(error),
        ExchangeError::Eof => RequestFailure::Eof,
        other => RequestFailure::Http(other.to_string()),
    }
}

pub(super) fn is_success(status: StatusCode) -> bool {
    status.is_success()
}

/// Addresses in messages go without their query: redirects carry signatures there.
fn shown(uri: &Uri) -> String {
    strip_query(&uri.to_string())
}

pub(super) fn strip_query(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// Go writes `Get "https://…"`.
fn capitalised(method: &Method) -> &'static str {
    match *method {
        Method::HEAD => "Head",
        Method::POST => "Post",
        _ => "Get",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        let base: Uri = "https://a.example:1/v2/x/blobs/y?q=1".parse().unwrap();
        let cases = [
            ("https://b.example/z?sig=1", Some("https://b.example/z?sig=1")),
            ("/z?a=b", Some("https://a.example:1/z?a=b")),
            ("z", Some("https://a.example:1/v2/x/blobs/z")),
            ("//b.example/z", Some("https://b.example/z")),
            ("", None),
            ("https://", None),
        ];
        for (location, expected) in cases {
            assert_eq!(resolve(&base, location).map(|uri| uri.to_string()).as_deref(), expected, "{location}");
        }
        assert_eq!(strip_query("https://a/b?sig=secret#x"), "https://a/b");
    }
}
