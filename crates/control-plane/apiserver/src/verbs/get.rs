//! GET of one object.

use std::sync::Arc;

use windlass_api::Status;
use windlass_client::Request;

use crate::outcome::Outcome;
use crate::registry::Served;
use crate::server::Server;

impl Server {
    /// Reads are of what has been acknowledged: no lock, no disk. Any `resourceVersion` up to now is satisfied by that.
    pub(crate) fn get(&self, served: &Arc<Served>, request: &Request) -> Result<Outcome, Status> {
        let item = self.stored(served, &request.namespace, &request.name)?;
        Ok(Outcome::item(served, item))
    }

    pub(crate) fn stored(
        &self,
        served: &Served,
        namespace: &str,
        name: &str,
    ) -> Result<Arc<windlass_store::Item>, Status> {
        served
            .table
            .get(&served.key(namespace, name))
            .ok_or_else(|| Status::not_found(&served.resource.group_resource(), name))
    }
}
