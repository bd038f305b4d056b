//! Aggregation: the routes that follow from the APIServices, and what is known of the servers that they lead to.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use parking_lot::RwLock;
use serde_json::Value;
use windlass_api::Status;
use windlass_pki::Rotating;
use windlass_store::Table;

use super::api_service::{Listed, ServiceReference, in_groups};
use super::document::VersionDiscovery;
use super::openapi::{OpenApi, V3};
use super::openapi_merge::merge;
use super::routes::{Remote, Routes};
use super::transport::Transport;
use crate::endpoints;
use crate::message::path::decode;
use crate::outgoing::Outgoing;
use crate::storage::Storage;

/// The table of the APIServices.
pub(crate) const API_SERVICES: &str = "apiservices.apiregistration.k8s.io";

/// Of all requests to aggregated servers, one server may have this part.
const SHARE: usize = 4;

pub(crate) struct Aggregation {
    pub(crate) storage: Arc<Storage>,
    table: Arc<Table>,
    routes: ArcSwap<Routes>,
    /// Who we are to aggregated servers.
    identity: Option<Arc<Rotating>>,
    /// Requests to aggregated servers at once.
    pub(crate) requests: Arc<Outgoing>,
    requests_max: usize,
    /// What the servers have said of themselves, by the names of their APIServices.
    documents: RwLock<HashMap<String, Documents>>,
    /// Counts what they have said.
    said: AtomicU64,
    /// Whether the APIServices of built-in group versions have been made.
    is_registered: AtomicBool,
}

/// What a server has said of a group version.
#[derive(Clone, Default)]
pub(crate) struct Documents {
    /// The APIService that it was asked for.
    uid: String,
    pub discovery: Option<Arc<VersionDiscovery>>,
    pub openapi: OpenApi,
}

impl Aggregation {
    pub(crate) fn new(storage: Arc<Storage>, identity: Option<Arc<Rotating>>, requests_max: usize) -> Arc<Self> {
        Arc::new(Self {
            table: storage.store.table(API_SERVICES),
            routes: ArcSwap::default(),
            identity,
            requests: Outgoing::new(requests_max),
            requests_max,
            documents: RwLock::default(),
            said: AtomicU64::new(0),
            is_registered: AtomicBool::new(false),
            storage,
        })
    }

    /// Who serves what, as of now: an APIService counts from the moment that it is acknowledged. Cost when none has changed: a revision
    /// compared.
    pub(crate) fn routes(&self) -> Guard<Arc<Routes>> {
        let routes = self.routes.load();
        if routes.revision == self.table.last() {
            return routes;
        }
        self.follow();
        self.routes.load()
    }

    #[cold]
    fn follow(&self) {
        let make = |key: &_| Transport::new(key, self.identity.clone(), self.requests_max / SHARE);
        self.routes.rcu(|routes| {
            let state = self.table.state();
            match routes.revision >= state.last() {
                true => routes.clone(),
                false => Arc::new(routes.following(&state, &make)),
            }
        });
        let routes = self.routes.load();
        self.documents.write().retain(|name, known| routes.remote(name).is_some_and(|remote| remote.uid == known.uid));
    }

    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Who else serves a path; `None` when it is served here.
    pub(crate) fn serving(&self, path: &str) -> Option<Arc<Remote>> {
        let routes = self.routes();
        if routes.is_local() {
            return None;
        }
        let (group, version) = group_version(path)?;
        let remote = routes.find(&group, &version)?;
        let is_openapi = path.starts_with("/openapi/");
        // A document that the server does not have is none that it is asked for.
        let is_theirs = !is_openapi || matches!(self.documents(remote).openapi.v3, Some(V3::Served(_)));
        is_theirs.then(|| remote.clone())
    }

    /// The OpenAPI document that was made for a server which has none.
    pub(crate) fn converted_openapi(&self, group: &str, version: &str) -> Option<Bytes> {
        match self.documents(self.routes().find(group, version)?).openapi.v3 {
            Some(V3::Converted(document)) => Some(document),
            _ => None,
        }
    }

    /// Where a Service is answered.
    pub(crate) fn endpoint(&self, service: &ServiceReference) -> Result<(String, u16), Status> {
        endpoints::of_port(&self.storage, &service.namespace, &service.name, service.port)
    }

    /// What a server has said.
    pub(crate) fn documents(&self, remote: &Remote) -> Documents {
        self.documents.read().get(&remote.name).filter(|known| known.uid == remote.uid).cloned().unwrap_or_default()
    }

    /// Differs whenever the routes, or what is known of the servers, do.
    pub(crate) fn version(&self) -> (u64, u64) {
        (self.routes().revision, self.said.load(Ordering::Acquire))
    }

    /// Takes down what a server says, unless its APIService has gone meanwhile.
    pub(crate) fn put_documents(&self, remote: &Remote, change: impl FnOnce(&mut Documents)) {
        let routes = self.routes();
        if routes.remote(&remote.name).is_none_or(|now| now.uid != remote.uid) {
            return;
        }
        let mut all = self.documents.write();
        let known = all.entry(remote.name.clone()).or_default();
        if known.uid != remote.uid {
            *known = Documents { uid: remote.uid.clone(), ..Documents::default() };
        }
        change(known);
        self.said.fetch_add(1, Ordering::Release);
    }

    /// Adds the servers' documents to that of this server, the group with the highest priority first.
    pub(crate) fn add_openapi(&self, document: &mut Value) {
        let routes = self.routes();
        let listed = routes.remotes().map(|remote| Listed {
            group: remote.group.clone(),
            version: remote.version.clone(),
            priority: remote.priority,
            value: self.documents(remote).openapi.v2,
        });
        let groups = in_groups(listed.collect(), |listed| format!("{}.{}", listed.version, listed.group));
        for v2 in groups.into_iter().flat_map(|(_, versions)| versions).filter_map(|listed| listed.value) {
            merge(document, &v2.text);
        }
    }

    /// What the servers' documents are known by, in their order of precedence.
    pub(crate) fn openapi_etags(&self) -> Vec<String> {
        let routes = self.routes();
        let of = |remote: &Arc<Remote>| {
            let v2 = self.documents(remote).openapi.v2?;
            Some(format!("{}/{} {} {}", remote.group, remote.version, v2.etag, v2.text.len()))
        };
        routes.remotes().filter_map(of).collect()
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.is_registered.load(Ordering::Acquire)
    }

    pub(crate) fn set_registered(&self) {
        self.is_registered.store(true, Ordering::Release);
    }
}

/// The group version that a path is of. That of the core group has all of `/api`.
fn group_version(path: &str) -> Option<(String, String)> {
    let mut segments = path.strip_prefix('/')?.split('/');
    match segments.next()? {
        "api" => Some((String::new(), "v1".to_owned())),
        "apis" => {
            let (group, version) = (decode(segments.next()?), decode(segments.next()?));
            (!group.is_empty() && !version.is_empty()).then_some((group, version))
        }
        "openapi" if segments.next()? == "v3" && segments.next()? == "apis" => {
            let (group, version) = (decode(segments.next()?), decode(segments.next()?));
            (!group.is_empty() && segments.next().is_none()).then_some((group, version))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_group_versions() {
        for (path, expected) in [
            ("/api", Some(("", "v1"))),
            ("/api/v1/pods", Some(("", "v1"))),
            ("/apis/a.example/v1", Some(("a.example", "v1"))),
            ("/apis/a.example/v1/", Some(("a.example", "v1"))),
            ("/apis/a.example/v1/namespaces/n/xs/x/exec", Some(("a.example", "v1"))),
            ("/apis/a%2Eexample/v1/xs", Some(("a.example", "v1"))),
            ("/openapi/v3/apis/a.example/v1", Some(("a.example", "v1"))),
            ("/openapi/v3/apis/a.example/v1/more", None),
            ("/openapi/v3/apis/a.example", None),
            ("/openapi/v2/apis/a.example/v1", None),
            ("/apis", None),
            ("/apis/a.example", None),
            ("/apis/a.example/", None),
            ("/apis//v1/xs", None),
            ("/version", None),
            ("", None),
        ] {
            let found = group_version(path);
            let found = found.as_ref().map(|(group, version)| (group.as_str(), version.as_str()));
            assert_eq!(found, expected, "{path}");
        }
    }
}
