//! One repository through all of its endpoints.
//!
//! Endpoints are tried in order. One that cannot answer is left for the next at once; only the last, where nothing else is
//! left, is asked again with growing pauses. Of several failures the one that came furthest is reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use windlass_api::Chance;
use windlass_api::text::with_causes;
use windlass_cri::AuthConfig;
use windlass_http::dial::DialError;

use super::auth::{Answer, Authorizer};
use super::config::{Host, Registries, Scheme};
use super::error::{ConfigError, RegistryError, RequestFailure};
use super::exchange::{HttpClient, Outgoing, Transport, is_success, read_body, refused, strip_query};
use super::hosts_toml;
use super::retry::Backoff;
use crate::digest::Digest;
use crate::manifest::{ACCEPT as ACCEPT_MANIFESTS, MANIFEST_BYTES_MAX};
use crate::reference::{Object, Reference};

const DIGEST_HEADER: &str = "docker-content-digest";

/// What a reference means at this moment.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub digest: Digest,
    /// The manifest itself, where finding its digest meant reading it.
    pub bytes: Option<Bytes>,
}

pub(crate) struct Repository {
    pub(super) transport: Arc<Transport>,
    pub(super) backoff: Backoff,
    chance: Chance,
    reference: Reference,
    pub(super) endpoints: Vec<Arc<Endpoint>>,
}

/// One endpoint with what was learned about it during this pull.
pub(super) struct Endpoint {
    pub(super) host: Host,
    client: HttpClient,
    authorizer: Authorizer,
    /// The other side does not speak TLS ([`Scheme::HttpsElseHttp`]).
    plain: AtomicBool,
    private: HeaderMap,
}

impl Repository {
    /// Plans the endpoints. Reads configuration and certificate files.
    pub(crate) async fn open(
        transport: Arc<Transport>,
        registries: Arc<Registries>,
        backoff: Backoff,
        chance: Chance,
        reference: Reference,
        auth: Option<AuthConfig>,
    ) -> Result<Self, RegistryError> {
        let domain = reference.domain().to_owned();
        let path = reference.path().to_owned();
        let preparing = transport.clone();
        let prepare = move || {
            let fail = |source| RegistryError::Config { domain: domain.clone(), source };
            let named = registries.registries.contains_key(&domain);
            let found = if named { None } else { hosts_toml::find(&registries.config_paths, &domain).map_err(fail)? };
            let hosts = registries.plan(&domain, found, auth.as_ref())?;
            let endpoint = |host: Host| {
                let client = preparing.client(&host).map_err(fail)?;
                let authorizer = Authorizer::new(&host, &path);
                let private = private_headers(&host).map_err(fail)?;
                Ok(Arc::new(Endpoint { host, client, authorizer, plain: AtomicBool::new(false), private }))
            };
            hosts.into_iter().map(endpoint).collect::<Result<Vec<_>, RegistryError>>()
        };
        let endpoints = match tokio::task::spawn_blocking(prepare).await {
            Ok(endpoints) => endpoints?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        Ok(Self { transport, backoff, chance, reference, endpoints })
    }

    pub(crate) fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Finds out which manifest the reference means. A digest needs no question.
    pub(crate) async fn resolve(&self) -> Result<Resolved, RegistryError> {
        match self.reference.object() {
            Object::Digest(digest) => Ok(Resolved { digest: digest.clone(), bytes: None }),
            Object::Tag(tag) => self.ask(Question::Tag(tag)).await,
        }
    }

    /// Fetches a manifest or index and verifies it.
    pub(crate) async fn manifest(&self, digest: &Digest) -> Result<Bytes, RegistryError> {
        let answer = self.ask(Question::Manifest(digest)).await?;
        Ok(answer.bytes.unwrap_or_default())
    }

    /// How many endpoints there are.
    pub(crate) fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    /// Asks each able endpoint until one answers.
    async fn ask(&self, question: Question<'_>) -> Result<Resolved, RegistryError> {
        let able = |host: &Host| host.pull && (host.resolve || matches!(question, Question::Manifest(_)));
        let able: Vec<&Arc<Endpoint>> = self.endpoints.iter().filter(|endpoint| able(&endpoint.host)).collect();
        let mut worst: Option<RegistryError> = None;
        for (position, endpoint) in able.iter().enumerate() {
            let is_last = position + 1 == able.len();
            let mut failures = 0;
            let error = loop {
                let error = match endpoint.ask(self, question).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                };
                failures += 1;
                let delay = if is_last && error.is_transient() { self.delay(failures, &error) } else { None };
                let Some(delay) = delay else { break error };
                tracing::debug!(host = endpoint.host.authority, error = %with_causes(&error), "trying again");
                tokio::time::sleep(delay).await;
            };
            if !is_last {
                tracing::info!(host = endpoint.host.authority, error = %with_causes(&error), "trying next host");
            }
            if worst.as_ref().is_none_or(|known| known.weight() < error.weight()) {
                worst = Some(error);
            }
        }
        Err(worst.unwrap_or_else(|| RegistryError::NoEndpoint { domain: self.reference.domain().to_owned() }))
    }

    pub(super) fn delay(&self, failures: u32, error: &RegistryError) -> Option<std::time::Duration> {
        let wish = match error {
            RegistryError::Status { retry_after_seconds, .. } => *retry_after_seconds,
            _ => None,
        };
        self.backoff.delay(failures, wish, self.chance.number() as u8)
    }

    async fn expect_success(
        &self,
        response: Response<Incoming>,
        method: Method,
        url: &str,
    ) -> Result<Response<Incoming>, RegistryError> {
        match response.status() {
            status if is_success(status) => Ok(response),
            StatusCode::NOT_FOUND => Err(RegistryError::NotFound { reference: self.reference.to_string() }),
            _ => Err(refused(method, url, response, self.transport.silence_max()).await),
        }
    }
}

/// What an endpoint is asked about its manifests.
#[derive(Clone, Copy)]
enum Question<'a> {
    Tag(&'a str),
    Manifest(&'a Digest),
}

impl Endpoint {
    async fn ask(&self, repository: &Repository, question: Question<'_>) -> Result<Resolved, RegistryError> {
        match question {
            Question::Tag(tag) => self.resolve_tag(repository, tag).await,
            Question::Manifest(digest) => self.manifest(repository, digest).await,
        }
    }

    async fn manifest(&self, repository: &Repository, digest: &Digest) -> Result<Resolved, RegistryError> {
        let path = format!("/manifests/{digest}");
        let response = self.request(repository, Method::GET, &path, manifest_headers(), true).await?;
        let url = self.url(&repository.reference, &path);
        let response = repository.expect_success(response, Method::GET, &url).await?;
        let silence_max = repository.transport.silence_max();
        let bytes = read_body(response, &strip_query(&url), MANIFEST_BYTES_MAX, silence_max).await?;
        Ok(Resolved { digest: digest.clone(), bytes: Some(verified(bytes, digest, &url)?) })
    }

    async fn resolve_tag(&self, repository: &Repository, tag: &str) -> Result<Resolved, RegistryError> {
        let path = format!("/manifests/{tag}");
        let url = self.url(&repository.reference, &path);
        let head = self.request(repository, Method::HEAD, &path, manifest_headers(), false).await?;
        // Some registries know no HEAD here; a refusal without a body is worth a look at its words.
        if !matches!(head.status(), StatusCode::METHOD_NOT_ALLOWED | StatusCode::FORBIDDEN) {
            let head = repository.expect_success(head, Method::HEAD, &url).await?;
            let digest = head.headers().get(DIGEST_HEADER).map(windlass_http::header::text);
            if let Some(digest) = digest
                && head.headers().contains_key(CONTENT_LENGTH)
            {
                let digest = digest.parse().map_err(|_| RegistryError::NoDigest { url: strip_query(&url) })?;
                return Ok(Resolved { digest, bytes: None });
            }
        }
        let response = self.request(repository, Method::GET, &path, manifest_headers(), false).await?;
        let response = repository.expect_success(response, Method::GET, &url).await?;
        let silence_max = repository.transport.silence_max();
        let bytes = read_body(response, &strip_query(&url), MANIFEST_BYTES_MAX, silence_max).await?;
        Ok(Resolved { digest: Digest::of(&bytes), bytes: Some(bytes) })
    }

    /// Sends a request below the repository, authorized; a refused authorization is renewed once. Any status but a 401 that
    /// could be answered is returned.
    pub(super) async fn request(
        &self,
        repository: &Repository,
        method: Method,
        path: &str,
        headers: HeaderMap,
        allow_plain: bool,
    ) -> Result<Response<Incoming>, RegistryError> {
        let transport = &repository.transport;
        let mut again = false;
        loop {
            let url = self.url(&repository.reference, path);
            let authorization = self.authorizer.header(transport, &self.client).await?;
            let outgoing = Outgoing {
                method: method.clone(),
                url: &url,
                headers: headers.clone(),
                private: self.private.clone(),
                authorization: authorization.clone(),
                body: Bytes::new(),
                allow_plain,
            };
            let response = match transport.send(&self.client, outgoing).await {
                Err(error) if self.falls_back_to_plain(&error) => continue,
                other => other?,
            };
            if response.status() != StatusCode::UNAUTHORIZED {
                return Ok(response);
            }
            let used = authorization.as_ref();
            match self.authorizer.answer(transport, &self.client, response.headers(), used, again).await? {
                Answer::Retry => again = true,
                Answer::GiveUp => return Ok(response),
            }
        }
    }

    pub(super) fn url(&self, reference: &Reference, path: &str) -> String {
        let scheme = match self.host.scheme {
            Scheme::Http => "http",
            Scheme::HttpsElseHttp if self.plain.load(Ordering::Relaxed) => "http",
            Scheme::Https | Scheme::HttpsElseHttp => "https",
        };
        let namespace = self.host.namespace.as_ref().map(|ns| format!("?ns={}", ns.replace(':', "%3A")));
        let (authority, root) = (&self.host.authority, &self.host.path);
        format!("{scheme}://{authority}{root}/{}{path}{}", reference.path(), namespace.unwrap_or_default())
    }

    fn falls_back_to_plain(&self, error: &RegistryError) -> bool {
        use DialError::{Eof, HandshakeTimeout, NotTls, Tls};
        let RegistryError::Request { source: RequestFailure::Dial(error), .. } = error else { return false };
        let not_tls = matches!(error, NotTls | Tls(_) | HandshakeTimeout | Eof);
        not_tls && self.host.scheme == Scheme::HttpsElseHttp && !self.plain.swap(true, Ordering::Relaxed)
    }
}

fn manifest_headers() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(ACCEPT_MANIFESTS))])
}

fn private_headers(host: &Host) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &host.headers {
        let bad = || ConfigError::Header(name.clone());
        let key: HeaderName = name.parse().map_err(|_| bad())?;
        headers.append(key, HeaderValue::from_str(value).map_err(|_| bad())?);
    }
    Ok(headers)
}

pub(super) fn verified(bytes: Bytes, digest: &Digest, url: &str) -> Result<Bytes, RegistryError> {
    if digest.matches(&bytes) {
        return Ok(bytes);
    }
    Err(RegistryError::Digest { url: strip_query(url), expected: digest.clone(), actual: Digest::of(&bytes) })
}
