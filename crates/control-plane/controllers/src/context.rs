//! What every controller is given.

use std::sync::Arc;

use windlass_api::GroupVersionResource;
use windlass_api::time::Clock;
use windlass_client::{Client, Informer, Informers, Recorder};

/// Makes the client of a service account of `kube-system`, of which each controller has its own: its role says what it may do.
pub type ClientOf = Arc<dyn Fn(&'static str) -> Client + Send + Sync>;

/// Shared by all controllers; cloning is cheap.
#[derive(Clone)]
pub struct Context {
    /// One view of each resource for all controllers.
    pub informers: Arc<Informers>,
    pub client_of: ClientOf,
    /// The controller manager's own client.
    pub manager: Client,
    pub clock: Clock,
}

impl Context {
    /// The client of the service account `kube-system/NAME`.
    pub(crate) fn client(&self, name: &'static str) -> Client {
        (self.client_of)(name)
    }

    /// Sends events as `component`.
    pub(crate) fn recorder(&self, client: &Client, component: &str) -> Recorder {
        Recorder::start(client.clone(), self.clock, component, "")
    }

    pub(crate) fn informer(&self, resource: &GroupVersionResource) -> Arc<Informer> {
        self.informers.of(resource)
    }
}
