//! Answering a registry's challenge: passwords, and tokens from the token server that the challenge names.
//!
//! One [`Authorizer`] belongs to one endpoint for the length of one pull. It begins with nothing; the first 401 teaches it
//! the scheme; a token is fetched once for all requests at the same time, again when it has run out.

use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::challenge::{self, Challenge};
use super::config::{Host, Scheme, Secret};
use super::error::RegistryError;
use super::exchange::{HttpClient, Outgoing, Transport, is_success, read_body, refused};

/// The distribution specification's lifetime of a token that does not say.
const TOKEN_SECONDS_DEFAULT: u64 = 60;
/// A token is renewed that long before its end, for clocks and requests take time.
const TOKEN_SECONDS_SPARE: u64 = 5;
const TOKEN_BYTES_MAX: u64 = 1 << 20;
const CLIENT_ID: &str = "windlass";

pub(super) struct Authorizer {
    secret: Option<Secret>,
    /// `repository:library/nginx:pull`
    scope: String,
    /// The registry itself is asked without TLS, so nothing is lost when its token server is too.
    plain: bool,
    state: Mutex<State>,
}

enum State {
    Unknown,
    Fixed(HeaderValue),
    Bearer { realm: Realm, header: HeaderValue, expires: Instant },
}

#[derive(Clone)]
struct Realm {
    url: String,
    service: Option<String>,
    scope: String,
}

/// What to do after a 401.
pub(super) enum Answer {
    /// There is a new authorization: send the request again.
    Retry,
    /// The registry has seen the best that we have.
    GiveUp,
}

impl Authorizer {
    pub(super) fn new(host: &Host, repository: &str) -> Self {
        let state = match &host.secret {
            Some(Secret::RegistryToken(token)) => bearer(token).map_or(State::Unknown, State::Fixed),
            _ => State::Unknown,
        };
        Self {
            secret: host.secret.clone(),
            scope: format!("repository:{repository}:pull"),
            plain: host.scheme == Scheme::Http,
            state: Mutex::new(state),
        }
    }

    /// The authorization to send, renewed if it has run out.
    pub(super) async fn header(
        &self,
        transport: &Transport,
        client: &HttpClient,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let mut state = self.state.lock().await;
        match &mut *state {
            State::Unknown => Ok(None),
            State::Fixed(header) => Ok(Some(header.clone())),
            State::Bearer { header, expires, .. } if Instant::now() < *expires => Ok(Some(header.clone())),
            State::Bearer { realm, header, expires } => {
                (*header, *expires) = self.fetch(transport, client, realm).await?;
                Ok(Some(header.clone()))
            }
        }
    }

    /// Learns from a 401 to a request that was sent with `used`. `again` says that this request has been refused before: then
    /// the authorization is as fresh as it gets.
    pub(super) async fn answer(
        &self,
        transport: &Transport,
        client: &HttpClient,
        headers: &HeaderMap,
        used: Option<&HeaderValue>,
        again: bool,
    ) -> Result<Answer, RegistryError> {
        let mut state = self.state.lock().await;
        let current = match &*state {
            State::Unknown => None,
            State::Fixed(header) | State::Bearer { header, .. } => Some(header),
        };
        if current != used && !again {
            // Another request was here first.
            return Ok(Answer::Retry);
        }
        let texts: Vec<_> = headers.get_all(WWW_AUTHENTICATE).iter().map(windlass_http::header::text).collect();
        match challenge::choose(texts.iter().map(AsRef::as_ref)) {
            Ok(Challenge::Basic) => match &self.secret {
                _ if again || used.is_some() => Ok(Answer::GiveUp),
                Some(Secret::Password { username, password }) => {
                    *state = State::Fixed(basic(username, password));
                    Ok(Answer::Retry)
                }
                _ => Err(RegistryError::NoCredentials),
            },
            Ok(Challenge::Bearer { realm, service, scope, error }) => {
                if again || matches!(&*state, State::Fixed(_)) {
                    return denied(error);
                }
                let realm = Realm { url: realm, service, scope: scope.unwrap_or_else(|| self.scope.clone()) };
                let (header, expires) = self.fetch(transport, client, &realm).await?;
                *state = State::Bearer { realm, header, expires };
                Ok(Answer::Retry)
            }
            Err(_) if used.is_some() => Ok(Answer::GiveUp),
            Err(source) => Err(RegistryError::Challenge(source)),
        }
    }

    async fn fetch(
        &self,
        transport: &Transport,
        client: &HttpClient,
        realm: &Realm,
    ) -> Result<(HeaderValue, Instant), RegistryError> {
        if self.secret.is_some() && !self.plain && !realm.url.starts_with("https://") && !is_loopback(&realm.url) {
            return Err(RegistryError::InsecureRealm(realm.url.clone()));
        }
        let kind = if self.secret.is_some() { "oauth" } else { "anonymous" };
        let wrap = |source| RegistryError::Token { kind, source: Box::new(source) };
        let body = self.request(transport, client, realm).await.map_err(wrap)?;
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| RegistryError::NoToken)?;
        let token = [answer.access_token, answer.token].into_iter().flatten().find(|token| !token.is_empty());
        let header = token.and_then(|token| bearer(&token)).ok_or(RegistryError::NoToken)?;
        let seconds = answer.expires_in.filter(|seconds| *seconds > 0).unwrap_or(TOKEN_SECONDS_DEFAULT);
        // A token for a few seconds is used at least once.
        let usable = seconds.saturating_sub(TOKEN_SECONDS_SPARE).clamp(1, 86_400);
        Ok((header, Instant::now() + Duration::from_secs(usable)))
    }

    async fn request(&self, transport: &Transport, client: &HttpClient, realm: &Realm) -> Result<Bytes, RegistryError> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        if let Some(service) = &realm.service {
            pairs.push(("service", service));
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut authorization = None;
        let (method, url, body) = if let Some(Secret::IdentityToken(token)) = &self.secret {
            pairs.extend([
                ("scope", realm.scope.as_str()),
                ("client_id", CLIENT_ID),
                ("grant_type", "refresh_token"),
                ("refresh_token", token),
            ]);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
            (Method::POST, realm.url.clone(), Bytes::from(encode(&pairs)))
        } else {
            pairs.extend(realm.scope.split(' ').filter(|scope| !scope.is_empty()).map(|scope| ("scope", scope)));
            if let Some(Secret::Password { username, password }) = &self.secret {
                authorization = Some(basic(username, password));
            }
            let separator = if realm.url.contains('?') { '&' } else { '?' };
            (Method::GET, format!("{}{separator}{}", realm.url, encode(&pairs)), Bytes::new())
        };
        let outgoing = Outgoing {
            method: method.clone(),
            url: &url,
            headers,
            private: HeaderMap::new(),
            authorization,
            body,
            allow_plain: false,
        };
        let response = transport.send(client, outgoing).await?;
        if !is_success(response.status()) {
            return Err(refused(method, &url, response, transport.silence_max()).await);
        }
        read_body(response, &realm.url, TOKEN_BYTES_MAX, transport.silence_max()).await
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// With a reason from the registry this is its last word; without, the status itself is the error.
fn denied(error: Option<String>) -> Result<Answer, RegistryError> {
    match error {
        Some(message) => Err(RegistryError::Denied { message: message.chars().take(64).collect() }),
        None => Ok(Answer::GiveUp),
    }
}

fn basic(username: &str, password: &str) -> HeaderValue {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    // base64 is always a valid header value.
    let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn is_loopback(url: &str) -> bool {
    let uri: Result<http::Uri, _> = url.parse();
    uri.ok().and_then(|uri| uri.host().map(str::to_owned)).is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

/// `application/x-www-form-urlencoded`
fn encode(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding() {
        assert_eq!(
            encode(&[("a", "x y/ü"), ("b", "repository:a/b:pull")]),
            "a=x+y%2F%C3%BC&b=repository%3Aa%2Fb%3Apull"
        );
    }

    #[test]
    fn loopback_realms() {
        for (url, expected) in [
            ("http://127.0.0.1:5001/token", true),
            ("http://localhost/token", true),
            ("http://[::1]:1/", true),
            ("http://auth.example/token", false),
            ("junk", false),
        ] {
            assert_eq!(is_loopback(url), expected, "{url}");
        }
    }
}
