//! Subresources with rules of their own, one file each. The status goes the way of the object.

mod approval;
mod binding;
mod ephemeral_containers;
mod eviction;
mod finalize;
mod resize;
mod scale;
mod token;

use std::sync::Arc;

use windlass_api::Status;
use windlass_client::{Request, Verb};
use windlass_resources::Subresource;

use crate::context::Context;
use crate::outcome::Outcome;
use crate::registry::Served;
use crate::server::Server;

impl Server {
    /// Carries out a request for a subresource that is not the status.
    pub(crate) async fn subresource(
        &self,
        context: &Context,
        served: &Arc<Served>,
        subresource: Subresource,
        request: Request,
    ) -> Result<Outcome, Status> {
        if request.verb == Verb::Get && !matches!(subresource, Subresource::Scale) {
            return self.get(served, &request);
        }
        match subresource {
            Subresource::Scale => self.scale(context, served, request).await,
            Subresource::Binding => self.bind(context, served, request).await,
            Subresource::Eviction => self.evict(context, served, request).await,
            Subresource::EphemeralContainers => self.change_ephemeral_containers(context, served, request).await,
            Subresource::Resize => self.resize(context, served, request).await,
            Subresource::Finalize => self.finalize(context, served, request).await,
            Subresource::Approval => self.approve(context, served, request).await,

            Subresource::Token => self.issue_token(context, served, request).await,
            Subresource::Status => Err(Status::internal("the status goes the way of the object")),
            Subresource::Log
            | Subresource::Exec
            | Subresource::Attach
            | Subresource::PortForward
            | Subresource::Proxy => {
                Err(Status::bad_request(format!("{} is a connection, and needs HTTP", subresource.name())))
            }
        }
    }
}
