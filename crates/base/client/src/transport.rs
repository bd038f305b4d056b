//! The one trait between a component and the API.

use async_trait::async_trait;
use futures::stream::BoxStream;
use windlass_api::Status;

use crate::discovery::Discovered;
use crate::object::{Event, List, Object};
use crate::request::Request;

/// What a request came to.
pub enum Reply {
    Object(Object),
    List(List),
    /// Ends after the server's time limit, or with an error after which the watcher lists again.
    Watch(BoxStream<'static, Result<Event, Status>>),
}

/// Carries out requests as one user. Authorization, admission and audit happen on the way whatever the transport is.
#[async_trait]
pub trait Transport: Send + Sync {
    async fn call(&self, request: Request) -> Result<Reply, Status>;

    /// All resources in all versions, within a group the preferred version first.
    async fn discover(&self) -> Result<Discovered, Status>;
}
