//! Requests of components in this process for resources of an aggregated server: they have no HTTP request, so one is made.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use tokio::time::timeout;
use windlass_api::{GroupVersion, GroupVersionResource, Status};
use windlass_auth::User;
use windlass_client::{ApiResource, Discovered, Reply, Verb, wire};
use windlass_http::{dial, header};

use super::document::CURRENT;
use super::headers;
use super::routes::Remote;
use super::server::Aggregation;
use super::transport::whole;

/// How long an answer may take that is no watch.
const WITHIN: Duration = Duration::from_secs(60);
/// What a list may come to.
const ANSWER_BYTES_MAX: usize = 256 << 20;

impl Aggregation {
    /// Adds what the servers have, and names those that did not say.
    pub(crate) fn discover(&self, found: &mut Discovered) {
        let known: HashSet<GroupVersionResource> =
            found.resources.iter().map(|resource| resource.resource.clone()).collect();
        for remote in self.routes().remotes() {
            let discovery = self.documents(remote).discovery;
            let Some(current) = discovery.filter(|known| known.freshness == CURRENT) else {
                let (group, version) = (remote.group.clone().into(), remote.version.clone().into());
                found.stale.push(GroupVersion { group, version });
                continue;
            };
            let described = current.resources.iter().map(|resource| ApiResource {
                resource: GroupVersionResource {
                    group: remote.group.clone().into(),
                    version: remote.version.clone().into(),
                    resource: resource.resource.clone().into(),
                },
                kind: resource.response_kind.kind.clone(),
                namespaced: resource.scope == "Namespaced",
                verbs: resource.verbs.clone(),
            });
            found.resources.extend(described.filter(|resource| !known.contains(&resource.resource)));
        }
    }

    /// Has a server carry out a request of a user who may make it.
    pub(crate) async fn call(
        &self,
        remote: &Arc<Remote>,
        user: &User,
        request: &windlass_client::Request,
    ) -> Result<Reply, Status> {
        let unavailable = || {
            // So clients word an answer that is no Status.
            Status::service_unavailable("the server is currently unable to handle the request")
        };
        let transport = remote.transport.as_ref().map_err(Status::internal)?;
        if !remote.is_available {
            return Err(unavailable());
        }
        let permits = self.permits(transport, user)?;
        let (host, port) = self.endpoint(&remote.service).map_err(|_| unavailable())?;
        let url = format!("https://{}{}", dial::join(&host, port), wire::path_and_query(request));
        let mut asked = Request::new(whole(request.body.bytes.clone()));
        *asked.method_mut() = wire::method(request.verb);
        *asked.uri_mut() = url.parse().map_err(Status::internal)?;
        let head = asked.headers_mut();
        head.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if !request.body.bytes.is_empty() {
            head.insert(CONTENT_TYPE, HeaderValue::from_static(wire::content_type(request)));
        }
        headers::set(head, user)?;
        let failed = |error: &dyn std::fmt::Display| {
            Status::service_unavailable(format!("error trying to reach service: {error}"))
        };
        let exchange = async {
            let answer = transport.pool.send(asked).await.map_err(|error| failed(&error))?;
            let content_type = header::first(answer.headers(), &CONTENT_TYPE).unwrap_or_default();
            if !answer.status().is_success() && !content_type.starts_with("application/json") {
                return Err(unavailable());
            }
            wire::reply(request.verb, answer, ANSWER_BYTES_MAX, permits).await
        };
        match timeout(WITHIN, exchange).await {
            Ok(reply) => reply,
            Err(_) if request.verb == Verb::Watch => Err(failed(&"the watch does not begin")),
            Err(_) => Err(failed(&"context deadline exceeded")),
        }
    }
}
