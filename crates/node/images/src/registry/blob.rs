//! A blob as a stream that does not break when a connection does.
//!
//! It knows how far it came; where a connection or a server fails it asks for the rest by `Range`, first the same endpoint,
//! then the next ones: the content is the same everywhere, its digest says so. A server that ignores the range sends all of it,
//! and what was there before is skipped. The consumer verifies the digest.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use windlass_api::text::with_causes;

use super::error::{RegistryError, RequestFailure};
use super::exchange::{cause, is_success, refused, strip_query};
use super::repository::{Endpoint, Repository, verified};
use crate::digest::Digest;
use crate::manifest::Descriptor;

/// How often one endpoint that is not the last may fail without having sent anything before the next is asked.
const FAILURES_BEFORE_NEXT_MAX: u32 = 2;

pub(crate) struct BlobStream<'a> {
    repository: &'a Repository,
    path: String,
    size: u64,
    /// How many bytes the consumer has.
    offset: u64,
    endpoint: usize,
    body: Option<Open>,
    /// Since the last byte came.
    failures: u32,
}

struct Open {
    incoming: Incoming,
    /// What the consumer has already, of a server that ignored the range.
    skip: u64,
}

impl Repository {
    /// Fetches a small blob whole and verifies it.
    pub(crate) async fn blob(&self, blob: &Descriptor, bytes_max: u64) -> Result<Bytes, RegistryError> {
        if blob.size > bytes_max {
            let url = format!("{}@{}", self.reference().repository(), blob.digest);
            return Err(RegistryError::TooLarge { url, max: bytes_max });
        }
        let mut excluded = 0;
        loop {
            let mut stream = self.blob_stream(blob, excluded);
            let mut bytes = Vec::new();
            while let Some(chunk) = stream.next().await? {
                bytes.extend_from_slice(&chunk);
            }
            match verified(bytes.into(), &blob.digest, &stream.url()) {
                Err(error) if stream.endpoint() + 1 < self.endpoints.len() => {
                    tracing::warn!(error = %error, "trying next host");
                    excluded = stream.endpoint() + 1;
                }
                other => return other,
            }
        }
    }

    /// Streams a blob. `first_endpoint` leaves out endpoints that were found to give wrong contents.
    pub(crate) fn blob_stream(&self, blob: &Descriptor, first_endpoint: usize) -> BlobStream<'_> {
        BlobStream::new(self, blob.digest.clone(), blob.size, first_endpoint)
    }
}

impl<'a> BlobStream<'a> {
    fn new(repository: &'a Repository, digest: Digest, size: u64, first_endpoint: usize) -> Self {
        let path = format!("/blobs/{digest}");
        let mut stream = Self { repository, path, size, offset: 0, endpoint: first_endpoint, body: None, failures: 0 };
        stream.skip_unable();
        stream
    }

    /// The endpoint that the stream reads from now.
    pub(crate) fn endpoint(&self) -> usize {
        self.endpoint
    }

    pub(super) fn url(&self) -> String {
        let url = |endpoint: &Arc<Endpoint>| endpoint.url(self.repository.reference(), &self.path);
        strip_query(&self.repository.endpoints.get(self.endpoint).map(url).unwrap_or_default())
    }

    /// The next piece; `None` after the last. An error is final.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            if self.offset == self.size && (self.size > 0 || self.body.is_some()) {
                return Ok(None);
            }
            let result = match &mut self.body {
                None => self.open().await,
                Some(_) => self.read().await,
            };
            match result {
                Ok(Some(chunk)) => return Ok(Some(chunk)),
                Ok(None) => {}
                Err(error) => self.recover(error).await?,
            }
        }
    }

    async fn open(&mut self) -> Result<Option<Bytes>, RegistryError> {
        let domain = || self.repository.reference().domain().to_owned();
        let endpoint = self
            .repository
            .endpoints
            .get(self.endpoint)
            .ok_or_else(|| RegistryError::NoEndpoint { domain: domain() })?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        // The digest is that of the bytes as they are stored: no encoding on the way.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if self.offset > 0 {
            headers.insert(
                RANGE,
                HeaderValue::try_from(format!("bytes={}-", self.offset)).unwrap_or(HeaderValue::from_static("")),
            );
        }
        let response = endpoint.request(self.repository, Method::GET, &self.path, headers, true).await?;
        let skip = match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&response) == Some(self.offset) => 0,
            StatusCode::OK => self.offset,
            StatusCode::NOT_FOUND => return Err(RegistryError::ContentNotFound { url: self.url() }),
            status => {
                let error = refused(Method::GET, &self.url(), response, self.repository.transport.silence_max()).await;
                debug_assert!(!is_success(status) || matches!(error, RegistryError::Status { .. }));
                return Err(error);
            }
        };
        self.body = Some(Open { incoming: response.into_body(), skip });
        Ok(None)
    }

    async fn read(&mut self) -> Result<Option<Bytes>, RegistryError> {
        let Some(open) = &mut self.body else { return Ok(None) };
        let silence_max = self.repository.transport.silence_max();
        let frame = tokio::time::timeout(silence_max, open.incoming.frame()).await;
        let failure = match frame {
            Ok(Some(Ok(frame))) => {
                let Ok(mut chunk) = frame.into_data() else { return Ok(None) };
                let skipped = open.skip.min(chunk.len() as u64);
                open.skip -= skipped;
                chunk.advance(usize::try_from(skipped).unwrap_or(usize::MAX));
                if chunk.is_empty() {
                    return Ok(None);
                }
                if chunk.len() as u64 > self.size - self.offset {
                    return Err(RegistryError::TooLarge { url: self.url(), max: self.size });
                }
                self.offset += chunk.len() as u64;
                self.failures = 0;
                return Ok(Some(chunk));
            }
            Ok(Some(Err(error))) => cause(&error),
            Ok(None) => RequestFailure::Eof,
            Err(_) => RequestFailure::Silent,
        };
        Err(RegistryError::BrokenOff { url: self.url(), at: self.offset, size: self.size, source: failure })
    }

    /// Decides what follows a failure: the same endpoint again, the next one, or the end.
    async fn recover(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        self.body = None;
        self.failures += 1;
        let next = (self.endpoint + 1..self.repository.endpoints.len())
            .find(|index| self.repository.endpoints[*index].host.pull);
        if let Some(next) = next
            && (!error.is_transient() || self.failures >= FAILURES_BEFORE_NEXT_MAX)
        {
            tracing::info!(url = self.url(), error = %with_causes(&error), "trying next host");
            (self.endpoint, self.failures) = (next, 0);
            return Ok(());
        }
        let delay = if error.is_transient() { self.repository.delay(self.failures, &error) } else { None };
        let Some(delay) = delay else { return Err(error) };
        tracing::debug!(url = self.url(), offset = self.offset, error = %with_causes(&error), "trying again");
        tokio::time::sleep(delay).await;
        Ok(())
    }

    fn skip_unable(&mut self) {
        while self.repository.endpoints.get(self.endpoint).is_some_and(|endpoint| !endpoint.host.pull) {
            self.endpoint += 1;
        }
    }
}

/// The first byte of a partial answer: `bytes 100-199/200`.
fn starts_at(response: &Response<Incoming>) -> Option<u64> {
    let range = windlass_http::header::first(response.headers(), &CONTENT_RANGE)?;
    range.trim().strip_prefix("bytes")?.trim_start().split('-').next()?.parse().ok()
}
