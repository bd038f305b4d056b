//! Subresources that are connections: `log`, `exec`, `attach`, `portforward`, `proxy`.
//!
//! The request goes on to whoever serves it: a node's kubelet, a pod, an endpoint of a Service. [`target`] says where that is;
//! [`forward`] carries the request there and the answer back. What the client and the other end say to each other after an upgrade
//! is their business: the bytes are handed on as they are.

mod forward;
mod html;
mod target;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use windlass_api::Status;
use windlass_api::gvk::GroupResource;
use windlass_auth::{Attributes, Decision};
use windlass_resources::Subresource;

use super::path::ResourcePath;
use super::query::Query;
use super::response::Body;
use super::service::Frontend;
use crate::authorization::forbidden;
use crate::context::Context;

/// Whether this subresource is a connection.
pub(super) fn is_connection(found: &ResourcePath) -> bool {
    const ALL: [Subresource; 5] =
        [Subresource::Log, Subresource::Exec, Subresource::Attach, Subresource::PortForward, Subresource::Proxy];
    ALL.iter().any(|subresource| subresource.name() == found.subresource)
}

impl Frontend {
    /// Authorizes a connection, and makes it.
    pub(super) async fn connect(
        &self,
        context: &Context,
        found: &ResourcePath,
        query: &Query,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Status> {
        let verb = match *request.method() {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "get",
        };
        self.authorize_connection(context, found, verb)?;
        // A WebSocket is opened by GET, and yet it does more than reading.
        if verb == "get" && matches!(&*found.subresource, "exec" | "attach" | "portforward") {
            self.authorize_connection(context, found, "create")?;
        }
        let server = &self.server;
        let served = server.registry().find(&found.resource).cloned().ok_or_else(Status::no_such_path)?;
        let subresource = served.resource.subresources.iter().find(|s| s.name() == found.subresource);
        match (&*found.resource.resource, subresource.ok_or_else(Status::no_such_path)?) {
            ("pods", Subresource::Log) if *request.method() != Method::GET => {
                let resource = GroupResource::of("", "pods");
                Err(Status::method_not_allowed(&resource, verb))
            }
            ("pods", Subresource::Log) => match target::log(server, found, query)? {
                Some(target) => forward::forward(server, target, request).await,
                // A pod that has no node has no log either.
                None => Ok(super::response::plain(http::StatusCode::OK, "text/plain", "")),
            },
            ("pods", Subresource::Exec | Subresource::Attach) => {
                forward::forward(server, target::session(server, found, query)?, request).await
            }
            ("pods", Subresource::PortForward) => {
                forward::forward(server, target::port_forward(server, found, query)?, request).await
            }
            (resource, Subresource::Proxy) => {
                if let Some(redirect) = forward::redirect_to_folder(found, &request) {
                    return Ok(redirect);
                }
                let target = match resource {
                    "nodes" => target::node_proxy(server, found)?,
                    "pods" => target::pod_proxy(server, found)?,
                    _ => target::service_proxy(server, found)?,
                };
                forward::forward(server, target, request).await
            }
            _ => Err(Status::no_such_path()),
        }
    }

    fn authorize_connection(&self, context: &Context, found: &ResourcePath, verb: &str) -> Result<(), Status> {
        let attributes = Attributes {
            user: &context.user,
            verb,
            group: &found.resource.group,
            version: &found.resource.version,
            resource: &found.resource.resource,
            subresource: &found.subresource,
            namespace: &found.namespace,
            name: &found.name,
            path: "",
        };
        match self.server.authorizer.decide(&attributes) {
            Decision::Allow => Ok(()),
            Decision::NoOpinion(why) => Err(forbidden(&attributes, &why)),
        }
    }
}
