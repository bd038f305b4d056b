//! Fetches what aggregated servers say of themselves: discovery and OpenAPI. They are asked when their APIService changes, and every minute.
//!
//! Source: kube-aggregator `apiserver/handler_discovery.go`, `controllers/{openapi,openapiv3}`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use windlass_api::well_known::group;
use windlass_auth::User;
use windlass_client::{Outcome, WorkQueue};

use super::ask::{Answer, AskError, Question};
use super::following::follow;
use crate::aggregation::document::{CURRENT, STALE, VersionDiscovery, of_document, of_old_list};
use crate::aggregation::openapi::{OpenApi, V2, V3, convert, path_in_index, select};
use crate::aggregation::routes::Remote;
use crate::aggregation::server::Aggregation;
use crate::server::Server;

const WORKERS: usize = 4;
const REFRESH: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const DISCOVERY_WITHIN: Duration = Duration::from_secs(5);
const DISCOVERY_BYTES_MAX: usize = 4 << 20;
const OPENAPI_WITHIN: Duration = Duration::from_secs(60);
const OPENAPI_BYTES_MAX: usize = 8 << 20;
const JSON: &str = "application/json";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

pub(super) struct Fetcher {
    server: Arc<Server>,
    queue: WorkQueue<String>,
    /// For whom discovery is asked, and for whom OpenAPI is.
    discoverer: User,
    reader: User,
    failures: Mutex<HashMap<String, u32>>,
}

/// A document that does not say what is asked.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("{path} answers with {code}")]
    Code { path: String, code: StatusCode },
    #[error("what {path} says cannot be read")]
    Document { path: String, source: serde_json::Error },
}

impl Fetcher {
    pub(super) fn new(server: &Arc<Server>) -> Self {
        let masters = vec![group::MASTERS.to_owned()];
        Self {
            server: server.clone(),
            queue: WorkQueue::new(),
            discoverer: User { name: "system:kube-aggregator".to_owned(), groups: masters, ..User::default() },
            reader: User { name: "system:aggregator".to_owned(), ..User::default() },
            failures: Mutex::default(),
        }
    }

    fn aggregation(&self) -> &Arc<Aggregation> {
        &self.server.aggregation
    }

    /// Keeps the documents fresh, for ever.
    pub(super) async fn keep(&self) {
        let table = self.aggregation().table();
        let follow_all = follow(table, || {}, |changed| self.queue.add(changed.key.to_string()));
        let work = self.queue.run("apiservice_documents", WORKERS, async |name| self.sync(name).await);
        futures::join!(follow_all, work);
    }

    async fn sync(&self, name: String) -> Result<Outcome, std::convert::Infallible> {
        let remote = self.aggregation().routes().remote(&name).cloned();
        let Some(remote) = remote else {
            self.failures.lock().remove(&name);
            return Ok(Outcome::Done);
        };
        if !remote.is_available {
            // It comes again when it is.
            self.put_discovery(&remote, None);
            return Ok(Outcome::Done);
        }
        match self.discover(&remote).await {
            Ok(found) => self.put_discovery(&remote, Some(found)),
            Err(error) => {
                tracing::info!(apiservice = name, %error, "an aggregated server does not say what it has");
                self.put_discovery(&remote, None);
                return Ok(Outcome::Again(self.pause(name)));
            }
        }
        self.failures.lock().remove(&name);
        self.read_openapi(&remote).await;
        Ok(Outcome::Again(REFRESH))
    }

    fn pause(&self, name: String) -> Duration {
        let mut failures = self.failures.lock();
        let count = failures.entry(name).or_default();
        let pause = FIRST_PAUSE.saturating_mul(1 << (*count).min(10)).min(REFRESH);
        *count += 1;
        pause
    }

    /// What is not known is shown without resources, and marked as old.
    fn put_discovery(&self, remote: &Remote, found: Option<VersionDiscovery>) {
        let freshness = if found.is_some() { CURRENT } else { STALE };
        let mut found = found.unwrap_or_default();
        found.version.clone_from(&remote.version);
        found.freshness = freshness.to_owned();
        self.aggregation().put_documents(remote, |known| known.discovery = Some(Arc::new(found)));
    }

    async fn ask(
        &self,
        remote: &Remote,
        path: &str,
        accept: &'static str,
        (user, within, bytes_max): (&User, Duration, usize),
        etag: &str,
    ) -> Result<Answer, AskError> {
        let question = Question { path, accept, etag, user, within, bytes_max };
        self.aggregation().ask(remote, &question).await
    }

    /// What the server says of its resources: in the new form, or in the old one if it does not know that.
    async fn discover(&self, remote: &Remote) -> Result<VersionDiscovery, FetchError> {
        let Remote { group, version, .. } = remote;
        let asking = || (&self.discoverer, DISCOVERY_WITHIN, DISCOVERY_BYTES_MAX);
        let answer = self.ask(remote, "/apis", AGGREGATED, asking(), "").await?;
        let unreadable = |path: &str| {
            let path = path.to_owned();
            |source| FetchError::Document { path, source }
        };
        if answer.code == StatusCode::SERVICE_UNAVAILABLE {
            return Err(FetchError::Code { path: "/apis".to_owned(), code: answer.code });
        }
        if answer.code == StatusCode::OK && is_aggregated(&answer.content_type) {
            return of_document(&answer.body, group, version).map_err(unreadable("/apis"));
        }
        let path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let answer = self.ask(remote, &path, JSON, asking(), "").await?;
        if answer.code != StatusCode::OK {
            return Err(FetchError::Code { path, code: answer.code });
        }
        of_old_list(&answer.body, version).map_err(unreadable(&path))
    }

    /// Takes down the server's OpenAPI; where that fails, what it said before stays.
    async fn read_openapi(&self, remote: &Remote) {
        let before = self.aggregation().documents(remote).openapi;
        let v2 = self.openapi_v2(remote, before.v2.as_ref()).await;
        let v2 = v2.unwrap_or_else(|error| {
            tracing::info!(apiservice = remote.name, %error, "an aggregated server's OpenAPI cannot be read");
            before.v2.clone()
        });
        let v3 = self.openapi_v3(remote, v2.as_ref()).await;
        let v3 = v3.unwrap_or_else(|error| {
            tracing::info!(apiservice = remote.name, %error, "an aggregated server's OpenAPI v3 cannot be read");
            before.v3.clone()
        });
        self.aggregation().put_documents(remote, |known| known.openapi = OpenApi { v2, v3 });
    }

    /// `None` when the server has none.
    async fn openapi_v2(&self, remote: &Remote, before: Option<&V2>) -> Result<Option<V2>, FetchError> {
        const PATH: &str = "/openapi/v2";
        let asking = (&self.reader, OPENAPI_WITHIN, OPENAPI_BYTES_MAX);
        let etag = before.map_or("", |before| &*before.etag);
        let answer = self.ask(remote, PATH, JSON, asking, etag).await?;
        match answer.code {
            StatusCode::NOT_MODIFIED if before.is_some() => Ok(before.cloned()),
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => {
                let selected = select(&answer.body, &remote.group, &remote.version);
                let text = selected.map_err(|source| FetchError::Document { path: PATH.to_owned(), source })?;
                Ok(Some(V2 { text, etag: answer.etag.into() }))
            }
            code => Err(FetchError::Code { path: PATH.to_owned(), code }),
        }
    }

    /// Where the server's document of the group version is; made from the older one, if it has none.
    async fn openapi_v3(&self, remote: &Remote, v2: Option<&V2>) -> Result<Option<V3>, FetchError> {
        const PATH: &str = "/openapi/v3";
        let asking = (&self.reader, OPENAPI_WITHIN, OPENAPI_BYTES_MAX);
        let answer = self.ask(remote, PATH, JSON, asking, "").await?;
        let unreadable = |source| FetchError::Document { path: PATH.to_owned(), source };
        match (answer.code, v2) {
            (StatusCode::OK, _) => {
                let found = path_in_index(&answer.body, &remote.group, &remote.version).map_err(unreadable)?;
                Ok(found.map(V3::Served))
            }
            (StatusCode::NOT_FOUND, Some(v2)) => convert(&v2.text).map(V3::Converted).map(Some).map_err(unreadable),
            (StatusCode::NOT_FOUND, None) => Ok(None),
            (code, _) => Err(FetchError::Code { path: PATH.to_owned(), code }),
        }
    }
}

/// Whether an answer is in the form of aggregated discovery.
fn is_aggregated(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts.next() == Some(JSON);
    let parameters: Vec<&str> = parts.collect();
    is_json && ["g=apidiscovery.k8s.io", "v=v2", "as=APIGroupDiscoveryList"].iter().all(|one| parameters.contains(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_discovery() {
        for (content_type, expected) in [
            (AGGREGATED, true),
            ("application/json; as=APIGroupDiscoveryList; v=v2; g=apidiscovery.k8s.io", true),
            ("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList", false),
            ("application/json", false),
            ("text/html;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", false),
        ] {
            assert_eq!(is_aggregated(content_type), expected, "{content_type}");
        }
    }
}
