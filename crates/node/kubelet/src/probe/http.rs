//! HTTP requests of probes and hooks: to a pod, over a fresh connection, with no regard for certificates.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use windlass_api::k8s::api::core::v1::{Container, HTTPGetAction, HTTPHeader};
use windlass_api::k8s::apimachinery::pkg::util::intstr::IntOrString;
use windlass_http::dial::{self, DialError, Stream};
use windlass_http::exchange::ExchangeError;
use windlass_pki::AnyServer;

/// Answers are cut to this, since they end up in events.
const BODY_MAX_BYTES: usize = 10 * 1024;
const REDIRECTS_MAX: usize = 10;

/// A request that a probe or a hook makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Get {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// What came back, after redirects within the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
    /// A redirect to another host, which is not followed.
    pub(crate) elsewhere: bool,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("unable to find a port named {0:?}")]
    NoPort(String),
    #[error("invalid port number: {0}")]
    BadPort(i32),
    #[error("Get {url:?}: {cause}")]
    Failed { url: String, cause: String },
    #[error("Get {url:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)")]
    Timeout { url: String },
    #[error("Get {url:?}: http: server gave HTTP response to HTTPS client")]
    PlainAnswer { url: String },
}

/// The number of a port that a probe or hook names.
pub(crate) fn port(port: &IntOrString, container: &Container) -> Result<u16, HttpError> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|port| port.name.as_deref() == Some(name));
            match named {
                Some(port) => port.container_port,
                None => name.parse().map_err(|_| HttpError::NoPort(name.clone()))?,
            }
        }
    };
    u16::try_from(number).ok().filter(|number| *number > 0).ok_or(HttpError::BadPort(number))
}

impl Get {
    pub(crate) fn new(
        action: &HTTPGetAction,
        container: &Container,
        pod_ip: &str,
        user_agent: &str,
    ) -> Result<Self, HttpError> {
        let host = action.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(pod_ip);
        let path = action.path.as_deref().unwrap_or_default();
        Ok(Self {
            tls: action.scheme.as_deref().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")),
            host: host.to_owned(),
            port: port(&action.port, container)?,
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
            headers: headers(action.http_headers.as_deref().unwrap_or_default(), user_agent),
        })
    }

    fn authority(&self) -> String {
        dial::join(&self.host, self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}{}", if self.tls { "https" } else { "http" }, self.authority(), self.path)
    }
}

/// The headers that were asked for; `User-Agent` and `Accept` unless they are set, where an empty value leaves them out.
fn headers(wanted: &[HTTPHeader], user_agent: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = wanted.iter().map(|it| (it.name.clone(), it.value.clone())).collect();
    for (name, value) in [("User-Agent", user_agent), ("Accept", "*/*")] {
        if !all.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            all.push((name.to_owned(), value.to_owned()));
        }
    }
    all.retain(|(name, value)| !value.is_empty() || !["user-agent", "accept"].contains(&&*name.to_ascii_lowercase()));
    all
}

/// Asks, and follows redirects within the host.
pub(crate) async fn get(request: &Get, timeout: Duration) -> Result<Answer, HttpError> {
    match tokio::time::timeout(timeout, follow(request, timeout)).await {
        Ok(result) => result,
        Err(_) => Err(HttpError::Timeout { url: request.url() }),
    }
}

async fn follow(request: &Get, timeout: Duration) -> Result<Answer, HttpError> {
    let mut request = request.clone();
    for _ in 0..REDIRECTS_MAX {
        let (status, location, body) = once(&request, timeout).await?;
        let Some(location) = location.filter(|_| status.is_redirection()) else {
            return Ok(Answer { status, body, elsewhere: false });
        };
        let Ok(target) = location.parse::<Uri>() else {
            return Ok(Answer { status, body, elsewhere: false });
        };
        if target.host().is_some_and(|host| host.trim_matches(['[', ']']) != request.host) {
            return Ok(Answer { status, body, elsewhere: true });
        }
        if let Some(scheme) = target.scheme_str() {
            request.tls = scheme == "https";
            request.port = target.port_u16().unwrap_or(if request.tls { 443 } else { 80 });
        }
        let path = target.path_and_query().map_or("/", |path| path.as_str());
        request.path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    }
    Err(HttpError::Failed { url: request.url(), cause: "stopped after 10 redirects".to_owned() })
}

async fn once(request: &Get, timeout: Duration) -> Result<(StatusCode, Option<String>, String), HttpError> {
    let failed = |cause: String| HttpError::Failed { url: request.url(), cause };
    let unreachable = |error: DialError| match error {
        DialError::NotTls => HttpError::PlainAnswer { url: request.url() },
        error => failed(error.to_string()),
    };
    let stream = dial::tcp(&request.host, request.port, timeout).await.map_err(unreachable)?;
    if !request.tls {
        return exchange(stream.into(), request).await;
    }
    let stream = dial::tls(TLS.clone(), &request.host, stream, timeout).await.map_err(unreachable)?;
    exchange(stream.into(), request).await
}

async fn exchange(stream: Stream, request: &Get) -> Result<(StatusCode, Option<String>, String), HttpError> {
    let failed = |cause: String| HttpError::Failed { url: request.url(), cause };
    let broken = |error: ExchangeError| failed(error.to_string());
    // The connection lives as long as the exchange, so that nothing is left behind when a probe is given up.
    let (mut sender, _driver) = dial::http1(stream).await.map_err(|error| failed(error.to_string()))?;
    let mut builder = Request::get(&request.path).header(CONNECTION, "close");
    let mut host = request.authority();
    for (name, value) in &request.headers {
        if name.eq_ignore_ascii_case(HOST.as_str()) {
            host.clone_from(value);
        } else if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            builder = builder.header(name, value);
        }
    }
    let message = builder.header(HOST, host).body(Empty::<Bytes>::new()).map_err(|error| failed(error.to_string()))?;
    let response = sender.send_request(message).await.map_err(broken)?;
    let status = response.status();
    let location = windlass_http::header::first(response.headers(), &http::header::LOCATION).map(Cow::into_owned);
    // A longer body is not an error, only not looked at.
    let body = Limited::new(response.into_body(), BODY_MAX_BYTES).collect().await;
    let body = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
    Ok((status, location, body))
}

/// A probe asks whether something answers, not who: pods mostly have certificates that nobody else trusts.
static TLS: LazyLock<Arc<rustls::ClientConfig>> =
    LazyLock::new(|| Arc::new(AnyServer::client_config(Arc::new(rustls::crypto::ring::default_provider()))));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_are_set_stand() {
        let header = |name: &str, value: &str| HTTPHeader { name: name.to_owned(), value: value.to_owned() };
        let names = |wanted: &[HTTPHeader]| -> Vec<String> {
            headers(wanted, "kube-probe/1.37").into_iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        assert_eq!(names(&[]), ["User-Agent=kube-probe/1.37", "Accept=*/*"]);
        assert_eq!(names(&[header("user-agent", ""), header("ACCEPT", "a/b")]), ["ACCEPT=a/b"]);
    }

    #[test]
    fn ports_by_number_and_name() {
        let container: Container = serde_json::from_value(serde_json::json!({"name": "c", "ports": [
            {"name": "web", "containerPort": 8080}]}))
        .unwrap();
        let text = |text: &str| IntOrString::String(text.to_owned());
        assert_eq!(port(&IntOrString::Int(80), &container).unwrap(), 80);
        assert_eq!(port(&text("web"), &container).unwrap(), 8080);
        assert_eq!(port(&text("81"), &container).unwrap(), 81);
        assert!(port(&text("other"), &container).is_err());
        assert!(port(&IntOrString::Int(70_000), &container).is_err());
    }
}
